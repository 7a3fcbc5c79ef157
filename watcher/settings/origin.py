"""Where settings come from: the place of each value, the files, and what was found in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from watcher.settings.inputs import Found
from watcher.settings.tree import Path, Place, dotted


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where settings come from. It is no part of what they say: all origins are equal.

    `places` has where each value stands, `found` what was read of the disk, `secret_files` the file behind each secret,
    `template_files` the one behind each template (`channels.team.template.task.failed`), `named` the written key of a
    value whose own is another (`channels.team.template_file` for `channels.team.template.*`).
    """

    places: Mapping[Path, Place] = field(default_factory=dict, repr=False)
    found: Found = field(default_factory=dict, repr=False)
    secret_files: Mapping[str, str] = field(default_factory=dict, repr=False)
    template_files: Mapping[str, str] = field(default_factory=dict, repr=False)
    named: Mapping[Path, Path] = field(default_factory=dict, repr=False)

    def place(self, key: str) -> Place:
        """Where a key such as `tasks[2].id` stands, or else what it would be part of."""
        known = {dotted(path): place for path, place in self.places.items()}
        parts = re.split(r"(?=[.\[])", key)
        ways = ("".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((known[way] for way in ways if way in known), Place("configuration"))

    def written(self, key: str) -> str:
        """A key as it was written."""
        return next((dotted(named) for path, named in self.named.items() if dotted(path) == key), key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Origin)

    def __hash__(self) -> int:
        return hash(Origin)
