"""Ends the process when one of its loops hangs, so that whatever supervises it starts a fresh one."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

import structlog

log = structlog.get_logger()

REPORT_PATIENCE = 5.0
"""Seconds for the last words: the log itself may be what hangs (a pipe that nobody reads)."""


class Watchdog:
    """A thread that must hear from every named loop at least every `limit` seconds.

    A name is watched from its first `beat` until `forget`. When one is silent for too long, `on_stuck(name, stacks)`
    is called (by default it logs both) and the process exits with 1 at once. `stacks` shows every thread and every
    asyncio task, without local variables, since those may hold secrets.
    """

    def __init__(self, limit: float = 120.0, on_stuck: Callable[[str, str], None] | None = None) -> None:
        self._limit = limit
        self._interval = limit / 8
        self._on_stuck = on_stuck or _report
        self._clock = 0.0
        self._heard: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def beat(self, name: str) -> None:
        """`name` has turned. Cheap, and may be called from any thread."""
        self._heard[name] = self._clock

    def forget(self, name: str) -> None:
        """`name` ends on purpose."""
        self._heard.pop(name, None)

    def start(self) -> None:
        """Begin to watch. Called inside a running event loop, the report shows that loop's tasks too."""
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stopping.wait(self._interval):
            now = time.monotonic()
            stuck = self._turn(now - last)
            last = now
            if stuck:
                self._end(stuck)

    def _turn(self, elapsed: float) -> str | None:
        """Who is silent for too long, when `elapsed` seconds have passed since the last turn."""
        # A process that was stopped (SIGSTOP) or starved wakes to old beats: time in which this thread didn't run
        # either proves nothing against the others.
        self._clock += min(elapsed, 2 * self._interval)
        for name, heard in list(self._heard.items()):
            if self._clock - heard > self._limit:
                return name
        return None

    def _end(self, name: str) -> None:
        report = threading.Thread(target=lambda: self._on_stuck(name, stacks(self._loop)), daemon=True)
        report.start()
        report.join(REPORT_PATIENCE)
        os._exit(1)


def stacks(loop: asyncio.AbstractEventLoop | None = None) -> str:
    """Where every thread, and every task of `loop`, is: file, line and function only."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [
        f"thread {names.get(ident, ident)}\n" + "".join(traceback.format_stack(frame))
        for ident, frame in sys._current_frames().items()
    ]
    parts.extend(_task_stacks(loop) if loop is not None else ())
    return "\n".join(parts)


def _task_stacks(loop: asyncio.AbstractEventLoop) -> list[str]:
    try:
        # From another thread than the loop's: may fail when the loop does turn after all.
        tasks = asyncio.all_tasks(loop)
        return [f"task {task.get_name()}\n" + "".join(map(_frame_line, task.get_stack())) for task in tasks]
    except RuntimeError:
        return []


def _frame_line(frame: object) -> str:
    return "".join(traceback.format_stack(frame, limit=1))  # type: ignore[arg-type]


def _report(name: str, where: str) -> None:
    log.error("watchdog.stuck", loop=name, hint="the process ends now and must be started again", stack=where)
