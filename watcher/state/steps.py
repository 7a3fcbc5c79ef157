"""The commonest look at a task, decided cheaply: nothing but what moves at every step has changed, or nothing at all.

`step` says the same as `diff.compare`, or nothing: what might mean more is left to `compare`. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, NamedTuple

from watcher.clova.dates import parse_instant
from watcher.insight.progress import milestone_reached
from watcher.models import RUNNING, SUCCEEDED, TERMINAL, Fields, Observation
from watcher.state.diff import WEIGHTS, Change, merge
from watcher.state.rows import MOVING, TASK_COLUMNS, TaskRow, snapshot_of

Moving = tuple[Any, ...]
"""The values of MOVING, in that order."""

REMEMBERED = 4096
TOTAL = "statusInfo.totalTrainSteps"

_STEP, _EPOCH, _LOSS, _UPDATED, _ESTIMATED = MOVING
_NUMBER, _MILESTONE, _MOVED = map(TASK_COLUMNS.index, ("number", "milestone", "moved"))
_MAYBE_WHOLE, _MAYBE_REAL, _MAYBE_TEXT = (int, NoneType), (float, NoneType), (str, NoneType)


@dataclass(frozen=True, slots=True)
class Still:
    """The `fields` of a row taken apart: `whole` as they stand there, `rest` without what moves, and that alone."""

    text: str
    whole: dict[str, Any]
    rest: dict[str, Any]
    moving: Moving
    status: str
    complete: bool
    weights_missing: bool


class Step(NamedTuple):
    """What a look changes, and the values of what moves before and after it."""

    change: Change
    before: Moving
    now: Moving


class Moves(Mapping[str, Mapping[str, Any]]):
    """The changes of a step: hardly anybody asks for more than whether there are any."""

    __slots__ = ("_before", "_now")

    def __init__(self, before: Moving, now: Moving) -> None:
        self._before, self._now = before, now

    def __bool__(self) -> bool:
        return self._before != self._now

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._changes()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._changes())

    def __len__(self) -> int:
        return len(self._changes())

    def _changes(self) -> dict[str, dict[str, Any]]:
        pairs = zip(MOVING, self._before, self._now, strict=True)
        return {name: {"old": old, "new": new} for name, old, new in pairs if old != new}


def step(row: TaskRow, seen: Observation, milestones: tuple[int, ...], number: int = 0) -> Step | None:
    """What the look changes; None when it might mean more than a step.

    `number`: the request that has seen the task as stored, where that is a later one than the row's.
    """
    if seen.number <= row[_NUMBER] or seen.number <= number:
        return None
    known = still(row[0], row[3])
    before = row[_MOVED + 1 :] if row[_MOVED] else known.moving
    rest = dict(seen.fields)
    now = (
        rest.pop(_STEP, before[0]), rest.pop(_EPOCH, before[1]), rest.pop(_LOSS, before[2]),
        rest.pop(_UPDATED, before[3]), rest.pop(_ESTIMATED, before[4]),
    )  # fmt: skip
    fields: Fields = seen.fields
    if rest != known.rest or len(fields) != len(known.whole) or not known.complete:
        if not _says_the_same(known, rest, seen):
            return None
        fields = known.whole | {name: value for name, value in zip(MOVING, now, strict=True) if name in known.whole}
    if not _is_quiet(row, known) or _passes_milestone(row, known, now, fields, milestones):
        return None
    if now == before:
        return Step(
            Change("unchanged", snapshot_of(row, fields, seen.key, seen.number, seen.time), (), {}), before, now
        )
    if not _fit(now) or (before[3] != now[3] and not seen.trusted and _goes_back(before[3], now[3])):
        return None
    snapshot = snapshot_of(row, fields, seen.key, seen.number, seen.time, seen.time)
    return Step(Change("changed", snapshot, (), Moves(before, now)), before, now)


def still(no: int, text: str) -> Still:
    """Remembered, since most of a task's fields stay the same from its start to its end."""
    known = _REMEMBERED.get(no)
    if known is None or known.text != text:
        if known is None and len(_REMEMBERED) >= REMEMBERED:
            # The youngest goes: sweeping in a circle over more tasks than there are places, the oldest is needed first.
            _REMEMBERED.popitem()
        known = _REMEMBERED[no] = _taken_apart(text)
    return known


# What a text means depends on nothing else, so it doesn't matter to which store a number belongs.
_REMEMBERED: dict[int, Still] = {}


def _taken_apart(text: str) -> Still:
    whole = json.loads(text)
    return Still(
        text=text,
        whole=whole,
        rest={name: value for name, value in whole.items() if name not in MOVING},
        moving=tuple(whole.get(name) for name in MOVING),
        status=str(whole["status"]),
        complete=all(name in whole for name in MOVING),
        weights_missing=whole["status"] == SUCCEEDED and whole.get(WEIGHTS) is False,
    )


def _says_the_same(known: Still, rest: Fields, seen: Observation) -> bool:
    """Whether the look, with what it leaves out, says what was known, but for what moves."""
    if not known.complete and any(name in seen.fields and name not in known.whole for name in MOVING):
        return False
    if rest.items() <= known.rest.items():
        return True
    merged = merge(known.whole, seen)
    return {name: value for name, value in merged.items() if name not in MOVING} == known.rest


def _is_quiet(row: TaskRow, known: Still) -> bool:
    """Whether nothing is pending that the next look at the same status would settle."""
    milestone, _, ended, ending, _, weights_told, missing_since, gone = row[_MILESTONE:_MOVED]
    if gone or missing_since is not None or bool(weights_told) is not known.weights_missing:
        return False
    return (known.status in TERMINAL or not (ended or ending)) and (known.status == RUNNING or not milestone)


def _passes_milestone(row: TaskRow, known: Still, now: Moving, fields: Fields, milestones: tuple[int, ...]) -> bool:
    if known.status != RUNNING:
        return False
    told, done, total = int(row[_MILESTONE]), now[0], known.rest.get(TOTAL)
    if type(done) is not int or type(total) is not int or done < 0 or total <= 0:
        return milestone_reached(fields, milestones) > told
    percent = min(100, done * 100 // total)
    for milestone in milestones:  # noqa: SIM110, it is twice as fast
        if told < milestone <= percent:
            return True
    return False


def _fit(now: Moving) -> bool:
    """Whether the columns can hold the values: a loss may be a word."""
    done, epoch, loss, updated, estimated = map(type, now)
    return (
        done in _MAYBE_WHOLE and epoch in _MAYBE_WHOLE and loss in _MAYBE_REAL
        and updated in _MAYBE_TEXT and estimated in _MAYBE_WHOLE
    )  # fmt: skip


def _goes_back(before: Any, now: Any) -> bool:
    old, new = parse_instant(before), parse_instant(now)
    return old is not None and new is not None and new < old
