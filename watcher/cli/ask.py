"""Questions on a terminal; a pipe may answer them, line by line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from watcher.cli.printing import say
from watcher.errors import UsageError, WatcherError

T = TypeVar("T")
TRIES = 5


def line(prompt: str) -> str:
    """One line without blanks around it. Raises UsageError where the input ends."""
    try:
        answer = input(prompt)
    except EOFError:
        raise _no_answer() from None
    if not sys.stdin.isatty():
        print()  # a pipe doesn't echo the line's end
    return answer.strip()


def hidden(prompt: str) -> str:
    """A secret: not shown on a terminal."""
    if not sys.stdin.isatty():
        return line(prompt)
    from getpass import getpass

    try:
        return getpass(prompt).strip()
    except EOFError:
        raise _no_answer() from None


def yes(question: str) -> bool:
    """Yes unless the answer begins with n."""
    return not line(f"{question} [Y/n] ").lower().startswith("n")


def until_valid(prompt: str, check: Callable[[str], T]) -> T:
    """Ask until `check` takes the answer. Raises its WatcherError after several tries, or at once from a pipe."""
    for attempt in range(TRIES):
        try:
            return check(line(prompt))
        except WatcherError as error:
            if attempt == TRIES - 1 or not sys.stdin.isatty():
                raise
            say(f"✗ {error.message}{f'. Try: {error.hint}' if error.hint else ''}")
    raise AssertionError("unreachable")


def _no_answer() -> UsageError:
    return UsageError("the input ended before every question was answered", "see watcher init --help for its options")
