"""Outside text made fit to be kept and shown."""

from __future__ import annotations

import re
from collections.abc import Callable

Redact = Callable[[str], str]
"""Takes the secrets out of a text: watcher.redact.Redactor."""

KEEP = 10_000
"""The most characters of one field that are kept."""

_UNFIT = re.compile("[\x00\ud800-\udfff]")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_SPACES = re.compile(r"[ \t\r\n]+")


def storable(text: str) -> str:
    """What no database takes (NUL, halves of surrogate pairs) becomes U+FFFD; absurd length is cut."""
    if len(text) > KEEP:
        text = text[: KEEP - 1] + "…"
    return text if text.isascii() and "\0" not in text else _UNFIT.sub("\ufffd", text)


def one_line(text: str, redact: Redact, limit: int = 200) -> str:
    """For error messages: without secrets, on one line, without control and direction characters, cut to `limit`."""
    line = _UNSEEN.sub("\ufffd", _SPACES.sub(" ", redact(text)).strip())
    return line if len(line) <= limit else line[: limit - 1] + "…"
