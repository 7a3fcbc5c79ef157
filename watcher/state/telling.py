"""Events and their deliveries: what a transaction tells is written with it, or not at all."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from watcher.events import EVENT_TYPES
from watcher.models import Draft, Event, Fields, TaskKey
from watcher.state import schema
from watcher.state.diff import Change
from watcher.state.rows import event_row


@dataclass(frozen=True, slots=True)
class Settled:
    """What a transaction needs to know of the configuration and the moment.

    `hearers` gives the channels of an event, each with the rule that says so; `subject` a task's shape for readers;
    `listed` whether a task stands in the configuration, `watched` whether it is to be recorded at all. `uptime` in
    seconds.
    """

    hearers: Callable[[Event], Mapping[str, str]]
    subject: Callable[[TaskKey, Fields], Mapping[str, Any]]
    listed: Callable[[TaskKey], bool]
    milestones: tuple[int, ...]
    patience: float
    stepped_at: int
    uptime: float
    watched: Callable[[TaskKey, Fields], bool] = lambda _key, _fields: True


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one transaction wrote: its events in order, the channels to wake, and each task's comparison."""

    events: tuple[Event, ...] = ()
    channels: frozenset[str] = frozenset()
    comparisons: Mapping[TaskKey, Change] | None = None


def append_events(
    tx: Connection, drafts: Iterable[Draft], settled: Settled, subject: Mapping[str, Any] | None = None
) -> list[Event]:
    """Give the drafts their ids and write them with one delivery per channel that should hear of it.

    Ids are microseconds since the epoch or one more than the largest stored, whichever is more: they grow in commit
    order whatever the clock says, since SQLite's write lock is held.
    """
    events: list[Event] = []
    for draft in drafts:
        event = _event(draft, _next_id(tx, events), subject)
        tx.execute(insert(schema.events).values(committed=_now(), **event_row(event)))
        _enqueue(tx, event, settled)
        events.append(event)
    return events


def _event(draft: Draft, number: int, subject: Mapping[str, Any] | None) -> Event:
    kind = EVENT_TYPES[draft.type]
    return Event(
        id=str(number),
        type=draft.type,
        severity=kind.severity,
        notable=kind.notable if draft.notable is None else draft.notable,
        window=draft.window,
        account=draft.account,
        task=draft.task,
        channel=draft.channel,
        from_=draft.from_,
        to=draft.to,
        changes=draft.changes,
        failure=draft.failure,
        details=draft.details,
        subject=subject,
    )


def _next_id(tx: Connection, made: list[Event]) -> int:
    largest = int(made[-1].id) if made else tx.execute(select(func.max(schema.events.c.id))).scalar() or 0
    return max(time.time_ns() // 1000, largest + 1)


def _enqueue(tx: Connection, event: Event, settled: Settled) -> None:
    rows = [
        {
            "id": f"msg_{uuid.uuid4().hex}",
            "event_id": int(event.id),
            "channel": channel,
            "queue": event.queue,
            "because": because,
            "state": "waiting",
            "next_at": _now(),
            "born": settled.uptime,
        }
        for channel, because in settled.hearers(event).items()
    ]
    if rows:
        tx.execute(insert(schema.deliveries), rows)


def channels_of(events: Iterable[Event], settled: Settled) -> frozenset[str]:
    return frozenset(name for event in events for name in settled.hearers(event))


def _now() -> datetime:
    return datetime.now(tz=UTC)
