"""What the upstream's bytes mean. Pure: bytes in; values or BadAnswer (and the errors of `codes`) out.

How a task is read stands in `tasks`; `quick` reads a whole page in one go where it looks as usual.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from watcher.clova import quick
from watcher.clova.codes import Subject, error_for
from watcher.clova.tasks import Ambiguous, read_task
from watcher.clova.tasks import read_int as read_int
from watcher.clova.text import Redact, one_line
from watcher.errors import BadAnswer
from watcher.models import Fields

OK = "20000"
GARBAGE_HINT = "it is asked again by itself; if it stays so, check base_url and what stands between (proxy, gateway)"

_HTML = "an HTML page came instead of an answer"
_TWICE = "the answer says one key twice"
_TITLE = re.compile(rb"<(title|h1)[^>]*>(.*?)</\1", re.IGNORECASE | re.DOTALL)


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
    items = quick.read_items(content, redact)
    if items is None:
        items = _read_items(content, redact)
    said = read_int(result.get("number"))
    return Page(
        number=number if said is None else said,
        total_pages=read_int(result.get("totalPages")),
        total_elements=read_int(result.get("totalElements")),
        items=tuple(items),
        broken=len(content) - len(items),
        body=body,
        request_id=request_id,
        rate_limit=rate_limit,
    )


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


def _read_items(content: list[Any], redact: Redact) -> list[tuple[str, Fields]]:
    items = []
    for item in content:
        with suppress(ValueError, RecursionError):
            items.append(read_task(item, redact))
    return items


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
