"""One entry with `count` becomes many tasks: pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watcher.simulator.values import Step, Task, numbered

_GOLDEN = 0.6180339887498949
"""Multiples of it, less their whole part, fill the unit interval evenly and in no visible order."""


def expand(task: Task, keys: Sequence[str]) -> Iterator[Task]:
    """The tasks that one entry of a scenario stands for."""
    if task.count is None:
        yield task
        return
    for n in range(task.count):
        key = keys[n % len(keys)] if keys else ""
        yield task.model_copy(
            update={
                "count": None,
                "id": numbered(task.id, n, key),
                "name": None if task.name is None else numbered(task.name, n, key),
                "owner": None if task.owner is None else numbered(task.owner, n, key),
                "timeline": later(task.timeline, n * task.apart, task.spread * (n * _GOLDEN % 1.0)),
            }
        )


def later(timeline: tuple[Step, ...], begin: float, rest: float = 0.0) -> tuple[Step, ...]:
    """The timeline moved by `begin` seconds; what follows its beginning by `rest` more."""
    if not begin and not rest:
        return timeline
    return tuple(
        step.model_copy(
            update={
                "at": step.at + begin + (rest if index else 0.0),
                "until": None if step.until is None else step.until + begin + rest,
            }
        )
        for index, step in enumerate(timeline)
    )
