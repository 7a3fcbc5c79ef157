"""Reading and writing a page of tasks with a few statements.

SQLAlchemy takes each row of a statement apart by name, which costs more than SQLite's own work; where a driver counts
its parameters it gets plain tuples instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Row, text

from watcher.models import TaskKey
from watcher.state.rows import TASK_COLUMNS, TaskRow

_AT_ONCE = 500
_ID = TASK_COLUMNS.index("id")
_NAME = re.compile(r":(\w+)")

SEEN = "UPDATE tasks SET number = :number, seen = :seen WHERE no = :no"
LATER = "UPDATE tasks SET number = :number, seen = :seen WHERE account = :account AND id = :id AND number < :limit"
MOVED = (
    "UPDATE tasks SET number = :number, seen = :seen, changed = :changed, moved = :moved, "
    "step = :step, epoch = :epoch, loss = :loss, updated = :updated, estimated = :estimated WHERE no = :no"
)
FURTHER = MOVED + " AND changed = :changed_before AND number < :limit AND missing_since IS NULL AND gone = ''"
"""Only where the row is as it was remembered."""
HISTORY = (
    "INSERT INTO history (band, number, task_no, time, life, step, epoch, loss, changes) "
    "VALUES (:band, :number, :task_no, :time, :life, :step, :epoch, :loss, :changes)"
)


def load_rows(tx: Connection, keys: Iterable[TaskKey]) -> dict[TaskKey, TaskRow]:
    """The rows of those tasks that are known."""
    of_account: dict[str, list[TaskKey]] = {}
    for key in keys:
        of_account.setdefault(key.account, []).append(key)
    found: dict[TaskKey, TaskRow] = {}
    for account, wanted in of_account.items():
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            rows: dict[str, TaskRow] = {row[_ID]: row for row in _select(tx, account, [key.id for key in some])}
            found |= {key: rows[key.id] for key in some if key.id in rows}
    return found


def write_rows(tx: Connection, statement: str, rows: Sequence[TaskRow]) -> int:
    """Run the statement for each row of values, which stand in the order of its names; returns how many it met."""
    if not rows:
        return 0
    if tx.dialect.paramstyle == "qmark":
        if statement is HISTORY and len(rows) <= _AT_ONCE:
            # One statement of many rows: the driver lets go of Python's lock for each, and threads then fight for it.
            return tx.exec_driver_sql(_of_rows(statement, len(rows)), tuple(chain.from_iterable(rows))).rowcount
        return tx.exec_driver_sql(_counted(statement), list(rows)).rowcount
    names = _NAME.findall(statement)
    return tx.execute(text(statement), [dict(zip(names, row, strict=True)) for row in rows]).rowcount


def _select(tx: Connection, account: str, ids: list[str]) -> Iterable[Row[Any]]:
    statement = _tasks_by_id(len(ids))
    values = (account, *ids)
    if tx.dialect.paramstyle == "qmark":
        return tx.exec_driver_sql(_counted(statement), values)
    return tx.execute(text(statement), dict(zip(_NAME.findall(statement), values, strict=True)))


@lru_cache(maxsize=_AT_ONCE)
def _tasks_by_id(count: int) -> str:
    places = ", ".join(f":id{place}" for place in range(count))
    return f"SELECT {', '.join(TASK_COLUMNS)} FROM tasks WHERE account = :account AND id IN ({places})"  # noqa: S608


@lru_cache(maxsize=_AT_ONCE)
def _of_rows(statement: str, count: int) -> str:
    """An INSERT of one row as one of so many."""
    start, row = _counted(statement).split("VALUES ")
    return f"{start}VALUES {', '.join([row] * count)}"


@lru_cache(maxsize=_AT_ONCE + 10)
def _counted(statement: str) -> str:
    return _NAME.sub("?", statement)
