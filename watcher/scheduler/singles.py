"""Looking at one task with a GET of its own.

GET ─▶ unchanged? ─▶ record ─▶ older than what is known? one more GET settles it
 └─▶ not there? a list has the last word on whether it is gone
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from datetime import datetime

from watcher.clova import Answer, Client
from watcher.errors import NotOwned, StoreStalled, TaskUnknown, UpstreamError
from watcher.models import Observation
from watcher.scheduler.report import Report
from watcher.scheduler.tracked import Tracked
from watcher.scheduler.watched import Watched, now
from watcher.state.diff import GONE_AFTER
from watcher.state.record import record_missing


class Singles:
    """The GETs of one account."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._list_lock = asyncio.Lock()
        self._list_answered_at = -math.inf

    async def look(self, tracked: Tracked, number: int, report: Report) -> None:
        """Ask about the task as request `number`, and write down what follows."""
        report.looked.add(tracked.key)
        try:
            await self._ask(tracked, number, report, trusted=tracked.stale)
        except StoreStalled as error:
            await self._watched.stalled(error, report, tracked)

    async def _ask(self, tracked: Tracked, number: int, report: Report, *, trusted: bool) -> None:
        moment, started, client = now(), time.monotonic(), self._watched.client
        report.asked += 1
        try:
            answer = await client.get_task(tracked.key.id)
            if self._watched.client is not client:
                report.looked.discard(tracked.key)
                return
            self._watched.pacer.answered(answer.rate_limit)
            doubtful = await self._compare(tracked, answer, number, moment, report, client, trusted=trusted)
        except UpstreamError as error:
            if self._watched.client is client:
                await self._refused(tracked, error, number, moment, started, report)
            else:
                # Another key is in force since: what this one was told says nothing about it.
                report.looked.discard(tracked.key)
        else:
            if doubtful and not trusted:
                # One more GET tells whether the upstream really went back in time.
                await self._ask(tracked, await self._watched.pacer.take(), report, trusted=True)

    async def _refused(
        self, tracked: Tracked, error: UpstreamError, number: int, moment: datetime, started: float, report: Report
    ) -> None:
        if isinstance(error, TaskUnknown | NotOwned):
            await self._missing(tracked, error, number, moment, started, report)
        else:
            await self._watched.failed(tracked, error, moment, started, report)

    async def _compare(
        self,
        tracked: Tracked,
        answer: Answer,
        number: int,
        moment: datetime,
        report: Report,
        client: Client,
        *,
        trusted: bool,
    ) -> bool:
        """Record what the answer changes; True when it seems older than what is known."""
        digest = hashlib.blake2b(answer.body, digest_size=16).digest()
        if digest == tracked.digest:
            tracked.saw(number, moment)
            tracked.incomplete = tracked.stale = False
        else:
            observation = Observation(tracked.key, number, moment, "get", answer.fields(), trusted)
            change = (await self._watched.record([observation], report)).get(tracked.key)
            if change is not None and change.because == "stale":
                await self._watched.good([tracked], moment, client=client)
                return True
            if change is not None and change.snapshot is not None:
                # An answer that a later one has overtaken leaves the doubt that the later one has left.
                tracked.incomplete = tracked.stale = False
                tracked.learn(change.snapshot, digest)
                if change.changes:
                    self._watched.pages.distrust(tracked.key.id)
        report.seen += 1
        written = () if tracked.key in report.unwritable else (tracked,)
        await self._watched.good(written, moment, proof=not tracked.unknown, client=client)
        return False

    async def _missing(
        self,
        tracked: Tracked,
        error: UpstreamError,
        number: int,
        moment: datetime,
        started: float,
        report: Report,
    ) -> None:
        """The API says that there is no such task, or that it isn't ours. A list has the last word."""
        watched, trial = self._watched, self._watched.standing.trial
        tracked.digest = b""
        tracked.incomplete = tracked.stale = False
        # A page that still shows it must be read, even if it looks as before.
        watched.pages.distrust(tracked.key.id)
        if trial is not None and tracked.unfinished:
            trial.hidden.add(tracked.key)
        elif tracked.status is None:
            tracked.gone = True
            report.unknown[tracked.key] = error
            await watched.good([tracked], moment, proof=False)
        else:
            await self._lost(tracked, number, moment, started, report, owned=not isinstance(error, NotOwned))

    async def _lost(
        self, tracked: Tracked, number: int, moment: datetime, started: float, report: Report, *, owned: bool
    ) -> None:
        """A task that was known isn't there: note it, and tell it once it is sure."""
        watched = self._watched
        first, tracked.missing = not tracked.missing, True
        watched.anything_missing = True
        if first:
            tracked.missing_at = time.monotonic()
        try:
            confirmed = not tracked.gone and await self._confirmed(tracked, started, owned=owned, first=first)
        except UpstreamError as error:
            await watched.failed(tracked, error, moment, started, report)
            return
        reason = "not_found" if owned else "no_ownership"
        recorded = await watched.ledger.record(
            record_missing, tracked.key, number, moment, reason, confirmed=confirmed, at_once=not owned
        )
        report.count(recorded)
        change = (recorded.comparisons or {}).get(tracked.key)
        if change is not None and change.snapshot is not None:
            tracked.gone = bool(change.snapshot.gone)
        await watched.good([tracked], moment, proof=False)  # a trial that has begun meanwhile is another key's

    async def _confirmed(self, tracked: Tracked, started: float, *, owned: bool, first: bool) -> bool:
        """Whether a task that a GET doesn't find is really gone: raises when the list can't be had either."""
        watched = self._watched
        if not owned:
            await self._list_answers(started)
            return True
        since = tracked.missing_at or started
        if first or started - since < GONE_AFTER.total_seconds() - 1.0:
            return False
        # Those that have settled aren't asked for any more, so they can't speak for the others.
        others = [t for t in watched.tracked.values() if t is not tracked and t.status is not None and self._asked(t)]
        if others and all(other.missing for other in others):
            return False
        # Every page of the list has been read since, since a missing task makes them due.
        return watched.pages.whole_since(since) and not watched.pages.shows(tracked.key.id)

    def _asked(self, tracked: Tracked) -> bool:
        return tracked.ended_at is None or self._watched.due.planned(tracked.key) is not None

    async def _list_answers(self, started: float) -> None:
        """One list item shows that the key is well; it speaks for all tasks that were asked for before."""
        async with self._list_lock:
            if self._list_answered_at < started:
                asked = time.monotonic()
                await self._watched.census.answers()
                self._list_answered_at = asked
