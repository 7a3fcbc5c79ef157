"""What the documents say of webhooks, made from the code: `python -m tests.support.webhook_docs` rewrites it.

A sample of every event type, as a receiver gets it, the JSON Schema of `data`, and the samples in docs/events.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watcher.clova.tasks import INFO_FIELDS, TASK_FIELDS, read_bool, read_float, read_int, read_labels, read_text
from watcher.events import EVENT_TYPES
from watcher.notifier.samples import sample_event
from watcher.views import INFO, cloud_event

FOLDER = Path(__file__).parents[2] / "docs" / "webhooks"
EVENTS = FOLDER.parent / "events.md"
NOW = datetime(2026, 3, 2, 5, 2, 40, tzinfo=UTC)

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TRUE: Schema = {"const": True}
REASON: Schema = {"type": "string", "minLength": 1}
TIME: Schema = {"$ref": "#/$defs/time"}
NO_TIME: Schema = {"anyOf": [TIME, {"type": "null"}]}

_READ: dict[Any, Schema] = {
    read_text: {"type": ["string", "null"]},
    read_int: {"type": ["integer", "null"]},
    read_float: {"anyOf": [{"type": ["number", "null"]}, {"enum": ["NaN", "Infinity", "-Infinity"]}]},
    read_bool: {"type": ["boolean", "null"]},
    read_labels: {"anyOf": [{"type": "array", "items": TEXT}, {"type": "null"}]},
}
_LOST: Schema = {"reason": {"enum": ["not_found", "no_ownership"]}}
_TROUBLE: Schema = {"reason": REASON, "hint": TEXT}

CARRIES: dict[str, tuple[Schema, tuple[str, ...]]] = {
    "task.discovered": ({}, ()),
    "task.started": ({"waited": COUNT}, ()),
    "task.succeeded": ({"missed": {"const": ["RUNNING"]}, "trained": COUNT, "first_sight": TRUE}, ()),
    "task.failed": (
        {"missed": {"const": ["RUNNING"]}, "trained": COUNT, "first_sight": TRUE, "amends": {"$ref": "#/$defs/id"}},
        ("failure",),
    ),
    "task.weights_missing": ({"first_sight": TRUE}, ()),
    "task.progress": (
        {
            "percent": {"type": "integer", "minimum": 0, "maximum": 100},
            "milestone": {"type": "integer", "minimum": 1, "maximum": 99},
        },
        ("percent", "milestone"),
    ),
    "task.stalled": ({"seconds": COUNT}, ("seconds",)),
    "task.queued_long": ({"seconds": COUNT}, ("seconds",)),
    "task.loss_anomaly": ({"reason": REASON}, ("reason",)),
    "task.gone": (_LOST, ("reason",)),
    "task.unknown": (_LOST | {"near": {"type": "array", "items": TEXT}}, ("reason", "near")),
    "account.rejected": (_TROUBLE, ("reason",)),
    "account.unreachable": (_TROUBLE, ("reason",)),
    "account.recovered": ({"was": {"enum": ["unreachable", "rejected"]}}, ("was",)),
    "channel.failing": ({"reason": REASON, "count": COUNT}, ("reason", "count")),
    "channel.gave_up": ({"reason": REASON, "count": COUNT}, ("reason", "count")),
    "watcher.started": (
        {"first": {"type": "boolean"}} | dict.fromkeys(("tasks", "training", "waiting", "finished", "unseen"), COUNT),
        ("first", "tasks", "training", "waiting", "finished", "unseen"),
    ),
    "watcher.gap": ({"count": COUNT}, ("count",)),
    "watcher.config_rejected": (
        {"problems": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 11}},
        ("problems",),
    ),
    "group.finished": ({"group": REASON}, ("group",)),
}
"""What a type carries besides what all have, and which of it always. A type that isn't here carries nothing more."""

SEEN_BEFORE = ("started", "progress", "requeued", "reopened", "status_changed", "returned", "gone")
"""Events of a task that was seen before: their window has a beginning."""

AT_ONCE = ("task.discovered", "task.unknown", "watcher.started", "watcher.config_rejected")
"""Events that no earlier look bounds; those of channels are the same."""


def samples() -> dict[str, dict[str, Any]]:
    """Each type's sample as a webhook gets it."""
    return {type_: cloud_event(replace(sample_event(type_, now=NOW), id="1772427760000000")) for type_ in EVENT_TYPES}


def schema() -> Schema:
    """The JSON Schema of a webhook's `data`. It takes keys that it doesn't know, since later versions may add some."""
    common = {
        "id": {"$ref": "#/$defs/id"},
        "type": {"enum": list(EVENT_TYPES)},
        "severity": {"enum": ["info", "success", "warning", "failure"]},
        "notable": {"type": "boolean"},
        "time": TIME | {"description": "The same as window.before."},
        "account": {"type": ["string", "null"], "description": "The account's name; null where it is about none."},
        "task": {"anyOf": [{"$ref": "#/$defs/task"}, {"type": "null"}]},
        "from": {"type": ["string", "null"], "description": "The status before."},
        "to": {"type": ["string", "null"], "description": "The status after."},
        "window": {"$ref": "#/$defs/window"},
        "changes": {"$ref": "#/$defs/changes"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "data of a webhook",
        "description": "What an event says; its type is also in the envelope. Made by tests: don't edit it.",
        "type": "object",
        "required": list(common),
        "properties": common | {"test": TRUE | {"description": "Sent by `watcher test-notify`: nothing has happened."}},
        "allOf": [_of_type(type_) for type_ in EVENT_TYPES],
        "$defs": _defs(),
    }


def strict(made: Schema) -> Schema:
    """The same schema, but it takes no key that it doesn't name."""
    task = made["$defs"]["task"] | {"unevaluatedProperties": False}
    return made | {"unevaluatedProperties": False, "$defs": made["$defs"] | {"task": task}}


def _of_type(type_: str) -> Schema:
    more, always = CARRIES.get(type_, ({}, ()))
    says: Schema = {"severity": {"const": EVENT_TYPES[type_].severity}, **more, **_about(type_)}
    required = [*always, *(["channel"] if type_.startswith("channel.") else [])]
    then: Schema = {"properties": says} | ({"required": required} if required else {})
    return {"if": {"properties": {"type": {"const": type_}}, "required": ["type"]}, "then": then}


def _about(type_: str) -> Schema:
    """What an event is about; null stands for what it isn't about."""
    family, _, name = type_.partition(".")
    null: Schema = {"type": "null"}
    about: Schema = {"account": TEXT if family in ("task", "account") else null, "channel": TEXT}
    if family != "task":
        about |= {"task": null, "from": null, "to": null, "changes": {"const": {}}}
    elif type_ != "task.unknown":
        about |= {"task": {"$ref": "#/$defs/task"}}
    if family == "task":
        about |= {"clock_stepped": TRUE}
    if type_ == "task.failed":
        about |= {"failure": {"$ref": "#/$defs/failure"}, "to": {"const": "FAILED"}}
    if type_ in ("task.succeeded", "task.weights_missing"):
        about |= {"to": {"const": "SUCCEEDED"}}
    if family == "task" and name in SEEN_BEFORE:
        about |= {"window": {"properties": {"after": TIME}}}
    if family == "channel" or type_ in AT_ONCE:
        about |= {"window": {"properties": {"after": null}}}
    return about if family == "channel" else {key: each for key, each in about.items() if key != "channel"}


def _defs() -> Schema:
    return {
        "id": {"type": "string", "minLength": 1, "description": "An event's id, the same for ever."},
        "time": {
            "type": "string",
            "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
            "description": "RFC 3339, UTC, with milliseconds.",
        },
        "window": {
            "type": "object",
            "required": ["after", "before"],
            "properties": {
                "after": NO_TIME | {"description": "The last look without the change; null where nobody looked."},
                "before": TIME | {"description": "The first look with it."},
            },
            "additionalProperties": False,
        },
        "failure": {
            "type": "object",
            "required": ["reason", "message", "explanation", "fix"],
            "properties": dict.fromkeys(("reason", "message", "explanation", "fix"), TEXT),
            "description": "reason and message are CLOVA Studio's; \"\" for what it doesn't say.",
        },
        "task": _task(),
        "changes": _changes(),
    }


def _fields(fields: Mapping[str, tuple[str, Any]]) -> Schema:
    return {name: _READ[read] for name, read in fields.values()}


def _task() -> Schema:
    info = {name.removeprefix(INFO): each for name, each in _fields(INFO_FIELDS).items()}
    always: Schema = {
        "id": {"type": "string", "minLength": 1},
        "account": TEXT,
        "name": {"type": ["string", "null"]},
        "model": {"type": ["string", "null"]},
        "status": {"type": ["string", "null"], "description": "Null only for a task that was never seen."},
        "statusInfo": {
            "anyOf": [{"type": "object", "properties": info, "additionalProperties": False}, {"type": "null"}]
        },
        "labels": {"type": "object", "additionalProperties": TEXT},
        "progress": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 100}, {"type": "null"}]},
        "eta": NO_TIME,
    }
    shown = {key: _READ[read] for key, (_, read) in TASK_FIELDS.items() if key in _SOMETIMES}
    return {
        "type": "object",
        "required": list(always),
        "properties": always | shown,
        "description": "The task as it was at that moment. Dates inside are as CLOVA Studio writes them.",
    }


_SOMETIMES = ("trainEpochs", "learningRate", "createdDate", "updatedDate")


def _changes() -> Schema:
    fields = {"status": {"type": ["string", "null"]}} | _fields(TASK_FIELDS) | _fields(INFO_FIELDS)
    change = {
        name: {
            "type": "object",
            "required": ["old", "new"],
            "properties": {"old": each, "new": each},
            "additionalProperties": False,
        }
        for name, each in fields.items()
    }
    return {"type": "object", "properties": change, "additionalProperties": False}


def files() -> dict[Path, str]:
    """Every file that is made here, with its text."""
    made = {FOLDER / "samples" / f"{type_}.json": sample for type_, sample in samples().items()}
    made[FOLDER / "data.schema.json"] = schema()
    texts = {path: json.dumps(each, indent=2, ensure_ascii=False) + "\n" for path, each in made.items()}
    return texts | {EVENTS: _events_shown()}


def _events_shown() -> str:
    """The page about events, with the samples that it shows as they are now."""
    shown = [cloud_event(sample_event(type_, now=NOW)) for type_ in ("task.failed", "account.rejected")]
    blocks = (f"```json\n{json.dumps(each, indent=2, ensure_ascii=False)}\n```" for each in shown)
    text = EVENTS.read_text(encoding="utf-8")
    return re.sub(r"^```json\n.*?^```", lambda _: next(blocks), text, flags=re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
