"""What the daemon is about to ask, and how late it is with it: from memory, for `status --why`, metrics and the log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from watcher.engine.core import Core
from watcher.scheduler.cadence import goal_of
from watcher.scheduler.sweep import Sweeper
from watcher.scheduler.tracked import Tracked
from watcher.views import rfc3339

log = structlog.get_logger()

LATE = 2.0
"""Cadences without a look after which a task counts as late."""

SHORTEST = 5.0


@dataclass(frozen=True, slots=True)
class Lateness:
    """How many tasks are looked at later than wanted, and the longest time without a look, in seconds; `why` is
    "quota", or "slowed" where the upstream has asked for a slower pace."""

    tasks: int = 0
    stalest: float = 0.0
    why: str = ""


def lateness(sweeper: Sweeper) -> Lateness:
    """How late an account's looks are for lack of quota; polls that fail are another matter."""
    watched = sweeper.watched
    failing = watched.standing.health.failed and not watched.pacer.slowed
    if watched.on_probation or failing or not sweeper.polled:
        return Lateness()
    stale = []
    for key, late in watched.due.late(SHORTEST).items():
        if key not in watched.tracked:
            continue
        goal = goal_of(watched.tracked[key].status, watched.goals)
        if late >= (LATE - 1.0) * goal:
            stale.append(late + goal)
    why = "slowed" if watched.pacer.slowed else "quota"
    return Lateness(len(stale), round(max(stale), 1), why) if stale else Lateness()


class Overload:
    """Says once that an account's quota doesn't suffice, and once that it does again."""

    def __init__(self) -> None:
        self._late: dict[str, int] = {}

    def look(self, core: Core) -> None:
        """Called every few seconds; only what lasts is said."""
        for name, sweeper in core.sweepers.items():
            found = lateness(sweeper)
            before = self._late.get(name, 0)
            self._late[name] = count = before + 1 if found.tasks else 0
            if count == 3:
                self._say(sweeper, found)
            elif before >= 3 and not count:
                log.info("quota.suffices", account=name)

    def _say(self, sweeper: Sweeper, found: Lateness) -> None:
        log.warning(
            "quota.insufficient",
            account=sweeper.name,
            late_tasks=found.tasks,
            stalest_seconds=found.stalest,
            queries_per_minute=sweeper.watched.pacer.rate,
            hint="nothing is lost, changes are seen later: raise queries_per_minute or poll.interval"
            if found.why == "quota"
            else "nothing is lost: the upstream asked for a slower pace, which recovers by itself",
        )


def plan_of(core: Core) -> dict[str, Any]:
    """When each task is asked for next, by which query and why; and the same for the accounts themselves."""
    tasks = [_task(sweeper, tracked) for sweeper in core.sweepers.values() for tracked in sweeper.tracked.values()]
    return {"tasks": tasks, "accounts": {name: _account(sweeper) for name, sweeper in core.sweepers.items()}}


def _task(sweeper: Sweeper, tracked: Tracked) -> dict[str, Any]:
    watched, because = sweeper.watched, tracked.because
    planned = watched.due.planned(tracked.key)
    if planned is None and sweeper.is_asking(tracked.key):
        planned, because = 0.0, f"{because}; is being asked"
    if watched.on_probation and planned is not None:
        because = f"the account's key is refused; {because}"
        planned = max(planned, sweeper.next_sweep() - time.monotonic())
    elif planned is not None and (rest := sweeper.rests_for()) > 0:
        because = f"{because}; the account rests after failed polls"
        planned = max(planned, rest)
    elif planned is not None and planned < 0:
        because = f"{because}; waits for its turn in the quota"
    return {
        "account": tracked.key.account,
        "id": tracked.key.id,
        "next_at": None if planned is None else _moment(planned),
        "query": None if planned is None else sweeper.agenda.query_for(tracked),
        "because": because,
    }


def _account(sweeper: Sweeper) -> dict[str, Any]:
    watched, late = sweeper.watched, lateness(sweeper)
    left = sweeper.next_sweep() - time.monotonic()
    return {
        "next_at": _moment(left),
        "because": sweeper.because(),
        "late": late.tasks,
        "stalest": late.stalest if late.tasks else None,
        "pace": watched.pacer.rate,
    }


def _moment(seconds: float) -> str | None:
    return rfc3339(datetime.now(tz=UTC) + timedelta(seconds=max(seconds, 0.0)))
