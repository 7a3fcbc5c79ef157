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

from watcher.errors import StoreStalled, UpstreamError
from watcher.models import Observation, TaskKey
from watcher.scheduler import cadence
from watcher.scheduler.clock import Clock
from watcher.scheduler.listing import Listing
from watcher.scheduler.pages import LOOK_AROUND
from watcher.scheduler.planner import DISCOVERY, ListView, Query, Wish, choose
from watcher.scheduler.report import Report
from watcher.scheduler.singles import Singles
from watcher.scheduler.tracked import Tracked
from watcher.scheduler.watched import Watched, now
from watcher.state.health import AccountHealth

log = structlog.get_logger()

AT_ONCE = 8
"""Requests of one account under way at the same time, so that slow answers don't eat the quota's pace."""

SWEEP_SECONDS = 5.0
"""A sweep takes no more queries than the quota allows in so long; what is left is weighed anew for the next one."""

AROUND_SHARE = 4.0
"""A look at the whole list for discovery takes no more than a quarter of the quota."""

TOGETHER = 0.25
"""Seconds by which a task may be looked at early, since others are due."""

LOST = 2.0
"""Cadences after which a task whose page isn't known is no longer looked for on pages."""

FAILING = 3
"""Failed polls in a row after which the whole account is asked more and more slowly, one query at a time."""


@dataclass(slots=True, eq=False)
class _Sweep:
    """One sweep under way; `due` are its tasks, with the time since when. `probe`: it is there to try the key."""

    due: Mapping[TaskKey, float]
    queries: Sequence[Query]
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
        self._singles, self._listing = Singles(watched), Listing(watched)
        self._wake = asyncio.Event()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._stalled = False
        self._probed_at: float | None = None
        self._rests_until = 0.0
        self._under_way: list[_Sweep] = []
        self._planned_at = time.monotonic()
        self._known_ids: list[str] = []
        self._known_at = -cadence.IDLE
        self._asking: set[int] = set()
        self._aside: dict[int, dict[TaskKey, float]] = {}

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
        reports, todo = list[Report](), set(self.tracked)
        while todo or self._wanted():
            self.watched.due.plan_together(tuple(todo), 0.0)
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
        sweep = self._probe() if self.watched.on_probation else self._chosen(bold=bold)
        self._under_way.append(sweep)
        return sweep

    def _chosen(self, *, bold: bool) -> _Sweep:
        due, most = self._pop_due(), 1 if self._failing() and not bold else self._most()
        queries = choose(self._wishes(due), self.view())
        queries, left = queries[:most], queries[most:]
        self.watched.due.put_back({key: due.pop(key) for query in left for key in query.keys})
        self._asking.update(query.page for query in queries if query.page is not None)
        return _Sweep(due, queries)

    def _pop_due(self) -> dict[TaskKey, float]:
        """What is due, but for tasks whose page is being asked for already: its answer tells about them."""
        ahead = min(TOGETHER, self.watched.goals.interval / 50)
        due, where = self.watched.due.pop_due(ahead), self.watched.pages.where
        for key in list(due) if self._asking else ():
            page = where.get(key.id, -1)
            if page in self._asking and not self.tracked[key].single:
                self._aside.setdefault(page, {})[key] = due.pop(key)
        return due

    def _probe(self) -> _Sweep:
        """The one task that shows whether the key works: rather one that hasn't been refused yet."""
        due = self.watched.due
        planned = [tracked for tracked in self.tracked.values() if due.planned(tracked.key) is not None]
        probe = min(planned, key=lambda tracked: (tracked.failures, due.planned(tracked.key)), default=None)
        if probe is None:
            return _Sweep({}, (), probe=True)
        due.forget(probe.key)
        return _Sweep({probe.key: time.monotonic()}, [Query(None, (probe.key,), 1.0)], probe=True)

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
                self._asked(query)
                self._gate.release()
                continue
            sweep.under_way.append(group.create_task(self._carry_out(query, number, sweep.report)))

    async def _number(self, query: Query, report: Report) -> int | None:
        """The query's request number once its turn has come; None if it isn't to be sent any more."""
        if report.key_refused:
            return None
        try:
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
            self._asked(query)
        self._plan_looked(query.keys, report)
        if ends:
            # The page can be asked for again meanwhile: one end that is slow to complete hides no other change.
            await self._listing.complete(ends, report)
            self._plan_looked([end.key for end in ends], report)

    def _plan_looked(self, keys: Iterable[TaskKey], report: Report) -> None:
        for key in keys:
            if key not in self.watched.due and key in report.looked and key in self.tracked:
                self.watched.plan(self.tracked[key])

    def _asked(self, query: Query) -> None:
        """The query is over: whoever waited for its answer and isn't in it is due as before."""
        if query.page is not None:
            self._asking.discard(query.page)
            waiting = self._aside.pop(query.page, {})
            due = self.watched.due
            due.put_back({k: at for k, at in waiting.items() if k in self.tracked and k not in due})

    def _idle(self) -> bool:
        """There is nothing to ask about, and nothing is being asked."""
        alone = all(not sweep.queries for sweep in self._under_way)
        return alone and self.watched.due.next_due() is None and not self._discovery()

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
        if self.health.rejected_since is not None:
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
        poll = cadence.Known(None, failures=self.health.failed - FAILING + 1)
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

    # ── what is due ──

    def _wishes(self, due: Mapping[TaskKey, float]) -> Iterable[Wish]:
        """What is due, as the planner takes it. Tasks of a page that are alike make one wish: there are many. One that
        has waited for long while its place wasn't found is asked for by itself."""
        at, goals, where = time.monotonic(), self.watched.goals, self.watched.pages.where
        horizon = at + cadence.NEAR * goals.interval
        alike: dict[tuple[int | None, str | None, float], list[TaskKey]] = {}
        for key, since in due.items():
            tracked = self.tracked.get(key)
            if tracked is None:
                continue
            if tracked.plain(horizon):
                alike.setdefault((where.get(key.id), tracked.status, since), []).append(key)
            else:
                urgency = cadence.urgency(tracked.known(at), goals, max(at - since, 0.0))
                yield Wish((key,), urgency, where.get(key.id), tracked.single)
        for (page, status, since), keys in alike.items():
            late = max(at - since, 0.0)
            patience = LOST * cadence.goal_of(status, goals)
            urgency = cadence.urgency(cadence.Known(status), goals, late)
            yield Wish(tuple(keys), urgency, page, single=page is None and late > patience)

    def view(self) -> ListView:
        """The account's list as the planner needs it."""
        pages = self.watched.pages
        if not pages.usable():
            return ListView((), {}, lambda _page: 0, usable=False)
        unread = [page for page in pages.unread() if page not in self._asking]
        stale = [page for page in pages.stale() if page not in self._asking]
        return ListView(unread, self._wanted(), self._soon, stale, pages.rests)

    def _wanted(self) -> dict[int, float]:
        """Pages to be read for their own sake, with their urgency."""
        if not self.watched.pages.usable():
            return {}
        at, goal = time.monotonic(), self.watched.goals.wait_interval
        waited = {page: at - since if since else goal for page, since in self._discovery().items() if since <= at}
        return {page: DISCOVERY * (1.0 + seconds / goal) for page, seconds in waited.items()}

    def _discovery(self) -> dict[int, float]:
        """When each page that isn't just being asked for is to be read for its own sake: to discover tasks, or because
        one is missing, about which the whole list has the last word."""
        watched = self.watched
        around = max(LOOK_AROUND, AROUND_SHARE * (watched.pages.total or 1) * watched.pacer.spacing)
        due = watched.pages.discovery(watched.goals.wait_interval, around) if watched.discovers else {}
        if (since := watched.missing_since) is not None:
            due = {**due, **watched.pages.census(since)}
        return {page: at for page, at in due.items() if page not in self._asking}

    def _soon(self, page: int) -> int:
        """How many tasks of the page will be due within half their cadence."""
        seen = self.watched.pages.seen.get(page)
        count = 0
        for tracked in seen.watched if seen is not None else ():
            planned = self.watched.due.planned(tracked.key)
            if planned is not None and planned <= cadence.goal_of(tracked.status, self.watched.goals) / 2:
                count += 1
        return count

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
        soonest = [*self._discovery().values()]
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

    async def known_ids(self) -> list[str]:
        """The ids that the account's list shows, as far as it can be had; read anew if that was a while ago."""
        pages = self.watched.pages
        if pages.whole_since(time.monotonic() - cadence.IDLE):
            return list(pages.where)
        if time.monotonic() - self._known_at > cadence.IDLE:
            try:
                self._known_ids = await self.watched.census.all_ids()
            except UpstreamError:
                return self._known_ids
            self._known_at = time.monotonic()
        return self._known_ids

    # ── what comes next, for people ──

    def query_for(self, tracked: Tracked) -> str:
        """The query that would ask about the task if it were due now."""
        pages = self.watched.pages
        page = pages.where.get(tracked.key.id) if pages.usable() and not tracked.single else None
        if page is None or pages.rests(page) or (len(pages.seen[page].watched) < 2 and not self.watched.discovers):
            return "get"
        return f"page {page}"

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
