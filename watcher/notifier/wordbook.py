"""What the words of events are kept in: a first line and what stands below it, for each type."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from watcher.notifier.facts import Facts

HEADLINE_LIMIT = 140
"""Longer first lines are cut; what was cut stands below."""

ROOM = HEADLINE_LIMIT - 2
"""What the icon and its blank leave of it."""

Said = tuple[str, Iterable[str]]
"""The first line, without its icon, and the lines below; empty ones don't count."""

Words = Callable[[Facts], Said]


class Book(dict[str, tuple[str, Words]]):
    """Icon and words of each type: `@words("task.started", "▶")` above a function enters it."""

    def __call__(self, event_type: str, icon: str) -> Callable[[Words], Words]:
        def enter(function: Words) -> Words:
            self[event_type] = (icon, function)
            return function

        return enter


def dots(*parts: str) -> str:
    """Those that aren't empty, in one line."""
    return " · ".join(filter(None, parts))
