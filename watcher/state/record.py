"""Writing down what was seen: snapshot, history, events and deliveries, all in the caller's one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from watcher.errors import UpstreamError
from watcher.models import Draft, Event, Observation, Snapshot, TaskKey, Window
from watcher.state import schema
from watcher.state.bulk import HISTORY, LATER, MOVED, SEEN, load_rows, write_rows
from watcher.state.diff import Change, Rules, compare, still_missing
from watcher.state.health import AccountHealth, ChannelHealth, Poll, after_poll
from watcher.state.rows import (
    BOOKKEEPING,
    TaskRow,
    account_from,
    account_row,
    channel_from,
    channel_row,
    dumps,
    fields_of,
    milliseconds,
    snapshot_from,
    snapshot_of,
    snapshot_row,
)
from watcher.state.steps import Step, step
from watcher.state.telling import Recorded as Recorded
from watcher.state.telling import Settled as Settled
from watcher.state.telling import append_events as append_events
from watcher.state.telling import channels_of

IN_COLUMNS = {"statusInfo.currStep", "statusInfo.currEpoch", "statusInfo.trainLoss", "updatedDate"}
"""Fields that the history keeps in columns, or that say nothing by themselves."""
ESTIMATED = "statusInfo.estimatedTime"

Unchanged = tuple[TaskKey, int, datetime]
"""A task that was seen as stored, by which request, and when."""


def record_observations(
    tx: Connection, settled: Settled, seen: Sequence[Observation], unchanged: Iterable[Unchanged] = ()
) -> Recorded:
    """Compare each observation with the stored snapshot and write what follows from it.

    `unchanged`: when the same tasks were last seen as stored, so that the windows are as narrow as they can be. It is
    written only with what changes; `save_seen` writes it by itself. Tasks that aren't watched any more are passed over.
    """
    looks = [look for look in seen if settled.watched(look.key, look.fields)]
    later = _latest(unchanged)
    comparisons: dict[TaskKey, Change] = {}
    events: list[Event] = []
    for page in _each_once(looks):
        events += _record_page(tx, settled, page, later, comparisons)
    return Recorded(tuple(events), channels_of(events, settled), comparisons)


def _record_page(
    tx: Connection,
    settled: Settled,
    page: Sequence[Observation],
    later: Mapping[TaskKey, tuple[int, datetime]],
    comparisons: dict[TaskKey, Change],
) -> list[Event]:
    rows = load_rows(tx, [look.key for look in page])
    events: list[Event] = []
    still: list[TaskRow] = []
    moved: list[TaskRow] = []
    points: list[TaskRow] = []
    for look in page:
        row, since = rows.get(look.key), later.get(look.key)
        quick = None if row is None else step(row, look, settled.milestones, since[0] if since else 0)
        if row is None or quick is None:
            change, new = _look_closely(tx, settled, look, row, since)
            events += new
        else:
            change, at = quick.change, milliseconds(look.time)
            if change.changes:
                moved.append((look.number, at, at, True, *quick.now, row[0]))
                points.append(_point(row, look.number, at, quick))
            else:
                still.append((look.number, at, row[0]))
        comparisons[look.key] = change
    write_rows(tx, SEEN, still)
    write_rows(tx, MOVED, moved)
    write_rows(tx, HISTORY, points)
    return events


def _point(row: TaskRow, number: int, at: int, look: Step) -> TaskRow:
    done, epoch, loss, _, estimated = look.now
    rest = None if estimated == look.before[-1] else dumps({ESTIMATED: estimated})
    return row[0] // schema.BAND, number, row[0], at, row[8], done, epoch, loss, rest


def _look_closely(
    tx: Connection, settled: Settled, look: Observation, row: TaskRow | None, later: tuple[int, datetime] | None
) -> tuple[Change, list[Event]]:
    stored = None if row is None else snapshot_of(row, fields_of(row))
    if stored is not None and later is not None and later[0] > stored.number:
        stored = replace(stored, number=later[0], seen=later[1])
    rules = Rules(settled.milestones, settled.listed(look.key), settled.stepped_at)
    change = compare(stored, look, rules)
    return change, _write_change(tx, look, change, settled)


def _latest(unchanged: Iterable[Unchanged]) -> dict[TaskKey, tuple[int, datetime]]:
    return {key: (number, time) for key, number, time in sorted(unchanged, key=lambda entry: entry[1])}


def _each_once(looks: Sequence[Observation]) -> Iterator[Sequence[Observation]]:
    """In parts in which no task stands twice: a second look is compared with what the first one made of it."""
    if len({look.key for look in looks}) == len(looks):
        yield looks
        return
    part: dict[TaskKey, Observation] = {}
    for look in looks:
        if look.key in part:
            yield list(part.values())
            part = {}
        part[look.key] = look
    yield list(part.values())


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
    if stored is None or number <= stored.number or not settled.watched(key, stored.fields):
        return Recorded()
    change = still_missing(stored, time, reason, confirmed=confirmed, at_once=at_once)
    if change.snapshot is None:
        return Recorded(comparisons={key: change})
    _save_snapshot(tx, change.snapshot)
    events = append_events(tx, change.drafts, settled, settled.subject(key, change.snapshot.fields))
    return Recorded(tuple(events), channels_of(events, settled), {key: change})


def record_unknown(
    tx: Connection, settled: Settled, key: TaskKey, time: datetime, near: Sequence[str], reason: str
) -> Recorded:
    """A listed id isn't known to its account: told once per task. `near`: ids or names like it; `reason` is
    "not_found" or "no_ownership"."""
    if not settled.listed(key) or tx.execute(_TOLD, {"account": key.account, "task": key.id}).first():
        return Recorded()
    details = {"near": list(near), "reason": reason}
    draft = Draft("task.unknown", Window(None, time), account=key.account, task=key.id, details=details)
    # Nobody has seen it, but it has its name and labels from the configuration, for routes and silences.
    events = append_events(tx, [draft], settled, settled.subject(key, {}))
    return Recorded(tuple(events), channels_of(events, settled))


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
    if error is not None:
        after = replace(after, hint=error.hint)
    if error is not None and error.hint:
        drafts = tuple(replace(draft, details={**draft.details, "hint": error.hint}) for draft in drafts)
    tx.execute(update(schema.accounts).where(schema.accounts.c.name == account).values(**account_row(after)))
    events = append_events(tx, drafts, settled)
    return after, Recorded(tuple(events), channels_of(events, settled))


def record_drafts(tx: Connection, settled: Settled, drafts: Iterable[Draft]) -> Recorded:
    """Events that follow from no observation: the watcher's own start, a gap, a rejected configuration."""
    events = append_events(tx, drafts, settled)
    return Recorded(tuple(events), channels_of(events, settled))


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
    row = tx.execute(_CHANNEL, {"of": name}).first()
    if row is None:
        tx.execute(insert(schema.channels).values(name=name))
        return ChannelHealth(name)
    return channel_from(row)


_CHANNEL = select(schema.channels).where(schema.channels.c.name == bindparam("of"))


def save_channel(tx: Connection, health: ChannelHealth) -> None:
    tx.execute(update(schema.channels).where(schema.channels.c.name == health.name).values(**channel_row(health)))


def save_seen(tx: Connection, seen: Iterable[Unchanged], answered: Iterable[tuple[str, datetime]] = ()) -> None:
    """Store when tasks were last seen unchanged, and when accounts last gave a good answer."""
    rows = [(number, milliseconds(time), key.account, key.id, number) for key, number, time in seen]
    write_rows(tx, LATER, rows)
    for name, moment in answered:
        tx.execute(update(schema.accounts).where(schema.accounts.c.name == name).values(last_good=moment))


# Made once: building a statement costs as much as running it.
_TOLD = select(schema.events.c.id).where(
    schema.events.c.account == bindparam("account"),
    schema.events.c.task == bindparam("task"),
    schema.events.c.type == "task.unknown",
)
_ONE_TASK = select(schema.tasks).where(
    schema.tasks.c.account == bindparam("account"), schema.tasks.c.id == bindparam("id")
)
_UPDATE_TASK = (
    update(schema.tasks)
    .where(schema.tasks.c.account == bindparam("k_account"), schema.tasks.c.id == bindparam("k_id"))
    .values({name: bindparam(name) for name in ("fields", "moved", *BOOKKEEPING)})
    .returning(schema.tasks.c.no)
)
_INSERT_TASK = insert(schema.tasks).returning(schema.tasks.c.no)
_INSERT_HISTORY = insert(schema.history)


def _write_change(tx: Connection, seen: Observation, change: Change, settled: Settled) -> list[Event]:
    if change.snapshot is None:
        return []
    subject = settled.subject(seen.key, change.snapshot.fields) if change.drafts else None
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
        "band": task_no // schema.BAND,
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


def _reason(error: UpstreamError | None) -> str:
    if error is None:
        return ""
    codes = ", ".join(part for part in (str(error.status or ""), error.code) if part)
    return error.message if not codes or codes in error.message else f"{error.message} ({codes})"
