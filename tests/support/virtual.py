"""An event loop whose time passes at once: whoever sleeps an hour is woken in the next turn, an hour later."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Only for code that waits for nothing but time: no sockets, no threads."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        really = selector.select

        def select(timeout: float | None = None) -> Any:
            self._now += max(timeout or 0.0, 0.0)
            return really(0)

        selector.select = select

    def time(self) -> float:
        return self._now


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def now() -> float:
    """The running loop's time, for whatever wants a clock."""
    return asyncio.get_running_loop().time()
