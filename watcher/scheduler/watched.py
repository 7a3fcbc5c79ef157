"""What is known of one account, shared by the parts of its sweeper; all of it can be made anew from the store."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from watcher.clova import Client
from watcher.clova.quota import Pacer
from watcher.errors import KeyRejected, StoreError, StoreLost, StoreStalled, StoreUnusable, UpstreamError
from watcher.models import TERMINAL, Fields, Observation, TaskKey
from watcher.scheduler import cadence
from watcher.scheduler.adoption import Adoption
from watcher.scheduler.census import KNOWN_FOR, Census
from watcher.scheduler.pages import Pages
from watcher.scheduler.report import FORBIDDEN, Report
from watcher.scheduler.standing import Standing
from watcher.scheduler.tracked import DueHeap, Tracked
from watcher.state.diff import Change
from watcher.state.ledger import Ledger
from watcher.state.record import Recorded, record_observations

log = structlog.get_logger()

STALLED_PAUSE = 2.0


@dataclass(slots=True)
class Watched:
    """One account: its tasks, when each is due, its list, its quota, and how it stands.

    `departed` are adopted tasks that have left, with the status and creation date that they had then. While
    `anything_missing` is False no task can be.
    """

    name: str
    client: Client
    pacer: Pacer
    ledger: Ledger
    goals: cadence.Goals
    tracked: dict[TaskKey, Tracked]
    standing: Standing
    adoption: Adoption = field(default_factory=lambda: Adoption(()))
    departed: dict[TaskKey, tuple[str, object]] = field(default_factory=dict)
    due: DueHeap = field(default_factory=DueHeap)
    pages: Pages = field(default_factory=Pages)
    anything_missing: bool = True
    census: Census = field(init=False)

    def __post_init__(self) -> None:
        self.census = Census(self.client, self.pacer)

    def reconnect(self, client: Client) -> None:
        """Ask with another key, or at another address, from now on: what was learnt of the list may not hold."""
        self.client, self.census = client, Census(client, self.pacer)
        self.pages.forget()

    async def known_ids(self) -> list[str]:
        """The ids that the account's list shows, as far as it can be had."""
        if self.pages.whole_since(time.monotonic() - KNOWN_FOR):
            return list(self.pages.where)
        return await self.census.known_ids()

    @property
    def missing_since(self) -> float | None:
        """Since when (monotonic) a task is missing about which the whole list has still to be heard."""
        if not self.anything_missing:
            return None
        since = [t.missing_at for t in self.tracked.values() if t.missing and not t.gone and t.missing_at is not None]
        self.anything_missing = bool(since)
        return max(since, default=None)

    @property
    def discovers(self) -> bool:
        return self.adoption.discovers(self.name)

    @property
    def unfinished(self) -> int:
        return sum(tracked.unfinished for tracked in self.tracked.values())

    @property
    def on_probation(self) -> bool:
        """The key was refused at the last poll: one query at a time, slowly."""
        return self.standing.health.rejected_since is not None

    # ── planning ──

    def plan(self, tracked: Tracked, chance: float | None = None) -> None:
        """When to look at the task again, given what is known of it now."""
        if self.tracked.get(tracked.key) is not tracked:
            return
        chance = random.random() if chance is None else chance  # noqa: S311
        look = cadence.next_look(tracked.known(time.monotonic()), self.goals, chance=chance, first=not tracked.asked)
        tracked.asked, tracked.because = True, look.because
        if tracked.adopted and (look.delay is None or tracked.gone):
            self.depart(tracked)
        elif look.delay is not None:
            self.due.plan(tracked.key, look.delay)
        else:
            self.due.forget(tracked.key)

    def plan_together(self, shown: Sequence[Tracked]) -> None:
        """The same for what one page has shown: its tasks stay in step, so that they share the next query too."""
        chance, horizon = random.random(), time.monotonic() + cadence.NEAR * self.goals.interval  # noqa: S311
        alike: dict[tuple[str | None, bool], list[Tracked]] = {}
        for tracked in shown:
            if not tracked.plain(horizon):
                self.plan(tracked, chance)
            elif self.tracked.get(tracked.key) is tracked:
                alike.setdefault((tracked.status, tracked.asked), []).append(tracked)
        for (status, asked), group in alike.items():
            look = cadence.next_look(cadence.Known(status), self.goals, chance=chance, first=not asked)
            for tracked in group:
                tracked.asked, tracked.because = True, look.because
            self.due.plan_together(tuple([tracked.key for tracked in group]), look.delay or 0.0)

    def put_off(self, shown: Iterable[Tracked], failures: int) -> None:
        """The page that should have shown these tasks couldn't be had: it is asked for again as failed polls are."""
        chance = random.random()  # noqa: S311
        for tracked in shown:
            if self.tracked.get(tracked.key) is not tracked:
                continue  # it was taken out of the configuration meanwhile
            look = cadence.next_look(cadence.Known(tracked.status, failures=failures), self.goals, chance=chance)
            tracked.because = "its list page couldn't be had"
            self.due.plan(tracked.key, look.delay or 0.0)

    def hurry(self) -> None:
        """The account answers again: what was put off by failures is looked at again at the usual pace."""
        for tracked in self.tracked.values():
            planned = self.due.planned(tracked.key)
            if planned is None or tracked.gone or tracked.missing:
                continue
            if tracked.failures or planned > cadence.goal_of(tracked.status, self.goals):
                tracked.failures = 0
                self.due.plan(tracked.key, random.random() * min(planned, self.goals.interval))  # noqa: S311

    def quicken(self, chance: float) -> None:
        """The goals have changed: nothing is due later than they say."""
        for key, tracked in self.tracked.items():
            planned = self.due.planned(key)
            look = cadence.next_look(tracked.known(time.monotonic()), self.goals, chance=chance)
            if look.delay is not None and (planned is None or planned > look.delay):
                self.due.plan(key, look.delay)

    # ── which tasks ──

    def watch(self, tracked: Tracked) -> None:
        """One more task; what pages were known to look like doesn't tell of it."""
        self.tracked[tracked.key] = tracked
        self.pages.distrust()

    def unwatch(self, key: TaskKey) -> None:
        self.tracked.pop(key, None)
        self.due.forget(key)
        self.pages.distrust(key.id)
        if self.standing.trial is not None:
            self.standing.trial.hidden.discard(key)

    def depart(self, tracked: Tracked) -> None:
        """An adopted task has settled, so it leaves; a list that shows it otherwise brings it back."""
        self.departed[tracked.key] = ("", None) if tracked.gone else (tracked.status or "", tracked.created)
        self.unwatch(tracked.key)

    def adopt(self, key: TaskKey, fields: Fields, moment: datetime) -> Tracked | None:
        """The task that a list shows, if a rule adopts it. Not while a changed key is on trial: they may be another
        account's."""
        if not self.discovers or (self.standing.trial is not None and self.unfinished):
            return None
        known = self.departed.get(key)
        if known == (fields["status"], fields.get("createdDate")) and fields["status"] in TERMINAL:
            return None
        if known is None and not self.adoption.adopts(key, fields, moment):
            return None
        self.departed.pop(key, None)
        tracked = self.tracked[key] = Tracked(key, adopted=True)
        return tracked

    # ── writing down ──

    async def record(self, seen: Sequence[Observation], report: Report) -> dict[TaskKey, Change]:
        """Write down what the observations change. What can't be written is left out, and is no reason to leave out
        another: if the whole can't be, each is tried alone."""
        unchanged = [(t.key, t.number, t.seen) for t in self._dirty(seen) if t.seen is not None]
        try:
            recorded = await self.ledger.record(record_observations, list(seen), unchanged)
        except (StoreStalled, StoreLost, StoreUnusable):
            raise
        except (StoreError, ValueError, TypeError, ArithmeticError) as error:
            if len(seen) > 1:
                return await self._record_each(seen, report)
            self._say_poison(seen[0], error, report)
            recorded = Recorded()
        report.count(recorded)
        return dict(recorded.comparisons or {})

    async def _record_each(self, seen: Sequence[Observation], report: Report) -> dict[TaskKey, Change]:
        found: dict[TaskKey, Change] = {}
        for observation in seen:
            found |= await self.record([observation], report)
        return found

    def _dirty(self, seen: Sequence[Observation]) -> Iterable[Tracked]:
        return (self.tracked[o.key] for o in seen if o.key in self.tracked and self.tracked[o.key].dirty)

    def _say_poison(self, observation: Observation, error: Exception, report: Report) -> None:
        report.failed += 1
        report.looked.add(observation.key)
        report.unwritable.add(observation.key)
        tracked = self.tracked.get(observation.key)
        if tracked is not None:
            tracked.failures += 1
        log.error(
            "observation.unwritable",
            account=self.name,
            task=observation.key.id,
            error=f"{type(error).__name__}: {error}"[:300],
            hint="the task is asked again, more slowly; please report this",
        )

    async def stalled(self, error: StoreStalled, report: Report, *looked: Tracked) -> None:
        """Nothing is written, so nothing is believed either: the same is seen again later."""
        for tracked in looked:
            tracked.digest = b""
        self.pages.distrust()
        report.failed += 1
        report.stalled = True
        self.standing.say_once("store.stalled", error)
        await asyncio.sleep(STALLED_PAUSE)

    # ── how the account stands ──

    async def good(
        self, shown: Sequence[Tracked], moment: datetime, *, proof: bool = True, client: Client | None = None
    ) -> None:
        """A poll succeeded and showed these tasks. `proof`: the key has shown what it should show. `client`: who asked,
        where writing down the answer took its time: if another key is in force since, it proves nothing of that."""
        if client is not None and client is not self.client:
            return
        for tracked in shown:
            if tracked.failures or tracked.refused or tracked.forbidden:
                tracked.failures, tracked.refused, tracked.forbidden = 0, False, False
        for other in self.tracked.values() if shown and self.on_probation else ():
            other.forbidden = other.refused
        before, on_trial = self.standing.health, self.standing.trial is not None
        await self.standing.good(moment, proof=proof)
        if on_trial and self.standing.trial is None:
            # What pages have shown meanwhile wasn't adopted.
            self.pages.distrust()
        if before.unreachable or before.rejected or before.failed >= max(3, len(self.tracked)):
            self.hurry()

    async def failed(
        self, tracked: Tracked | None, error: UpstreamError, moment: datetime, started: float, report: Report
    ) -> None:
        """A poll failed, about one task or (None) about the list; `started` is monotonic."""
        report.failed += 1
        if not report.key_refused:
            report.error = error
        its_own = False
        if tracked is not None:
            tracked.failures += 1
            tracked.refused = isinstance(error, KeyRejected) and error.status == FORBIDDEN
            its_own = tracked.refused and tracked.forbidden
        await self.standing.failed(error, moment, started, its_own=its_own)


def now() -> datetime:
    return datetime.now(tz=UTC)
