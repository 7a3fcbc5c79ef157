"""The shapes that programs read: JSON of the command line, the API and webhooks, all in one place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from watcher.insight.progress import progress_percent
from watcher.models import Delivery, Event, Fields, TaskKey, Window

INFO = "statusInfo."


def rfc3339(moment: datetime | None) -> str | None:
    """UTC with milliseconds and `Z`, as everywhere outside; None stays None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def task_json(key: TaskKey, fields: Fields, name: str | None, labels: Mapping[str, str]) -> dict[str, Any]:
    """A task as a webhook's `data.task` shows it; `name` (from the configuration) goes before the upstream's."""
    return {
        "id": key.id,
        "account": key.account,
        "name": name or fields.get("name"),
        "model": fields.get("model"),
        "status": fields.get("status"),
        "statusInfo": {k.removeprefix(INFO): v for k, v in fields.items() if k.startswith(INFO)} or None,
        "labels": dict(labels),
        "progress": progress_percent(fields),
        "eta": None,
        **{k: fields[k] for k in ("trainEpochs", "learningRate", "createdDate", "updatedDate") if k in fields},
    }


def window_json(window: Window) -> dict[str, str | None]:
    return {"after": rfc3339(window.after), "before": rfc3339(window.before)}


def event_json(event: Event) -> dict[str, Any]:
    """An event as lists and the API show it; `task` is the id."""
    shape: dict[str, Any] = {
        "id": event.id,
        "type": event.type,
        "severity": event.severity,
        "notable": event.notable,
        "time": rfc3339(event.time),
        "account": event.account,
        "task": event.task,
        "from": event.from_,
        "to": event.to,
        "window": window_json(event.window),
        "changes": {name: dict(change) for name, change in event.changes.items()},
    }
    if event.channel is not None:
        shape["channel"] = event.channel
    if event.failure is not None:
        failure = event.failure
        shape["failure"] = {
            "reason": failure.reason,
            "message": failure.message,
            "explanation": failure.explanation,
            "fix": failure.fix,
        }
    return shape | dict(event.details)


def cloud_event(event: Event) -> dict[str, Any]:
    """The body of a webhook: CloudEvents 1.0, structured JSON."""
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": _source(event),
        "type": event.type,
        "time": rfc3339(event.time),
        "datacontenttype": "application/json",
        "data": event_json(event) | {"task": None if event.subject is None else dict(event.subject)},
    }
    if event.task is not None:
        envelope["subject"] = event.task
    return envelope


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "event": delivery.event.id,
        "type": delivery.event.type,
        "task": delivery.event.task,
        "channel": delivery.channel,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_at": rfc3339(delivery.next_at),
        "reason": delivery.reason or None,
    }


def _source(event: Event) -> str:
    if event.channel is not None:
        return f"/channels/{event.channel}"
    return f"/accounts/{event.account}" if event.account is not None else "/watcher"
