"""Who hears what: which channels get an event, and because of which rule. Pure.

A channel hears the notable events unless its own `events` says otherwise. A channel that a route names hears what its
routes and its own `events`, if written, give. What no route names of account.*, channel.* and watcher.* goes to every
chat and mail channel. A channel never hears of its own trouble.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from watcher.models import ChannelKind, Event

NOTABLE = "notable"
CARETAKER = ("account.", "channel.", "watcher.")


@dataclass(frozen=True, slots=True)
class Listener:
    """A channel as routing sees it; `events` is None where the configuration doesn't write it."""

    name: str
    kind: ChannelKind
    events: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A rule; empty matchers match everything. All are globs: `tasks` over id and name, the others over what
    they name."""

    events: tuple[str, ...]
    channels: tuple[str, ...]
    labels: Mapping[str, str]
    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()


def hearers(event: Event, listeners: tuple[Listener, ...], routes: tuple[Route, ...]) -> dict[str, str]:
    """The names of the channels that hear `event`, each with the rule that says so."""
    routed = {name for route in routes for name in route.channels}
    # A route that leads to the troubled channel alone names nobody who could hear of it.
    matching = [
        (number, route)
        for number, route in enumerate(routes)
        if _route_matches(route, event) and set(route.channels) != {event.channel}
    ]
    heard: dict[str, str] = {}
    for listener in listeners:
        if listener.name == event.channel:
            continue
        because = _because(event, listener, listener.name in routed, matching)
        if because:
            heard[listener.name] = because
    return heard


def speaks(event: Event) -> bool:
    """Whether a channel that keeps cards says it as a message besides: ends and trouble, not a task that goes on."""
    return event.severity != "info" or event.type == "group.finished"


def _because(event: Event, listener: Listener, routed: bool, matching: list[tuple[int, Route]]) -> str:
    for number, route in matching:
        if listener.name in route.channels:
            return f"routes[{number}]"
    own = listener.events if listener.events is not None else (None if routed else (NOTABLE,))
    pattern = _matching_pattern(own or (), event)
    if pattern:
        return f"channels.{listener.name}.events: {pattern}" if listener.events is not None else "notable, the default"
    unnamed = event.type.startswith(CARETAKER) and event.notable and not matching
    return "no route names it, so every chat and mail channel hears it" if unnamed and _is_for_people(listener) else ""


def _is_for_people(listener: Listener) -> bool:
    return listener.kind in ("chat", "mail")


def _route_matches(route: Route, event: Event) -> bool:
    if not _matching_pattern(route.events, event):
        return False
    return event.task is None or _about_task(route, event)


def _about_task(route: Route, event: Event) -> bool:
    subject = event.subject or {}
    labels = subject.get("labels") or {}
    return (
        all(_any_glob((pattern,), labels.get(key)) for key, pattern in route.labels.items())
        and _any_glob(route.accounts, event.account)
        and _any_glob(route.models, subject.get("model"))
        and _any_glob(route.tasks, event.task, subject.get("name"))
    )


def _any_glob(patterns: tuple[str, ...], *texts: str | None) -> bool:
    return not patterns or any(fnmatchcase(text or "", pattern) for pattern in patterns for text in texts)


def _matching_pattern(patterns: tuple[str, ...], event: Event) -> str:
    for pattern in patterns:
        if event.notable if pattern == NOTABLE else fnmatchcase(event.type, pattern):
            return pattern
    return ""
