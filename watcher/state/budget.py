"""What must outlive the process besides events: reserved queries, request numbers, running time, signs of life."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from watcher.state import schema
from watcher.state.record import load_account


def reserve(tx: Connection, account: str, now: datetime, seconds: float, count: int) -> int:
    """Reserve the account's queries for the next `seconds` before any of them is sent; return the first of `count`
    request numbers. So a process that is killed leaves behind how long its successor has to wait."""
    load_account(tx, account)
    until = now + timedelta(seconds=seconds)
    tx.execute(update(schema.accounts).where(schema.accounts.c.name == account).values(reserved_until=until))
    first = int(get_meta(tx, "request_number") or 0) + 1
    set_meta(tx, "request_number", str(first + count - 1))
    return first


def release(tx: Connection, account: str, until: datetime) -> None:
    """At an orderly stop: what was reserved but not used is given back."""
    tx.execute(update(schema.accounts).where(schema.accounts.c.name == account).values(reserved_until=until))


def reserved_for(tx: Connection, account: str, now: datetime) -> float:
    """Seconds until the reservation that an earlier process left ends; at least 0."""
    load_account(tx, account)
    until = tx.execute(select(schema.accounts.c.reserved_until).where(schema.accounts.c.name == account)).scalar()
    return 0.0 if until is None else max(0.0, (until - now).total_seconds())


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
