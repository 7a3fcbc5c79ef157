"""What can be said of users' templates before any message: which can't be read at all, and where each of them stands.

Nothing runs here. Reading a text as a template executes nothing, and takes time and memory in proportion to the text:
0.6 s and 40 MB for the worst 64 KiB, which is as large as a template may be. So it needs no process of its own, only a
thread, and one look at the clock between two templates. What a template makes is tried by `watcher check`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog

from watcher.errors import Problem
from watcher.notifier.text import clean, cut

if TYPE_CHECKING:
    from jinja2 import Environment

    from watcher.settings import Channel, Settings

Wrong = tuple[int, str]
"""The line (0 where that can't be told) and what is wrong in it."""

PATIENCE = 5.0
"""Seconds after which the remaining templates are left to `watcher check`: there are thousands, or huge ones."""

SAID = 200
"""Characters that are told of what the parser says."""

OURS = frozenset({"local", "span"})
"""The filters that templates have besides Jinja's own."""

_LITERAL = re.compile(r"\|[0-9+-]*\s*(#.*)?")

log = structlog.get_logger()


def say_broken(settings: Settings) -> None:
    """A warning for each template that can't be read. Blocks: call it from a thread."""
    for problem in broken(settings):
        log.warning(
            "template.broken",
            key=problem.key,
            file=problem.source,
            line=problem.line,
            problem=problem.text,
            hint="its messages have the built-in words until it is mended; watcher check tries all templates",
        )


def broken(settings: Settings) -> tuple[Problem, ...]:
    """The templates that no message can use, each where it stands; that of several recipients once."""
    found = (placed(settings, channel.name, pattern, wrong) for channel, pattern, wrong in _unreadable(settings))
    return tuple(dict.fromkeys(found))


def placed(settings: Settings, channel: str, pattern: str, wrong: Wrong, about: str = "") -> Problem:
    """What is wrong with a channel's template for these events, where somebody wrote it."""
    line, said = wrong
    name, place = _written(settings, channel, pattern)
    if (file := settings.template_file(name, pattern)) is not None:
        return Problem(file, line or 1, 1, place.key, said + about)
    if line and _is_literal(place):
        return Problem(place.source, place.line + line, place.column, place.key, said + about)
    return Problem(place.source, place.line, place.column, place.key, (f"line {line}: " if line else "") + said + about)


def _unreadable(settings: Settings) -> Iterator[tuple[Channel, str, Wrong]]:
    written = [(channel, *each) for channel in settings.channels.values() for each in channel.template.items()]
    if not written:
        return  # and nobody needs jinja2
    from jinja2 import Environment

    environment, read = Environment(autoescape=True), dict[str, Wrong | None]()
    end = time.monotonic() + PATIENCE
    for channel, pattern, text in written:
        if text not in read and time.monotonic() < end:
            read[text] = _wrong(environment, text)
        wrong = read.get(text)
        if wrong is not None:
            yield channel, pattern, wrong


def _wrong(environment: Environment, text: str) -> Wrong | None:
    """Why no message can be made of this text. It isn't compiled, since jinja2 calculates constants then."""
    from jinja2 import TemplateSyntaxError

    try:
        return _unknown_name(environment, text)
    except TemplateSyntaxError as error:
        return error.lineno, cut(clean(error.message or "isn't a template"), SAID)
    except RecursionError:
        return 0, "is nested too deeply"
    except Exception as error:
        return 0, cut(clean(f"{type(error).__name__}: {error}"), SAID)


def _unknown_name(environment: Environment, text: str) -> Wrong | None:
    """A filter or test that doesn't exist is wrong whatever the event. No recursion: `a+a+a+...` may be long."""
    from jinja2 import nodes

    nodes_left: list[nodes.Node] = [environment.parse(text)]
    while nodes_left:
        node = nodes_left.pop()
        if isinstance(node, nodes.Filter) and node.name not in environment.filters.keys() | OURS:
            return node.lineno, clean(f"No filter named {node.name!r}.")
        if isinstance(node, nodes.Test) and node.name not in environment.tests:
            return node.lineno, clean(f"No test named {node.name!r}.")
        nodes_left += node.iter_child_nodes()
    return None


def _written(settings: Settings, channel: str, pattern: str) -> tuple[str, Problem]:
    """The channel's name in the file (`mail` for its recipient `mail.jiwon`), and where its template stands."""
    parts = channel.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    places = {name: settings.problem(f"channels.{name}.template.{pattern}", "") for name in names}
    # A name that isn't written is placed at what it would be part of, which stands before.
    return max(places.items(), key=lambda each: (each[1].line, each[1].column))


def _is_literal(place: Problem) -> bool:
    """Whether the text stands as it is in the lines below (`template: |`), so that its lines are the file's."""
    try:
        with open(place.source, encoding="utf-8") as file:
            lines = file.read().splitlines()
        return bool(_LITERAL.fullmatch(lines[place.line - 1][place.column - 1 :]))
    except (OSError, ValueError, IndexError):
        return False
