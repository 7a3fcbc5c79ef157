"""`watcher follow`: the live table. It reads the store beside the daemon, or, with nothing but a key, the account."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from watcher.cli.printing import Row, rich_table, say
from watcher.cli.reading import load, reading, utc_now
from watcher.cli.status import Overview, look, recent, summary, table
from watcher.errors import StoreStalled

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY = 1.0
DETAILS = """\
On a terminal a table that keeps itself up to date, else a line for every change. Ctrl-C ends it.
Without any configuration but with CLOVA_API_KEY it asks the account itself, page by page; nothing is stored or sent."""

Look = Callable[[], Overview]


class Source(NamedTuple):
    """Where the tasks come from; `pause` is how many seconds to wait until the next look."""

    look: Look
    pause: Callable[[], float]


def arguments(_parser: ArgumentParser) -> None:
    """It has none of its own."""


def follow(arguments: Namespace) -> int:
    with ExitStack() as cleanup:
        source = cleanup.enter_context(_account(arguments) if _only_a_key(arguments) else _store(arguments))
        show = cleanup.enter_context(_live()) if sys.stdout.isatty() else _Lines()
        while True:
            show(source.look(), utc_now())
            time.sleep(source.pause())


@contextmanager
def _store(arguments: Namespace) -> Iterator[Source]:
    settings = load(arguments)
    with reading(settings) as reader:
        last = Overview((), ())

        def again() -> Overview:
            nonlocal last
            try:
                last = recent(look(settings, reader, now := utc_now()), now)
            except StoreStalled as error:
                last = replace(last, notes=(error.message,))
            return last

        yield Source(again, lambda: EVERY)


@contextmanager
def _account(arguments: Namespace) -> Iterator[Source]:
    import asyncio

    from watcher.cli.upstream import Poller
    from watcher.settings import environment_settings

    settings = environment_settings()
    arguments.redactor.add(*settings.secret_values())
    with asyncio.Runner() as runner:
        poller = Poller(settings, arguments.redactor)
        try:
            yield Source(lambda: runner.run(poller.look()), lambda: poller.pause)
        finally:
            runner.run(poller.aclose())


def _only_a_key(arguments: Namespace) -> bool:
    from watcher.settings.load import SEARCHED

    written = arguments.config or os.environ.get("WATCHER_CONFIG") or any(Path(name).exists() for name in SEARCHED)
    return not written and bool(os.environ.get("CLOVA_API_KEY") or os.environ.get("CLOVA_API_KEY_FILE"))


@contextmanager
def _live() -> Iterator[Callable[[Overview, datetime], None]]:
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        yield lambda seen, now: live.update(_screen(seen, now, live.console.width), refresh=True)


def _screen(seen: Overview, now: datetime, width: int) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from watcher.notifier.text import clean

    notes = [Text(clean(f"⚠ {note}"), "yellow") for note in seen.notes]
    more = [Text(clean(line), "dim") for line in seen.more]
    return Group(*notes, Text(summary(seen), "dim"), rich_table(*table(seen, now), width), *more)


class _Lines:
    """A line for every task at first, then for every change; when it was seen is no change."""

    def __init__(self) -> None:
        self._shown: dict[object, str] = {}

    def __call__(self, seen: Overview, now: datetime) -> None:
        _, rows = table(seen, now)
        self._change("notes", " · ".join(f"⚠ {note}" for note in seen.notes) or "", now)
        for task, row in zip(seen.tasks, rows, strict=True):
            self._change(task.key, _line(row), now)

    def _change(self, key: object, line: str, now: datetime) -> None:
        if self._shown.get(key, "") != line:
            self._shown[key] = line
            say(f"{now.astimezone():%H:%M:%S}  {line or 'all is well again'}")


def _line(row: Row) -> str:
    return "  ".join(cell.text for cell in row[:-1] if cell.text)
