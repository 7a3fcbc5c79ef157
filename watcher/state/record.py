"""Writing down what was seen: snapshot, history, events and deliveries, all in the caller's one transaction."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from watcher.errors import UpstreamError
from watcher.events import EVENT_TYPES
from watcher.models import Draft, Event, Fields, Observation, Snapshot, TaskKey
from watcher.state import schema
from watcher.state.diff import Change, Rules, compare, still_missing
from watcher.state.health import AccountHealth, ChannelHealth, Poll, after_poll
from watcher.state.rows import (
    BOOKKEEPING,
    account_from,
    account_row,
    channel_from,
    channel_row,
    dumps,
    event_row,
    snapshot_from,
    snapshot_row,
)

IN_COLUMNS = {"statusInfo.currStep", "statusInfo.currEpoch", "statusInfo.trainLoss", "updatedDate"}
"""Fields that the history keeps in columns, or that say nothing by themselves."""


Unchanged = tuple[TaskKey, int, datetime]
"""A task that was seen as stored, by which request, and when."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a transaction needs to know of the configuration and the moment.

    `hearers` gives the channels of an event, each with the rule that says so; `subject` a task's shape for readers;
    `listed` whether a task stands in the configuration. `uptime` in seconds.
    """

    hearers: Callable[[Event], Mapping[str, str]]
    subject: Callable[[TaskKey, Fields], Mapping[str, Any]]
    listed: Callable[[TaskKey], bool]
    milestones: tuple[int, ...]
    patience: float
    stepped_at: int
    uptime: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one transaction wrote: its events in order, the channels to wake, and each task's comparison."""

    events: tuple[Event, ...] = ()
    channels: frozenset[str] = frozenset()
    comparisons: Mapping[TaskKey, Change] | None = None


def record_observations(
    tx: Connection, settled: Settled, seen: Sequence[Observation], unchanged: Iterable[Unchanged] = ()
) -> Recorded:
    """Compare each observation with the stored snapshot and write what follows from it.

    `unchanged`: when the same tasks were last seen as stored, so that the windows are as narrow as they can be.
    """
    save_seen(tx, unchanged)
    comparisons: dict[TaskKey, Change] = {}
    events: list[Event] = []
    for observation in seen:
        stored = load_snapshot(tx, observation.key)
        rules = Rules(settled.milestones, settled.listed(observation.key), settled.stepped_at)
        change = compare(stored, observation, rules)
        comparisons[observation.key] = change
        events += _write_change(tx, observation, change, settled)
    return Recorded(tuple(events), _channels(events, settled), comparisons)


def record_missing(
    tx: Connection,
    settled: Settled,
    key: TaskKey,
    number: int,
    time: datetime,
    reason: str,
    *,
    confirmed: bool,
    at_once: bool = False,
) -> Recorded:
    """GET `number` said that the task isn't there; see `diff.still_missing`. An unknown task stays unknown."""
    stored = load_snapshot(tx, key)
    if stored is None or number <= stored.number:
        return Recorded()
    change = still_missing(stored, time, reason, confirmed=confirmed, at_once=at_once)
    if change.snapshot is None:
        return Recorded(comparisons={key: change})
    _save_snapshot(tx, change.snapshot)
    events = append_events(tx, change.drafts, settled, settled.subject(key, change.snapshot.fields))
    return Recorded(tuple(events), _channels(events, settled), {key: change})


def record_poll(
    tx: Connection,
    settled: Settled,
    account: str,
    poll: Poll,
    error: UpstreamError | None,
    time: datetime,
    last_good: datetime | None,
) -> tuple[AccountHealth, Recorded]:
    """Note how a poll of the account went and tell what follows from it. `last_good` may be newer than the row's."""
    health = load_account(tx, account)
    if last_good is not None and (health.last_good is None or health.last_good < last_good):
        health = replace(health, last_good=last_good)
    reason = _reason(error)
    after, drafts = after_poll(health, poll, reason, time=time, uptime=settled.uptime, patience=settled.patience)
    if error is not None and error.hint:
        drafts = tuple(replace(draft, details={**draft.details, "hint": error.hint}) for draft in drafts)
    tx.execute(update(schema.accounts).where(schema.accounts.c.name == account).values(**account_row(after)))
    events = append_events(tx, drafts, settled)
    return after, Recorded(tuple(events), _channels(events, settled))


def record_drafts(tx: Connection, settled: Settled, drafts: Iterable[Draft]) -> Recorded:
    """Events that follow from no observation: the watcher's own start, a gap, a rejected configuration."""
    events = append_events(tx, drafts, settled)
    return Recorded(tuple(events), _channels(events, settled))


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


def load_snapshot(tx: Connection, key: TaskKey) -> Snapshot | None:
    row = tx.execute(_ONE_TASK, {"account": key.account, "id": key.id}).first()
    return None if row is None else snapshot_from(row)


def load_account(tx: Connection, name: str) -> AccountHealth:
    """The account's row, made if there is none."""
    row = tx.execute(select(schema.accounts).where(schema.accounts.c.name == name)).first()
    if row is None:
        tx.execute(insert(schema.accounts).values(name=name))
        return AccountHealth(name)
    return account_from(row)


def load_channel(tx: Connection, name: str) -> ChannelHealth:
    """The channel's row, made if there is none."""
    row = tx.execute(select(schema.channels).where(schema.channels.c.name == name)).first()
    if row is None:
        tx.execute(insert(schema.channels).values(name=name))
        return ChannelHealth(name)
    return channel_from(row)


def save_channel(tx: Connection, health: ChannelHealth) -> None:
    tx.execute(update(schema.channels).where(schema.channels.c.name == health.name).values(**channel_row(health)))


def save_seen(tx: Connection, seen: Iterable[Unchanged], answered: Iterable[tuple[str, datetime]] = ()) -> None:
    """Store when tasks were last seen unchanged, and when accounts last gave a good answer."""
    rows = [{"k_account": key.account, "k_id": key.id, "n": number, "t": time} for key, number, time in seen]
    if rows:
        tx.execute(_SEEN, rows)
    for name, moment in answered:
        tx.execute(update(schema.accounts).where(schema.accounts.c.name == name).values(last_good=moment))


# Made once: building a statement costs as much as running it.
_ONE_TASK = select(schema.tasks).where(
    schema.tasks.c.account == bindparam("account"), schema.tasks.c.id == bindparam("id")
)
_SEEN = (
    update(schema.tasks)
    .where(
        schema.tasks.c.account == bindparam("k_account"),
        schema.tasks.c.id == bindparam("k_id"),
        schema.tasks.c.number < bindparam("n"),
    )
    .values(number=bindparam("n"), seen=bindparam("t"))
)

_UPDATE_TASK = (
    update(schema.tasks)
    .where(schema.tasks.c.account == bindparam("k_account"), schema.tasks.c.id == bindparam("k_id"))
    .values({name: bindparam(name) for name in ("fields", *BOOKKEEPING)})
    .returning(schema.tasks.c.no)
)
_INSERT_TASK = insert(schema.tasks).returning(schema.tasks.c.no)
_INSERT_HISTORY = insert(schema.history)


def _write_change(tx: Connection, seen: Observation, change: Change, settled: Settled) -> list[Event]:
    if change.snapshot is None:
        return []
    subject = settled.subject(seen.key, change.snapshot.fields)
    events = append_events(tx, change.drafts, settled, subject)
    ending = [e.id for e in events if e.type in ("task.succeeded", "task.failed") and "amends" not in e.details]
    snapshot = replace(change.snapshot, ending=ending[-1]) if ending else change.snapshot
    task_no = _save_snapshot(tx, snapshot)
    if change.changes:
        _write_history(tx, task_no, seen, snapshot, change.changes)
    return events


def _save_snapshot(tx: Connection, snapshot: Snapshot) -> int:
    row = snapshot_row(snapshot)
    found = tx.execute(_UPDATE_TASK, {**row, "k_account": row.pop("account"), "k_id": row.pop("id")}).scalar()
    if found is None:
        found = tx.execute(_INSERT_TASK, snapshot_row(snapshot)).scalar_one()
    return int(found)


def _write_history(
    tx: Connection, task_no: int, seen: Observation, snapshot: Snapshot, changes: Mapping[str, Mapping[str, Any]]
) -> None:
    rest = {name: change["new"] for name, change in changes.items() if name not in IN_COLUMNS}
    loss = snapshot.fields.get("statusInfo.trainLoss")
    if isinstance(loss, str):
        # NaN and infinity are facts of a training; a column of numbers can't hold them everywhere.
        rest["statusInfo.trainLoss"] = loss
    values = {
        "task_no": task_no,
        "number": seen.number,
        "time": seen.time,
        "life": snapshot.life,
        "step": _number(snapshot.fields.get("statusInfo.currStep")),
        "epoch": _number(snapshot.fields.get("statusInfo.currEpoch")),
        "loss": _number(loss),
        "changes": dumps(rest) if rest else None,
    }
    tx.execute(_INSERT_HISTORY, values)


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) else None


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


def _channels(events: Iterable[Event], settled: Settled) -> frozenset[str]:
    return frozenset(name for event in events for name in settled.hearers(event))


def _reason(error: UpstreamError | None) -> str:
    if error is None:
        return ""
    codes = ", ".join(part for part in (str(error.status or ""), error.code) if part)
    return error.message if not codes or codes in error.message else f"{error.message} ({codes})"


def _now() -> datetime:
    return datetime.now(tz=schema.EPOCH.tzinfo)
