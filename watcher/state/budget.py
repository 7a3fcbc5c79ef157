"""What must outlive the process besides events: reserved queries, request numbers, running time, signs of life."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from watcher.state import schema
from watcher.state.record import load_account

LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Reserved:
    """Request numbers from `first` on, usable after `wait` seconds and until the wall time `ends`. `spacing` is the
    distance that another process kept to lately, in seconds."""

    first: int
    wait: float
    ends: datetime
    spacing: float | None = None


def reserve(
    tx: Connection,
    account: str,
    now: datetime,
    seconds: float,
    count: int,
    mine: datetime | None = None,
    spacing: float | None = None,
) -> Reserved:
    """Reserve the account's queries for `seconds` and `count` request numbers before any of them is used; `spacing` is
    the distance that they keep.

    Time that another process has reserved (or the one before this, which was killed) is waited for, at most a minute
    whatever the clock says; `mine` is the end of this process's own last reservation, which nobody waits for.
    """
    load_account(tx, account)
    row = schema.accounts.c.name == account
    until, theirs = tx.execute(select(schema.accounts.c.reserved_until, schema.accounts.c.spacing).where(row)).one()
    foreign = until is not None and until != mine
    wait = min(max((until - now).total_seconds(), 0.0), LONGEST_WAIT) if foreign else 0.0
    lately = foreign and abs((now - until).total_seconds()) < LONGEST_WAIT
    first = int(get_meta(tx, "request_number") or 0) + 1
    set_meta(tx, "request_number", str(first + count - 1))
    # As the store keeps it: whole milliseconds.
    ends = now + timedelta(milliseconds=math.ceil((wait + seconds) * 1000))
    ends -= timedelta(microseconds=ends.microsecond % 1000)
    tx.execute(update(schema.accounts).where(row).values(reserved_until=ends, spacing=spacing))
    return Reserved(first, wait, ends, theirs if lately else None)


def release(tx: Connection, account: str, mine: datetime | None, until: datetime) -> None:
    """At an orderly stop: what was reserved by this process but not used is given back."""
    row = schema.accounts.c.name == account
    tx.execute(
        update(schema.accounts).where(row, schema.accounts.c.reserved_until == mine).values(reserved_until=until)
    )


def key_mark(tx: Connection, account: str) -> str | None:
    """What stands for the key with which the account's tasks were last seen; None before the first time."""
    return tx.execute(select(schema.accounts.c.key_mark).where(schema.accounts.c.name == account)).scalar()


def save_key_mark(tx: Connection, account: str, mark: str) -> None:
    tx.execute(update(schema.accounts).where(schema.accounts.c.name == account).values(key_mark=mark))


def get_meta(tx: Connection, name: str) -> str | None:
    return tx.execute(select(schema.meta.c.value).where(schema.meta.c.name == name)).scalar()


def set_meta(tx: Connection, name: str, value: str) -> None:
    found = tx.execute(update(schema.meta).where(schema.meta.c.name == name).values(value=value))
    if not found.rowcount:
        tx.execute(insert(schema.meta).values(name=name, value=value))


def save_alive(tx: Connection, now: datetime, uptime: float, health: str) -> None:
    """The sign of life that `watcher health` reads, and the running time that spans are measured in (seconds)."""
    set_meta(tx, "alive", now.isoformat())
    set_meta(tx, "uptime", repr(uptime))
    set_meta(tx, "health", health)


def load_uptime(tx: Connection) -> float:
    return float(get_meta(tx, "uptime") or 0.0)


def load_alive(tx: Connection) -> datetime | None:
    text = get_meta(tx, "alive")
    return None if text is None else datetime.fromisoformat(text)
