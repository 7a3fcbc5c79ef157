"""The watcher's events about itself: that it started, and that nobody looked for a while."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from watcher.engine.core import Core
from watcher.models import RUNNING, TERMINAL, WAIT, Draft, Event, Window
from watcher.state.budget import set_meta
from watcher.state.record import Recorded, Settled, record_drafts

SHORTEST_GAP = 20.0
"""Seconds without a poll that are worth an event even with a fast cadence."""

LONGEST_ROUND = 60.0
"""Seconds after which the first round counts as done, however many tasks still wait for their turn."""


class Stories:
    """Collects what happens during the first round after a start or a pause, and tells it when the round is over."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._found = 0
        self._gap: Window | None = None
        self._started = False
        self._patient_until = 0.0
        core.ledger.heard.append(self._hear)

    def begin(self) -> None:
        """The daemon starts: what the last process saw last is where a gap may have begun."""
        self._patient_until = time.monotonic() + LONGEST_ROUND
        if self._core.alive_before is not None:
            self.stood_still(self._core.alive_before, datetime.now(tz=UTC))

    def stood_still(self, after: datetime, before: datetime) -> None:
        """Nothing was polled between these times."""
        longest = max(self._core.settings.poll.interval * 2, SHORTEST_GAP)
        if self._gap is None and before - after > timedelta(seconds=longest):
            self._gap, self._found = Window(after, before), 0
            self._patient_until = time.monotonic() + LONGEST_ROUND

    async def tell(self) -> None:
        """Tell what is due; called after every sweep, does nothing most of the time."""
        if self._started and self._gap is None:
            return
        since = self._gap.before if self._gap is not None else None
        caught_up = all(sweeper.caught_up(since) for sweeper in self._core.sweepers.values())
        if not caught_up and time.monotonic() < self._patient_until:
            return
        if self._gap is not None:
            draft = Draft("watcher.gap", self._gap, details={"count": self._found})
            await self._core.ledger.record(record_drafts, [draft])
            self._gap = None
        if not self._started:
            draft = Draft(
                "watcher.started",
                Window(None, datetime.now(tz=UTC)),
                details={"first": self._core.new_store, **self._summary()},
                notable=self._core.new_store,
            )
            await self._core.ledger.record(_introduce, draft)
            self._started = True

    def _hear(self, event: Event) -> None:
        if self._gap is not None and event.task is not None:
            self._found += 1

    def _summary(self) -> dict[str, Any]:
        statuses = [t.status for sweeper in self._core.sweepers.values() for t in sweeper.tracked.values()]
        return {
            "tasks": len(statuses),
            "training": statuses.count(RUNNING),
            "waiting": statuses.count(WAIT),
            "finished": sum(status in TERMINAL for status in statuses),
            "unseen": statuses.count(None),
        }


def _introduce(tx: Connection, settled: Settled, draft: Draft) -> Recorded:
    set_meta(tx, "introduced", draft.window.before.isoformat())
    return record_drafts(tx, settled, [draft])
