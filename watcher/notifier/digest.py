"""Many events as one message: what a phone must show in its first line, then a row for each, ends first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from watcher.i18n import translator
from watcher.models import ChannelKind, Event, Message
from watcher.notifier.brief import brief
from watcher.notifier.facts import WIDE, Facts, number, zone
from watcher.notifier.render import NOBODY, TITLE_LIMIT, as_html, calls_for
from watcher.notifier.text import columns, cut, narrow, narrow_name
from watcher.notifier.wording import icon, lacks_weights

MOST_ROWS = 50
ROOM = 2800
"""Characters of the rows: what fits every chat together with a title."""

_CUTS = (
    (80, 120),
    (48, 60),
    (40, 48),
    (32, 40),
    (28, 32),
    (24, 28),
    (22, 22),
    (20, 16),
    (18, 12),
    (16, 8),
    (12, 6),
    (8, 3),
)
"""How narrow names and what belongs to them may become, in columns: the widest that fits is taken."""

_TABLE_CUTS = _CUTS[3:]
"""A wider row would be broken in two by the window, and with it its columns."""

_HAPPENED = 14
"""Columns of what happened, once it must be narrow."""

_TROUBLE, _OTHER = "trouble", "other"
_ORDER = ("failed", "ready", _TROUBLE, "started", "progress", _OTHER)
_ENDS, _REST = 2, 3
"""Where in it ends end, and where all that is left begins."""


@dataclass(frozen=True, slots=True)
class _Row:
    icon: str
    about: str
    happened: str
    more: str
    when: str

    def cut(self, about: int, more: int) -> _Row:
        happened = self.happened if more > _HAPPENED else narrow(self.happened, _HAPPENED)
        return _Row(self.icon, narrow_name(self.about, about), happened, _whole_parts(self.more, more), self.when)


def _whole_parts(more: str, width: int) -> str:
    """Its first parts as far as they fit; a part of the first where not even that does."""
    parts = more.split(" · ")
    fitting = (" · ".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((text for text in fitting if columns(text) <= width), narrow(parts[0], width))


def render_digest(
    events: Sequence[Event],
    *,
    kind: ChannelKind,
    language: str,
    timezone: str,
    now: datetime,
    mentions: Mapping[str, str] = NOBODY,
) -> Message:
    """One message for at least one event: failures first, then successes, trouble and the rest; of one task in order.

    `table` has aligned columns (CJK as wide as two letters), `body` the same rows without padding; neither has markup.
    At most 50 rows in 2,800 characters: cells are cut, rows only beyond that number, and then it says how many.
    The owners of all failures are called, as far as `mentions` knows them; also those whose rows there is no room for.
    """
    words, place = translator(language), zone(timezone)
    every = [Facts(event, kind, words, place, now) for event in events]
    title = cut(_title(every), TITLE_LIMIT)
    told = _ordered(every)
    rows = _rows(told[:MOST_ROWS])
    last = _last_line(every[0], len(told) - MOST_ROWS)
    table, body = _table(rows, last), _body(rows, last)
    calls = calls_for((f.event for f in told), mentions)
    html = as_html(title, body) if kind == "mail" else ""
    return Message(title, "\n".join(body), html, calls, "\n".join(table))


def _ordered(every: list[Facts]) -> list[Facts]:
    """Ends first, as far as nothing came after them; then what else there is, the worst first. What is told of one task
    besides its end stays together and in order: else it would seem to wait that has started since."""
    last = {f.event.queue: f for f in every}
    worst: dict[str, int] = {}
    for f in every:
        if not _is_end(f, last):
            worst[f.event.queue] = min(worst.get(f.event.queue, _REST), _rank(f))
    first = {queue: number for number, queue in reversed(list(enumerate(f.event.queue for f in every)))}

    def key(f: Facts) -> tuple[int, int]:
        queue = f.event.queue
        return (_rank(f), 0) if _is_end(f, last) else (max(worst[queue], _ENDS), first[queue])

    return sorted(every, key=key)


def _is_end(f: Facts, last: Mapping[str, Facts]) -> bool:
    return _rank(f) < _ENDS and last[f.event.queue] is f


def _rank(f: Facts) -> int:
    return min(_ORDER.index(_sort(f)), _REST)


def _sort(f: Facts) -> str:
    event = f.event
    if event.type == "task.succeeded":
        return _TROUBLE if lacks_weights(event) else "ready"
    kinds = {"task.failed": "failed", "task.started": "started", "task.progress": "progress"}
    trouble = event.severity in {"failure", "warning"}
    return kinds.get(event.type, _TROUBLE if trouble else _OTHER)


def _title(every: list[Facts]) -> str:
    f, counts = every[0], Counter(map(_sort, every))
    texts = {
        "failed": f.say("{count} failed", count=number(counts["failed"])),
        "ready": f.say("{count} ready", count=number(counts["ready"])),
        _TROUBLE: f.say("{count} in trouble", count=number(counts[_TROUBLE])),
        "started": f.say("{count} started", count=number(counts["started"])),
        "progress": f.say("{count} progressed", count=number(counts["progress"])),
        _OTHER: f.say("{count} other", count=number(counts[_OTHER])),
    }
    shown = f.say(", ").join(texts[sort] for sort in _ORDER if counts[sort])
    sign = next(
        sign for sort, sign in (("failed", "✖"), (_TROUBLE, "⚠"), ("ready", "✔"), ("", "●")) if not sort or counts[sort]
    )
    all_ = f.say_many("{count} change", "{count} changes", len(every))
    # Of one kind that has no number of its own, the kind says more than a second number.
    kinds = {each.event.type for each in every}
    return f"{sign} {all_}: {brief(f).happened if counts[_OTHER] == len(every) and len(kinds) == 1 else shown}"


def _rows(told: list[Facts]) -> list[_Row]:
    keys = {(f.event.account, f.event.task, f.name) for f in told if f.event.task is not None}
    names = Counter(name for _, _, name in keys)
    accounts = {account for account, _, _ in keys}
    return [_row(f, twice=names[f.name] > 1, several=len(accounts) > 1) for f in told]


def _row(f: Facts, *, twice: bool, several: bool) -> _Row:
    """`twice`: another task has the same name; `several`: tasks of several accounts are told."""
    about, happened, more = brief(f)
    if f.event.task is not None:
        about = f"{f.outside(f.event.task, 20)} {about}" if twice and about != f.outside(f.event.task) else about
        about = f"{f.account}/{about}" if several else about
    return _Row(icon(f.event), about, happened, more, _when(f))


def _when(f: Facts) -> str:
    """The time of day; both ends where nobody looked for a while; days only where they aren't today's."""
    after, before = f.event.window.after, f.event.window.before
    end = f.short_time(before)
    return f"{f.short_time(after)}–{end}" if after is not None and f.width >= WIDE else end


def _last_line(f: Facts, left: int) -> str:
    zoned = f.say("Times: {zone}", zone=f.abbreviation(f.event.time))
    return " · ".join(filter(None, (f.say("and {count} more", count=number(left)) if left > 0 else "", zoned)))


def _table(rows: list[_Row], last: str) -> list[str]:
    for about, more in _TABLE_CUTS:
        lines = [*_aligned([row.cut(about, more) for row in rows]), last]
        if _fits(lines):
            break
    return lines


def _aligned(rows: list[_Row]) -> list[str]:
    """What is longest stands last: a phone breaks the rows there, and the columns before it stay."""
    about, happened, when = (
        max(columns(cell) for cell in cells)
        for cells in zip(*((row.about, row.happened, row.when) for row in rows), strict=True)
    )
    padded = (
        (row.icon + " " + _pad(row.about, about), _pad(row.happened, happened), _pad(row.when, when), row.more)
        for row in rows
    )
    return ["  ".join(cells).rstrip() for cells in padded]


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - columns(cell))


def _body(rows: list[_Row], last: str) -> list[str]:
    for about, more in _CUTS:
        cut_rows = (row.cut(about, more) for row in rows)
        parts = ((f"{row.icon} {row.about}", row.happened, row.more, row.when) for row in cut_rows)
        lines = [*(" · ".join(filter(None, part)) for part in parts), last]
        if _fits(lines):
            break
    return lines


def _fits(lines: list[str]) -> bool:
    return sum(len(line) + 1 for line in lines) <= ROOM
