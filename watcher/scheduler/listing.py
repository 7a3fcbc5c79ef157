"""Looking at a hundred tasks with one query of the account's list.

page ─▶ unchanged? ─▶ only moved on (`moving`)? ─▶ adopt what the rules want ─▶ record in one transaction ─▶ remember
                                                       └─▶ an end without all its facts: a GET completes it first
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from watcher.clova import Client, ListAnswer, Page
from watcher.clova.dates import parse_instant
from watcher.clova.skeleton import digest_of
from watcher.errors import BadAnswer, KeyRejected, RateLimited, StoreStalled, UpstreamError, Verdict
from watcher.models import FAILED, TERMINAL, Fields, Observation, TaskKey
from watcher.scheduler.moving import Moving
from watcher.scheduler.pages import SIZE
from watcher.scheduler.report import FORBIDDEN, Report
from watcher.scheduler.tracked import Tracked
from watcher.scheduler.watched import Watched, now
from watcher.state.diff import Change

COMPLETED_WITHIN = 5.0
"""Seconds that the event of an end waits for the facts that the list leaves out."""

RECENT = timedelta(hours=24)
FACTS = ("statusInfo.message", "statusInfo.endDatetime")


@dataclass(frozen=True, slots=True)
class _Shown:
    """What one page shows of the watched tasks, sorted by what is to be done about it."""

    observed: list[Observation] = field(default_factory=list)
    awaiting: list[Observation] = field(default_factory=list)
    tracked: list[Tracked] = field(default_factory=list)


class Listing:
    """The list pages of one account."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._moving = Moving(watched)

    async def look(self, page: int, keys: Iterable[TaskKey], number: int, report: Report) -> list[Observation]:
        """Ask for the page as request `number`, and write down what follows. `keys`: the due tasks it is asked for.

        Returns the ends that it shows without all their facts, not written yet: they are for `complete`.
        """
        try:
            return await self._look(page, keys, number, report)
        except StoreStalled as error:
            report.looked.update(keys)
            await self._watched.stalled(error, report)
            return []

    async def complete(self, ends: list[Observation], report: Report) -> None:
        """Write these ends down: with their facts if GETs bring them soon enough, otherwise as the list has shown them,
        and the facts follow."""
        try:
            found = await asyncio.gather(*(self._facts(end) for end in ends))
            facts = [each for each in found if each is not None]
            changes = await self._watched.record(facts, report) if facts else {}
            for each in facts:
                self._learn_facts(each.key, changes.get(each.key))
            told = {each.key for each in facts if (change := changes.get(each.key)) and change.because != "stale"}
            await self._record([end for end in ends if end.key not in told], report)
        except StoreStalled as error:
            await self._watched.stalled(error, report)
        finally:
            report.looked.update(end.key for end in ends)
            for end in ends:
                if (tracked := self._watched.tracked.get(end.key)) is not None:
                    tracked.completing = False

    async def _look(self, page: int, keys: Iterable[TaskKey], number: int, report: Report) -> list[Observation]:
        watched, moment, started = self._watched, now(), time.monotonic()
        report.asked += 1
        report.pages += 1
        client = watched.client
        try:
            answer = await client.fetch_page(page, SIZE)
            if watched.client is not client:
                return []  # another key is in force since: what this one was told says nothing about it
            shown, ends = await self._read(answer, page, number, moment, started, report, client)
        except UpstreamError as error:
            if watched.client is client:
                await self._failed(page, error, keys, moment, started, report)
            return []
        report.seen += len(shown)
        report.looked.update(tracked.key for tracked in shown)
        watched.plan_together(shown)
        return ends

    async def _read(
        self,
        answer: ListAnswer,
        page: int,
        number: int,
        moment: datetime,
        at: float,
        report: Report,
        client: Client,
    ) -> tuple[list[Tracked], list[Observation]]:
        watched = self._watched
        watched.pacer.answered(answer.rate_limit)
        digest = digest_of(answer.body)
        same, ends = watched.pages.unchanged(page, at, digest), list[Observation]()
        if same is not None:
            shown = list(same.watched)
            for tracked in shown:
                tracked.saw(number, moment)
        elif (moved := await self._moving.read(page, answer.body, digest, number, moment, at, report)) is not None:
            shown = list(moved)
        else:
            read = answer.page()
            shown, ends = await self._compare(read, page, number, moment, at, report)
            if len(shown) == len(watched.pages.shown_by(page)) and not any(tracked.stale for tracked in shown):
                watched.pages.commit(page, at, digest)
                self._moving.learn(page, digest, answer, read)
        watched.pages.answered(page)
        # While a changed key is on trial, a list without any known task proves nothing.
        proof = any(tracked.status is not None for tracked in shown) or not watched.unfinished
        await watched.good(shown, moment, proof=proof, client=client)
        return shown, ends

    async def _compare(
        self, answer: Page, page: int, number: int, moment: datetime, at: float, report: Report
    ) -> tuple[list[Tracked], list[Observation]]:
        """Record what the page changes; returns the watched tasks that it shows, and the ends still to be completed."""
        watched = self._watched
        shown = self._sort(_distinct(answer.items), number, moment)
        ids = [id_ for id_, _ in answer.items]
        watched.pages.learn(
            page, at, ids, shown.tracked,
            total=answer.total_pages, elements=answer.total_elements, whole=not answer.broken,
        )  # fmt: skip
        if answer.broken:
            self._say_broken(page, answer.broken)
        ends = self._worth_completing(shown)
        if shown.observed:
            await self._record(shown.observed, report)
        later = {end.key for end in ends} | report.unwritable
        seen = [t for t in shown.tracked if watched.tracked.get(t.key) is t and not t.completing and t.key not in later]
        return seen, ends

    def _sort(self, items: Mapping[str, Fields], number: int, moment: datetime) -> _Shown:
        watched, shown = self._watched, _Shown()
        for id_, fields in items.items():
            key = TaskKey(watched.name, id_)
            tracked = watched.tracked.get(key) or watched.adopt(key, fields, moment)
            if tracked is None:
                continue
            shown.tracked.append(tracked)
            if tracked.completing:
                continue
            observation = Observation(key, number, moment, "list", fields)
            awaits = _lacks_facts(fields) and self._is_news(tracked, fields, moment)
            (shown.awaiting if awaits else shown.observed).append(observation)
        return shown

    def _worth_completing(self, shown: _Shown) -> list[Observation]:
        """As many of the ends as half of the quota has time for, failures first; the others are taken as they are."""
        watched = self._watched
        busy = sum(tracked.completing for tracked in watched.tracked.values()) if shown.awaiting else 0
        most = max(0, int(COMPLETED_WITHIN / (2 * watched.pacer.spacing)) - busy)
        waiting = sorted(shown.awaiting, key=lambda end: end.fields["status"] != FAILED)
        ends = waiting[: max(most, 1)]
        shown.observed.extend(waiting[max(most, 1) :])
        for end in ends:
            watched.tracked[end.key].completing = True
        return ends

    def _is_news(self, tracked: Tracked, fields: Fields, moment: datetime) -> bool:
        """Whether somebody will be told of this end: then it is worth waiting for its facts."""
        if tracked.status is not None:
            return tracked.status not in TERMINAL
        updated = parse_instant(fields.get("updatedDate"))
        return not tracked.adopted and updated is not None and moment - updated <= RECENT

    async def _record(self, observations: list[Observation], report: Report) -> None:
        watched = self._watched
        changes = await watched.record(observations, report)
        for observation in observations:
            tracked, change = watched.tracked.get(observation.key), changes.get(observation.key)
            if tracked is None:
                continue
            if change is None:
                self._unwritten(tracked)
            elif change.because == "stale":
                tracked.stale = True
            elif change.snapshot is not None:
                told = tracked.status is not None or self._is_news(tracked, observation.fields, observation.time)
                tracked.learn(change.snapshot, b"" if change.changes else tracked.digest)
                if told and change.changes and tracked.status == FAILED and _lacks_facts(observation.fields):
                    tracked.incomplete = True

    def _unwritten(self, tracked: Tracked) -> None:
        """Nothing was written about it: it isn't to be watched any more, or its facts can't be stored."""
        if tracked.adopted and tracked.status is None and not tracked.failures:
            self._watched.unwatch(tracked.key)

    def _learn_facts(self, key: TaskKey, change: Change | None) -> None:
        tracked = self._watched.tracked.get(key)
        if tracked is not None and change is not None and change.snapshot is not None:
            tracked.learn(change.snapshot, b"")

    async def _facts(self, observation: Observation) -> Observation | None:
        watched = self._watched
        started = time.monotonic()
        try:
            async with asyncio.timeout(COMPLETED_WITHIN):
                number = await watched.pacer.take(urgent=True)
                moment, started = now(), time.monotonic()
                answer = await watched.client.get_task(observation.key.id)
                watched.pacer.answered(answer.rate_limit)
                return replace(observation, number=number, time=moment, source="get", fields=answer.fields())
        except RateLimited as error:
            watched.pacer.limited(started, error.retry_after)
        except (TimeoutError, UpstreamError):
            pass  # what the list has shown is true as well, and is told without these facts
        return None

    async def _failed(
        self, page: int, error: UpstreamError, keys: Iterable[TaskKey], moment: datetime, started: float, report: Report
    ) -> None:
        """A page couldn't be had. Where that may be the list's own trouble, GETs follow at once and tell."""
        watched = self._watched
        forbidden = isinstance(error, KeyRejected) and error.status == FORBIDDEN
        due = [watched.tracked[key] for key in keys if key in watched.tracked]
        only_list = forbidden or error.verdict is Verdict.STOP or (isinstance(error, BadAnswer) and error.status != 0)
        if not isinstance(error, RateLimited) and (forbidden or not isinstance(error, KeyRejected)):
            # A limit, like a refused key, is no trouble of the list: single GETs would only cost more.
            watched.pages.failed(page, times=2 if only_list else 1)
        if only_list and due:
            watched.standing.say_once("list.refused", error)
            return
        await watched.failed(None, error, moment, started, report)
        if watched.pages.usable() and not watched.pages.rests(page):
            report.looked.update(tracked.key for tracked in due)
            watched.put_off(due, max(1, watched.pages.failures(page)))

    def _say_broken(self, page: int, count: int) -> None:
        error = UpstreamError(
            f"{count} items of list page {page} can't be read", "nothing: their tasks are asked for one by one"
        )
        self._watched.standing.say_once("list.broken_items", error)


def _distinct(items: Iterable[tuple[str, Fields]]) -> dict[str, Fields]:
    """What the page says of each task; one that it shows twice, and differently, is left to a GET."""
    found: dict[str, Fields] = {}
    contradictory = set()
    for id_, fields in items:
        if found.setdefault(id_, fields) != fields:
            contradictory.add(id_)
    return {id_: fields for id_, fields in found.items() if id_ not in contradictory}


def _lacks_facts(fields: Fields) -> bool:
    return fields["status"] in TERMINAL and not all(name in fields for name in FACTS)
