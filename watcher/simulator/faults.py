"""Every way to answer wrongly, by name. `parse` says what a name means; `answers` turns it into HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass

# name: HTTP status, envelope code, message. Every row of the upstream's error table.
TABLE: dict[str, tuple[int, str, str]] = {
    "bad_request": (400, "40000", "Bad request"),
    "bad_parameter": (400, "40001", "Parameter value invalid"),
    "unauthorized": (401, "40100", "Unauthorized"),
    "invalid_signature": (401, "40101", "Invalid signature"),
    "invalid_token": (401, "40102", "Invalid token"),
    "token_expired": (401, "40103", "Token expired"),
    "invalid_key": (401, "40104", "Invalid key"),
    "no_subscription": (401, "40170", "No subscription"),
    "forbidden": (403, "40300", "Forbidden"),
    "no_ownership": (403, "40301", "No ownership"),
    "not_found": (404, "40400", "Not found"),
    "request_timeout": (408, "40800", "Request timeout"),
    "rate_limited": (429, "42900", "Too many requests"),
    "rate_exceeded": (429, "42901", "Too many requests - rate exceeded"),
    "overloaded": (429, "42902", "Too many requests - overloaded"),
    "server_error": (500, "50000", "Internal server error"),
    "not_implemented": (501, "50100", "Not implemented"),
    "gateway_timeout": (504, "50400", "Gateway timeout"),
}

SHAPES = (
    "garbage", "bad_json", "deep_json", "invalid_utf8", "oversized", "gzip_bomb", "wrong_id", "no_status", "no_result",
    "duplicate_keys", "redirect", "truncated", "hang", "slow", "reset", "close",
)  # fmt: skip
"""Broken bodies and broken connections. `slow` answers well, but late; `reset` is a TCP reset, `close` a plain hang-up
before an answer, `hang` never answers, `truncated` stops in the middle of the body."""

LISTS = ("list_empty", "list_stuck", "list_pages", "list_broken_item", "list_twice", "list_hides", "list_lags")
"""Lists that lie in good form; those that hold at one time act together. `list_empty`: nothing is there; `list_stuck`:
one page, whatever number is asked; `list_pages`: a claimed totalPages; `list_broken_item`: an item that can't be used;
`list_twice`: an item twice on one page; `list_hides`: tasks missing from every page; `list_lags`: the tasks as they
were a while ago."""

_NUMBERED = re.compile(r"(http|html|empty|code|envelope)_(\d{3}(?:\d\d)?)")


@dataclass(frozen=True, slots=True)
class Kind:
    """A parsed name: `shape` is envelope, html, empty, or one of SHAPES or LISTS."""

    shape: str
    status: int = 200
    code: str = ""
    message: str = ""


def parse(name: str) -> Kind:
    """What a kind of fault means; raises ValueError that lists the names.

    Besides TABLE, SHAPES and LISTS: `http_503` (HTTP 503 with code 50300), `code_40104` (HTTP 401 with that code),
    `envelope_40104` (HTTP 200 with that code), `html` and `html_502`, `empty` and `empty_502`.
    """
    if name in TABLE:
        return Kind("envelope", *TABLE[name])
    if name in SHAPES or name in LISTS or name in ("html", "empty"):
        return Kind(name)
    match = _NUMBERED.fullmatch(name)
    wide = match is not None and match[1] in ("code", "envelope")
    if match is None or (len(match[2]) == 5) is not wide or not 200 <= int(match[2][:3]) <= 599:
        names = ", ".join((*TABLE, *SHAPES, *LISTS))
        raise ValueError(
            f"unknown kind of fault {name!r}; write http_503, html_502, empty_502, code_40104, envelope_40104, "
            f"html, empty, {names}"
        )
    return _numbered(match[1], match[2])


def _numbered(word: str, digits: str) -> Kind:
    status = int(digits[:3])
    if word in ("html", "empty"):
        return Kind(word, status)
    code = digits if len(digits) == 5 else f"{digits}00"
    known = next((message for _, known, message in TABLE.values() if known == code), "Trouble")
    return Kind("envelope", 200 if word == "envelope" else status, code, known)
