"""The card of a group: how its tasks stand against each other, and only what makes them differ. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple

from watcher.models import FAILED, RUNNING, SUCCEEDED, TERMINAL, WAIT, CardTask
from watcher.notifier.cards_blocks import Block, context, fallback, header, lines, table
from watcher.notifier.facts import NAME_LIMIT, Facts, number, real, whole
from watcher.notifier.text import columns, narrow

MOST_ROWS = 40
ROOM = 2900
"""Characters of the table: what one text of Slack's holds, and a little less."""

_WIDTHS = ((28, 16), (24, 12), (20, 10), (16, 8), (10, 6))
"""How wide names and values may be, in columns: the first that fits is taken."""

_MOST_DIFFERENCES = 5


class Member(NamedTuple):
    """A task of the group, with the words about it."""

    facts: Facts
    task: CardTask
    icon: str

    @property
    def status(self) -> str:
        return "gone" if self.task.gone else str(self.task.subject.get("status"))

    @property
    def loss(self) -> float:
        """Infinite where there is none that counts."""
        loss = real(self.facts.info("trainLoss"))
        return loss if loss is not None and math.isfinite(loss) else math.inf


def draw_group(group: str, members: Sequence[Member]) -> tuple[list[Block], str]:
    """Blocks and text of a group's card; it has at least one task."""
    f, ranked = members[0].facts, sorted(members, key=_rank)
    name = f.outside(group, NAME_LIMIT) or "?"
    title, counts, best = f"{_icon(members)} {name}", _counts(f, members), _best(f, ranked[0])
    seen = f.say("seen {time}", time=_seen(f, members))
    every = f.say_many("{count} tuning", "{count} tunings", len(members))
    blocks = [header(title), lines(counts), table(_rows(f, ranked)), context(every, seen)]
    return blocks, fallback(" · ".join(filter(None, (title, counts, best))))


def loss_text(f: Facts) -> str:
    """The loss alone, as short as it can be told; "" where there is none."""
    value = f.info("trainLoss")
    loss = real(value)
    return f"{loss:.3g}" if loss is not None else f.outside(value, 20) if isinstance(value, str) else ""


def _icon(members: Sequence[Member]) -> str:
    """What is still to come decides; of what has ended, the best."""
    states = {member.status for member in members}
    if states <= TERMINAL | {"gone"}:
        return "✔" if SUCCEEDED in states else "✖"
    return "◐" if RUNNING in states else "○" if WAIT in states else "●"


def _counts(f: Facts, members: Sequence[Member]) -> str:
    states = {RUNNING, WAIT, SUCCEEDED, FAILED, "gone"}
    counts = Counter(member.status if member.status in states else "other" for member in members)
    shown = {
        RUNNING: f.say("{count} training", count=number(counts[RUNNING])),
        WAIT: f.say("{count} waiting", count=number(counts[WAIT])),
        SUCCEEDED: f.say("{count} ready", count=number(counts[SUCCEEDED])),
        FAILED: f.say("{count} failed", count=number(counts[FAILED])),
        "gone": f.say("{count} gone", count=number(counts["gone"])),
        "other": f.say("{count} other", count=number(counts["other"])),
    }
    return " · ".join(text for state, text in shown.items() if counts[state])


def _best(f: Facts, first: Member) -> str:
    if first.loss == math.inf or first.status in {FAILED, "gone"}:
        return ""
    return f.say("Best: {name}, {loss}", name=first.facts.name, loss=first.facts.loss)


def _rank(member: Member) -> tuple[bool, float, str]:
    """The lowest loss first; what failed or is gone wins nothing."""
    return member.status in {FAILED, "gone"}, member.loss, member.facts.name


def _seen(f: Facts, members: Sequence[Member]) -> str:
    newest = max(member.task.seen for member in members)
    return f"{f.short_time(newest)} {f.abbreviation(newest)}"


def _rows(f: Facts, ranked: Sequence[Member]) -> list[str]:
    """The table, head first: as many rows as fit, and how many are left out."""
    differing, names = _differences(ranked), _names(ranked)
    head = ["", "", f.say("loss"), f.say("state"), *(label for label, _ in differing)]
    rows = [
        [m.icon, names[n], loss_text(m.facts), _standing(m), *(values[n] for _, values in differing)]
        for n, m in enumerate(ranked[:MOST_ROWS])
    ]
    for name, cell in _WIDTHS:
        drawn = _aligned(
            [[narrow(text, name if at == 1 else cell) for at, text in enumerate(row)] for row in [head, *rows]]
        )
        if sum(len(line) + 1 for line in drawn) <= ROOM:
            break
    shown = drawn
    while sum(len(line) + 1 for line in shown) > ROOM:
        shown = shown[:-1]
    left = len(ranked) + 1 - len(shown)
    return [*shown, f.say("and {count} more", count=number(left))] if left else shown


def _names(ranked: Sequence[Member]) -> list[str]:
    """Long names of one experiment differ at their ends: what they share is left out."""
    names = [m.facts.name for m in ranked]
    if max(map(columns, names)) <= _WIDTHS[0][0] or len(names) == 1:
        return names
    alike = takewhile(lambda chars: len(set(chars)) == 1, zip(*names, strict=False))
    shared = re.match(r".*[ _/.-]|", "".join(chars[0] for chars in alike))
    start = shared.end() if shared else 0
    return ["…" + name[start:] for name in names] if start > 1 else names


def _standing(member: Member) -> str:
    """How far it is, or its state in a word."""
    percent = whole(member.facts.task("progress"))
    if member.status == RUNNING and percent is not None:
        return member.facts.percent(percent)
    return member.facts.say("gone") if member.task.gone else member.facts.status(member.status)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(columns(cell) for cell in cells) for cells in zip(*rows, strict=True)]
    return [
        "  ".join(cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _differences(ranked: Sequence[Member]) -> list[tuple[str, list[str]]]:
    """Parameters and labels in which the tasks differ: each with its values, in the tasks' order."""
    found: list[tuple[str, list[str]]] = []
    for label, values in _parameters(ranked):
        # A label often repeats a parameter: once is enough.
        if len(set(values)) > 1 and all(values != shown for _, shown in found):
            found.append((label, values))
    return found[:_MOST_DIFFERENCES]


def _parameters(ranked: Sequence[Member]) -> Iterator[tuple[str, list[str]]]:
    f = ranked[0].facts
    yield f.say("learning rate"), [m.facts.outside(m.facts.task("learningRate"), 20) for m in ranked]
    yield f.say("epochs"), [_whole(m.facts.task("trainEpochs")) for m in ranked]
    yield f.say("model"), [m.facts.model for m in ranked]
    for key in sorted({key for m in ranked for key in _labels(m)}):
        yield f.outside(key, 40), [m.facts.outside(_labels(m).get(key), 40) for m in ranked]


def _whole(value: object) -> str:
    count = whole(value)
    return number(count) if count is not None else ""


def _labels(member: Member) -> Mapping[str, object]:
    labels = member.facts.task("labels")
    return labels if isinstance(labels, Mapping) else {}
