"""The pieces of Slack's Block Kit that cards are made of, each within Slack's limits. Pure.

What comes from outside is shown as it is written: in `plain_text` and `rich_text`, where Slack interprets nothing, or
escaped in `mrkdwn`, which is used only where a word is to be bold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from watcher.notifier.text import ZERO_WIDTH_SPACE, cut, escape_slack, fit, part_marks

Block = dict[str, Any]

HEADER, TEXT, FIELD, FIELDS, ELEMENTS, BLOCKS = 150, 3000, 2000, 10, 10, 50
"""Slack's limits: characters of a header, of a section's text and of one field; fields, context elements, blocks."""

FALLBACK = 3000
"""Characters of the text for notifications and screen readers. Slack cuts it at 40,000."""

_ENTITY = re.compile(r"&(?=(?:amp|lt|gt);)")
_TICKS = "▁▂▃▄▅▆▇█"
_CELLS = 8
_POINTS = 12


def header(text: str) -> Block:
    """A title in large letters."""
    return {"type": "header", "text": _plain(text, HEADER)}


def lines(*texts: str) -> Block:
    """Lines of text, literally; at least one must say something."""
    return {"type": "section", "text": _plain("\n".join(filter(None, texts)), TEXT)}


def fields(pairs: Iterable[tuple[str, str]]) -> list[Block]:
    """Pairs of a label and its value in two columns; no block where no value is known."""
    shown = [_field(label, value) for label, value in pairs if value][:FIELDS]
    return [{"type": "section", "fields": shown}] if shown else []


def context(*texts: str) -> Block:
    """A line in small grey letters; its parts are parted by dots."""
    return {"type": "context", "elements": [_plain(" · ".join(filter(None, texts)), FIELD)]}


def table(rows: Sequence[str]) -> Block:
    """Lines in letters of equal width; whatever they contain, nothing gets out of the box."""
    text = cut("\n".join(rows), TEXT) or " "
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]}],
    }


def fallback(text: str) -> str:
    """The text beside blocks, escaped: Slack reads it as mrkdwn."""
    return fit(text, FALLBACK, as_mrkdwn)


def as_mrkdwn(text: str) -> str:
    """Text that mrkdwn shows as it is written, calling nobody."""
    literal = escape_slack(part_marks(text))
    # "&gt;" at the beginning of a line would be a quotation.
    return "\n".join(ZERO_WIDTH_SPACE + line if line.startswith("&gt;") else line for line in literal.split("\n"))


def bar(percent: int) -> str:
    """`▓▓▓▓▓░░░`; full only at 100, empty only at 0."""
    done = max(0, min(percent, 100))
    cells = _CELLS if done == 100 else min(_CELLS - 1, max(round(done * _CELLS / 100), 1 if done else 0))
    return "▓" * cells + "░" * (_CELLS - cells)


def sparkline(values: Sequence[float]) -> str:
    """The run of a number, oldest first, in at most 12 signs; × where it was no number. "" for fewer than two."""
    if len(values) < 2:
        return ""
    step = max(1.0, len(values) / _POINTS)
    picked = [values[min(len(values) - 1, math.ceil((n + 1) * step) - 1)] for n in range(min(len(values), _POINTS))]
    real = [value for value in picked if math.isfinite(value)]
    low, high = (min(real), max(real)) if real else (0.0, 0.0)
    return "".join(_tick(value, low, high) for value in picked)


def _tick(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "×"
    # Halved first: the distance between the largest numbers has no number itself.
    height = (value / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.0
    return _TICKS[min(len(_TICKS) - 1, round(height * (len(_TICKS) - 1)))]


def _plain(text: str, limit: int) -> Block:
    # Slack turns the three escapes back even in plain text, so one that was written as such is broken.
    literal = _ENTITY.sub(f"&{ZERO_WIDTH_SPACE}", text)
    return {"type": "plain_text", "text": _within(literal, limit) or "?", "emoji": False}


def _within(text: str, limit: int) -> str:
    """Cut so that it also fits where an emoji counts as two characters."""
    shown = cut(text, limit)
    while (over := len(shown.encode("utf-16-le", "replace")) // 2 - limit) > 0:
        shown = cut(shown, len(shown) - (over + 1) // 2 - 1)
    return shown


def _field(label: str, value: str) -> Block:
    title = f"*{escape_slack(label)}*\n"
    return {"type": "mrkdwn", "text": title + fit(value, FIELD - len(title), as_mrkdwn), "verbatim": True}
