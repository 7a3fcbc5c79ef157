"""Running the core in one process: every loop named and watched, a stop that is bounded.

Loops: the clock's guard, a sweeper per account, a lane per channel, the chores, the web server. None of them may end
before the stop; one that does takes the process down, since a restart mends what a limping process can't.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from watcher.engine.chores import Chores
from watcher.engine.condition import DaemonStatus
from watcher.engine.core import Core
from watcher.engine.heartbeat import Heartbeat
from watcher.engine.stories import Stories
from watcher.errors import StoreError, StoreStalled, ours
from watcher.scheduler.clock import Tick
from watcher.scheduler.sweep import Report, Sweeper
from watcher.watchdog import Watchdog
from watcher.web.server import WebServer

log = structlog.get_logger()

GRACE = 4.0
"""Seconds that sends under way get at a stop; the whole stop stays within 8."""


class Daemon:
    """The running watcher. `run` returns the exit code: 0 after a stop, 1 when a loop died.

    `stopping` ends it once set; `touch` gives a sign of life that needs no store; `on_sweep` hears each sweep's report.
    """

    def __init__(
        self,
        core: Core,
        *,
        watchdog: Watchdog,
        stopping: asyncio.Event | None = None,
        touch: Callable[[], None] = lambda: None,
        on_sweep: Callable[[Sweeper, Report], None] = lambda _sweeper, _report: None,
    ) -> None:
        self.core = core
        self.status = DaemonStatus(core)
        self.stopping = stopping or asyncio.Event()
        heartbeat = core.settings.heartbeat
        self._heartbeat = Heartbeat(core.settings) if heartbeat is not None else None
        self._chores = Chores(core, self.status, self._heartbeat)
        self._stories = Stories(core)
        self._watchdog = watchdog
        self._touch = touch
        self._on_sweep = on_sweep
        self._web = _web_server(core, self.status)
        self._web_stop = asyncio.Event()
        core.after_sweep = self._after_sweep
        core.clock.listen(self._tick)

    @property
    def port(self) -> int | None:
        return self._web.port if self._web else None

    def stop(self) -> None:
        self.stopping.set()

    async def run(self) -> int:
        self._stories.begin()
        self._chores.schedule()
        self._chores.soon("alive", self._chores.alive)
        loops = [asyncio.create_task(loop, name=name) for name, loop in self._loops()]
        stopping = asyncio.create_task(self.stopping.wait(), name="stop")
        self._watchdog.start()
        done, _ = await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
        dead = [loop for loop in done if loop is not stopping]
        for loop in dead:
            self._say_dead(loop)
        stopping.cancel()
        await self._wind_down(loops)
        return 1 if dead else 0

    def _loops(self) -> list[tuple[str, Coroutine[Any, Any, Any]]]:
        core = self.core
        loops: list[tuple[str, Coroutine[Any, Any, Any]]] = [
            ("clock", core.clock.run()),
            ("chores", self._chores.run()),
        ]
        loops += [(f"lane {name}", lane.run()) for name, lane in core.lanes.items()]
        loops += [(f"sweeper {name}", sweeper.run()) for name, sweeper in core.sweepers.items()]
        if self._web is not None:
            loops.append(("web", self._web.serve(self._web_stop)))
        return loops

    # ── what the loops report ──

    def _after_sweep(self, sweeper: Sweeper, report: Report) -> None:
        self._on_sweep(sweeper, report)
        self._chores.soon("stories", self._stories.tell)

    def _tick(self, tick: Tick) -> None:
        self._watchdog.beat("loop")
        self._touch()
        if tick.slept:
            now = datetime.now(tz=UTC)
            self._stories.stood_still(now - timedelta(seconds=tick.slept), now)
            log.warning("clock.stood_still", seconds=round(tick.slept, 1))
        if tick.jumped:
            log.warning("clock.jumped", seconds=round(tick.jumped, 1))
            self.core.stepped_at = 1 + max((p.last_number for p in self.core.pacers.values()), default=0)
            self._chores.soon("clock jumped", self._chores.clock_jumped)

    def _say_dead(self, loop: asyncio.Task[Any]) -> None:
        error = None if loop.cancelled() else loop.exception()
        known = ours(error)
        self.status.dead_loop = loop.get_name()
        text = known.message if known else f"{type(error).__name__}: {error}"
        log.error(
            "loop.died",
            loop=loop.get_name(),
            error=text,
            hint=known.hint if known else "the process ends and should be started again; please report this",
            exc_info=None if known else error,
        )

    # ── the stop ──

    async def _wind_down(self, loops: list[asyncio.Task[Any]]) -> None:
        """Stop observing, give the lanes their time, write down the rest."""
        started = time.monotonic()
        lanes = [loop for loop in loops if loop.get_name().startswith("lane ")]
        await _cancel([loop for loop in loops if loop.get_name().startswith("sweeper ")])
        await _within(GRACE + 1.0, *(lane.stop(GRACE) for lane in self.core.lanes.values()))
        self._web_stop.set()
        await _cancel(lanes)
        await _within(1.0, self._last_words())
        await _cancel([loop for loop in loops if loop.get_name() != "web"])
        web = [loop for loop in loops if loop.get_name() == "web"]
        if web:
            await asyncio.wait(web, timeout=0.5)
            await _cancel(web)
        await self.core.aclose()
        if self._heartbeat is not None:
            await self._heartbeat.aclose()
        self._watchdog.stop()
        log.info("watcher.stopped", seconds=round(time.monotonic() - started, 2))

    async def _last_words(self) -> None:
        try:
            await self.core.save_seen()
            await self.core.release_quota()
            await self._chores.alive()
        except StoreStalled as error:
            log.error("store.stalled", error=error.message, hint=error.hint)
        except StoreError as error:
            log.error("store.lost", error=error.message, hint=error.hint)


def _web_server(core: Core, status: DaemonStatus) -> WebServer | None:
    http = core.settings.http
    return WebServer(http, status) if http is not None and http.port is not None else None


async def _within(seconds: float, *work: Coroutine[Any, Any, None]) -> None:
    """Do all of it at once; what isn't done by then is left to the next start, which is made for that."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(*work, return_exceptions=True)
    except TimeoutError:
        log.warning("stop.unfinished", hint="the next start takes it up")


async def _cancel(loops: list[asyncio.Task[Any]]) -> None:
    for loop in loops:
        loop.cancel()
    if loops:
        await asyncio.wait(loops)
