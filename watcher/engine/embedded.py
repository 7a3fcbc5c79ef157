"""Running the core in one process: every loop named and watched, a stop that is bounded.

Loops: the clock's guard, a sweeper per account, a lane per channel, the chores, the watch over the configuration, the
web server, the socket for questions. None of them may end before the stop; one that does takes the process down, since
a restart mends what a limping process can't.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from watcher import local
from watcher.engine.chores import Chores
from watcher.engine.condition import DaemonStatus
from watcher.engine.core import Core
from watcher.engine.loops import Loops
from watcher.engine.outlook import plan_of
from watcher.engine.reload import Build, Reloader
from watcher.engine.stories import Stories
from watcher.engine.unknown import UnknownTasks
from watcher.errors import StoreError, StoreStalled, ours
from watcher.scheduler.clock import Tick
from watcher.scheduler.sweep import Report, Sweeper
from watcher.settings import Settings
from watcher.settings.watch import ConfigWatch
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
        self.loops = Loops()
        self.status = DaemonStatus(core)
        self.stopping = stopping or asyncio.Event()
        self._chores = Chores(core, self.status)
        self._stories = Stories(core)
        self._unknown = UnknownTasks(core.ledger)
        self._watchdog = watchdog
        self._touch = touch
        self._on_sweep = on_sweep
        self._web = _web_server(core, self.status)
        self._web_stop = asyncio.Event()
        self._reloader: Reloader | None = None
        core.after_sweep = self._after_sweep
        core.clock.listen(self._tick)

    def reload_with(self, watch: ConfigWatch, build: Build, in_force: Callable[[Settings], None]) -> Reloader:
        """Take over changes of the configuration while running; `in_force` hears the settings that hold from then."""

        def hear(settings: Settings) -> None:
            self._chores.heartbeat_changed()
            if self._web is not None and settings.http is not None:
                self._web.replace(settings.http)
            self._chores.soon("stories", self._stories.tell)
            in_force(settings)

        self._reloader = Reloader(self.core, watch, self.loops, build, hear)
        self.status.rejected_config = lambda: self._reloader.rejected if self._reloader else ""
        return self._reloader

    @property
    def port(self) -> int | None:
        return self._web.port if self._web else None

    def stop(self) -> None:
        self.stopping.set()

    async def run(self) -> int:
        self._stories.begin()
        self._chores.schedule()
        self._chores.soon("alive", self._chores.alive)
        for name, loop in self._loops():
            self.loops.start(name, loop)
        stopping = asyncio.create_task(self.stopping.wait(), name="stop")
        died = asyncio.create_task(self.loops.died(), name="death watch")
        self._watchdog.start()
        done, _ = await asyncio.wait([died, stopping], return_when=asyncio.FIRST_COMPLETED)
        if died in done:
            self._say_dead(died.result())
        for task in (stopping, died):
            task.cancel()
        await self._wind_down()
        return 1 if died in done else 0

    def _loops(self) -> list[tuple[str, Coroutine[Any, Any, Any]]]:
        core = self.core
        loops: list[tuple[str, Coroutine[Any, Any, Any]]] = [
            ("clock", core.clock.run()),
            ("chores", self._chores.run()),
            ("unknown tasks", self._unknown.run()),
            ("questions", local.serve(core.database.path, self._answer, self._web_stop)),
        ]
        loops += [loop for name in core.lanes for loop in core.loops_of(name).items()]
        loops += [(f"sweeper {name}", sweeper.run()) for name, sweeper in core.sweepers.items()]
        if self._reloader is not None:
            loops.append(("reload", self._reloader.run()))
        if self._web is not None:
            loops.append(("web", self._web.serve(self._web_stop)))
        return loops

    # ── what the loops report ──

    def _after_sweep(self, sweeper: Sweeper, report: Report) -> None:
        self._on_sweep(sweeper, report)
        self._chores.soon("stories", self._stories.tell)
        self._unknown.heard(sweeper, report)

    def _answer(self, question: str) -> Any:
        """To another command on this machine."""
        return plan_of(self.core) if question == "plan" else {"error": "nobody knows this question; ask for: plan"}

    def _tick(self, tick: Tick) -> None:
        self._watchdog.beat("loop")
        self._touch()
        if tick.slept:
            now = datetime.now(tz=UTC)
            self._stories.stood_still(now - timedelta(seconds=tick.slept), now)
            log.warning("clock.stood_still", seconds=round(tick.slept, 1))
        if tick.jumped:
            log.warning("clock.jumped", seconds=round(tick.jumped, 1))
            numbers = (sweeper.watched.pacer.last_number for sweeper in self.core.sweepers.values())
            self.core.stepped_at = 1 + max(numbers, default=0)
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

    async def _wind_down(self) -> None:
        """Stop observing, give the lanes their time, write down the rest."""
        started, loops = time.monotonic(), self.loops
        await loops.stop("reload", *loops.names("sweeper "), *loops.names("keeper "))
        await _within(GRACE + 1.0, *(lane.stop(GRACE) for lane in self.core.lanes.values()))
        self._web_stop.set()
        await loops.stop(*loops.names("lane "))
        await _within(1.0, self._last_words())
        await loops.stop(*(name for name in loops.names() if name not in ("web", "questions")))
        for name in ("web", "questions"):
            await loops.within(0.5, name)
        await self.core.aclose()
        await self._chores.aclose()
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
