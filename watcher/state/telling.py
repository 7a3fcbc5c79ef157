"""Events and their deliveries: what a transaction tells is written with it, or not at all."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from watcher.events import EVENT_TYPES
from watcher.models import Draft, Event, Fields, TaskKey
from watcher.notifier.route import speaks
from watcher.state import schema
from watcher.state.diff import Change
from watcher.state.rows import event_row
from watcher.state.silences import Silence, active, inhibited, silenced_by

TASK, GROUP = "task ", "group "
"""How the subject of a card begins."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a transaction needs to know of the configuration and the moment.

    `hearers` gives the channels of an event, each with the rule that says so; `subject` a task's shape for readers;
    `listed` whether a task stands in the configuration, `watched` whether it is to be recorded at all, `group` the
    group it belongs to. `keeps_cards`: the channels that do. `urgent` tells of an event, a channel and the rule because
    of which it hears it whether that comes in quiet hours, too. `uptime` in seconds.
    """

    hearers: Callable[[Event], Mapping[str, str]]
    subject: Callable[[TaskKey, Fields], Mapping[str, Any]]
    listed: Callable[[TaskKey], bool]
    milestones: tuple[int, ...]
    patience: float
    stepped_at: int
    uptime: float
    watched: Callable[[TaskKey, Fields], bool] = lambda _key, _fields: True
    group: Callable[[TaskKey, Fields], str | None] = lambda _key, _fields: None
    keeps_cards: Collection[str] = frozenset()
    urgent: Callable[[Event, str, str], bool] = lambda _event, _channel, _because: False


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
    hushed: _Hushed | None = None
    for draft in drafts:
        event = _event(draft, _next_id(tx, events), subject)
        tx.execute(insert(schema.events).values(committed=_now(), **event_row(event)))
        hushed = hushed or _hushed(tx)
        _enqueue(tx, event, settled, hushed)
        events.append(event)
    return events


@dataclass(frozen=True, slots=True)
class _Hushed:
    """What is to be quiet at the moment: by somebody's wish, or since it follows from what was told already."""

    silences: Sequence[Silence]
    rejected: frozenset[str]

    def reason(self, event: Event) -> str:
        """Why nobody is to hear of the event; "" if somebody is."""
        silence = silenced_by(event, self.silences)
        if silence is None:
            return inhibited(event, self.rejected)
        return f"silence {silence.id}{': ' if silence.reason else ''}{silence.reason}"


def _hushed(tx: Connection) -> _Hushed:
    a = schema.accounts.c
    rejected = tx.execute(select(a.name).where(a.rejected)).scalars()
    return _Hushed(active(tx, _now()), frozenset(rejected))


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


def _enqueue(tx: Connection, event: Event, settled: Settled, hushed: _Hushed) -> None:
    hearers = settled.hearers(event)
    if not hearers:
        return
    hush = hushed.reason(event)
    state = {"state": "silenced", "reason": hush, "finished": _now()} if hush else {"state": "waiting"}
    card = _card_of(event, settled)
    rows = [
        {
            "id": f"msg_{uuid.uuid4().hex}",
            "event_id": int(event.id),
            "channel": channel,
            "queue": event.queue,
            "because": because,
            "next_at": None if hush else _now(),
            "born": settled.uptime,
            "card": card if channel in settled.keeps_cards else None,
            "silent": card is not None and channel in settled.keeps_cards and not speaks(event),
            "urgent": settled.urgent(event, channel, because),
            **state,
        }
        for channel, because in hearers.items()
    ]
    tx.execute(insert(schema.deliveries), rows)


def _card_of(event: Event, settled: Settled) -> str | None:
    """The card that shows the event's task. One that nobody has seen yet has none."""
    if event.task is None or event.account is None or (event.subject or {}).get("status") is None:
        return None
    key = TaskKey(event.account, event.task)
    return subject_of(key, settled.group(key, event.subject or {}))


def subject_of(key: TaskKey, group: str | None) -> str:
    """The card on which a task stands: its own, or its group's."""
    return f"{GROUP}{group}" if group is not None else f"{TASK}{key}"


def channels_of(events: Iterable[Event], settled: Settled) -> frozenset[str]:
    return frozenset(name for event in events for name in settled.hearers(event))


def _now() -> datetime:
    return datetime.now(tz=UTC)
