"""YAML as text with places: ids such as 01234567 or 1234e567 stay what was written, and errors can name a line."""

from __future__ import annotations

from typing import Any

import yaml

from watcher.errors import ConfigError, Problem

Places = dict[tuple[str | int, ...], tuple[int, int]]
"""Where each value stands (or its key, where it has one): its path of keys to (line, column), both from 1."""

_NULLS = ("", "~", "null")


def read(text: str, source: str) -> tuple[Any, Places]:
    """The file's data (mappings, lists, text and None) and the place of each; raises ConfigError."""
    places: Places = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return (None if node is None else _plain(node, (), places, source)), places
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise ConfigError((Problem(source, line, column, "", f"not YAML: {error.problem}"),), "mend the line") from None
    except (yaml.YAMLError, RecursionError):
        raise ConfigError((Problem(source, 0, 0, "", "not YAML"),), "write plain YAML in UTF-8") from None


def _plain(node: yaml.Node, path: tuple[str | int, ...], places: Places, source: str) -> Any:
    places.setdefault(path, _place(node))
    if isinstance(node, yaml.MappingNode):
        made: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in made:
                raise ConfigError((Problem(source, *_place(key), name, "stands twice; remove one of them"),))
            places[*path, name] = _place(key)
            made[name] = _plain(value, (*path, name), places, source)
        return made
    if isinstance(node, yaml.SequenceNode):
        return [_plain(value, (*path, index), places, source) for index, value in enumerate(node.value)]
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return None if plain and node.value in _NULLS else node.value


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
