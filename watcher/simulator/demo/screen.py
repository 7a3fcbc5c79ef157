"""What the reader sees: messages and the storyteller's words scroll by, on a terminal above a live table."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from watcher.models import FAILED, RUNNING, SUCCEEDED, WAIT
from watcher.notifier.text import clean

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

LOOKS = {
    WAIT: ("○ waiting", "yellow"),
    RUNNING: ("▶ training", "cyan"),
    SUCCEEDED: ("✔ ready", "green"),
    FAILED: ("✖ failed", "red"),
}
_ICONS = {"▶": "cyan", "✔": "green", "✖": "red", "⚠": "yellow", "↻": "yellow", "◐": "cyan", "●": "blue"}
_TELLER = "»"


@dataclass(frozen=True, slots=True)
class Row:
    """One tuning: what is true at CLOVA Studio, what the watcher has in its store, and the icons of its messages."""

    name: str
    truth: str
    seen: str
    percent: int | None
    told: str


@dataclass(frozen=True, slots=True)
class View:
    """The live table and the line above it."""

    clock: str
    watcher: str
    watcher_well: bool
    channel: str
    channel_well: bool
    rows: tuple[Row, ...]


class Screen(Protocol):
    """Where the story is told."""

    def tell(self, clock: str, text: str) -> None:
        """The storyteller's words; `clock` may be ""."""

    def message(self, clock: str, title: str, lines: Sequence[str]) -> None:
        """A message as it arrived."""

    def conclude(self, text: str, *, good: bool) -> None:
        """The sum of it all."""

    def show(self, view: View) -> None:
        """How things are just now."""


@contextmanager
def screen() -> Iterator[Screen]:
    """The screen for where standard output goes."""
    if not sys.stdout.isatty():
        yield PlainScreen()
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_dumb_terminal:
        yield LiveScreen(console, None)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveScreen(console, live)


class PlainScreen:
    """For pipes and files: a line for each thing, further lines of a message below it; no table."""

    def tell(self, clock: str, text: str) -> None:
        print(f"{clock:5} {_TELLER} {clean(text)}" if clock else clean(text), flush=True)

    def message(self, clock: str, title: str, lines: Sequence[str]) -> None:
        print(f"{clock:5}   {clean(title)}", *(f"{'':10}{clean(line)}" for line in lines), sep="\n", flush=True)

    def conclude(self, text: str, *, good: bool) -> None:
        print(f"\n{clean(text)}", flush=True)

    def show(self, view: View) -> None:
        """Nothing stays in place in a pipe."""


class LiveScreen:
    """For terminals; `live` is what keeps the table at the bottom, where the terminal can do that."""

    def __init__(self, console: Console, live: object | None) -> None:
        self._console, self._live = console, live

    def tell(self, clock: str, text: str) -> None:
        from rich.text import Text

        self._print(clock, Text(f"{_TELLER} {clean(text)}" if clock else clean(text), "magenta" if clock else ""))

    def message(self, clock: str, title: str, lines: Sequence[str]) -> None:
        from rich.text import Text

        shown = Text(clean(title), "bold")
        shown.stylize(f"bold {_ICONS.get(title[:1], '')}".strip(), 0, 1)
        for line in lines:
            shown.append(f"\n{clean(line)}", "not bold dim")
        self._print(clock, shown)

    def conclude(self, text: str, *, good: bool) -> None:
        from rich.text import Text

        self._console.print(Text(f"\n{clean(text)}", f"bold {'green' if good else 'red'}"))

    def show(self, view: View) -> None:
        from rich.live import Live

        if isinstance(self._live, Live):
            self._live.update(drawn(view), refresh=True)

    def _print(self, clock: str, text: Text) -> None:
        from rich.table import Table
        from rich.text import Text

        if not clock:
            self._console.print(text)
            return
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(width=5, no_wrap=True)
        line.add_column(ratio=1, overflow="fold")
        line.add_row(Text(clock, "dim"), text)
        self._console.print(line)


def drawn(view: View) -> RenderableType:
    """The table with its heading."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    heading = Text(no_wrap=True, overflow="ellipsis")
    heading.append(f"{view.clock}", "bold reverse")
    heading.append(f"  watcher {view.watcher}", "green" if view.watcher_well else "bold red")
    heading.append(f" · channel {view.channel}", "green" if view.channel_well else "bold red")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    table.add_column("TUNING", no_wrap=True, overflow="ellipsis", min_width=10, ratio=None)
    for name in ("IN TRUTH", "SEEN", "TOLD"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for row in view.rows:
        table.add_row(Text(clean(row.name), "bold"), _state(row.truth), _state(row.seen, row.percent), _icons(row.told))
    return Group(Text(""), heading, table)


def _state(status: str, percent: int | None = None) -> Text:
    from rich.text import Text

    word, style = LOOKS.get(status, (status or "·", "dim"))
    return Text(f"{word} {percent} %" if percent is not None and status == RUNNING else word, style)


def _icons(icons: str) -> Text:
    from rich.text import Text

    text = Text()
    for icon in icons:
        text.append(f"{icon} ", _ICONS.get(icon, ""))
    return text
