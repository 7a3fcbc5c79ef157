"""A fake upstream, a receiver and a real daemon between them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.daemon import Hook, Upstream, Watcher, hook_settings, serving, until, watching

TASK, OTHER = "czf9fbky", "oi55o2ej"
IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


@dataclass
class Stage:
    """A fake upstream with two waiting tasks, a receiver, and a daemon that isn't started yet."""

    folder: Path
    upstream: Upstream
    hook: Hook
    watcher: Watcher

    def first_sight(self) -> None:
        """Start, and wait until both tasks and the start itself were told."""
        self.watcher.start_ready()
        self.until_told("watcher.started")

    def until_told(self, type_: str, task: str | None = None, *, count: int = 1, seconds: float = 20.0) -> Any:
        """The last receipt once there are `count` of this type."""
        until(
            lambda: len(self.hook.got(type_, task)) >= count,
            f"{type_} of {task}; told: {self.hook.types()}; it said: {self.watcher.said()[-1500:]}",
            seconds,
        )
        return self.hook.got(type_, task)[-1]


@contextmanager
def staged(folder: Path, *, tasks: tuple[Any, ...] = (TASK, OTHER), **settings: Any) -> Iterator[Stage]:
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        upstream = Upstream(folder, tasks)
        stack.enter_context(serving(upstream))
        hook = Hook(folder)
        stack.enter_context(serving(hook))
        channels = {"hook": hook_settings(hook)} | settings.pop("channels", {})
        watcher = stack.enter_context(watching(folder, upstream, [TASK, OTHER], channels, **settings))
        yield Stage(folder, upstream, hook, watcher)
