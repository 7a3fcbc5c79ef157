"""The faults in force, and which of them strike a request."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from watcher.simulator.values import Fault

Endpoint = Literal["get", "list", "other"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is about. `task_id` is empty for a list, `now` in scenario seconds."""

    endpoint: Endpoint
    key: str
    task_id: str
    now: float


@dataclass(slots=True)
class Live:
    """A fault, how often it may still strike, and how often it has."""

    fault: Fault
    left: float
    struck: int = 0


class Trouble:
    """Every fault of the play. The first that strikes decides how the answer is given; those of lists act together."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._random = random.Random(1)  # noqa: S311
        self._live: list[Live] = []
        for fault in faults:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        self._live.append(Live(fault, fault.times or math.inf))

    def clear(self) -> None:
        self._live.clear()

    def answer(self, asked: Asked) -> Fault | None:
        """How this request is answered wrongly; takes one of the fault's `times`."""
        found = (live.fault for live in self._live if not live.fault.of_list and self._strikes(live, asked))
        return next(found, None)

    def lists(self, asked: Asked) -> list[Live]:
        """How this list lies; takes one of the `times` of each."""
        return [live for live in self._live if live.fault.of_list and self._strikes(live, asked)]

    def _strikes(self, live: Live, asked: Asked) -> bool:
        if live.left < 1 or not _holds(live.fault, asked) or self._random.random() >= live.fault.rate:
            return False
        live.left -= 1
        live.struck += 1
        return True


def _holds(fault: Fault, asked: Asked) -> bool:
    if not (fault.start <= asked.now and (fault.until is None or asked.now < fault.until)):
        return False
    if fault.on not in (None, asked.endpoint) or not (fault.key is None or fnmatchcase(asked.key, fault.key)):
        return False
    if fault.task is None or fault.of_list:
        return True
    return asked.endpoint == "get" and fnmatchcase(asked.task_id, fault.task)
