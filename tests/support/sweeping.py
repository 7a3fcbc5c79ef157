"""A sweeper of one account over the fake upstream, a real store and real HTTP; running time is the test's."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

from pydantic import SecretStr
from sqlalchemy import update

from tests.support.builders import prepare, url
from tests.support.upstream import KEY as API_KEY
from tests.support.upstream import PLAIN
from watcher.clova import Client, make_ssl_context
from watcher.clova.quota import Pacer, Reservation, Reserve
from watcher.models import Snapshot, TaskKey
from watcher.redact import Redactor
from watcher.scheduler.adoption import Adoption
from watcher.scheduler.cadence import Goals
from watcher.scheduler.clock import Clock
from watcher.scheduler.standing import Standing
from watcher.scheduler.sweep import Report, Sweeper
from watcher.scheduler.tracked import tracked_from
from watcher.scheduler.watched import Watched
from watcher.settings import Account, Poll, Settings, Task
from watcher.simulator import Simulator, serve
from watcher.simulator.scenario import parse_scenario
from watcher.state import schema
from watcher.state.database import Database
from watcher.state.health import AccountHealth
from watcher.state.ledger import Ledger, settling
from watcher.state.reader import Reader
from watcher.state.store import open_reader, open_store

trust = lru_cache(make_ssl_context)


def settings_for(base_url: str, *ids: str, folder: Path, key: str = API_KEY, **more: Any) -> Settings:
    """One account `main` with these tasks, no channel."""
    made = Account(name="main", api_key=SecretStr(key), base_url=base_url, queries_per_minute=6000, timeout=5)
    tasks = tuple(Task(id=id_, account="main") for id_ in ids)
    return Settings(
        accounts={"main": made}, tasks=tasks, store=SecretStr(url(folder)), http=None,
        poll=Poll(interval=30.0, wait_interval=30.0, settle=600.0), **more,
    )  # fmt: skip


Play = Callable[[dict[str, Any]], AbstractAsyncContextManager[Simulator]]


@contextlib.contextmanager
def stage() -> Iterator[Simulator]:
    """The fake upstream in a thread of its own, for many tests: a server takes longer to stop than they take."""
    loop, started, ended = asyncio.new_event_loop(), Queue[Simulator](), asyncio.Event()

    async def work() -> None:
        async with serve(PLAIN) as sim:
            started.put(sim)
            await ended.wait()

    thread = Thread(target=loop.run_until_complete, args=(work(),))
    thread.start()
    yield started.get(timeout=10)
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)
    loop.close()


def playing(sim: Simulator) -> Play:
    """Plays another scenario on a running stage, from its beginning."""

    @contextlib.asynccontextmanager
    async def play(scenario: dict[str, Any]) -> AsyncIterator[Simulator]:
        sim.scenario = parse_scenario(scenario)
        sim.log.clear()
        sim.__post_init__()
        yield sim

    return play


@dataclass
class Watch:
    """`uptime` is what the store's spans are measured in; `writes` counts its transactions."""

    sim: Simulator
    sweeper: Sweeper
    database: Database
    reader: Reader
    uptime: float = 0.0
    beats: list[int] = field(default_factory=list)

    @property
    def writes(self) -> int:
        return len(self.beats) // 2

    async def look(self) -> Report:
        """One sweep in which every task is due."""
        self.sweeper.plan_all()
        return await self.sweeper.sweep()

    async def settle(self) -> None:
        """Every task is due; sweep until none is any more."""
        self.sweeper.plan_all()
        async with asyncio.timeout(20):
            while self.sweeper.next_sweep() <= time.monotonic():
                await self.sweeper.sweep()

    def planned(self, id_: str = "czf9fbky") -> float | None:
        """Seconds until the task is due."""
        return self.sweeper.watched.due.planned(TaskKey("main", id_))

    def told(self) -> list[str]:
        """Every event so far but the baseline's."""
        return [event.type for event in self.reader.events() if event.type != "task.discovered"]

    def task(self, id_: str = "czf9fbky") -> Snapshot | None:
        return next((task for task in self.reader.tasks() if task.key.id == id_), None)

    def asked(self) -> list[str]:
        """The paths that the upstream was asked for, in order."""
        return [request.path.removeprefix("/tuning/v2/tasks") for request in self.sim.log]

    async def a_minute_passes(self, *ids: str) -> None:
        """For tasks that were noted as missing."""
        for id_ in ids:
            tracked = self.sweeper.tracked[TaskKey("main", id_)]
            if tracked.missing_at is not None:
                tracked.missing_at -= 60.0
        for page in self.sweeper.watched.pages.seen.values():
            page.at -= 60.0
        await self.database.write(_age_missing)


def _age_missing(tx: Any) -> None:
    rows = tx.execute(schema.tasks.select().where(schema.tasks.c.missing_since.is_not(None))).all()
    for row in rows:
        earlier = row.missing_since - timedelta(seconds=60)
        tx.execute(update(schema.tasks).where(schema.tasks.c.no == row.no).values(missing_since=earlier))


@contextlib.asynccontextmanager
async def watching(
    sim: Simulator,
    folder: Path,
    *ids: str,
    key: str = API_KEY,
    clock: Clock | None = None,
    lists: bool = False,
    **more: Any,
) -> AsyncIterator[Watch]:
    """Opens the store in `folder` (an earlier one goes on) and watches the tasks; nothing is asked yet. `lists`: tasks
    may share a list page, otherwise each is asked for by itself."""
    beats: list[int] = []
    settings = settings_for(sim.base_url, *ids, folder=folder, key=key, **more)
    prepare(folder)
    client = Client(settings.accounts["main"], redactor=Redactor([key]), ssl_context=trust())
    clock = clock or Clock()
    with open_store(url(folder), beat=lambda: beats.append(1)) as store:
        reader = open_reader(url(folder))
        settled = settling(lambda: settings, uptime=lambda: watch.uptime, stepped_at=lambda: 0)
        first = max((task.number for task in reader.tasks()), default=0) + 1
        goals = Goals(settings.poll.interval, settings.poll.wait_interval, settings.poll.settle)
        health = next(iter(reader.accounts()), AccountHealth("main"))
        pacer, ledger = Pacer(6000, numbers_from(first)), Ledger(store.database, settled)
        tracked = tracked_from(settings.task_keys(), reader.tasks())
        standing = Standing("main", ledger, pacer, health)
        watched = Watched("main", client, pacer, ledger, goals, tracked, standing, Adoption(settings.discover))
        if not lists:
            watched.pages.failed(times=1_000_000)
        sweeper = Sweeper(watched, clock)
        watch = Watch(sim, sweeper, store.database, reader, beats=beats)
        try:
            yield watch
        finally:
            reader.close()
            await client.aclose()


def numbers_from(first: int) -> Reserve:
    """Reserves request numbers without the store, so that a test can count what else is written."""

    async def reserve(_seconds: float, count: int) -> Reservation:
        nonlocal first
        first += count
        return Reservation(first - count)

    return reserve
