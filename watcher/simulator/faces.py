"""How the API words a task: in a list item, and alone. Items are kept as text, since most of it never changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from watcher.simulator.timeline import MOVING, Pulse
from watcher.simulator.values import Task

Shown = dict[str, Any]

_HOLE = "\N{NULL}"
_HOLE_JSON = json.dumps(_HOLE)


@dataclass(slots=True)
class _Face:
    """An item's text, which is right from `since` until `until`. Until `ends` only the mould's holes are to be filled
    anew; no mould: something else may change, too."""

    since: float
    until: float
    ends: float
    text: str
    mould: str | None


class Faces:
    """The list items. `render(task, moment)` gives the fields, `pulse(task, moment)` what moves in them."""

    def __init__(
        self, render: Callable[[Task, float], Shown], pulse: Callable[[Task, float], Pulse], form: str
    ) -> None:
        self._render, self._pulse, self._form = render, pulse, form
        self._kept: dict[tuple[str, bool], _Face] = {}

    def item(self, task: Task, moment: float, *, sparse: bool) -> str:
        """The task's JSON in a list."""
        face = self._kept.get((task.id, sparse))
        if face is None or not face.since <= moment < face.ends:
            face = self._kept[task.id, sparse] = self._made(task, moment, sparse=sparse)
        elif moment >= face.until:
            face = self._kept[task.id, sparse] = self._moved(face, task, moment, sparse=sparse)
        return face.text

    def forget(self, task_id: str) -> None:
        """It looks different from now on."""
        self._kept.pop((task_id, True), None)
        self._kept.pop((task_id, False), None)

    def _moved(self, face: _Face, task: Task, moment: float, *, sparse: bool) -> _Face:
        pulse = self._pulse(task, moment)
        if face.mould is None or pulse.values is None:
            return self._made(task, moment, sparse=sparse)
        face.since, face.until, face.text = moment, pulse.until, face.mould % pulse.values
        return face

    def _made(self, task: Task, moment: float, *, sparse: bool) -> _Face:
        shown = self._render(task, moment)
        if sparse:
            for key in ("message", "endDatetime"):
                shown["statusInfo"].pop(key, None)
        pulse = self._pulse(task, moment)
        if pulse.values is None:
            return _Face(moment, pulse.until, pulse.ends, json.dumps(shaped(shown, self._form)), None)
        shown["statusInfo"] |= dict.fromkeys(MOVING, _HOLE)
        shown["updatedDate"] = _HOLE
        text = json.dumps(shaped(shown, self._form)).replace("%", "%%")
        mould = text.replace(f'"updatedDate": {_HOLE_JSON}', '"updatedDate": "%s"').replace(_HOLE_JSON, "%s")
        return _Face(moment, pulse.until, pulse.ends, mould % pulse.values, mould)


def shaped(shown: Shown, form: str) -> Shown:
    """With statusInfo in one of the forms that were seen."""
    info = shown["statusInfo"]
    if form == "array":
        shown["statusInfo"] = [info]
    elif form != "object" and shown["status"] == "WAIT":
        shown["statusInfo"] = [] if form == "empty-while-waiting" else None
        if form == "absent-while-waiting":
            del shown["statusInfo"]
    return shown
