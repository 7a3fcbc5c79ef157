"""Which task belongs to which group: by its name alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from watcher.settings import Group


class Groups:
    """The groups of a configuration."""

    def __init__(self, groups: Sequence[Group] = ()) -> None:
        self._groups = tuple(groups)

    def of(self, name: str) -> str | None:
        """The first group with a pattern that fits a task's shown name; None without one. Case counts."""
        return next((group.name for group in self._groups if _fits(name, group.match)), None)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
