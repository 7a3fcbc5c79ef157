"""What was written, as a tree in which every value knows its place and every scalar is still its text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from watcher.errors import Problem


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written; `line` is 0 for an environment variable, whose name is `source`."""

    source: str
    line: int = 0
    column: int = 0

    def problem(self, key: str, text: str) -> Problem:
        return Problem(self.source, self.line, self.column, key, text)


@dataclass(frozen=True, slots=True)
class Scalar:
    """`null`: plain and empty, ~ or null. `comment` is what follows a # in the line of an empty value."""

    place: Place
    text: str
    null: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Sequence:
    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    place: Place
    node: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    place: Place
    entries: dict[str, Entry] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


Path = tuple[str | int, ...]


def dotted(path: Path) -> str:
    """`tasks[2].id`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


class UnreadableError(Exception):
    """The document can't be read any further."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def key_shown(key: str) -> str:
    """A key as an error may repeat it: only what can't be a secret in the wrong place."""
    return key if re.fullmatch(r"[A-Za-z_-]{1,24}", key) else "(a key)"
