"""Reading beside the daemon: for the command line, the page and metrics. It can't write."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DatabaseError

from watcher.errors import StoreStalled, StoreUnusable
from watcher.models import Delivery, Event, Point, Snapshot, TaskKey
from watcher.state import schema
from watcher.state.budget import get_meta
from watcher.state.claim import joined_with_events
from watcher.state.database import reading_engine, translate
from watcher.state.health import AccountHealth, ChannelHealth
from watcher.state.history import load_points
from watcher.state.migrate import HEAD, revision_of
from watcher.state.rows import account_from, channel_from, delivery_from, event_from, snapshot_from
from watcher.state.silences import Silence, active


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a delivery; `result` is None while it is under way."""

    number: int
    started: datetime
    ended: datetime | None
    result: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Alive:
    """The daemon's last sign of life and what it said of itself."""

    at: datetime
    uptime: float
    health: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trail:
    """Where an event went: when it was committed, and each delivery with the rule that made it and its tries."""

    event: Event
    committed: datetime
    deliveries: tuple[tuple[Delivery, str, tuple[Attempt, ...]], ...]


class Reader:
    """The store, read-only. Every method is one consistent look."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise StoreUnusable(f"there is no store at {path}", "start the watcher first with: watcher run")
        self._path = path
        self._engine = reading_engine(path)
        with self._look() as tx:
            if revision_of(tx) != HEAD:
                raise StoreUnusable(
                    f"the store {path} isn't of this version", "start the watcher of this version once: watcher run"
                )

    def tasks(self) -> list[Snapshot]:
        with self._look() as tx:
            query = select(schema.tasks).order_by(schema.tasks.c.account, schema.tasks.c.id)
            return [snapshot_from(row) for row in tx.execute(query)]

    def events(self, *, task: TaskKey | None = None, after: str | None = None, limit: int | None = None) -> list[Event]:
        """Events in commit order; `after` an event's id."""
        query = select(schema.events).order_by(schema.events.c.id).limit(limit)
        if task is not None:
            query = query.where(schema.events.c.account == task.account, schema.events.c.task == task.id)
        if after is not None:
            query = query.where(schema.events.c.id > int(after))
        with self._look() as tx:
            return [event_from(row._mapping) for row in tx.execute(query)]

    def deliveries(self, *, states: Collection[str] = (), channels: Collection[str] = ()) -> list[Delivery]:
        """Deliveries in the order of their events; of all states and channels unless some are named."""
        query = joined_with_events().order_by(schema.deliveries.c.event_id, schema.deliveries.c.channel)
        if states:
            query = query.where(schema.deliveries.c.state.in_(states))
        if channels:
            query = query.where(schema.deliveries.c.channel.in_(channels))
        with self._look() as tx:
            return [delivery_from(row._mapping) for row in tx.execute(query)]

    def history(self, key: TaskKey) -> list[Point]:
        """The task's changed observations, oldest first."""
        with self._look() as tx:
            return load_points(tx, key)

    def trail(self, key: TaskKey) -> list[Trail]:
        """Everything that is known of a task's events on their way to their readers."""
        with self._look() as tx:
            query = select(schema.events).where(schema.events.c.account == key.account, schema.events.c.task == key.id)
            rows = tx.execute(query.order_by(schema.events.c.id)).all()
            return [Trail(event_from(row._mapping), row.committed, _deliveries_of(tx, row.id)) for row in rows]

    def accounts(self) -> list[AccountHealth]:
        with self._look() as tx:
            return [account_from(row) for row in tx.execute(select(schema.accounts).order_by(schema.accounts.c.name))]

    def channels(self) -> list[ChannelHealth]:
        with self._look() as tx:
            return [channel_from(row) for row in tx.execute(select(schema.channels).order_by(schema.channels.c.name))]

    def counts(self) -> dict[tuple[str, str], int]:
        """How many deliveries there are by channel and state."""
        d = schema.deliveries.c
        with self._look() as tx:
            rows = tx.execute(select(d.channel, d.state, func.count()).group_by(d.channel, d.state))
            return {(row[0], row[1]): row[2] for row in rows}

    def silences(self, now: datetime) -> tuple[Silence, ...]:
        """What is silenced now, oldest first."""
        with self._look() as tx:
            return active(tx, now)

    def alive(self) -> Alive | None:
        with self._look() as tx:
            at = get_meta(tx, "alive")
            if at is None:
                return None
            health = json.loads(get_meta(tx, "health") or "{}")
            return Alive(datetime.fromisoformat(at), float(get_meta(tx, "uptime") or 0), health)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _look(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as tx:
                yield tx
        except DatabaseError as error:
            known = translate(error, self._path)
            if isinstance(known, StoreStalled):
                # For a reader it isn't a matter of time.
                raise StoreUnusable(
                    f"the store {self._path} can't be read: {error.orig}", "run this as the user that runs the watcher"
                ) from None
            raise known from None


def _deliveries_of(tx: Connection, event_id: int) -> tuple[tuple[Delivery, str, tuple[Attempt, ...]], ...]:
    d, a = schema.deliveries.c, schema.attempts
    found = []
    for row in tx.execute(joined_with_events().where(d.event_id == event_id).order_by(d.channel)).all():
        tries = tx.execute(select(a).where(a.c.delivery_id == row.id).order_by(a.c.number))
        attempts = tuple(Attempt(t.number, t.started, t.ended, t.result, t.reason) for t in tries)
        found.append((delivery_from(row._mapping), row.because, attempts))
    return tuple(found)
