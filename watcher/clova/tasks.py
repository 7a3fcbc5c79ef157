"""What one task of an answer says: its id and its flat fields, read value by value. Pure.

The guide contradicts itself, so the reading is liberal in form (numbers as text, statusInfo as object or array) and
strict where a mistake would invent a change: the task's id, its status, and keys that stand twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from math import isfinite, isnan
from typing import Any

from watcher.clova.text import Redact, storable
from watcher.models import KNOWN_STATUSES, Fields, Json

LONGEST_ID = 200

_NUMBER = re.compile(r"\s*([+-]?\d[\d,]*)(?:\.0*)?,?\s*")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:?\d\d")
_HARMLESS = KNOWN_STATUSES | {"LoRA", "GENERATION", "CLASSIFICATION", "API", "WEB"}


class Ambiguous(dict[str, Any]):
    """A JSON object in which a key stands twice: nobody can say which value is meant."""


def read_task(task: object, redact: Redact) -> tuple[str, Fields]:
    """A task's id and its flat fields; raises ValueError (with words for people) when it can't be used."""
    if type(task) is not dict:
        raise ValueError("a key stands twice" if isinstance(task, Ambiguous) else "not an object")
    info = _status_info(task.get("statusInfo"))
    fields: dict[str, Json] = {}
    for source, readers in ((task, TASK_FIELDS), (info, INFO_FIELDS)):
        for key, (name, read) in readers.items():
            if key in source:
                value = source[key]
                fields[name] = None if value is None else read(_redacted(value, redact))
    fields["status"] = _status(_redacted(task.get("status"), redact))
    return _id(task.get("id")), fields


def _status_info(info: object) -> dict[str, Any]:
    """Documented as an array, shown as an object: an object, an array of one, or nothing."""
    if type(info) is list and len(info) == 1:
        info = info[0]
    if isinstance(info, Ambiguous):
        raise ValueError("a key stands twice in statusInfo")
    return info if type(info) is dict else {}


def _redacted(value: Any, redact: Redact) -> Any:
    if type(value) is str:
        # Half of the cost of a page was looking for secrets in words that can't be any.
        return value if value in _HARMLESS or _DATE.fullmatch(value) else redact(value)
    if type(value) is list:
        return [_redacted(each, redact) for each in value]
    if isinstance(value, dict):
        return {redact(key): _redacted(each, redact) for key, each in value.items()}
    return value


def _id(value: object) -> str:
    if type(value) is int:
        value = str(value)
    if type(value) is not str or not value or len(value) > LONGEST_ID or storable(value) != value:
        raise ValueError("it has no usable id")
    return value


def _status(value: object) -> str:
    if type(value) is not str or not value.strip():
        raise ValueError("its status isn't a text")
    return storable(value.strip())


def read_int(value: object) -> int | None:
    """7, 7.0, "7" and "7," are 7; what isn't a whole number of at most 64 bits is unknown."""
    if type(value) is str:
        match = _NUMBER.fullmatch(value) if len(value) <= 40 else None
        value = int(match[1].replace(",", "")) if match else None
    elif type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def read_float(value: object) -> Json:
    """A finite float, the words "NaN", "Infinity" and "-Infinity", or None."""
    if type(value) is int or type(value) is str:
        try:
            value = float(value.strip().rstrip(",") if isinstance(value, str) else value)
        except (ValueError, OverflowError):
            return None
    if type(value) is not float or isfinite(value):
        return value if type(value) is float else None
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def read_bool(value: object) -> bool | None:
    """True and false, also as words; anything else is unknown."""
    if type(value) is str:
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if type(value) is bool else None


def read_text(value: object) -> str | None:
    """Text as it stands; what should be text and isn't is kept as JSON, since it may say why a training failed."""
    if value is None:
        return None
    return storable(value if type(value) is str else json.dumps(value, ensure_ascii=False))


def read_labels(value: object) -> list[str] | None:
    """A list of texts; a single text is a list of one."""
    if type(value) is str:
        value = [value]
    return [read_text(label) or "" for label in value] if type(value) is list else None


Readers = dict[str, tuple[str, Callable[[object], Json]]]


def _readers(prefix: str, **kinds: Iterable[str]) -> Readers:
    read: dict[str, Callable[[object], Json]] = {
        "texts": read_text, "ints": read_int, "floats": read_float, "bools": read_bool, "labels": read_labels
    }  # fmt: skip
    return {key: (prefix + key, read[kind]) for kind, keys in kinds.items() for key in keys}


TASK_FIELDS = _readers(
    "",
    texts=("name", "model", "method", "taskType", "createdClientType", "createdDate", "updatedDate"),
    ints=("trainEpochs",),
    floats=("learningRate",),
)
INFO_FIELDS = _readers(
    "statusInfo.",
    labels=("label",),
    ints=(
        "dataRows", "numOfTokens", "currStep", "totalTrainSteps", "currEpoch", "totalTrainEpochs", "estimatedTime"
    ),
    floats=("trainLoss",),
    bools=("sendWeightSuccess",),
    texts=("failureReason", "message", "endDatetime"),
)  # fmt: skip
