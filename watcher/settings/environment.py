"""`WATCHER_HTTP__PORT=9090`: settings from the environment, as a tree like a file's."""

from __future__ import annotations

import re
from collections.abc import Mapping as Environment
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from watcher.errors import Problem
from watcher.settings.document import parse_variable
from watcher.settings.kinds import later
from watcher.settings.merge import merge
from watcher.settings.schema import Settings
from watcher.settings.tree import Entry, Mapping, Node, Place, Scalar, UnreadableError
from watcher.settings.values import nearest

PREFIX = "WATCHER_"
SEARCH = "WATCHER_CONFIG"
_KUBERNETES = re.compile(r"WATCHER_SERVICE_|WATCHER_PORT_\d+_")
_OTHER_SERVICE = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP)(_|$)")


class _Value(str):
    """A variable's value that still knows the variable's name."""

    __slots__ = ("variable",)
    variable: str


class _Source(EnvSettingsSource):
    """pydantic-settings finds out which field a name means; values stay text, to be read where their place is known."""

    def __init__(self, values: dict[str, _Value]) -> None:
        self._values = values
        super().__init__(Settings)

    def _load_env_vars(self) -> dict[str, str | None]:
        return dict(self._values)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        return value


def overrides(env: Environment[str, str]) -> tuple[Mapping, list[Problem]]:
    """What the environment sets, and the variables that mean nothing. An empty variable counts as not set."""
    values: dict[str, _Value] = {}
    for name, text in env.items():
        if _ours(name, text):
            values[name.lower()] = value = _Value(text)
            value.variable = name
    source, problems, root = _Source({k: v for k, v in values.items() if v}), [], Mapping(Place("the environment"))
    for name, field in Settings.model_fields.items():
        if name != "sources":
            problems += _field(source, name, field, root)
    known = {each.lower() for each in _variables(root)} | {each.source.lower() for each in problems}
    known |= {name for name, value in values.items() if not value and _top(name) in Settings.model_fields}
    return root, problems + [_unknown(value) for name, value in values.items() if name not in known]


def _ours(name: str, text: str) -> bool:
    if not name.startswith(PREFIX) or name == SEARCH or _KUBERNETES.match(name):
        return False
    return not (name == "WATCHER_PORT" and text.startswith("tcp://"))


def _top(name: str) -> str:
    return name.lower().removeprefix(PREFIX.lower()).split("__")[0]


def _field(source: _Source, name: str, field: FieldInfo, root: Mapping) -> list[Problem]:
    """Puts what the variables say of one top-level field into `root`."""
    node: Node | None = None
    for key in (name, f"{name}_file") if name in ("store", "proxy") else (name,):
        whole = source.env_vars.get(f"{PREFIX.lower()}{key}")
        if isinstance(whole, _Value):
            try:
                node = _whole(whole, name)
            except UnreadableError as error:
                return [Problem(whole.variable, 0, 0, name, error.problem.text)]
            root.entries[key] = Entry(Place(whole.variable), node)
    parts = source.explode_env_vars(name, field, source.env_vars)
    if parts:
        tree = _tree(parts)
        whole_node = root.entries.get(name)
        merged = merge(whole_node.node, tree, add_lists=False, path=(name,)) if whole_node else tree
        root.entries[name] = Entry(tree.place, merged)
    return []


def _whole(value: _Value, name: str) -> Node:
    if name in ("language", "timezone", "store", "proxy", "ca_file"):
        return _leaf(value)
    return parse_variable(value, value.variable) or Scalar(Place(value.variable), "null", null=True)


def _leaf(value: _Value) -> Scalar:
    return Scalar(Place(value.variable), str(value), null=value in ("null", "~"))


def _tree(parts: dict[str, Any]) -> Mapping:
    entries: dict[str, Entry] = {}
    for key, value in parts.items():
        node: Node = _tree(value) if isinstance(value, dict) else _leaf(value)
        entries[key] = Entry(node.place, node)
    return Mapping(next(iter(entries.values())).place, entries)


def _variables(node: Node) -> set[str]:
    """The names of all variables in a tree."""
    if not isinstance(node, Mapping):
        return {node.place.source}
    found = {node.place.source}
    for entry in node.entries.values():
        found |= {entry.place.source} | _variables(entry.node)
    return found


def _unknown(value: _Value) -> Problem:
    name = value.variable
    if _top(name) in Settings.model_fields and _top(name) != "sources":
        return Problem(
            name, 0, 0, "", "can't be combined with another variable that sets the whole; keep one of the two"
        )
    return Problem(name, 0, 0, "", f"no setting is called so.{_meant(value)}".rstrip("."))


def _meant(value: _Value) -> str:
    name, nested = value.variable.removeprefix(PREFIX), _nested_names()
    # WATCHER_HTTP_PORT and WATCHER_PORT look as if Kubernetes might have made them, but mean the setting.
    exact = [each for each in nested if name in (each.replace("__", "_"), each.partition("__")[2])]
    if not exact and (_OTHER_SERVICE.search(name) or (name.endswith("_PORT") and "://" in value)):
        return " If Kubernetes sets it for a Service, write enableServiceLinks: false in the pod"
    whole = [key.upper() for key, field in Settings.model_fields.items() if key != "sources" and not later(field)]
    # Without the prefix, which would make everything look alike.
    near = exact[0] if exact else nearest(name, [*nested, *whole, SEARCH.removeprefix(PREFIX)])
    return f" Did you mean {PREFIX}{near}?" if near else ""


def _nested_names() -> list[str]:
    """HTTP__PORT and its like, for those who write one underscore, or only PORT."""
    return [
        f"{name}__{inner}".upper()
        for name in ("http", "poll", "rules", "delivery", "retention", "heartbeat", "log")
        for inner in _inner_fields(Settings.model_fields[name])
    ]


def _inner_fields(field: FieldInfo) -> list[str]:
    annotation: Any = field.annotation
    models = [annotation, *getattr(annotation, "__args__", ())]
    fields = [each for model in models for each in getattr(model, "model_fields", {}).items()]
    return [name for name, inner in fields if not later(inner)]
