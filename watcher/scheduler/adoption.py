"""Which tasks of an account's list are adopted, because of which `discover` rules. Pure.

A rule's age limit holds only at the door: a task that was adopted stays until it has ended and settled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import translate

from watcher.clova.dates import parse_instant
from watcher.models import Fields, TaskKey
from watcher.settings import Discover


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule, ready to be asked for every item of a list."""

    rule: Discover
    name: Callable[[str], object] | None
    model: Callable[[str], object] | None

    def fits(self, fields: Fields) -> bool:
        return (self.name is None or self.name(_text(fields, "name")) is not None) and (
            self.model is None or self.model(_text(fields, "model")) is not None
        )

    def young(self, fields: Fields, now: datetime) -> bool:
        """What has no readable date counts as young: rather one task too many than one that nobody watches."""
        if self.rule.max_age is None:
            return True
        created = parse_instant(fields.get("createdDate"))
        return created is None or (now - created).total_seconds() <= self.rule.max_age


class Adoption:
    """The `discover` rules of a configuration. A rule without patterns fits every task, one without account all."""

    def __init__(self, rules: Sequence[Discover] = ()) -> None:
        self._rules = tuple(_Rule(rule, _matcher(rule.name), _matcher(rule.model)) for rule in rules)
        self._by_account: dict[str, tuple[_Rule, ...]] = {}

    def discovers(self, account: str) -> bool:
        """Whether any rule is about this account: only then its whole list is worth a query."""
        return bool(self._about(account))

    def adopts(self, key: TaskKey, fields: Fields, now: datetime) -> bool:
        """Whether a task that isn't known yet is to be watched."""
        return any(each.young(fields, now) for each in self._fitting(key, fields))

    def keeps(self, key: TaskKey, fields: Fields) -> bool:
        """Whether a task that was adopted still fits: as `adopts`, whatever its age."""
        return any(True for _ in self._fitting(key, fields))

    def labels(self, key: TaskKey, fields: Fields) -> dict[str, str]:
        """The labels of every rule that keeps the task; where two give the same label, the earlier rule's."""
        labels: dict[str, str] = {}
        for each in self._fitting(key, fields):
            labels = {**each.rule.labels, **labels}
        return labels

    def _fitting(self, key: TaskKey, fields: Fields) -> Iterator[_Rule]:
        return (each for each in self._about(key.account) if each.fits(fields))

    def _about(self, account: str) -> tuple[_Rule, ...]:
        if account not in self._by_account:
            self._by_account[account] = tuple(each for each in self._rules if each.rule.account in (None, account))
        return self._by_account[account]


def _matcher(patterns: Sequence[str]) -> Callable[[str], object] | None:
    """One expression for all patterns, case-sensitive; None for no pattern, which fits everything."""
    return re.compile("|".join(map(translate, patterns))).match if patterns else None


def _text(fields: Fields, key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""
