"""A realistic event of each type: for `test-notify`, and for whoever wants to see what a message looks like."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from watcher.errors import UsageError
from watcher.events import EVENT_TYPES
from watcher.models import Event, Failure, Window

ID, NAME, ACCOUNT, CHANNEL = "czf9fbky", "support-bot v3", "default", "team"
MISSPELT = "czf9fbk"
NEVER_BEFORE = frozenset(
    {
        "task.discovered",
        "task.unknown",
        "channel.failing",
        "channel.recovered",
        "channel.gave_up",
        "watcher.started",
        "watcher.config_rejected",
    }
)
"""Events that no earlier look bounds."""

STEPS, EPOCHS = 2000, 8

_CHANGES: dict[str, tuple[str | None, str | None]] = {
    "task.discovered": (None, "WAIT"),
    "task.started": ("WAIT", "RUNNING"),
    "task.succeeded": ("RUNNING", "SUCCEEDED"),
    "task.failed": ("RUNNING", "FAILED"),
    "task.reopened": ("FAILED", "RUNNING"),
    "task.requeued": ("RUNNING", "WAIT"),
    "task.status_changed": ("RUNNING", "PAUSED"),
    "task.progress": ("RUNNING", "RUNNING"),
    "task.weights_missing": ("SUCCEEDED", "SUCCEEDED"),
    "task.gone": ("RUNNING", None),
    "task.returned": (None, "RUNNING"),
    "task.queued_long": ("WAIT", "WAIT"),
    "task.unknown": (None, None),
}
_DETAILS: dict[str, dict[str, Any]] = {
    "task.started": {"waited": 4320},
    "task.succeeded": {"trained": 11100},
    "task.progress": {"percent": 50, "milestone": 50},
    "task.stalled": {"seconds": 2820},
    "task.queued_long": {"seconds": 21600},
    "task.loss_anomaly": {"reason": "the loss is not a number"},
    "task.gone": {"reason": "not_found"},
    "task.unknown": {"near": ["czf9fbky"], "reason": "not_found"},
    "account.rejected": {
        "reason": "the key is refused (401, 40104 Invalid key)",
        "hint": "issue a new key in CLOVA Studio and replace the secret (a key from the environment needs a restart)",
    },
    "account.unreachable": {
        "reason": "no answer within 10 s",
        "hint": "check the network, or raise the account's timeout",
    },
    "account.recovered": {"was": "unreachable"},
    "channel.failing": {"reason": "HTTP 503", "count": 3},
    "channel.gave_up": {"reason": "given up: HTTP 503", "count": 2},
    "watcher.started": {"tasks": 12, "training": 3, "waiting": 1, "finished": 8, "unseen": 0, "first": True},
    "watcher.gap": {"count": 2},
    "watcher.config_rejected": {
        "problems": [
            "watcher.yaml:7:1: chanels: unknown key. Did you mean channels?",
            "watcher.yaml:9:12: tasks[2].id: must be letters, digits, - and _",
        ]
    },
    "group.finished": {"group": "lr-sweep"},
}


def sample_event(type: str, *, now: datetime | None = None) -> Event:  # noqa: A002
    """An invented event of this type. Raises UsageError for a type that doesn't exist."""
    if type not in EVENT_TYPES:
        raise UsageError(f"there is no event type {type!r}", "one of: " + ", ".join(EVENT_TYPES))
    before = now or datetime.now(UTC)
    about_task, about_channel = type.startswith("task."), type.startswith("channel.")
    from_, to = _CHANGES.get(type, ("RUNNING", "RUNNING") if about_task else (None, None))
    after = None if type in NEVER_BEFORE else before - timedelta(seconds=5400 if type == "watcher.gap" else 30)
    row = EVENT_TYPES[type]
    return Event(
        id="sample",
        type=type,
        severity=row.severity,
        notable=row.notable,
        window=Window(after, before),
        account=ACCOUNT if about_task or type.startswith("account.") else None,
        task=(MISSPELT if type == "task.unknown" else ID) if about_task else None,
        channel=CHANNEL if about_channel else None,
        from_=from_,
        to=to,
        changes={"status": {"old": from_, "new": to}} if from_ != to else {},
        failure=_FAILURE if type == "task.failed" else None,
        details=_DETAILS.get(type, {}),
        subject=_subject(type, to or from_, before) if about_task else None,
    )


_FAILURE = Failure(
    reason="file.format",
    message="Invalid dataset: required field empty. Completion",
)


_UNSEEN = {
    "id": MISSPELT,
    "account": ACCOUNT,
    "name": None,
    "model": None,
    "status": None,
    "statusInfo": None,
    "labels": {"team": "nlp", "owner": "jiwon"},
    "progress": None,
    "eta": None,
}


def _subject(type_: str, status: str | None, now: datetime) -> Mapping[str, Any]:
    if type_ == "task.unknown":
        return _UNSEEN
    created = now - timedelta(hours=1, minutes=12)
    step = {"WAIT": None, "SUCCEEDED": STEPS, "FAILED": 0}.get(status or "", STEPS // 2)
    return {
        "id": ID,
        "account": ACCOUNT,
        "name": NAME,
        "model": "HCX-003",
        "status": status,
        "statusInfo": {
            "currStep": step,
            "totalTrainSteps": None if step is None else STEPS,
            "currEpoch": None if step is None else step * EPOCHS // STEPS,
            "totalTrainEpochs": None if step is None else EPOCHS,
            "trainLoss": {None: None, 0: None, STEPS: 0.41}.get(step, 0.82),
            "sendWeightSuccess": type_ != "task.weights_missing" if status == "SUCCEEDED" else None,
        },
        "labels": {"team": "nlp", "owner": "jiwon"},
        "progress": None if step is None else step * 100 // STEPS,
        "eta": None,
        "trainEpochs": EPOCHS,
        "createdDate": created.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
