"""Values to rows and back: the only place that knows both."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row, RowMapping

from watcher.models import Delivery, Event, Failure, Snapshot, TaskKey, Window
from watcher.state.health import AccountHealth, ChannelHealth

BOOKKEEPING = (
    "number", "first_seen", "seen", "changed", "life", "milestone", "status_since", "ended", "ending",
    "amended", "weights_told", "missing_since", "gone",
)  # fmt: skip
_ACCOUNT = ("last_good", "failed", "failing_since", "unreachable", "rejected_since", "rejected", "reason")
_CHANNEL = ("failures", "failing_since", "failing", "reason", "given_up", "given_up_reason", "gave_up_told")


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def snapshot_row(snapshot: Snapshot) -> dict[str, Any]:
    row = {name: getattr(snapshot, name) for name in BOOKKEEPING}
    return {"account": snapshot.key.account, "id": snapshot.key.id, "fields": dumps(dict(snapshot.fields)), **row}


def snapshot_from(row: Row[Any]) -> Snapshot:
    values = row._mapping
    key = TaskKey(values["account"], values["id"])
    return Snapshot(key=key, fields=json.loads(values["fields"]), **{name: values[name] for name in BOOKKEEPING})


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
