"""An upstream account that exists in memory only, and a sweeper that watches it in virtual time.

The planner's logic and the store are real; the wire isn't. An hour of watching takes a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from tests.support.builders import prepare, url
from tests.support.sweeping import numbers_from, settings_for
from tests.support.virtual import now
from watcher.clova.quota import Pacer
from watcher.clova.wire import Page
from watcher.errors import TaskUnknown, UpstreamError
from watcher.models import Event, Fields, TaskKey
from watcher.scheduler.adoption import Adoption
from watcher.scheduler.cadence import Goals
from watcher.scheduler.report import Report
from watcher.scheduler.standing import Standing
from watcher.scheduler.sweep import Sweeper
from watcher.scheduler.tracked import DueHeap, tracked_from
from watcher.scheduler.watched import Watched
from watcher.settings import Discover
from watcher.state.health import AccountHealth
from watcher.state.ledger import Ledger, settling
from watcher.state.store import open_store

BEGAN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KOREA = timedelta(hours=9)


def wall() -> datetime:
    return BEGAN + timedelta(seconds=now())


class Query(NamedTuple):
    """What was asked, and when: `p3` for a page, `one` for a single list item, an id for a GET."""

    at: float
    what: str


@dataclass
class Upstream:
    """The account. `fails` may give an error for a query, `latency` how long it takes; `order` arranges the list."""

    latency: Callable[[], float] = lambda: 0.05
    fails: Callable[[str], UpstreamError | None] = lambda _what: None
    order: Callable[[list[str]], Sequence[str]] = lambda ids: ids
    claims: Callable[[int, int], tuple[int | None, int | None]] = lambda pages, elements: (pages, elements)
    size: int = 100
    tasks: dict[str, Fields] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    log: list[Query] = field(default_factory=list)
    shown: dict[str, float] = field(default_factory=dict)
    told: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    under_way: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0

    def create(self, id_: str, status: str = "RUNNING", **more: Any) -> None:
        """A new task, the first of the list."""
        stamp = self._stamp()
        made = {"name": id_, "status": status, "createdDate": stamp, "updatedDate": stamp, **more}
        self.tasks = {id_: made, **self.tasks}
        self.told[id_] = [(now(), status)]
        self.shown[id_] = now()

    def change(self, id_: str, status: str, **more: Any) -> None:
        self.tasks[id_] = {**self.tasks[id_], "status": status, "updatedDate": self._stamp(), **more}
        self.told[id_].append((now(), status))

    def delete(self, id_: str) -> None:
        del self.tasks[id_]

    # ── what a client asks ──

    async def get_task(self, id_: str) -> Any:
        self.under_way[id_] += 1
        self.most_at_once = max(self.most_at_once, self.under_way[id_])
        try:
            fields = await self._answer(id_, lambda: self.tasks.get(id_))
        finally:
            self.under_way[id_] -= 1
        if fields is None:
            raise TaskUnknown("no such task", status=404, code="40400")
        self.shown[id_] = now()
        return SimpleNamespace(body=repr(fields).encode(), rate_limit=None, fields=lambda: dict(fields))

    async def fetch_page(self, number: int, size: int = 100) -> Any:
        page = await self._answer("one" if size == 1 else f"p{number}", lambda: self._page(number))
        for id_, _ in page.items:
            self.shown[id_] = now()
        return SimpleNamespace(body=page.body, rate_limit=None, page=lambda: page)

    async def list_tasks(self, number: int = 0, size: int = 100) -> Page:
        page: Page = (await self.fetch_page(number, size)).page()
        return page

    async def _answer(self, what: str, look: Callable[[], Any]) -> Any:
        self.log.append(Query(now(), what))
        error, latency = self.fails(what), self.latency()
        await asyncio.sleep(latency / 2)
        found = look()
        await asyncio.sleep(latency / 2)
        if error is not None:
            raise error
        return found

    def _page(self, number: int) -> Page:
        ids = [id_ for id_ in self.order(list(self.tasks)) if id_ not in self.hidden]
        shown = ids[number * self.size : (number + 1) * self.size]
        items = tuple((id_, dict(self.tasks[id_])) for id_ in shown)
        total, elements = self.claims(max(1, -(-len(ids) // self.size)), len(ids))
        return Page(number, total, elements, items, 0, repr((items, total, elements)).encode())

    def _stamp(self) -> str:
        return (wall() + KOREA).strftime("%Y-%m-%dT%H:%M:%S+0900")

    # ── what tests ask ──

    def asked(self, since: float = 0.0) -> list[str]:
        return [query.what for query in self.log if query.at >= since]

    def busiest(self, seconds: float = 60.0) -> int:
        """The most queries in any window of so many seconds."""
        times, most, first = [query.at for query in self.log], 0, 0
        for last, at in enumerate(times):
            while times[first] <= at - seconds:
                first += 1
            most = max(most, last - first + 1)
        return most


class _Alarms:
    """A clock whose alarms ring in the loop's own time."""

    def __init__(self) -> None:
        self._set: dict[str, asyncio.TimerHandle] = {}

    def after(self, name: str, delay: float, wake: Callable[[], None]) -> None:
        if name in self._set:
            self._set[name].cancel()
        self._set[name] = asyncio.get_running_loop().call_later(max(delay, 0.0), wake)


@dataclass
class Imagined:
    """A sweeper over an imagined upstream; `reports` has one entry for each sweep."""

    upstream: Upstream
    sweeper: Sweeper
    events: list[Event]
    reports: list[tuple[float, Report]]

    def told(self, *types: str) -> list[Event]:
        return [event for event in self.events if event.type in types]

    def sweeps(self, since: float) -> int:
        return sum(at >= since for at, _ in self.reports)

    @contextlib.asynccontextmanager
    async def running(self) -> Any:
        task = asyncio.create_task(self.sweeper.run())
        try:
            yield self
            assert not task.done(), task.exception() if task.done() else None
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.contextmanager
def imagined(
    folder: Path,
    upstream: Upstream,
    ids: Sequence[str] = (),
    *,
    queries_per_minute: float = 60,
    goals: Goals | None = None,
    discover: tuple[Discover, ...] = (),
) -> Iterator[Imagined]:
    """To be used inside a virtual loop. `ids` are the listed tasks."""
    goals = goals or Goals(30.0, 60.0, 600.0)
    settings = settings_for("http://127.0.0.1:1", *ids, folder=folder, discover=discover)
    prepare(folder)
    with pytest.MonkeyPatch.context() as patch, open_store(url(folder)) as store:
        _bend_time(patch)
        database: Any = _AtOnce(store.database)
        events: list[Event] = []
        settled = settling(lambda: settings, uptime=now, stepped_at=lambda: 0)
        ledger = Ledger(database, settled, heard=[events.append])
        pacer = Pacer(queries_per_minute, numbers_from(1), clock=now)
        client: Any = upstream
        known = tracked_from([TaskKey("main", id_) for id_ in ids], ())
        health = Standing("main", ledger, pacer, AccountHealth("main"))
        account = Watched(
            "main", client, pacer, ledger, goals, known, health, Adoption(discover), due=DueHeap(clock=now)
        )
        reports: list[tuple[float, Report]] = []
        clock: Any = _Alarms()
        sweeper = Sweeper(account, clock, after_sweep=lambda _, report: reports.append((now(), report)))
        yield Imagined(upstream, sweeper, events, reports)


class _AtOnce:
    """The store, written to from the loop's own thread: virtual time doesn't wait for another."""

    def __init__(self, database: Any) -> None:
        self._database = database

    async def write(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return self._database.write_now(work, *args, **kwargs)

    async def calm(self) -> None:
        """Nothing ever waits for it."""


def _bend_time(patch: pytest.MonkeyPatch) -> None:
    class Wall(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return wall()

    for name, module in list(sys.modules.items()):
        if name.startswith("watcher.scheduler.") and name != "watcher.scheduler.clock":
            for what, bent in (("time", SimpleNamespace(monotonic=now)), ("now", wall), ("datetime", Wall)):
                if hasattr(module, what):
                    patch.setattr(module, what, bent)
    begin = Report.__init__
    patch.setattr(Report, "__init__", lambda self, **more: begin(self, **{"started": now(), **more}))
