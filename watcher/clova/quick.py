"""Reading a page in one go where everything on it has the expected form; `tasks` reads the same value by value. Pure.

Nearly all of the tasks that a sweep sees look as the guide says. What can't be proven to be plain is left to the slow
reading, which decides; so both always mean the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from operator import itemgetter
from types import NoneType
from typing import Any, TypeVar

from watcher.clova.tasks import (
    INFO_FIELDS,
    LONGEST_ID,
    TASK_FIELDS,
    read_bool,
    read_float,
    read_int,
    read_labels,
    read_text,
)
from watcher.clova.text import KEEP, Redact
from watcher.models import KNOWN_STATUSES, Fields, Json

Values = tuple[Any, ...]
Pick = Callable[[Any], Values]
T = TypeVar("T")

_PLAIN: dict[Callable[[object], Json], type] = {
    read_text: str,
    read_int: int,
    read_float: float,
    read_bool: bool,
    read_labels: list,
}
_REMEMBERED = 64
_MOST_KEYS, _LONGEST_KEY = 64, 64


def read_items(content: list[Any], redact: Redact) -> list[tuple[str, Fields]] | None:
    """The tasks of a page as `tasks.read_task` reads each of them; None when one of them needs a closer look."""
    tasks: list[tuple[_Layout, Values]] = []
    alike: dict[_Layout, list[Values]] = {}
    layout, keys = None, None
    for task in content:
        info = _info(task)
        if info is None:
            return None
        found = (*task, None, *info)
        if found != keys:
            layout, keys = _layout(found), found
        if layout is None:
            return None
        values = (*layout.task(task), *layout.info(info), task["status"], task["id"])
        tasks.append((layout, values))
        alike.setdefault(layout, []).append(values)
    facts = _Facts()
    if not all(facts.take(*group) for group in alike.items()) or not facts.harmless(redact):
        return None
    return [(values[-1], dict(zip(layout.names, values, strict=False))) for layout, values in tasks]


def _info(task: Any) -> dict[str, Any] | None:
    """What the task has for statusInfo, if both are usual."""
    if type(task) is not dict:
        return None
    info = task.get("statusInfo")
    if type(info) is list and len(info) == 1:
        info = info[0]
    if type(info) is dict:
        return info
    return None if info else {}


@dataclass(slots=True)
class _Facts:
    """What all tasks of one page say, to be looked at together."""

    texts: set[str] = field(default_factory=set)
    whole: list[int] = field(default_factory=list)
    real: list[float] = field(default_factory=list)

    def take(self, layout: _Layout, tasks: list[Values]) -> bool:
        """Whether these tasks' values are of the types that their readers leave as they are."""
        columns = list(zip(*tasks, strict=True))
        statuses, ids = columns[-2:]
        for kind, column in zip(layout.kinds, columns, strict=True):
            types = set(map(type, column))
            if not types <= {kind, NoneType}:
                return False
            said = column if len(types) == 1 else [value for value in column if value is not None]
            if kind in types and not self._take(kind, said):
                return False
        return None not in ids and KNOWN_STATUSES.issuperset(statuses) and _usable(ids)

    def _take(self, kind: type, said: Iterable[Any]) -> bool:
        if kind is str:
            self.texts.update(said)
        elif kind is int:
            self.whole += said
        elif kind is float:
            self.real += said
        elif kind is list:
            labels = list(chain.from_iterable(said))
            if not set(map(type, labels)) <= {str}:
                return False
            self.texts.update(labels)
        return True

    def harmless(self, redact: Redact) -> bool:
        """No secret, nothing that a database refuses, nothing too long, no number beyond 64 bits, none infinite.

        A secret in one of the texts also stands in all of them put together.
        """
        joined = "\n".join(self.texts)
        try:
            array("q", self.whole)
            joined.encode()  # refuses halves of surrogate pairs
        except (OverflowError, UnicodeEncodeError):
            return False
        longest = max(map(len, self.texts), default=0)
        return isfinite(sum(self.real)) and longest <= KEEP and "\0" not in joined and redact(joined) == joined


def _usable(ids: Iterable[str]) -> bool:
    lengths = set(map(len, ids))
    return min(lengths) > 0 and max(lengths) <= LONGEST_ID


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Which keys a task has: what picks its values, and their names. The id is the last value and has no name."""

    names: tuple[str, ...]
    kinds: tuple[type, ...]
    task: Pick
    info: Pick


# What a page looks like hardly ever changes, and working it out costs more than reading the page.
_LAYOUTS: dict[Values, _Layout] = {}


def _layout(keys: tuple[str | None, ...]) -> _Layout | None:
    """How to read a task that has these keys; those of its statusInfo come after None."""
    known = _LAYOUTS.get(keys)
    if known is not None:
        return known
    split = keys.index(None)
    own, inner = set(keys[:split]), set(keys[split + 1 :])
    if not {"id", "status"} <= own or len(keys) > _MOST_KEYS or max(len(key or "") for key in keys) > _LONGEST_KEY:
        return None
    task = {key: reader for key, reader in TASK_FIELDS.items() if key in own}
    info = {key: reader for key, reader in INFO_FIELDS.items() if key in inner}
    readers = [*task.values(), *info.values()]
    layout = _Layout(
        names=(*(name for name, _ in readers), "status"),
        kinds=(*(_PLAIN[read] for _, read in readers), str, str),
        task=_picker(task),
        info=_picker(info),
    )
    return _remember(_LAYOUTS, keys, layout)


def _picker(places: Iterable[Any]) -> Pick:
    """What takes those items out of a dict or tuple, as a tuple."""
    wanted = tuple(places)
    if len(wanted) > 1:
        return itemgetter(*wanted)
    return lambda source: tuple(source[place] for place in wanted)


def _remember(memory: dict[Values, T], key: Values, value: T) -> T:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value
    return value
