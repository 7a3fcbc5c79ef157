"""What commands print: aligned tables, JSON, times. Text from outside is made harmless here."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from watcher.notifier.text import clean

if TYPE_CHECKING:
    from rich.table import Table

UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


GAP = 2
NARROW = 12
ELASTIC = frozenset({"NAME", "REASON", "CHANGED", "BECAUSE", "BECAUSE OF", "MODEL"})
"""Columns that may become as narrow as NARROW and go on in the next line."""

LEAST_FIRST = ("EPOCH", "NEXT TRY", "TRIES", "LOSS", "STEP", "SEEN", "EVENT", "CHANNEL", "MODEL", "NAME", "REASON")
"""Columns that a narrow terminal does without, the least important first."""


class Cell(NamedTuple):
    """A text from anywhere, and how a terminal may colour it (a style of rich)."""

    text: str
    style: str = ""


Row = Sequence[Cell]


def harmless(line: str) -> str:
    """One line in which every character can be seen, with its blanks as they are."""
    return "".join(clean(part) if part.strip(" ") else part for part in re.split("( +)", line))


def say(line: str) -> None:
    """One line on standard output, at once."""
    print(harmless(line), flush=True)


def warn(line: str) -> None:
    """One line on standard error."""
    print(harmless(line), file=sys.stderr, flush=True)


def print_json(items: Iterable[Any], **more: Any) -> None:
    """The one shape of all `--json`."""
    shape = {"items": list(items), "next": None, **more}
    # Escaping what isn't ASCII keeps every terminal and every encoding out of trouble.
    print(json.dumps(shape, indent=2, ensure_ascii=True, allow_nan=False))


def print_table(headers: Sequence[str], rows: Sequence[Row]) -> None:
    """For a terminal with colours and in its width; else plain, aligned and whole."""
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        console.print(rich_table(headers, rows, console.width))
        return
    print("\n".join(plain_table(headers, rows)))


def plain_table(headers: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Columns in the width of their widest cell, two blanks apart."""
    texts = [list(headers), *([clean(cell.text) for cell in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*texts, strict=True)]
    return ["  ".join(map(_padded, line, widths)).rstrip() for line in texts]


def rich_table(headers: Sequence[str], rows: Sequence[Row], width: int) -> Table:
    """Built from Text: markup in data would be obeyed, or raise. What doesn't fit in `width` is left out, and named."""
    from rich.table import Table
    from rich.text import Text

    texts = [[Text(clean(cell.text), cell.style) for cell in row] for row in rows]
    widths = {
        name: max(_width(name), *(_width(line[at].plain) for line in texts), 0) for at, name in enumerate(headers)
    }
    shown, fits = fitting(widths, width)
    left_out = ", ".join(name for name in headers if name not in shown)
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, GAP, 0, 0), caption_justify="left")
    table.caption = f"A wider terminal shows {left_out} too." if left_out else None
    for name in shown:
        table.add_column(name, no_wrap=fits and name not in ELASTIC, overflow="fold")
    for line in texts:
        table.add_row(*(text for text, name in zip(line, headers, strict=True) if name in shown))
    return table


def fitting(widths: Mapping[str, int], width: int) -> tuple[list[str], bool]:
    """The columns to show in a terminal, of those with their natural widths, and whether they fit.

    Ids are what other commands are given, so they are always there and whole.
    """
    need = {name: min(size, NARROW) if name in ELASTIC else size for name, size in widths.items()}
    shown = list(widths)
    for name in (None, *LEAST_FIRST):
        shown = [each for each in shown if each != name]
        if sum(need[each] + GAP for each in shown) - GAP <= width:
            return shown, True
    return shown, False


def span(seconds: float) -> str:
    """`8 s`, `5 m 10 s`, `3 h 5 m`, `2 d`: the two largest units."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for name, size in UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {name}" if count else "")
    return " ".join(filter(None, parts[:2])) or "0 s"


def ago(moment: datetime | None, now: datetime) -> str:
    return "never" if moment is None else f"{span((now - moment).total_seconds())} ago"


def local(moment: datetime, zone: str) -> str:
    """`2026-03-01 14:02:10 KST`; `zone` is an IANA name."""
    from zoneinfo import ZoneInfo

    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S %Z")


def between(after: datetime | None, before: datetime, zone: str) -> str:
    """When something happened, as honestly as it is known."""
    if after is None or after == before:
        return f"by {local(before, zone)}" if after is None else f"at {local(before, zone)}"
    return f"between {local(after, zone)} and {local(before, zone)}"


def number(value: object) -> str:
    """A loss or the like, short; "" where there is none."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def part_of(part: object, whole: object) -> str:
    """`1240/2000`; only the part where the whole isn't known."""
    if part is None:
        return ""
    return str(part) if whole is None else f"{part}/{whole}"


def _width(text: str) -> int:
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
