"""What of a list page moves while its trainings only go on, taken out of its bytes without reading them as JSON. Pure.

    body ─▶ take ─▶ the digest of all else, and the values
    body ─▶ marked ─▶ parsed like any page ─▶ places: whose value each of them is

Two bodies with the same digest say the same but for these values:

- A value counts only as a plain number or a date as the upstream writes them, up to the comma or brace behind it.
  Whatever else stands there (null, NaN, text, absurd digits) stays in what is digested.
- `"currStep":` in valid JSON is the end of a key, and what follows is that key's whole value: the second quote has no
  backslash before it, so it opens or closes a string, and a string that it opened couldn't follow a word.
- What is digested is the number of values, and the body with the byte 0xFF, which no UTF-8 has, in place of each. So
  they stand in the same places, and where one body is valid JSON, so is the other, of the same form.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from watcher.models import Fields

MOVING = (
    "statusInfo.currStep", "statusInfo.currEpoch", "statusInfo.trainLoss", "updatedDate", "statusInfo.estimatedTime"
)  # fmt: skip
"""The fields whose values are taken out, in the order of `Place`."""

# Numbers have 18 digits at most, so that they are within 64 bits, and small exponents, so that none is infinite.
_NUMBER = rb"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,20})?+(?:[eE][-+]?[0-9]{1,2})?+"
_DATE = rb'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+0900"'
_NAMES = rb"(?:currStep|currEpoch|trainLoss|updatedDate|estimatedTime)"
_SPACE = rb"[ \t\r\n]*+"
# The first quote stands outside of the groups: a pattern that begins with plain text is found twice as fast.
_MOVING = re.compile(
    rb'"(' + _NAMES + rb'"' + _SPACE + rb":" + _SPACE + rb")(" + _NUMBER + rb"|" + _DATE + rb")(?=" + _SPACE + rb"[,}])"
)
_HOLE = b"\xff"
_MARKS = 100_000
_MOST = 9_000
"""So many marks can be told apart, also as years."""

Place = tuple[int | None, ...]
"""Which of the values is an item's step, epoch, loss, date of change and estimated time; None: it isn't one of them."""


class Skeleton(NamedTuple):
    """A page's `values` in the order of its bytes, and the `digest` of all the rest."""

    digest: bytes
    values: list[bytes]


def take(body: bytes) -> Skeleton:
    """Take the values out of a page's body, whatever it is."""
    # Split by two groups: other bytes, key (but for its first quote), value, other bytes, key, value, ..., other bytes.
    parts = _MOVING.split(body)
    values = parts[2::3]
    parts[2::3] = [_HOLE] * len(values)
    return Skeleton(digest_of(b"%d %b" % (len(values), b"".join(parts))), values)


def digest_of(body: bytes) -> bytes:
    """Stands for these bytes and no others. SHA-256 is the fastest where processors help with it, as most do."""
    return hashlib.sha256(body).digest()[:16]


def marked(body: bytes) -> bytes | None:
    """The body with a mark in place of each value: its index, in the form of what stood there. None: that won't do."""
    parts = _MOVING.split(body)
    values = parts[2::3]
    # In other encodings a value of another length would move the bytes behind it into other characters.
    if len(values) > _MOST or json.detect_encoding(body) != "utf-8":
        return None
    parts[1::3] = [b'"' + key for key in parts[1::3]]
    parts[2::3] = [_mark(index, value) for index, value in enumerate(values)]
    return b"".join(parts)


def places(items: Sequence[tuple[str, Fields]], marks: Sequence[tuple[str, Fields]]) -> list[Place] | None:
    """Where each item's values stand, given what a page says and what it says `marked`.

    None when a value means anything else, such as a part of some text.
    """
    if [id_ for id_, _ in items] != [id_ for id_, _ in marks]:
        return None
    found = [_place(fields, seen) for (_, fields), (_, seen) in zip(items, marks, strict=True)]
    return [place for place in found if place is not None] if None not in found else None


def _mark(index: int, value: bytes) -> bytes:
    if value.startswith(b'"'):
        return b'"%04d-01-01T00:00:00+0900"' % index
    return b"%d" % (_MARKS + index) if value.isdigit() else b"%d.5" % (_MARKS + index)


def _place(fields: Fields, seen: Fields) -> Place | None:
    rest = {name: value for name, value in seen.items() if name not in MOVING}
    if fields.keys() != seen.keys() or rest != {name: fields[name] for name in rest}:
        return None
    try:
        return tuple(_index(seen[name]) if seen.get(name) != fields.get(name) else None for name in MOVING)
    except (ValueError, TypeError):
        return None


def _index(mark: object) -> int:
    return int(mark[:4]) if isinstance(mark, str) else int(mark) - _MARKS  # type: ignore[call-overload]
