"""What the looks at a task have shown over time: the points of its curve."""

from __future__ import annotations

import json

from sqlalchemy import Connection, bindparam, select

from watcher.models import Point, TaskKey
from watcher.state import schema
from watcher.state.schema import BAND

_history, _tasks = schema.history.c, schema.tasks.c


def load_points(tx: Connection, key: TaskKey, *, newest: int = -1) -> list[Point]:
    """The task's changed observations, oldest first; at most so many of the newest ones (-1: all)."""
    no = tx.execute(_NUMBER, {"account": key.account, "id": key.id}).scalar()
    if no is None:
        return []
    rows = tx.execute(_POINTS, {"in_band": no // BAND, "of": no, "most": newest}).all()
    return [
        Point(row.time, row.life, row.step, row.epoch, row.loss, json.loads(row.changes) if row.changes else {})
        for row in reversed(rows)
    ]


# Built once: that costs more than running them.
_NUMBER = select(_tasks.no).where(_tasks.account == bindparam("account"), _tasks.id == bindparam("id"))
_POINTS = (
    select(schema.history)
    .where(_history.band == bindparam("in_band"), _history.task_no == bindparam("of"))
    .order_by(_history.number.desc())
    .limit(bindparam("most"))
)
