"""What the upstream's bytes mean. Pure: bytes in; values or BadAnswer (and the errors of `codes`) out.

The guide contradicts itself, so the reading is liberal in form (numbers as text, statusInfo as object or array) and
strict where a mistake would invent a change: the task's id, its status, and keys that stand twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import Any

from watcher.clova.codes import Subject, error_for
from watcher.clova.text import Redact, one_line, storable
from watcher.errors import BadAnswer
from watcher.models import KNOWN_STATUSES, Fields, Json

OK = "20000"
GARBAGE_HINT = "it is asked again by itself; if it stays so, check base_url and what stands between (proxy, gateway)"

_HTML = "an HTML page came instead of an answer"
_TWICE = "the answer says one key twice"
_NUMBER = re.compile(r"\s*([+-]?\d[\d,]*)(?:\.0*)?,?\s*")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:?\d\d")
_HARMLESS = KNOWN_STATUSES | {"LoRA", "GENERATION", "CLASSIFICATION", "API", "WEB"}
_TITLE = re.compile(rb"<(title|h1)[^>]*>(.*?)</\1", re.IGNORECASE | re.DOTALL)
_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class RateHint:
    """What the answer's headers say of the limit: queries per window, queries left, seconds until it is reset."""

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list. `items` are (id, fields) in the answer's order, an id that stands twice included;
    `broken` counts the items that couldn't be used. `body` is raw: it may carry anything, so never log or store it.
    """

    number: int
    total_pages: int | None
    total_elements: int | None
    items: tuple[tuple[str, Fields], ...]
    broken: int
    body: bytes = field(repr=False)
    request_id: str = ""
    rate_limit: RateHint | None = None


class Ambiguous(dict[str, Any]):
    """A JSON object in which a key stands twice: nobody can say which value is meant."""


def parse_task(body: bytes, task_id: str, redact: Redact) -> Fields:
    """The fields of the answer to a GET of one task."""
    result = _result(body, "task", redact)
    try:
        found, fields = read_task(result, redact)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"the answer has no usable task: {error}", GARBAGE_HINT) from None
    if found != task_id:
        shown = one_line(found, redact, 40)
        wanted = one_line(task_id, redact, 40)
        raise BadAnswer(f"the answer is about another task ({shown} instead of {wanted})", GARBAGE_HINT)
    return fields


def parse_page(
    body: bytes, number: int, redact: Redact, request_id: str = "", rate_limit: RateHint | None = None
) -> Page:
    """One page of the list; `number` is the page that was asked for."""
    result = _result(body, "list", redact)
    content = result.get("content")
    if type(content) is not list:
        raise BadAnswer("the answer has no list of tasks", GARBAGE_HINT)
    items, broken = [], 0
    for item in content:
        try:
            items.append(read_task(item, redact))
        except (ValueError, RecursionError):
            broken += 1
    said = read_int(result.get("number"))
    return Page(
        number=number if said is None else said,
        total_pages=read_int(result.get("totalPages")),
        total_elements=read_int(result.get("totalElements")),
        items=tuple(items),
        broken=broken,
        body=body,
        request_id=request_id,
        rate_limit=rate_limit,
    )


def read_task(task: object, redact: Redact) -> tuple[str, Fields]:
    """A task's id and its flat fields; raises ValueError (with words for people) when it can't be used."""
    if type(task) is not dict:
        raise ValueError("a key stands twice" if isinstance(task, Ambiguous) else "not an object")
    info = _status_info(task.get("statusInfo"))
    fields: dict[str, Json] = {}
    for source, readers in ((task, _TASK), (info, _INFO)):
        for key, (name, read) in readers.items():
            if key in source:
                value = source[key]
                fields[name] = None if value is None else read(_redacted(value, redact))
    fields["status"] = _status(_redacted(task.get("status"), redact))
    return _id(task.get("id")), fields


def read_error(body: bytes, redact: Redact) -> tuple[str, str]:
    """The envelope's (code, message) of a refusal; ("", an HTML page's title) where there is no envelope."""
    if body.lstrip()[:1] == b"<":
        return "", page_title(body, redact)
    try:
        return envelope_code(_decode(body), redact)
    except BadAnswer:
        return "", ""


def envelope_code(envelope: dict[str, Any], redact: Redact) -> tuple[str, str]:
    """The `status` of an envelope as (code, message); ("", "") when it has none."""
    status = envelope.get("status")
    if not isinstance(status, dict):
        return "", ""
    code = status.get("code")
    if type(code) not in (str, int):
        return "", ""
    return one_line(str(code), redact, 20), one_line(str(status.get("message") or ""), redact)


def page_title(body: bytes, redact: Redact) -> str:
    """The title of an HTML page, for people; "" if there is none."""
    match = _TITLE.search(body[:65536])
    return one_line(match[2].decode("utf-8", "replace"), redact, 80) if match else ""


def _result(body: bytes, subject: Subject, redact: Redact) -> dict[str, Any]:
    if body.lstrip()[:1] == b"<":
        title = page_title(body, redact)
        raise BadAnswer(f'an HTML page came instead of an answer ("{title}")' if title else _HTML, GARBAGE_HINT)
    envelope = _decode(body)
    code, message = envelope_code(envelope, redact)
    if not code:
        raise BadAnswer("the answer has no status code in it", GARBAGE_HINT)
    if code != OK:
        raise error_for(200, code, message, subject=subject)
    result = envelope.get("result")
    if type(result) is not dict:
        raise BadAnswer(_TWICE if isinstance(result, Ambiguous) else "the answer has no usable result", GARBAGE_HINT)
    return result


def _decode(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise BadAnswer("the answer is empty", GARBAGE_HINT)
    try:
        envelope = _loads(body)
    except RecursionError:
        raise BadAnswer("the answer is nested too deep", GARBAGE_HINT) from None
    except UnicodeDecodeError:
        raise BadAnswer("the answer isn't UTF-8", GARBAGE_HINT) from None
    except ValueError:
        raise BadAnswer("the answer isn't JSON, or is cut off", GARBAGE_HINT) from None
    if type(envelope) is not dict:
        raise BadAnswer(_TWICE if isinstance(envelope, Ambiguous) else "the answer isn't a JSON object", GARBAGE_HINT)
    return envelope


def _loads(body: bytes) -> Any:
    try:
        return json.loads(body, object_pairs_hook=_object)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:
        # An integer of more than 4300 digits: only that one number is unusable, not the page around it.
        return json.loads(body, object_pairs_hook=_object, parse_int=_bounded)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Ambiguous(made)


def _bounded(digits: str) -> int | None:
    return int(digits) if len(digits) <= 20 else None


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
    if type(value) is not str or not value or len(value) > _LONGEST_ID or storable(value) != value:
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


def _labels(value: object) -> list[str] | None:
    if type(value) is str:
        value = [value]
    return [read_text(label) or "" for label in value] if type(value) is list else None


Readers = dict[str, tuple[str, Callable[[object], Json]]]


def _readers(prefix: str, **kinds: Iterable[str]) -> Readers:
    read: dict[str, Callable[[object], Json]] = {
        "texts": read_text, "ints": read_int, "floats": read_float, "bools": read_bool, "labels": _labels
    }  # fmt: skip
    return {key: (prefix + key, read[kind]) for kind, keys in kinds.items() for key in keys}


_TASK = _readers(
    "",
    texts=("name", "model", "method", "taskType", "createdClientType", "createdDate", "updatedDate"),
    ints=("trainEpochs",),
    floats=("learningRate",),
)
_INFO = _readers(
    "statusInfo.",
    labels=("label",),
    ints=(
        "dataRows", "numOfTokens", "currStep", "totalTrainSteps", "currEpoch", "totalTrainEpochs", "estimatedTime"
    ),
    floats=("trainLoss",),
    bools=("sendWeightSuccess",),
    texts=("failureReason", "message", "endDatetime"),
)  # fmt: skip
