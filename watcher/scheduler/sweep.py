"""The observing half: ask an account about its due tasks, compare with the store, write down what changed.

    what is due ─▶ the cheapest queries ─▶ the account's quota ─▶ a page or a GET ─▶ record ─▶ plan the next look

A sweep is one round over the tasks of one account that are due. Its queries are sent one after the other, as the quota
allows; answers come back on their own time, so a slow one holds up nobody. What it writes wakes the delivering half;
the two meet nowhere but in the store.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from watcher.clova import Client
from watcher.errors import StoreStalled, UpstreamError
from watcher.models import Observation, TaskKey
from watcher.scheduler import cadence
from watcher.scheduler.agenda import Agenda
from watcher.scheduler.clock import Clock
from watcher.scheduler.listing import Listing
from watcher.scheduler.planner import Query
from watcher.scheduler.report import Report
from watcher.scheduler.singles import Singles
from watcher.scheduler.tracked import Tracked
from watcher.scheduler.watched import Watched, now
from watcher.state.health import AccountHealth

log = structlog.get_logger()

AT_ONCE = 8
"""Requests of one account under way at the same time, so that slow answers don't eat the quota's pace."""

SWEEP_SECONDS = 1.0
"""A sweep takes no more queries than the quota allows in so long; what is left is weighed anew for the next one."""

FAILING = 3
"""Failed polls in a row after which the whole account is asked more and more slowly, one query at a time."""


@dataclass(slots=True, eq=False)
class _Sweep:
    """One sweep under way; `due` are its tasks, with the time since when. `client` is what it was begun
    with; `probe`: it is there to try the key."""

    due: Mapping[TaskKey, float]
    queries: Sequence[Query]
    client: Client
    probe: bool = False
    report: Report = field(default_factory=Report)
    under_way: list[asyncio.Task[None]] = field(default_factory=list)


class Sweeper:
    """Watches the tasks of one account. `after_sweep` hears each report; `before_probe` may bring a new key."""

    def __init__(
        self,
        watched: Watched,
        clock: Clock,
        after_sweep: Callable[[Sweeper, Report], None] = lambda _sweeper, _report: None,
        before_probe: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.watched = watched
        self.polled = False
        self._clock = clock
        self._after_sweep = after_sweep
        self._before_probe = before_probe
        self.agenda = Agenda(watched)
        self._singles, self._listing = Singles(watched), Listing(watched)
        self._wake = asyncio.Event()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._stalled = False
        self._probed_at: float | None = None
        self._rests_until = 0.0
        self._under_way: list[_Sweep] = []
        self._planned_at = time.monotonic()

    @property
    def name(self) -> str:
        return self.watched.name

    @property
    def health(self) -> AccountHealth:
        return self.watched.standing.health

    @property
    def tracked(self) -> dict[TaskKey, Tracked]:
        return self.watched.tracked

    # ── the loop ──

    async def run(self) -> None:
        """Sweep whenever something is due, until cancelled."""
        self.plan_all()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._until_due()
                await self._probe_key()
                sweep = self._begin()
                await self._send(sweep, group)
                finish = group.create_task(self._finish(sweep))
                if self._careful():
                    await finish

    def plan_all(self, *, settled: bool = False) -> None:
        """Look at every task at once (also those that have settled, if asked for): a start mustn't wait to know how
        things are."""
        at, keys = time.monotonic(), []
        for tracked in list(self.tracked.values()):
            first = cadence.next_look(tracked.known(at), self.watched.goals, chance=0.0)
            tracked.because = first.because
            if first.delay is not None or settled:
                keys.append(tracked.key)
        self.watched.due.plan_together(tuple(keys), 0.0)
        self._planned_at = time.monotonic()

    async def sweep(self) -> Report:
        """One round over what is due, bounded by the quota, up to its last answer; an account without anything to ask
        is asked for one list item."""
        return await self._sweep(self._begin())

    async def _sweep(self, sweep: _Sweep) -> Report:
        async with asyncio.TaskGroup() as group:
            await self._send(sweep, group)
        await self._finish(sweep)
        return sweep.report

    async def look_at_all(self) -> list[Report]:
        """Look at every task once, also those that have settled, and discover once (for `watcher once`)."""
        reports, todo, due = list[Report](), set(self.tracked), self.watched.due
        due.plan_together(tuple(todo), 0.0)
        while todo or self.agenda.pages_wanted():
            for key in self.tracked.keys() - todo:
                due.forget(key)
            due.plan_together(tuple(key for key in todo if key not in due), 0.0)
            report = await self._sweep(self._begin(bold=True))
            reports.append(report)
            todo &= set(self.tracked)
            if report.key_refused or not (report.asked or report.looked):
                break
            todo -= report.looked
        return reports or [await self.sweep()]

    def wake(self) -> None:
        """Something about what is due has changed: look again."""
        self._wake.set()

    def retry(self) -> None:
        """The key may be another one: ask at once."""
        self._probed_at, self._rests_until = None, 0.0
        self.wake()

    # ── one sweep ──

    def _begin(self, *, bold: bool = False) -> _Sweep:
        """What to ask now. `bold`: an account that hasn't answered lately is asked about all the same."""
        if self.watched.on_probation:
            sweep = self._probe()
        else:
            due, queries = self.agenda.take(1 if self._failing() and not bold else self._most())
            sweep = _Sweep(due, queries, self.watched.client)
        self._under_way.append(sweep)
        return sweep

    def _probe(self) -> _Sweep:
        """The one task that shows whether the key works: rather one that hasn't been refused yet."""
        due = self.watched.due
        planned = [tracked for tracked in self.tracked.values() if due.planned(tracked.key) is not None]
        probe = min(planned, key=lambda tracked: (tracked.failures, due.planned(tracked.key)), default=None)
        if probe is None:
            return _Sweep({}, (), self.watched.client, probe=True)
        due.forget(probe.key)
        query = Query(None, (probe.key,), 1.0)
        return _Sweep({probe.key: time.monotonic()}, [query], self.watched.client, probe=True)

    async def _send(self, sweep: _Sweep, group: asyncio.TaskGroup) -> None:
        """Send the sweep's queries as the quota allows; their answers come back on their own."""
        if not sweep.queries and (sweep.probe or self._idle()):
            sweep.under_way.append(group.create_task(self._look_idle(sweep.report)))
        for query in sweep.queries:
            await self._gate.acquire()
            try:
                number = await self._number(query, sweep.report)
            except BaseException:
                self._gate.release()
                raise
            if number is None:
                self.agenda.asked(query)
                self._gate.release()
                continue
            sweep.under_way.append(group.create_task(self._carry_out(query, number, sweep.report)))

    async def _number(self, query: Query, report: Report) -> int | None:
        """The query's request number once its turn has come; None if it isn't to be sent any more."""
        if report.key_refused:
            return None
        try:
            # A hundred accounts at once: an answer that nobody has time to read would look like none.
            await self.watched.ledger.database.calm()
            number = await self.watched.pacer.take()
        except StoreStalled as error:
            due = [self.tracked[key] for key in query.keys if key in self.tracked]
            await self.watched.stalled(error, report, *due)
            return None
        return None if report.key_refused else number

    async def _carry_out(self, query: Query, number: int, report: Report) -> None:
        ends: list[Observation] = []
        try:
            if query.page is not None:
                ends = await self._listing.look(query.page, query.keys, number, report)
            elif (tracked := self.tracked.get(query.keys[0])) is not None:
                await self._singles.look(tracked, number, report)
        finally:
            self._gate.release()
            self.agenda.asked(query)
        self._plan_looked(query.keys, report)
        self.wake()
        if ends:
            # The page can be asked for again meanwhile: one end that is slow to complete hides no other change.
            await self._listing.complete(ends, report)
            self._plan_looked([end.key for end in ends], report)

    def _plan_looked(self, keys: Iterable[TaskKey], report: Report) -> None:
        for key in keys:
            if key not in self.watched.due and key in report.looked and key in self.tracked:
                self.watched.plan(self.tracked[key])

    def _idle(self) -> bool:
        """There is nothing to ask about, and nothing is being asked."""
        alone = all(not sweep.queries for sweep in self._under_way)
        return alone and self.watched.due.next_due() is None and not self.agenda.pages_due()

    async def _finish(self, sweep: _Sweep) -> None:
        """Once every answer is there: what nothing has shown is due again, and judged is what the whole has shown."""
        if sweep.under_way:
            await asyncio.wait(sweep.under_way)
        self._under_way.remove(sweep)
        report, watched = sweep.report, self.watched
        for key in sweep.due.keys() - report.looked:
            if key in self.tracked and key not in watched.due:
                # No page has shown it where it should be, or nobody was asked.
                watched.pages.lose(key.id, report.started)
                watched.due.put_back({key: sweep.due[key]})
        await watched.standing.judge_trial(watched.unfinished)
        self.polled, self._stalled = True, report.stalled
        if self.health.rejected_since is not None and sweep.client is watched.client:
            self._probed_at = time.monotonic()
        self._rest_while_failing(report)
        self._say(report)
        self._after_sweep(self, report)
        self.wake()

    def _rest_while_failing(self, report: Report) -> None:
        """Nothing has answered for several polls: the whole account is asked after longer and longer."""
        if not self._failing() or report.failed < report.asked:
            self._rests_until = 0.0
            return
        poll = cadence.Known(None, failures=1 + (self.health.failed - FAILING) // FAILING)
        look = cadence.next_look(poll, self.watched.goals, chance=random.random())  # noqa: S311
        self._rests_until = time.monotonic() + (look.delay or 0.0)

    def _failing(self) -> bool:
        """No poll of this account has succeeded for a while, whatever it was about."""
        answered = self.watched.standing.last_answer
        lately = answered is not None and time.monotonic() - answered < 2 * self.watched.goals.interval
        return self.health.failed >= FAILING and not lately

    def _careful(self) -> bool:
        """Whether to wait for an answer before the next question."""
        return self.watched.on_probation or self._failing() or self._stalled

    def _most(self) -> int:
        return max(1, int(SWEEP_SECONDS / self.watched.pacer.spacing))

    async def _until_due(self) -> None:
        # The alarm goes by the wall clock, so it may ring a little early.
        while (left := self.next_sweep() - time.monotonic()) > 0:
            self._wake.clear()
            self._clock.after(f"sweep {self.name}", left, self._wake.set)
            await self._wake.wait()

    def next_sweep(self) -> float:
        """When the next sweep is due (monotonic). While the key is refused, one query probes it at its own pace."""
        watched = self.watched
        if watched.on_probation and self._probed_at is not None:
            pause = cadence.REJECTED_FOR_GOOD if self.health.rejected else cadence.REJECTED_AGAIN
            return self._probed_at + pause
        soonest = [*self.agenda.pages_due().values()]
        if (due := watched.due.next_due()) is not None:
            soonest.append(due)
        if not soonest:
            asked = time.monotonic() if self._under_way else watched.standing.last_asked
            soonest.append(0.0 if asked is None else asked + cadence.IDLE)
        return max(min(soonest), self._rests_until)

    async def _probe_key(self) -> None:
        if self.watched.on_probation and self._before_probe is not None:
            await self._before_probe()

    # ── the account itself ──

    async def _look_idle(self, report: Report) -> None:
        try:
            await self._ask_idle(report)
        except StoreStalled as error:
            await self.watched.stalled(error, report)

    async def _ask_idle(self, report: Report) -> None:
        watched, moment, started = self.watched, now(), time.monotonic()
        report.asked += 1
        try:
            await watched.census.answers()
        except UpstreamError as error:
            await watched.failed(None, error, moment, started, report)
        else:
            # While a changed key is on trial, that a list answers proves nothing.
            if watched.standing.trial is None or not watched.unfinished:
                await watched.good((), moment)

    # ── what comes next, for people ──

    def is_asking(self, key: TaskKey) -> bool:
        """Whether a query that should show the task is under way, or waits for its turn in the quota."""
        return any(key in sweep.due and key not in sweep.report.looked for sweep in self._under_way)

    def rests_for(self) -> float:
        """Seconds for which an account that gives no answers isn't asked; 0 or less when it may be."""
        return self._rests_until - time.monotonic()

    def because(self) -> str:
        """Why the account is asked when it is."""
        if self.watched.on_probation:
            return "its key is refused: one probe at a time"
        if self._rests_until > time.monotonic():
            return f"{self.health.failed} failed polls in a row"
        if self.watched.due.next_due() is None and not self.watched.discovers:
            return "no task is due any more: one list item shows that the key still works"
        return "the next tasks are due" + (", or new ones are looked for" if self.watched.discovers else "")

    def caught_up(self, since: datetime | None = None) -> bool:
        """Every task that was due at the start was looked at, or the account refuses to be asked. `since`: every task
        that is looked at was asked for after that time."""
        if not self.polled or self._stalled:
            return False
        next_due = self.watched.due.next_due()
        waiting = [next_due] if next_due is not None else []
        waiting += [at for sweep in self._under_way for at in sweep.due.values()]
        if self.watched.on_probation or any(at <= self._planned_at for at in waiting):
            return self.watched.on_probation
        if self.watched.discovers and self.watched.pages.usable() and self.watched.pages.unread():
            return False
        if any(tracked.adopted and tracked.status is None for tracked in self.tracked.values()):
            return False  # a page that has just brought them is still being written
        return since is None or all(self._seen_since(tracked, since) for tracked in self.tracked.values())

    def _seen_since(self, tracked: Tracked, since: datetime) -> bool:
        if tracked.failures or tracked.gone or tracked.missing or (tracked.seen is not None and tracked.seen >= since):
            return True
        return self.watched.due.planned(tracked.key) is None and not self.is_asking(tracked.key)

    def unwritten(self) -> list[Tracked]:
        """Tasks whose last look isn't in the store yet."""
        return [tracked for tracked in self.tracked.values() if tracked.dirty]

    def _say(self, report: Report) -> None:
        say = log.info if report.changed or report.events else log.debug
        say(
            "sweep.finished",
            account=self.name,
            seen=report.seen,
            changed=report.changed,
            events=report.events,
            failed=report.failed,
            queries=report.asked,
            pages=report.pages,
            seconds=round(time.monotonic() - report.started, 3),
        )


__all__ = ["Report", "Sweeper"]
