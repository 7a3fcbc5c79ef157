"""The long-running coroutines of a process: named, started and stopped at any time, and watched for their death."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Loops:
    """None of the loops may end by itself: the first that does is given by `died`."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._later: set[asyncio.Task[Any]] = set()
        self._died: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()

    def start(self, name: str, loop: Coroutine[Any, Any, Any]) -> None:
        """Run `loop` under a name that no running loop has."""
        task = asyncio.create_task(loop, name=name)
        self._running[name] = task
        task.add_done_callback(self._done)

    async def died(self) -> asyncio.Task[Any]:
        """The next loop that has ended without being told to."""
        return await self._died.get()

    async def stop(self, *names: str) -> None:
        """Cancel these loops, and come back when they have ended. Names that nothing runs under are left alone."""
        tasks = [self._running.pop(name) for name in names if name in self._running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def within(self, seconds: float, name: str) -> None:
        """Let a loop that was asked to stop end by itself for so long, then cancel it."""
        task = self._running.pop(name, None)
        if task is not None:
            await asyncio.wait([task], timeout=seconds)
            task.cancel()
            await asyncio.wait([task])

    async def ended(self, name: str) -> None:
        """Let a loop that is about to be asked to stop end by itself, however long that takes."""
        task = self._running.pop(name, None)
        if task is not None:
            await asyncio.wait([task])

    def later(self, work: Coroutine[Any, Any, None], seconds: float) -> None:
        """Do a last thing after so many seconds, such as closing what may still be in use; forgotten at the end."""

        async def wait_and_do() -> None:
            try:
                await asyncio.sleep(seconds)
            finally:
                await work

        task = asyncio.create_task(wait_and_do(), name="later")
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def names(self, prefix: str = "") -> list[str]:
        """The loops that run, or those whose name starts so."""
        return [name for name in self._running if name.startswith(prefix)]

    def _done(self, task: asyncio.Task[Any]) -> None:
        if self._running.get(task.get_name()) is task:
            self._died.put_nowait(task)
