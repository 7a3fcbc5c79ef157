"""Values to rows and back: the only place that knows both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Row, RowMapping

from watcher.models import Delivery, Event, Failure, Fields, Snapshot, TaskKey, Window
from watcher.state.health import AccountHealth, ChannelHealth
from watcher.state.schema import EPOCH, MILLISECOND

BOOKKEEPING = (
    "number", "first_seen", "seen", "changed", "life", "milestone", "status_since", "ended", "ending",
    "amended", "weights_told", "missing_since", "gone",
)  # fmt: skip
MOVING = {
    "statusInfo.currStep": "step",
    "statusInfo.currEpoch": "epoch",
    "statusInfo.trainLoss": "loss",
    "updatedDate": "updated",
    "statusInfo.estimatedTime": "estimated",
}
"""Fields that change while a task does nothing but go on, each with the column that has it where `moved`."""

_ACCOUNT = ("last_good", "failed", "failing_since", "unreachable", "rejected_since", "rejected", "reason", "hint")
_CHANNEL = (
    "failures",
    "failing_since",
    "failing",
    "reason",
    "given_up",
    "given_up_reason",
    "gave_up_told",
    "paused_until",
)


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


TASK_COLUMNS = ("no", "account", "id", "fields", *BOOKKEEPING, "moved", *MOVING.values())
TaskRow = tuple[Any, ...]
"""A row of tasks as the database has it: TASK_COLUMNS, times in milliseconds."""


def snapshot_row(snapshot: Snapshot) -> dict[str, Any]:
    """The row with all of its fields in `fields`."""
    row = {name: getattr(snapshot, name) for name in BOOKKEEPING}
    about = {"account": snapshot.key.account, "id": snapshot.key.id, "fields": dumps(dict(snapshot.fields))}
    return {**about, **row, "moved": False}


def snapshot_from(row: Row[Any]) -> Snapshot:
    values = row._mapping
    key = TaskKey(values["account"], values["id"])
    return Snapshot(key=key, fields=_fields_in(values), **{name: values[name] for name in BOOKKEEPING})


def fields_of(row: TaskRow) -> dict[str, Any]:
    """All fields of the row, what moves included."""
    return _fields_in(dict(zip(TASK_COLUMNS, row, strict=True)))


def _fields_in(values: Mapping[Any, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(values["fields"])
    if values["moved"]:
        fields |= {name: values[column] for name, column in MOVING.items() if name in fields}
    return fields


def snapshot_of(
    row: TaskRow, fields: Fields, key: TaskKey | None = None, number: int = 0, seen: datetime | None = None,
    changed: datetime | None = None,
) -> Snapshot:  # fmt: skip
    """The row with these fields; a later look and the time of a change may go before what the row says."""
    made: Any = _Unfrozen()
    (
        _, account, id_, _, made.number, first_seen, seen_before, changed_before, made.life, made.milestone,
        status_since, ended, made.ending, amended, weights_told, missing_since, made.gone, *_,
    ) = row  # fmt: skip
    made.key, made.fields = key or TaskKey(account, id_), fields
    made.first_seen, made.status_since = moment(first_seen), status_since and moment(status_since)
    made.seen, made.changed = seen or moment(seen_before), changed or moment(changed_before)
    made.ended, made.missing_since = ended and moment(ended), missing_since and moment(missing_since)
    made.amended, made.weights_told = bool(amended), bool(weights_told)
    if number:
        made.number = number
    made.__class__ = Snapshot
    return cast(Snapshot, made)


class _Unfrozen(Snapshot):
    """A snapshot in the making: the constructor of a frozen class takes five times as long."""

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__

    def __init__(self) -> None:
        pass


@lru_cache(maxsize=4096)
def moment(milliseconds: int) -> datetime:
    return EPOCH + milliseconds * MILLISECOND


@lru_cache(maxsize=4096)
def milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MILLISECOND


def event_row(event: Event) -> dict[str, Any]:
    body = {
        "from": event.from_,
        "to": event.to,
        "changes": {name: dict(change) for name, change in event.changes.items()},
        "failure": _failure_row(event.failure),
        "details": dict(event.details),
        "subject": None if event.subject is None else dict(event.subject),
    }
    return {
        "id": int(event.id),
        "type": event.type,
        "severity": event.severity,
        "notable": event.notable,
        "after": event.window.after,
        "time": event.window.before,
        "account": event.account,
        "task": event.task,
        "channel": event.channel,
        "body": dumps(body),
    }


def event_from(values: RowMapping, prefix: str = "") -> Event:
    """An event from a row's mapping, whose columns may carry a prefix where tables are joined."""

    def column(name: str) -> Any:
        return values[prefix + name]

    body = json.loads(column("body"))
    return Event(
        id=str(column("id")),
        type=column("type"),
        severity=column("severity"),
        notable=bool(column("notable")),
        window=Window(column("after"), column("time")),
        account=column("account"),
        task=column("task"),
        channel=column("channel"),
        from_=body["from"],
        to=body["to"],
        changes=body["changes"],
        failure=Failure(**body["failure"]) if body["failure"] else None,
        details=body["details"],
        subject=body["subject"],
    )


def delivery_from(values: RowMapping) -> Delivery:
    """A delivery from a join of deliveries with events, the latter's columns prefixed `event_`."""
    return Delivery(
        id=values["id"],
        event=event_from(values, "event_"),
        channel=values["channel"],
        state=values["state"],
        attempts=values["attempts"],
        next_at=values["next_at"],
        reason=values["reason"],
        plain=values["deaths"] >= 2,
        born=values["born"],
        silent=bool(values["silent"]),
    )


def account_row(health: AccountHealth) -> dict[str, Any]:
    return {name: getattr(health, name) for name in _ACCOUNT}


def account_from(row: Row[Any]) -> AccountHealth:
    values = row._mapping
    return AccountHealth(values["name"], **{name: values[name] for name in _ACCOUNT})


def channel_row(health: ChannelHealth) -> dict[str, Any]:
    return {name: getattr(health, name) for name in _CHANNEL}


def channel_from(row: Row[Any]) -> ChannelHealth:
    values = row._mapping
    return ChannelHealth(values["name"], **{name: values[name] for name in _CHANNEL})


def _failure_row(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {
        "reason": failure.reason,
        "message": failure.message,
        "explanation": failure.explanation,
        "fix": failure.fix,
    }
