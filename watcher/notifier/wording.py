"""The words of every event type. How to add one: a function with `@words` in `wording_tasks.py` (what is about a
task) or `wording_system.py` (the rest), and a row in `brief.py`.

A function returns the first line, without its icon, and the lines below. The first line is what a phone shows: it
says everything. Labels instead of sentences where numbers stand, since languages count differently.
"""

from __future__ import annotations

from collections.abc import Mapping

from watcher.models import Event
from watcher.notifier import wording_system, wording_tasks
from watcher.notifier.facts import Facts
from watcher.notifier.wordbook import HEADLINE_LIMIT as HEADLINE_LIMIT
from watcher.notifier.wordbook import Said

_WORDS = wording_tasks.words | wording_system.words
_ICONS = {"success": "✔", "failure": "✖", "warning": "⚠"}


def said(facts: Facts) -> tuple[str, list[str]]:
    """First line with its icon, and the lines below. A type that has no words here is told by its name."""
    _, of_type = _WORDS.get(facts.event.type, ("", _unknown))
    headline, lines = of_type(facts)
    return f"{icon(facts.event)} {headline}", [line for line in lines if line]


def icon(event: Event) -> str:
    """The sign that stands before it."""
    if event.type == "task.succeeded" and lacks_weights(event):
        return _ICONS["warning"]
    return _WORDS[event.type][0] if event.type in _WORDS else _ICONS.get(event.severity, "●")


def lacks_weights(event: Event) -> bool:
    """Whether the upstream says that a trained task's weights weren't saved."""
    info = event.subject.get("statusInfo") if isinstance(event.subject, Mapping) else None
    return isinstance(info, Mapping) and info.get("sendWeightSuccess") is False


def worded_types() -> frozenset[str]:
    """The types that have words of their own."""
    return frozenset(_WORDS)


def _unknown(f: Facts) -> Said:
    event = f.event
    about = f.name if event.task else f.channel if event.channel else f.account if event.account else ""
    return f"{f.outside(event.type, 60)} {about}".strip(), (f.detail("reason"),)
