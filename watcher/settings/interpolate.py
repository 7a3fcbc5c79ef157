"""`${VAR}`, `${VAR:-default}` and `$${` in values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PIECE = re.compile(r"\$(?P<literal>\$\{)|\$\{(?P<inside>[^}]*)(?P<end>\}?)")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-.*)?", re.DOTALL | re.ASCII)


class UnsetError(ValueError):
    """A variable without default isn't set."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the environment variable {name} isn't set; set it, or write ${{{name}:-default}}")


@dataclass(frozen=True, slots=True)
class Expanded:
    """The text with all values in place, and the variables that were asked."""

    text: str
    variables: tuple[str, ...] = ()


def expand(text: str, env: Mapping[str, str]) -> Expanded:
    """Puts the values in; what they contain isn't looked at again.

    Raises UnsetError, or ValueError for a broken `${`.
    """
    asked: list[str] = []

    def value(piece: re.Match[str]) -> str:
        if piece["literal"]:
            return "${"
        inside = _INSIDE.fullmatch(piece["inside"]) if piece["end"] else None
        if inside is None or "${" in (inside["default"] or ""):
            raise ValueError("write ${NAME} or ${NAME:-default}; a literal ${ is written $${")
        asked.append(inside["name"])
        found = env.get(inside["name"])
        if inside["default"] is not None:
            return found or inside["default"][2:]
        if found is None:
            raise UnsetError(inside["name"])
        return found

    return Expanded(_PIECE.sub(value, text), tuple(asked))
