"""Which tasks there are, and in which order a list shows them; looked up without going through all of them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from watcher.simulator import timeline
from watcher.simulator.values import ListForm, Task


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The tasks that exist for one key from `since` until `until`, in the list's order."""

    since: float
    until: float
    order: str
    tasks: list[Task]


class Catalog:
    """The tasks by id and by owner. `sees` has keys that are shown other keys' tasks besides their own."""

    def __init__(self, tasks: Iterable[Task], sees: Mapping[str, Sequence[str]]) -> None:
        self._by_id: dict[str, Task] = {}
        self._by_owner: dict[str | None, dict[str, Task]] = {}
        self._shelves: dict[str | None, _Shelf] = {}
        self._random = random.Random(1)  # noqa: S311
        self.sees = dict(sees)
        for task in tasks:
            self.put(task)

    def __iter__(self) -> Iterator[Task]:
        return iter(self._by_id.values())

    def __getitem__(self, task_id: str) -> Task:
        """Raises KeyError for an id that was never there."""
        return self._by_id[task_id]

    def put(self, task: Task) -> None:
        """Adds a task, or replaces the one with its id."""
        before = self._by_id.get(task.id)
        if before is not None:
            del self._by_owner[before.owner][task.id]
        self._by_id[task.id] = task
        self._by_owner.setdefault(task.owner, {})[task.id] = task
        self._shelves.clear()

    def show(self, sees: Mapping[str, Sequence[str]]) -> None:
        """From now on these keys see other keys' tasks, too."""
        self.sees = dict(sees)
        self._shelves.clear()

    def visible(self, task: Task, key: str) -> bool:
        """Whether a key may see the task."""
        return task.owner is None or task.owner == key or task.owner in self.sees.get(key, ())

    def find(self, task_id: str, moment: float) -> Task | None:
        """The task, if it exists at that moment."""
        task = self._by_id.get(task_id)
        return task if task is not None and timeline.exists(task, moment) else None

    def listed(self, key: str | None, moment: float, form: ListForm) -> list[Task]:
        """The tasks that exist at that moment and that the key sees (None: all), in the list's order."""
        shelf = self._shelves.get(key)
        if shelf is None or not shelf.since <= moment < shelf.until or shelf.order != form.order:
            shelf = self._shelves[key] = _arranged(self._of(key), moment, form.order)
        if form.order == "shuffled":
            return self._random.sample(shelf.tasks, len(shelf.tasks))
        return shelf.tasks

    def _of(self, key: str | None) -> list[Task]:
        if key is None:
            return list(self)
        owners = dict.fromkeys((None, key, *self.sees.get(key, ())))
        return [task for owner in owners for task in self._by_owner.get(owner, {}).values()]


def _arranged(tasks: list[Task], moment: float, order: str) -> _Shelf:
    edges = [edge for task in tasks for edge in timeline.edges(task)]
    since = max((edge for edge in edges if edge <= moment), default=-math.inf)
    until = min((edge for edge in edges if edge > moment), default=math.inf)
    found = [task for task in tasks if timeline.exists(task, moment)]
    if order == "by_id":
        found.sort(key=lambda task: task.id)
    else:
        found.sort(key=timeline.created, reverse=order != "oldest_first")
    return _Shelf(since, until, order, found)
