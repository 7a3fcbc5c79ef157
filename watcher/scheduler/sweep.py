"""The observing half: ask an account about its due tasks, compare with the store, write down what changed.

    what is due ─▶ the account's quota ─▶ GET ─▶ unchanged? ─▶ record ─▶ plan the next look

A sweep is one round over the tasks of one account that are due. What it writes wakes the delivering half; the two
meet nowhere but in the store.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from watcher.clova import Answer, Client
from watcher.clova.quota import Pacer
from watcher.errors import KeyRejected, NotOwned, StoreStalled, TaskUnknown, UpstreamError
from watcher.models import Observation, TaskKey
from watcher.scheduler import cadence
from watcher.scheduler.census import Census
from watcher.scheduler.clock import Clock
from watcher.scheduler.standing import Standing
from watcher.scheduler.tracked import DueHeap, Tracked
from watcher.state.diff import GONE_AFTER
from watcher.state.health import AccountHealth
from watcher.state.ledger import Ledger
from watcher.state.record import Recorded, record_missing, record_observations

log = structlog.get_logger()

AT_ONCE = 4
"""Requests of one account under way at the same time, so that slow answers don't eat the quota's pace."""

FORBIDDEN = 403
SWEEP_SECONDS = 10.0
"""A sweep takes no more tasks than the quota allows in so long; what is left is in the next one."""

STALLED_PAUSE = 2.0


@dataclass(slots=True)
class Report:
    """What one sweep did. `stalled`: something couldn't be written; `unknown`: tasks that the account never knew."""

    asked: int = 0
    changed: int = 0
    events: int = 0
    failed: int = 0
    stalled: bool = False
    unknown: dict[TaskKey, UpstreamError] = field(default_factory=dict)
    error: UpstreamError | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def key_refused(self) -> bool:
        """No other task needs to be asked. A 403 may be about its task alone, so the others tell."""
        return isinstance(self.error, KeyRejected) and self.error.status != FORBIDDEN


class Sweeper:
    """Watches the tasks of one account. `after_sweep` hears each report."""

    def __init__(
        self,
        name: str,
        client: Client,
        pacer: Pacer,
        ledger: Ledger,
        clock: Clock,
        goals: cadence.Goals,
        tracked: dict[TaskKey, Tracked],
        standing: Standing,
        after_sweep: Callable[[Sweeper, Report], None] = lambda _sweeper, _report: None,
    ) -> None:
        self.name = name
        self.standing = standing
        self.tracked = tracked
        self.polled = False
        self._stalled = False
        self._client, self._pacer, self._ledger, self._clock = client, pacer, ledger, clock
        self._goals = goals
        self._after_sweep = after_sweep
        self.census = Census(client, pacer)
        self._due = DueHeap()
        self._wake = asyncio.Event()
        self._gate = asyncio.Semaphore(AT_ONCE)

    @property
    def health(self) -> AccountHealth:
        return self.standing.health

    # ── the loop ──

    async def run(self) -> None:
        """Sweep whenever something is due, until cancelled."""
        self.plan_all()
        while True:
            await self._until_due()
            await self.sweep()

    def plan_all(self) -> None:
        """Look at every task that isn't settled, at once: a start mustn't wait to know how things are."""
        now = time.monotonic()
        for tracked in self.tracked.values():
            first = cadence.next_look(tracked.known(now), self._goals, chance=0.0)
            tracked.because = first.because
            if first.delay is not None:
                self._due.plan(tracked.key, 0.0)

    async def sweep(self) -> Report:
        """One round over what is due, bounded by the quota; an account without due tasks is asked for one list item."""
        return await self._sweep(self._probe() if self._on_probation() else self._due.pop_due(self._most()))

    async def look_at_all(self) -> list[Report]:
        """Ask about every task once, also those that have settled (for `watcher once`)."""
        keys, reports = list(self.tracked), list[Report]()
        while keys and not (reports and reports[-1].key_refused):
            now, keys = keys[: self._most()], keys[self._most() :]
            reports.append(await self._sweep(now))
        return reports

    async def _sweep(self, keys: list[TaskKey]) -> Report:
        report, queries = Report(), self._pacer.queries
        try:
            if keys:
                async with asyncio.TaskGroup() as group:
                    for key in keys:
                        group.create_task(self._look(self.tracked[key], report))
            else:
                await self._look_idle(report)
        finally:
            for key in keys:
                self._plan(self.tracked[key])
        await self.standing.judge_trial(self._unfinished())
        self.polled, self._stalled = True, report.stalled
        self._say(report, self._pacer.queries - queries)
        self._after_sweep(self, report)
        return report

    def unwritten(self) -> list[Tracked]:
        """Tasks whose last look isn't in the store yet."""
        return [tracked for tracked in self.tracked.values() if tracked.dirty]

    def caught_up(self) -> bool:
        """Nothing is overdue: every task was asked since it was planned, or the account refuses to be asked."""
        if not self.polled or self._stalled:
            return False
        next_due = self._due.next_due()
        return self._on_probation() or next_due is None or next_due > time.monotonic()

    def next_look(self, key: TaskKey) -> float | None:
        """Seconds until the task is due; None when nobody looks again."""
        return self._due.planned(key)

    def _most(self) -> int:
        return max(1, int(SWEEP_SECONDS / self._pacer.spacing))

    def _on_probation(self) -> bool:
        return self.health.rejected_since is not None

    def _probe(self) -> list[TaskKey]:
        """The one task that shows whether the key works: rather one that hasn't been refused yet."""
        planned = [tracked for tracked in self.tracked.values() if self._due.planned(tracked.key) is not None]
        probe = min(planned, key=lambda tracked: (tracked.failures, self._due.planned(tracked.key)), default=None)
        if probe is None:
            return []
        self._due.forget(probe.key)
        return [probe.key]

    async def _until_due(self) -> None:
        delay = self._delay()
        due = time.monotonic() + delay
        # The alarm goes by the wall clock, so it may ring a little early.
        while (left := due - time.monotonic()) > 0:
            self._wake.clear()
            self._clock.after(f"sweep {self.name}", left, self._wake.set)
            await self._wake.wait()

    def _delay(self) -> float:
        """Seconds until the next sweep. While the key is refused only one query probes it, at its own pace."""
        if not self.polled:
            return 0.0
        if self.health.rejected:
            return cadence.REJECTED_FOR_GOOD
        if self._on_probation():
            return cadence.REJECTED_AGAIN
        next_due = self._due.next_due()
        if next_due is None:
            return cadence.IDLE
        return next_due - time.monotonic()

    def _plan(self, tracked: Tracked) -> None:
        now = time.monotonic()
        first = not tracked.asked
        look = cadence.next_look(tracked.known(now), self._goals, chance=random.random(), first=first)  # noqa: S311
        tracked.asked, tracked.because = True, look.because
        if look.delay is None:
            self._due.forget(tracked.key)
        else:
            self._due.plan(tracked.key, look.delay)

    # ── one task ──

    async def _look(self, tracked: Tracked, report: Report, *, trusted: bool = False) -> None:
        async with self._gate:
            try:
                number = await self._pacer.take()
                if report.key_refused:
                    return
                moment = datetime.now(tz=UTC)
                report.asked += 1
                await self._ask(tracked, number, moment, report, trusted=trusted)
            except StoreStalled as error:
                # Nothing is written, so nothing is believed either: the same is seen again later.
                tracked.digest = b""
                report.failed += 1
                report.stalled = True
                self.standing.say_once("store.stalled", error)
                await asyncio.sleep(STALLED_PAUSE)

    async def _ask(self, tracked: Tracked, number: int, moment: datetime, report: Report, *, trusted: bool) -> None:
        try:
            answer = await self._client.get_task(tracked.key.id)
            stale = await self._compare(tracked, answer, number, moment, report, trusted=trusted)
        except (TaskUnknown, NotOwned) as error:
            await self._missing(tracked, error, number, moment, report)
        except UpstreamError as error:
            await self._failed(tracked, error, moment, report)
        else:
            if stale and not trusted:
                await self._settle(tracked, report)

    async def _compare(
        self, tracked: Tracked, answer: Answer, number: int, moment: datetime, report: Report, *, trusted: bool
    ) -> bool:
        """Record what the answer changes; True when it seems older than what is known."""
        digest = hashlib.blake2b(answer.body, digest_size=16).digest()
        if digest == tracked.digest:
            tracked.saw(number, moment)
            await self._good(tracked, moment)
            return False
        observation = Observation(tracked.key, number, moment, "get", answer.fields(), trusted)
        unchanged = [(tracked.key, tracked.number, tracked.seen)] if tracked.dirty and tracked.seen else []
        recorded = await self._ledger.record(record_observations, [observation], unchanged)
        self._count(recorded, report)
        change = (recorded.comparisons or {})[tracked.key]
        if change.snapshot is not None:
            tracked.learn(change.snapshot, digest)
        await self._good(tracked, moment)
        return change.because == "stale"

    async def _settle(self, tracked: Tracked, report: Report) -> None:
        """One more GET tells whether the upstream really went back in time."""
        number = await self._pacer.take()
        await self._ask(tracked, number, datetime.now(tz=UTC), report, trusted=True)

    async def _missing(
        self, tracked: Tracked, error: UpstreamError, number: int, moment: datetime, report: Report
    ) -> None:
        """The API says that there is no such task, or that it isn't ours. A list has the last word."""
        tracked.digest = b""
        if self.standing.trial is not None and tracked.unfinished:
            self.standing.trial.hidden.add(tracked.key)
        elif tracked.status is None:
            tracked.gone = True
            report.unknown[tracked.key] = error
            await self._good(tracked, moment)
        else:
            await self._lost(tracked, number, moment, report, owned=not isinstance(error, NotOwned))

    async def _lost(self, tracked: Tracked, number: int, moment: datetime, report: Report, *, owned: bool) -> None:
        """A task that was known isn't there: note it, and tell it once it is sure."""
        first, tracked.missing = not tracked.missing, True
        if first:
            tracked.missing_at = time.monotonic()
        try:
            confirmed = not tracked.gone and await self._confirmed(tracked, owned=owned, first=first)
        except UpstreamError as error:
            await self._failed(tracked, error, moment, report)
            return
        reason = "not_found" if owned else "no_ownership"
        recorded = await self._ledger.record(
            record_missing, tracked.key, number, moment, reason, confirmed=confirmed, at_once=not owned
        )
        self._count(recorded, report)
        change = (recorded.comparisons or {}).get(tracked.key)
        if change is not None and change.snapshot is not None:
            tracked.gone = bool(change.snapshot.gone)
        await self._good(tracked, moment)

    async def _confirmed(self, tracked: Tracked, *, owned: bool, first: bool) -> bool:
        """Whether a task that a GET doesn't find is really gone: raises when the list can't be had either."""
        if not owned:
            await self.census.answers()
            return True
        if first or time.monotonic() - (tracked.missing_at or 0.0) < GONE_AFTER.total_seconds() - 1.0:
            return False
        others = [other for other in self.tracked.values() if other is not tracked and other.status is not None]
        if others and all(other.missing for other in others):
            return False
        return not await self.census.shows(tracked.key.id)

    # ── the account ──

    async def _look_idle(self, report: Report) -> None:
        moment = datetime.now(tz=UTC)
        try:
            await self._ask_idle(moment, report)
        except StoreStalled as error:
            report.stalled = True
            self.standing.say_once("store.stalled", error)
            await asyncio.sleep(STALLED_PAUSE)

    async def _ask_idle(self, moment: datetime, report: Report) -> None:
        try:
            await self.census.answers()
        except UpstreamError as error:
            await self._failed(None, error, moment, report)
        else:
            # While a changed key is on trial, that a list answers proves nothing.
            if self.standing.trial is None or not self._unfinished():
                await self._good(None, moment)

    async def _good(self, tracked: Tracked | None, moment: datetime) -> None:
        if tracked is not None:
            tracked.failures, tracked.refused, tracked.forbidden = 0, False, False
            for other in self.tracked.values() if self._on_probation() else ():
                other.forbidden = other.refused
        before = self.health
        await self.standing.good(moment, proof=tracked is None or not tracked.unknown)
        if before.unreachable or before.rejected or before.failed >= max(3, len(self.tracked)):
            self._hurry()

    async def _failed(self, tracked: Tracked | None, error: UpstreamError, moment: datetime, report: Report) -> None:
        report.failed += 1
        report.error = error
        forbidden = False
        if tracked is not None:
            tracked.failures += 1
            tracked.refused = isinstance(error, KeyRejected) and error.status == FORBIDDEN
            forbidden = tracked.refused and tracked.forbidden
        await self.standing.failed(error, moment, its_own=forbidden)

    def _hurry(self) -> None:
        """The account answers again: what was put off by failures is looked at again at the usual pace."""
        for tracked in self.tracked.values():
            planned = self._due.planned(tracked.key)
            if tracked.failures and planned is not None:
                tracked.failures = 0
                self._due.plan(tracked.key, random.random() * min(planned, self._goals.interval))  # noqa: S311

    def _unfinished(self) -> int:
        return sum(tracked.unfinished for tracked in self.tracked.values())

    # ── telling ──

    def _count(self, recorded: Recorded, report: Report) -> None:
        report.events += len(recorded.events)
        report.changed += sum(1 for change in (recorded.comparisons or {}).values() if change.changes)

    def _say(self, report: Report, queries: int) -> None:
        say = log.info if report.changed or report.events else log.debug
        say(
            "sweep.finished",
            account=self.name,
            seen=report.asked - report.failed,
            changed=report.changed,
            events=report.events,
            failed=report.failed,
            queries=queries,
            seconds=round(time.monotonic() - report.started, 3),
        )
