"""What is known of a configuration beside its values: what is wrong, where everything stands, and what was read."""

from __future__ import annotations

from typing import Any

from watcher.errors import Problem
from watcher.settings.inputs import Inputs
from watcher.settings.tree import Path, Place, dotted

BAD: Any = object()
"""Stands for a value that was reported already."""


class Notes:
    """Taken while a configuration is shaped and checked. Positions in lists are those that were written.

    `places` has where every value stands, `bad` what was reported (so that nothing is reported twice), `kept` the
    written positions of the items of a list that lost some, `secret_files` the file behind each secret that has one,
    `template_files` the same for templates, `named` the key that somebody wrote where a value's path is another one:
    `url_file` for `url`, `quiet` for the only range in it.
    """

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.problems: list[Problem] = []
        self.places: dict[Path, Place] = {}
        self.bad: set[Path] = set()
        self.kept: dict[Path, list[int]] = {}
        self.secret_files: dict[str, str] = {}
        self.template_files: dict[str, str] = {}
        self.named: dict[Path, Path] = {}

    def report(self, path: Path, text: str, place: Place | None = None) -> Any:
        """Takes down a problem, where the value stands or else what it would be part of; gives BAD."""
        self.bad.add(path)
        self.problems.append((place or self.place(path)).problem(dotted(self.named.get(path, path)), text))
        return BAD

    def place(self, path: Path) -> Place:
        """Where a value stands, or else what it would be part of."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place("configuration"))

    def at(self, path: Path) -> str:
        """`tasks[0] (watcher.yaml:2)`."""
        place = self.place(path)
        return dotted(path) + (f" ({place.source}:{place.line})" if place.line else "")

    def has_items(self, path: Path) -> bool:
        """Whether anything was written inside, right or wrong."""
        return any(len(found) > len(path) and found[: len(path)] == path for found in self.places)

    def as_written(self, path: Path) -> Path:
        """The path of a value before wrong items of lists were left out."""
        found: Path = ()
        for part in path:
            kept = self.kept.get(found)
            found += (kept[part] if isinstance(part, int) and kept and part < len(kept) else part,)
        return found
