"""Users' templates, tried with samples before a message needs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from watcher.events import EVENT_TYPES

if TYPE_CHECKING:
    from watcher.errors import Problem
    from watcher.notifier.templatecheck import Wrong
    from watcher.settings import Channel, Settings

_LINE = re.compile(r"line (\d+): (.*)", re.DOTALL)


def problems(settings: Settings) -> Iterator[Problem]:
    """What is wrong with each channel's templates, where it stands; the same in several events is said once."""
    from watcher.notifier.templatecheck import placed

    for channel in settings.channels.values():
        for pattern, types in _rehearsed(channel).items():
            found: dict[str, list[str]] = {}
            for type_ in types:
                if wrong := _trial(channel, pattern, type_):
                    found.setdefault(wrong, []).append(type_)
            for wrong, where in found.items():
                about = "" if len(where) == len(types) else f" (with {_some(where)})"
                yield placed(settings, channel.name, pattern, _split(wrong), about)


def trouble(channel: Channel, type_: str) -> str:
    """Why a channel's template gives no message for a sample of this event; "" where it does, or there is none."""
    from watcher.notifier.templates import pattern_for

    pattern = pattern_for(channel.template, type_, EVENT_TYPES[type_].notable)
    return "" if pattern is None else _trial(channel, pattern, type_)


def _trial(channel: Channel, pattern: str, type_: str) -> str:
    from watcher.notifier.channels import channel_kind
    from watcher.notifier.samples import sample_event
    from watcher.notifier.templates import trial

    text, kind = channel.template[pattern], channel_kind(channel)
    return trial(text, sample_event(type_), kind=kind, language=channel.language, timezone=channel.timezone)


def _rehearsed(channel: Channel) -> dict[str, list[str]]:
    """The events for which each template is taken; where others leave it none, all that it matches."""
    from watcher.notifier.templates import pattern_for

    taken: dict[str, list[str]] = {pattern: [] for pattern in channel.template}
    for type_, row in EVENT_TYPES.items():
        if (pattern := pattern_for(channel.template, type_, row.notable)) is not None:
            taken[pattern].append(type_)
    every = EVENT_TYPES.items()
    return {
        pattern: types or [type_ for type_, row in every if pattern_for({pattern: ""}, type_, row.notable)]
        for pattern, types in taken.items()
    }


def _some(types: list[str]) -> str:
    return ", ".join(types[:3]) + (f" and {len(types) - 3} more" if len(types) > 3 else "")


def _split(said: str) -> Wrong:
    """`line 2: ...` as its parts."""
    found = _LINE.fullmatch(said)
    return (int(found[1]), found[2]) if found else (0, said)
