"""Arguments that several commands share, and checks of their values."""

from __future__ import annotations

import difflib
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable


def suggestion(word: str, known: Iterable[str]) -> str:
    """`. Did you mean X?`, or "" when nothing is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f". Did you mean {near[0]}?" if near else ""


def json_option(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help='for programs: {"items": [...], "next": null}')


def nothing(_parser: ArgumentParser) -> None:
    """A command without arguments of its own."""


def duration(text: str) -> float:
    """Seconds from `30s`, `5m`, `6h`, `2d` or a number."""
    from watcher.settings.values import duration as read

    try:
        return read(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def event_type(text: str) -> str:
    """The name of an event."""
    from watcher.events import EVENT_TYPES

    if text not in EVENT_TYPES:
        near = suggestion(text, EVENT_TYPES)
        raise ArgumentTypeError(f"no event is called {text}{near or '. Events are called like task.failed'}")
    return text


def delivery_state(text: str) -> str:
    """The name of a delivery's state."""
    from typing import get_args

    from watcher.models import DeliveryState

    states = get_args(DeliveryState)
    if text not in states:
        raise ArgumentTypeError(
            f"no state is called {text}{suggestion(text, states)}. There are: {', '.join(states)}".replace("?. ", "? ")
        )
    return text


def port(text: str) -> int:
    """A TCP port; 0 for any free one."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ArgumentTypeError("must be a port from 0 to 65535 (0: any free one)")
    return int(text)


def speed(text: str) -> float:
    """How many times as fast."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1_000_000:
        raise ArgumentTypeError("must be a number above 0, such as 60")
    return value
