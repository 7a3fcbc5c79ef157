"""Fields that a director set while the play runs, with when, so that a lagging list can still show the old ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Fields = Mapping[str, Any]


class Overrides:
    """For each task what was set so far, at each moment at which something was."""

    def __init__(self) -> None:
        self._by_task: dict[str, list[tuple[float, Fields]]] = {}

    def set(self, task_id: str, moment: float, fields: Fields) -> None:
        """Adds to what was set before."""
        known = self._by_task.setdefault(task_id, [])
        known.append((moment, {**(known[-1][1] if known else {}), **fields}))

    def drop(self, task_id: str) -> None:
        self._by_task.pop(task_id, None)

    def at(self, task_id: str, moment: float) -> Fields | None:
        """What was set by that moment."""
        known = self._by_task.get(task_id, ())
        return next((fields for at, fields in reversed(known) if at <= moment), None)

    def next_change(self, task_id: str, moment: float) -> float:
        """When something was set after that moment."""
        known = self._by_task.get(task_id, ())
        return next((at for at, _ in known if at > moment), math.inf)
