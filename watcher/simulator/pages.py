"""One page of the list: what the key sees, in the list's form, and with the lies that hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from watcher.simulator.trouble import Live
from watcher.simulator.values import Fault, ListForm, Task

_HEAD = '{"status": {"code": "20000", "message": "OK"}, "result": '
_NO_OBJECT = {"nothing": "null", "text": '"a task"', "number": "7", "list": "[]"}

Row = tuple[str, str]
"""An item's id and its JSON."""


class Page:
    """The page `number` of `size`; `lies` are the faults of lists that strike it."""

    def __init__(self, number: int, size: int, form: ListForm, lies: Sequence[Live]) -> None:
        self._number, self._size, self._form, self._lies = number, size, form, lies

    def moment(self, now: float) -> float:
        """The moment whose tasks are shown."""
        return max(0.0, now - max((lag.by for lag in self._told("list_lags")), default=0.0))

    def body(self, tasks: Sequence[Task], item: Callable[[Task], str]) -> bytes:
        """The answer, for all tasks in the list's order; `item` gives a task's JSON."""
        tasks = self._there(tasks)
        number = next((lie.page for lie in self._told("list_stuck")), self._number)
        start = max(0, number * self._size - (1 if self._form.repeat and number else 0))
        shown = tasks[start : number * self._size + self._size][: self._size]
        rows = self._broken(self._doubled([(task.id, item(task)) for task in shown]))
        content = ", ".join(text for _, text in rows)
        return f'{_HEAD}{self._counts(len(tasks), number)[:-1]}, "content": [{content}]}}}}'.encode()

    def _told(self, kind: str) -> list[Fault]:
        return [live.fault for live in self._lies if live.fault.kind == kind]

    def _there(self, tasks: Sequence[Task]) -> Sequence[Task]:
        if self._told("list_empty"):
            return []
        for lie in self._told("list_hides"):
            tasks = [task for task in tasks if not _meant(lie, task.id)]
        return tasks

    def _doubled(self, rows: list[Row]) -> list[Row]:
        for lie in self._told("list_twice"):
            again = [row for row in rows if _meant(lie, row[0])]
            rows = rows + (again if lie.task else again[:1])
        return rows

    def _broken(self, rows: list[Row]) -> list[Row]:
        for lie in self._told("list_broken_item"):
            if lie.task:
                rows = [(id_, _break(text, lie.item) if _meant(lie, id_) else text) for id_, text in rows]
            elif rows:
                middle = len(rows) // 2
                rows = [*rows[:middle], ("", _break(rows[middle][1], lie.item)), *rows[middle:]]
        return rows

    def _counts(self, total: int, number: int) -> str:
        pages = math.ceil(total / self._size)
        for live in self._lies:
            if live.fault.kind == "list_pages":
                pages = live.fault.pages[(live.struck - 1) % len(live.fault.pages)]
                total = pages * self._size
        counts = {"totalPages": pages, "totalElements": total, "size": self._size, "number": number}
        return json.dumps({key: f"{value}," for key, value in counts.items()} if self._form.text_numbers else counts)


def _meant(lie: Fault, task_id: str) -> bool:
    return lie.task is None or fnmatchcase(task_id, lie.task)


def _break(text: str, how: str) -> str:
    if how in _NO_OBJECT:
        return _NO_OBJECT[how]
    if how == "twice":
        return text.replace('"status": ', '"status": "FAILED", "status": ', 1)
    item = json.loads(text)
    if how == "null_status":
        item["status"] = None
    else:
        del item["id" if how == "no_id" else "status"]
    return json.dumps(item)
