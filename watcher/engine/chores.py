"""What has to be done now and then: signs of life, forgetting, the heartbeat, an hourly word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, func, select

from watcher.engine.condition import DaemonStatus
from watcher.engine.core import Core
from watcher.engine.heartbeat import Heartbeat
from watcher.engine.outlook import Overload
from watcher.errors import StoreStalled
from watcher.state import schema
from watcher.state.budget import save_alive
from watcher.state.database import scalar
from watcher.state.health import ChannelHealth
from watcher.state.outbox import make_due, tell_overdue
from watcher.state.retention import forget
from watcher.state.rows import channel_from

log = structlog.get_logger()

ALIVE = 5.0
LOOK_OUTSIDE = 1.0
SEEN = 20.0
OVERDUE = 10.0
FORGET = 6 * 3600.0
HOURLY = 3600.0


Chore = Callable[[], Awaitable[object]]


class Chores:
    """Each chore is an alarm of the clock that puts it on the list; one loop works the list off, one at a time."""

    def __init__(self, core: Core, status: DaemonStatus) -> None:
        self._core, self._status = core, status
        self._heartbeat = _heartbeat(core)
        self._due: dict[str, Chore] = {}
        self._wake = asyncio.Event()
        self._overload = Overload()
        self._version: object = None
        self._events_heard = 0
        core.ledger.heard.append(self._hear)

    def schedule(self) -> None:
        """Set the alarms."""
        for name, seconds, chore in (
            ("alive", ALIVE, self.alive),
            ("look outside", LOOK_OUTSIDE, self._look_outside),
            ("seen", SEEN, self._core.save_seen),
            ("overdue", OVERDUE, self._tell_overdue),
            ("forget", FORGET, self._forget),
            ("hourly", HOURLY, self._say_hourly),
        ):
            self._core.clock.every(name, seconds, partial(self.soon, name, chore))
        self._schedule_heartbeat()

    def heartbeat_changed(self) -> None:
        """The settings have been replaced: ping whom they name now, as often as they say."""
        if self._heartbeat is not None and self._heartbeat.is_for(self._core.settings):
            return
        old, self._heartbeat = self._heartbeat, _heartbeat(self._core)
        self._schedule_heartbeat()
        if old is not None:
            self.soon("old heartbeat", old.aclose)

    async def aclose(self) -> None:
        if self._heartbeat is not None:
            await self._heartbeat.aclose()

    def _schedule_heartbeat(self) -> None:
        if self._heartbeat is not None:
            self._core.clock.every("heartbeat", self._heartbeat.every, partial(self.soon, "heartbeat", self._beat))
        else:
            self._core.clock.forget("heartbeat")

    def soon(self, name: str, chore: Chore) -> None:
        """Do it as soon as the loop comes to it; what still waits isn't put on the list twice."""
        self._due[name] = chore
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                name = next(iter(self._due))
                await self._do(self._due.pop(name))

    async def _do(self, chore: Chore) -> None:
        try:
            await chore()
        except StoreStalled as error:
            if not self._status.store_trouble:
                log.error("store.stalled", error=error.message, hint=error.hint)
            self._status.store_trouble = error.message

    async def alive(self) -> None:
        """Write the sign of life and fetch what only the store knows."""
        clock = self._core.clock
        found = await self._core.database.write(_alive, clock.uptime, self._status.summary())
        self._status.counts, self._status.channels = found
        self._status.store_trouble = ""
        self._overload.look(self._core)

    async def clock_jumped(self) -> None:
        await self._core.database.write(make_due, datetime.now(tz=UTC))
        self._core.wake_all()

    async def _look_outside(self) -> None:
        """A command beside the daemon (redeliver) may have written: wake the lanes."""
        version = await self._core.database.write(scalar, "PRAGMA data_version")
        if self._version not in (None, version):
            self._core.wake_all()
        self._version = version

    async def _tell_overdue(self) -> None:
        failing = {name: lane.failures > 0 for name, lane in self._core.lanes.items()}
        give_up_after = self._core.settings.delivery.give_up_after
        await self._core.ledger.record(tell_overdue, failing, datetime.now(tz=UTC), give_up_after)

    async def _forget(self) -> None:
        retention = self._core.settings.retention
        rows, events = await self._core.database.write(
            forget, datetime.now(tz=UTC), history=retention.history, events=retention.events
        )
        if rows or events:
            log.info("retention.finished", history=rows, events=events)

    async def _beat(self) -> None:
        if self._heartbeat is not None:
            await self._heartbeat.beat_if_well(self._core)

    async def _say_hourly(self) -> None:
        tasks = [t.status or "unseen" for sweeper in self._core.sweepers.values() for t in sweeper.tracked.values()]
        log.info(
            "watcher.hourly",
            tasks=len(tasks),
            events=self._events_heard,
            queries={name: sweeper.watched.pacer.queries for name, sweeper in self._core.sweepers.items()},
            waiting=sum(n for (_, state), n in self._status.counts.items() if state == "waiting"),
        )
        self._events_heard = 0

    def _hear(self, _event: Any) -> None:
        self._events_heard += 1


def _heartbeat(core: Core) -> Heartbeat | None:
    return Heartbeat(core.settings, core.context) if core.settings.heartbeat is not None else None


def _alive(tx: Connection, uptime: float, summary: str) -> tuple[dict[tuple[str, str], int], list[ChannelHealth]]:
    save_alive(tx, datetime.now(tz=UTC), uptime, summary)
    d = schema.deliveries.c
    rows = tx.execute(select(d.channel, d.state, func.count()).group_by(d.channel, d.state))
    counts = {(row[0], row[1]): int(row[2]) for row in rows}
    return counts, [channel_from(row) for row in tx.execute(select(schema.channels))]
