"""From the tree of what was written to the data that the settings are made of, walking along the schema.

Here the other ways of writing are understood (a channel as a bare URL, a task as a bare id, one pattern in place of a
list, `_file` twins), variables are put in, and whatever has the wrong shape is reported with its place.
"""

from __future__ import annotations

from collections.abc import Mapping as Environment
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from watcher.errors import Problem
from watcher.settings import schema, secretfile
from watcher.settings import values as v
from watcher.settings.document import (
    Entry,
    Mapping,
    Node,
    Place,
    Scalar,
    Sequence,
    UnreadableError,
    key_shown,
    parse_variable,
)
from watcher.settings.interpolate import UnsetError, expand
from watcher.settings.kinds import INJECTED, Kind, Path, dotted, has_twin, kind_of, later, written_fields

BAD: Any = object()
"""Stands for a value that was reported already."""

FEW = 8
"""How many keys an error lists."""

_SHORT: dict[type[BaseModel], str] = {schema.Channel: "url", schema.Task: "id"}
"""What a bare text in place of a mapping means."""

_EXAMPLES: dict[type[BaseModel], str] = {
    schema.Account: "a mapping: {api_key_file: /path}",
    schema.Task: "an id, or a mapping: {id: czf9fbky, name: support-bot}",
    schema.Channel: "a URL, or a mapping: {url_file: /path, events: [notable]}",
    schema.Route: "a mapping: {events: [task.failed], channels: [mail]}",
    schema.Http: "a mapping: {host: 127.0.0.1, port: 8080}; null for no page and no API",
}


class Shaper:
    """Walks one merged tree. Afterwards `problems` has what was wrong and `places` where every value stands."""

    def __init__(self, env: Environment[str, str], *, secrets: bool) -> None:
        self.problems: list[Problem] = []
        self.places: dict[Path, Place] = {}
        self.bad: set[Path] = set()
        self.kept: dict[Path, list[int]] = {}
        """The original positions of the items of a list that lost some."""
        self._env, self._secrets = env, secrets

    def settings(self, node: Mapping) -> dict[str, Any]:
        """The data of the whole configuration."""
        return dict(self._model(node, schema.Settings, ()))

    def report(self, path: Path, text: str, place: Place | None = None) -> Any:
        self.bad.add(path)
        self.problems.append((place or self.place(path)).problem(dotted(path), text))
        return BAD

    def place(self, path: Path) -> Place:
        """Where a value stands, or else what it would be part of."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place("configuration"))

    def has_items(self, path: Path) -> bool:
        """Whether anything was written inside, right or wrong."""
        return any(len(found) > len(path) and found[: len(path)] == path for found in self.places)

    def _value(self, node: Node, annotation: Any, path: Path) -> Any:
        kind = kind_of(annotation)
        if kind.form in ("text", "secret"):
            return self._text(node, kind, path)
        if isinstance(node, Scalar) and not node.place.line and not node.null:
            try:
                node = parse_variable(node.text, node.place.source) or node
            except UnreadableError as error:
                return self.report(path, error.problem.text)
        if isinstance(node, Scalar) and node.null and (kind.inner not in _SHORT or not node.text):
            return self._nothing(node, kind, path)
        if kind.form == "model":
            return self._model(node, kind.inner, path)
        return self._mapping(node, kind, path) if kind.form == "mapping" else self._list(node, kind, path)

    def _nothing(self, node: Scalar, kind: Kind, path: Path) -> Any:
        """A section whose lines are all commented out counts as not written."""
        if kind.nullable:
            return None
        if path == ("rules", "progress"):
            return self.report(path, "empty; write percentages such as [25, 50, 75], or [] for none")
        if len(path) == 1 or kind.form in ("mapping", "list"):
            return BAD
        return self.report(path, f"empty{_comment_hint(node, secret=True) or '; write what it is to be'}")

    def _model(self, node: Node, model: type[BaseModel], path: Path) -> Any:
        if isinstance(node, Scalar) and model in _SHORT:
            short = _SHORT[model]
            node = Mapping(node.place, {short: Entry(node.place, node)})
        if not isinstance(node, Mapping):
            return self.report(path, f"must be {_EXAMPLES.get(model, 'a mapping, with one line for each key')}")
        fields, data = written_fields(model), {}
        for key, entry in node.entries.items():
            name = key.removesuffix("_file")
            if key in fields:
                data[key] = self._field(entry, model, fields[key], (*path, key))
            elif key != name and name in fields and has_twin(fields[name], name):
                data[name] = self._twin(entry, node, fields[name], (*path, name))
            else:
                self._unknown(key, node, model, path)
        return {key: value for key, value in data.items() if value is not BAD}

    def _field(self, entry: Entry, model: type[BaseModel], field: FieldInfo, path: Path) -> Any:
        self.places[path] = entry.node.place
        coming = later(field)
        if coming and not _is_nothing(entry.node):
            return self.report(path, f"comes with a later version; {coming.instead}")
        annotation = field.annotation
        if model is schema.Channel and path[-1] == "url":
            annotation = SecretStr
        return self._value(entry.node, annotation, path)

    def _unknown(self, key: str, node: Mapping, model: type[BaseModel], path: Path) -> None:
        fields = written_fields(model)
        known = [*fields, *(f"{name}_file" for name, field in fields.items() if has_twin(field, name))]
        mean = v.did_you_mean(key, known)
        shown = key if mean and key.isidentifier() else key_shown(key)
        built = [name for name in known if name not in fields or not later(fields[name])]
        can = f" Known here: {', '.join(built)}" if len(built) <= FEW else " List them all with: watcher schema"
        near = v.nearest(key, known)
        if near and near not in node.entries:
            # What it was meant to be isn't missing as well.
            self.bad.update(((*path, near), (*path, near.removesuffix("_file"))))
        self.problems.append(node.entries[key].place.problem(dotted((*path, shown)), f"unknown key.{mean or can}"))

    def _twin(self, entry: Entry, node: Mapping, field: FieldInfo, path: Path) -> Any:
        """The content of the file that a `_file` key names."""
        key = f"{path[-1]}_file"
        written = (*path[:-1], key)
        self.places[path] = self.places[written] = entry.node.place
        coming = later(field)
        if coming and not _is_nothing(entry.node):
            self.bad.add(path)
            return self.report(written, f"comes with a later version; {coming.instead}")
        if path[-1] in node.entries:
            self.bad.add(path)
            return self.report(written, f"{path[-1]} is written too; keep one of the two")
        name = self._text(entry.node, Kind("text", nullable=True), written)
        if name is BAD or name is None:
            self.bad.add(path)
            return name
        try:
            text = secretfile.read(name)
        except secretfile.NoSecretError as error:
            if self._excused(Kind("secret"), path):
                return "" if kind_of(field.annotation).form == "secret" else []
            self.bad.add(path)
            return self.report(written, str(error))
        return text.split() if kind_of(field.annotation).form == "list" else text

    def _mapping(self, node: Node, kind: Kind, path: Path) -> Any:
        if not isinstance(node, Mapping):
            return self.report(path, f"must be a mapping, such as {path[-1]}: {{name: ...}}")
        data = {}
        check = v.plain_name if kind_of(kind.inner).form == "model" else v.label_key
        for key, entry in node.entries.items():
            try:
                inner = (*path, check(key))
            except ValueError as error:
                self.problems.append(entry.place.problem(dotted((*path, key_shown(key))), str(error)))
                continue
            self.places[inner] = entry.node.place
            value = self._value(entry.node, kind.inner, inner)
            if value is not BAD:
                data[key] = {**value, "name": key} if INJECTED.get(kind_of(kind.inner).inner) == "name" else value
        return data

    def _list(self, node: Node, kind: Kind, path: Path) -> Any:
        if isinstance(node, Scalar) and kind_of(kind.inner).form in ("text", "secret"):
            node = Sequence(node.place, (node,))
        if not isinstance(node, Sequence):
            example = (
                f"WATCHER_{'__'.join(map(str, path)).upper()}=[a, b]"
                if not node.place.line
                else "- one line each, or [a, b]"
            )
            return self.report(path, f"must be a list: {example}")
        values = []
        for index, item in enumerate(node.items):
            self.places[(*path, index)] = item.place
            values.append(self._value(item, kind.inner, (*path, index)))
        secret = kind_of(kind.inner).form == "secret"
        kept = [(index, value) for index, value in enumerate(values) if value is not BAD and not (secret and not value)]
        self.kept[path] = [index for index, _ in kept]
        return [value for _, value in kept]

    def _text(self, node: Node, kind: Kind, path: Path) -> Any:
        if not isinstance(node, Scalar):
            what = "a list" if isinstance(node, Sequence) else "a mapping"
            return self.report(path, f"must be one text or number, not {what}")
        if node.null and not (node.text and _is_id(path)):
            return self._no_text(node, kind, path)
        try:
            found = expand(node.text, self._env)
        except UnsetError as error:
            return "" if self._excused(kind, path) else self.report(path, str(error))
        except ValueError as error:
            return self.report(path, str(error))
        if found.text:
            return (
                found.text if _encodable(found.text) else self.report(path, "isn't valid Unicode text; write it anew")
            )
        if kind.nullable:
            return None
        if self._excused(kind, path):
            return ""
        why = f" (the variable {found.variables[0]} is)" if found.variables else ""
        return self.report(path, f"empty{why}; write what it is to be")

    def _excused(self, kind: Kind, path: Path) -> bool:
        """Whether the value may be missing: reading commands need no secret, but they do need to know the store."""
        return kind.form == "secret" and not self._secrets and path != ("store",)

    def _no_text(self, node: Scalar, kind: Kind, path: Path) -> Any:
        attached = node.comment[1:2] not in ("", " ", "#", "!", "-")
        if kind.nullable and not attached:
            return None
        hint = _comment_hint(node, secret=kind.form == "secret" or not attached)
        return self.report(path, f"empty{hint or '; write what it is to be'}")


def _is_nothing(node: Node) -> bool:
    """Null, or an empty list or mapping; a variable's value is still text."""
    if isinstance(node, Scalar):
        return node.null or (not node.place.line and node.text.strip() in ("[]", "{}"))
    return not (node.items if isinstance(node, Sequence) else node.entries)


def _encodable(text: str) -> bool:
    """Variables may hold bytes that are no UTF-8, and YAML escapes lone surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _is_id(path: Path) -> bool:
    return path[0] == "tasks" and (path[-1] == "id" or len(path) == 2)


def _comment_hint(node: Scalar, *, secret: bool) -> str:
    if not node.comment:
        return ""
    first = node.comment.split()[0].rstrip(",]}")
    example = "Put the value in quotes" if secret or not first[1:].replace("-", "").isalpha() else f'Write "{first}"'
    return f"; # starts a comment. {example}"
