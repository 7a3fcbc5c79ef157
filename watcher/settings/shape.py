"""From the tree of what was written to the data that the settings are made of, walking along the schema.

Here the other ways of writing are understood (a channel as a bare URL, a task as a bare id, one pattern in place of a
list, `_file` twins), variables are put in, and whatever has the wrong shape is reported with its place.
"""

from __future__ import annotations

from collections.abc import Mapping as Environment
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from watcher.settings import secretfile
from watcher.settings import values as v
from watcher.settings.document import parse_variable
from watcher.settings.interpolate import UnsetError, expand
from watcher.settings.kinds import INJECTED, Kind, has_twin, kind_of, later, written_fields
from watcher.settings.notes import BAD, Notes
from watcher.settings.schema import Settings
from watcher.settings.sections import Account, Channel, Discover, Group, Http, Route, Task
from watcher.settings.tree import Entry, Mapping, Node, Path, Scalar, Sequence, UnreadableError, dotted, key_shown

FEW = 8
"""How many keys an error lists."""

_SHORT: dict[type[BaseModel], str] = {Channel: "url", Task: "id"}
"""What a bare text in place of a mapping means."""

_MATCHING = (Discover, Route)
"""Where what is missing means any: too much to follow from a # in the wrong place, so only a written null is none."""

_EXAMPLES: dict[type[BaseModel], str] = {
    Account: "a mapping: {api_key_file: /path}",
    Task: "an id, or a mapping: {id: czf9fbky, name: support-bot}",
    Discover: 'a mapping: {name: "support-*"}; {name: "*"} adopts every task',
    Group: 'a mapping: {name: lr-sweep, match: "exp-lr-*"}',
    Channel: "a URL, or a mapping: {url_file: /path, events: [notable]}",
    Route: "a mapping: {events: [task.failed], channels: [mail]}",
    Http: "a mapping: {host: 127.0.0.1, port: 8080}; null for no page and no API",
}


class Shaper:
    """Walks one merged tree; what is wrong and where everything stands goes into `notes`."""

    def __init__(self, env: Environment[str, str], notes: Notes, *, secrets: bool) -> None:
        self.notes = notes
        self._report, self._places = notes.report, notes.places
        self._env, self._secrets = env, secrets

    def settings(self, node: Mapping) -> dict[str, Any]:
        """The data of the whole configuration."""
        return dict(self._model(node, Settings, ()))

    def _value(self, node: Node, annotation: Any, path: Path) -> Any:
        kind = kind_of(annotation)
        if kind.form in ("text", "secret"):
            return self._text(node, kind, path)
        if isinstance(node, Scalar) and not node.place.line and not node.null:
            try:
                node = parse_variable(node.text, node.place.source) or node
            except UnreadableError as error:
                return self._report(path, error.problem.text)
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
            return self._report(path, "empty; write percentages such as [25, 50, 75], or [] for none")
        if len(path) == 1 or kind.form in ("mapping", "list"):
            return BAD
        example = _EXAMPLES.get(kind.inner, "what it is to be")
        return self._report(path, f"empty{_comment_hint(node, secret=True) or f'; write {example}'}")

    def _model(self, node: Node, model: type[BaseModel], path: Path) -> Any:
        if isinstance(node, Scalar) and model in _SHORT:
            short = _SHORT[model]
            node = Mapping(node.place, {short: Entry(node.place, node)})
        if not isinstance(node, Mapping):
            return self._report(path, f"must be {_EXAMPLES.get(model, 'a mapping, with one line for each key')}")
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
        self._places[path] = entry.node.place
        coming = later(field)
        if coming and not _is_nothing(entry.node):
            return self._report(path, f"comes with a later version; {coming.instead}")
        node = entry.node
        if model in _MATCHING and isinstance(node, Scalar) and node.null and not node.text and not field.is_required():
            return self._report(path, f"empty{_comment_hint(node, secret=False) or '; leave it out for any'}")
        annotation = field.annotation
        if model is Channel and path[-1] == "url":
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
            self.notes.bad.update(((*path, near), (*path, near.removesuffix("_file"))))
        self.notes.problems.append(
            node.entries[key].place.problem(dotted((*path, shown)), f"unknown key.{mean or can}")
        )

    def _twin(self, entry: Entry, node: Mapping, field: FieldInfo, path: Path) -> Any:
        """The content of the file that a `_file` key names."""
        key = f"{path[-1]}_file"
        written = (*path[:-1], key)
        self._places[path] = self._places[written] = entry.node.place
        coming = later(field)
        if coming and not _is_nothing(entry.node):
            self.notes.bad.add(path)
            return self._report(written, f"comes with a later version; {coming.instead}")
        if path[-1] in node.entries:
            self.notes.bad.add(path)
            return self._report(written, f"{path[-1]} is written too; keep one of the two")
        name = self._text(entry.node, Kind("text", nullable=True), written)
        if name is BAD or name is None:
            self.notes.bad.add(path)
            return name
        self.notes.secret_files[dotted(path)] = name
        try:
            text = secretfile.read(name, self.notes.inputs.content)
        except secretfile.NoSecretError as error:
            if self._excused(Kind("secret"), path):
                return "" if kind_of(field.annotation).form == "secret" else []
            self.notes.bad.add(path)
            return self._report(written, str(error))
        return text.split() if kind_of(field.annotation).form == "list" else text

    def _mapping(self, node: Node, kind: Kind, path: Path) -> Any:
        if not isinstance(node, Mapping):
            return self._report(path, f"must be a mapping, such as {path[-1]}: {{name: ...}}")
        data = {}
        check = v.plain_name if kind_of(kind.inner).form == "model" else v.label_key
        for key, entry in node.entries.items():
            try:
                inner = (*path, check(key))
            except ValueError as error:
                self.notes.problems.append(entry.place.problem(dotted((*path, key_shown(key))), str(error)))
                continue
            self._places[inner] = entry.node.place
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
            return self._report(path, f"must be a list: {example}")
        values = []
        for index, item in enumerate(node.items):
            self._places[(*path, index)] = item.place
            values.append(self._value(item, kind.inner, (*path, index)))
        secret = kind_of(kind.inner).form == "secret"
        kept = [(index, value) for index, value in enumerate(values) if value is not BAD and not (secret and not value)]
        self.notes.kept[path] = [index for index, _ in kept]
        return [value for _, value in kept]

    def _text(self, node: Node, kind: Kind, path: Path) -> Any:
        if not isinstance(node, Scalar):
            what = "a list" if isinstance(node, Sequence) else "a mapping"
            return self._report(path, f"must be one text or number, not {what}")
        if node.null and not (node.text and _is_id(path)):
            return self._no_text(node, kind, path)
        try:
            found = expand(node.text, self._env)
        except UnsetError as error:
            return "" if self._excused(kind, path) else self._report(path, str(error))
        except ValueError as error:
            return self._report(path, str(error))
        if found.text:
            return (
                found.text if _encodable(found.text) else self._report(path, "isn't valid Unicode text; write it anew")
            )
        if kind.nullable:
            return None
        if self._excused(kind, path):
            return ""
        why = f" (the variable {found.variables[0]} is)" if found.variables else ""
        return self._report(path, f"empty{why}; write what it is to be")

    def _excused(self, kind: Kind, path: Path) -> bool:
        """Whether the value may be missing: reading commands need no secret, but they do need to know the store."""
        return kind.form == "secret" and not self._secrets and path != ("store",)

    def _no_text(self, node: Scalar, kind: Kind, path: Path) -> Any:
        attached = node.comment[1:2] not in ("", " ", "#", "!", "-")
        if kind.nullable and not attached:
            return None
        hint = _comment_hint(node, secret=kind.form == "secret" or not attached)
        return self._report(path, f"empty{hint or '; write what it is to be'}")


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
