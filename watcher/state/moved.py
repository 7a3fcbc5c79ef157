"""Writing down a page whose trainings have only gone on, without reading from the store what it has.

The first time, what the page showed when it was last read is compared with the store: only if that is just what the
store has, and nothing is left to be settled, it is remembered. From then on each row is written on the condition that
it is still as remembered. All of a page is written, or (Doubt) nothing; what is stored is what `record_observations`
would have stored, and whatever might mean more is left to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from watcher.models import RUNNING, Fields, Observation, TaskKey
from watcher.state.bulk import FURTHER, HISTORY, load_rows, write_rows
from watcher.state.record import ESTIMATED
from watcher.state.rows import TASK_COLUMNS, TaskRow
from watcher.state.schema import BAND
from watcher.state.steps import TOTAL, Moving, step, still
from watcher.state.telling import Recorded, Settled

_CHANGED, _LIFE, _MILESTONE = map(TASK_COLUMNS.index, ("changed", "life", "milestone"))
_REST = f'{{"{ESTIMATED}":%d}}'
"""What `rows.dumps` makes of it."""


class Doubt(Exception):
    """The store isn't as it was remembered, or more is to be told than that tasks move: look closely."""


@dataclass(frozen=True, slots=True)
class Course:
    """A task that trains. `fields` are what is stored, but for what moves. From the step `limit` on there is more to be
    told, or doubted, than that it moves."""

    key: TaskKey
    no: int
    life: int
    fields: Fields
    limit: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the store has of the tasks that train on a page. `changed` is when a look last changed each (milliseconds):
    as long as that is so, all else is as it was, too. `milestones` are those for which this was found out."""

    courses: tuple[Course, ...]
    changed: Sequence[int]
    milestones: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """What request `number`, begun `at` (milliseconds), has seen of the tasks that train on a page: the values of
    rows.MOVING that the store has of each of them, and those that it is to have."""

    number: int
    at: int
    before: Sequence[Moving]
    now: Sequence[Moving]


def know(tx: Connection, settled: Settled, trains: Sequence[Observation], others: Sequence[Observation]) -> Known:
    """What the store has of these tasks. Raises Doubt if that isn't just what the observations show."""
    rows = load_rows(tx, [look.key for look in (*trains, *others)])
    found = [_same(rows.get(look.key), look, settled) for look in (*trains, *others)][: len(trains)]
    courses = tuple(_course(look.key, row, settled.milestones) for look, row in zip(trains, found, strict=True))
    return Known(courses, [row[_CHANGED] for row in found], settled.milestones)


def record_moved(tx: Connection, settled: Settled, known: Known, moved: Moved) -> tuple[Known, Recorded]:
    """Write what has moved; returns what the store has then. Raises Doubt."""
    if settled.milestones != known.milestones or not all(settled.watched(c.key, c.fields) for c in known.courses):
        raise Doubt
    number, at, changed = moved.number, moved.at, list(known.changed)
    rows, points = [], []
    for place, (course, before, now) in enumerate(zip(known.courses, moved.before, moved.now, strict=True)):
        if now == before:
            continue
        if not before[0] <= now[0] < course.limit:
            raise Doubt
        no = course.no
        rows.append((number, at, at, True, *now, no, changed[place], number))
        points.append((
            no // BAND, number, no, at, course.life, now[0], now[1], now[2],
            None if now[4] == before[4] else _REST % now[4],
        ))  # fmt: skip
        changed[place] = at
    if write_rows(tx, FURTHER, rows) != len(rows):
        raise Doubt
    write_rows(tx, HISTORY, points)
    return replace(known, changed=changed), Recorded()


def _same(row: TaskRow | None, look: Observation, settled: Settled) -> TaskRow:
    """The row, if the look shows just what stands there."""
    found = None if row is None else step(row, look, settled.milestones)
    if row is None or found is None or found.change.changes or not settled.watched(look.key, look.fields):
        raise Doubt
    return row


def _course(key: TaskKey, row: TaskRow, milestones: tuple[int, ...]) -> Course:
    known = still(row[0], row[3])
    total = known.rest.get(TOTAL)
    if known.status != RUNNING or not known.complete or type(total) is not int or total <= 0:
        raise Doubt
    ahead = [milestone for milestone in milestones if milestone > row[_MILESTONE]]
    # The first step at which step * 100 // total is as much as the milestone; more steps than there are make no sense.
    limit = min((-(-milestone * total // 100) for milestone in ahead), default=total + 1)
    return Course(key, row[0], row[_LIFE], known.whole, min(limit, total + 1))
