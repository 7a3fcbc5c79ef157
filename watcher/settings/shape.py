"""From the tree of what was written to the data that the settings are made of, walking along the schema.

Here the other ways of writing are understood (a channel as a bare URL, a task as a bare id, one pattern in place of a
list, `_file` twins), variables are put in, and whatever has the wrong shape is reported with its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Environment
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from watcher.settings import secretfile
from watcher.settings import values as v
from watcher.settings.document import parse_variable
from watcher.settings.interpolate import UnsetError, expand
from watcher.settings.kinds import EXAMPLES, INJECTED, Kind, by_event, has_twin, kind_of, later, written_fields
from watcher.settings.nodes import comment_hint, encodable, for_all_events, is_for_all_events, is_id, is_nothing
from watcher.settings.notes import BAD, Notes
from watcher.settings.schema import Settings
from watcher.settings.sections import Channel, Discover, Route, Task
from watcher.settings.tree import Entry, Mapping, Node, Path, Scalar, Sequence, UnreadableError, dotted, key_shown

FEW = 12
"""How many keys an error lists, `_file` twins left out where there are more."""

_SHORT: dict[type[BaseModel], str] = {Channel: "url", Task: "id"}
"""What a bare text in place of a mapping means."""

_MATCHING = (Discover, Route)
"""Where what is missing means any: too much to follow from a # in the wrong place, so only a written null is none."""


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
        example = EXAMPLES.get(kind.inner, "what it is to be")
        return self._report(path, f"empty{comment_hint(node, secret=True) or f'; write {example}'}")

    def _model(self, node: Node, model: type[BaseModel], path: Path) -> Any:
        if isinstance(node, Scalar) and model in _SHORT:
            short = _SHORT[model]
            node = Mapping(node.place, {short: Entry(node.place, node)})
        if not isinstance(node, Mapping):
            return self._report(path, f"must be {EXAMPLES.get(model, 'a mapping, with one line for each key')}")
        fields, data = written_fields(model), {}
        for key, entry in node.entries.items():
            name = key.removesuffix("_file")
            if key in fields:
                data[key] = self._field(entry, model, fields[key], (*path, key))
            elif key != name and name in fields and has_twin(fields[name]):
                data[name] = self._twin(entry, node, fields[name], (*path, name))
            else:
                self._unknown(key, node, model, path)
        return {key: value for key, value in data.items() if value is not BAD}

    def _field(self, entry: Entry, model: type[BaseModel], field: FieldInfo, path: Path) -> Any:
        self._places[path] = entry.node.place
        coming = later(field)
        if coming and not is_nothing(entry.node):
            return self._report(path, f"comes with a later version; {coming.instead}")
        node = entry.node
        if model in _MATCHING and isinstance(node, Scalar) and node.null and not node.text and not field.is_required():
            leave = "; leave it out" + (" for any" if path[-1] != "urgent" else "")
            return self._report(path, f"empty{comment_hint(node, secret=False) or leave}")
        if by_event(field):
            node = self._by_event(node, path, path)
        return self._value(node, SecretStr if _is_needed(model, node, path) else field.annotation, path)

    def _unknown(self, key: str, node: Mapping, model: type[BaseModel], path: Path) -> None:
        fields = written_fields(model)
        known = [*fields, *(f"{name}_file" for name, field in fields.items() if has_twin(field))]
        mean = v.did_you_mean(key, known)
        shown = key if mean and key.isidentifier() else key_shown(key)
        can = _can_be(fields, known)
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
        if path[-1] in node.entries:
            self.notes.bad.add(path)
            return self._report(written, f"{path[-1]} is written too; keep one of the two")
        self.notes.named[path] = written
        kind = kind_of(field.annotation)
        if by_event(field):
            return self._files_by_event(self._by_event(entry.node, path, written), kind, path, written)
        text = self._content(entry.node, path, written, "secret")
        if kind.form != "list" or text is None or text is BAD:
            return text
        words = text.split()
        self.notes.named.update({(*path, index): written for index in range(len(words))})
        return words

    def _by_event(self, node: Node, path: Path, written: Path) -> Node:
        """A mapping from patterns of events, whose problems are those of `written` where that is one text."""
        if not is_for_all_events(node):
            return node
        self.notes.named[(*path, "*")] = self.notes.named[(*written, "*")] = written
        return for_all_events(node)

    def _files_by_event(self, node: Node, kind: Kind, path: Path, written: Path) -> Any:
        """The contents of several files, each for some events."""
        if isinstance(node, Scalar):
            return BAD
        if not isinstance(node, Mapping):
            return self._report(written, 'must be a path, or a mapping: {task.failed: /path, "*": /path}')
        data = {}
        for key, each in self._keys(node, kind, written):
            self._places[(*path, key)] = each.node.place
            self.notes.named.setdefault((*path, key), (*written, key))
            text = self._content(each.node, (*path, key), (*written, key), "template")
            if text and text is not BAD:
                data[key] = text
        return data

    def _content(self, node: Node, path: Path, written: Path, what: str) -> Any:
        """The text of the file that `node` names; "" or None where there is none to be had."""
        name = self._text(node, Kind("text", nullable=True), written)
        if name is BAD or name is None:
            self.notes.bad.add(path)
            return name
        files = self.notes.secret_files if what == "secret" else self.notes.template_files
        files[dotted(path)] = name
        try:
            return secretfile.read(name, self.notes.inputs.content, what=what)
        except secretfile.NoSecretError as error:
            if self._excused(Kind("secret"), path):
                return ""
            self.notes.bad.add(path)
            return self._report(written, str(error))

    def _mapping(self, node: Node, kind: Kind, path: Path) -> Any:
        if not isinstance(node, Mapping):
            value = '{team: "https://..."}' if path == ("channels",) else "{name: ...}"
            return self._report(path, f"must be a mapping, such as {path[-1]}: {value}")
        data = {}
        for key, entry in self._keys(node, kind, path):
            inner = (*path, key)
            self._places[inner] = entry.node.place
            value = self._value(entry.node, kind.inner, inner)
            if value is not BAD:
                data[key] = {**value, "name": key} if INJECTED.get(kind_of(kind.inner).inner) == "name" else value
        return data

    def _keys(self, node: Mapping, kind: Kind, path: Path) -> Iterator[tuple[str, Entry]]:
        """The entries whose keys are right."""
        for key, entry in node.entries.items():
            try:
                kind.check(key)
            except ValueError as error:
                self.notes.problems.append(entry.place.problem(dotted((*path, key_shown(key))), str(error)))
                continue
            yield key, entry

    def _list(self, node: Node, kind: Kind, path: Path) -> Any:
        if isinstance(node, Scalar) and kind_of(kind.inner).form in ("text", "secret"):
            node = Sequence(node.place, (node,))
            self.notes.named[(*path, 0)] = path
        if not isinstance(node, Sequence):
            example = (
                f"WATCHER_{'__'.join(map(str, path)).upper()}=[a, b]"
                if not node.place.line
                else "- one line each, or [a, b]"
            )
            what = "one text, or a list" if kind_of(kind.inner).form in ("text", "secret") else "a list"
            return self._report(path, f"must be {what}: {example}")
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
        if node.null and not (node.text and is_id(path)):
            return self._no_text(node, kind, path)
        try:
            found = expand(node.text, self._env)
        except UnsetError as error:
            return "" if self._excused(kind, path) else self._report(path, str(error))
        except ValueError as error:
            return self._report(path, str(error))
        if found.text:
            return (
                found.text if encodable(found.text) else self._report(path, "isn't valid Unicode text; write it anew")
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
        hint = comment_hint(node, secret=kind.form == "secret" or not attached)
        return self._report(path, f"empty{hint or '; write what it is to be'}")


def _can_be(fields: dict[str, FieldInfo], known: list[str]) -> str:
    """What may stand where an unknown key does."""
    built = [name for name in known if name not in fields or not later(fields[name])]
    listed = built if len(built) <= FEW else [name for name in built if name in fields]
    return f" Known here: {', '.join(listed)}" if len(listed) <= FEW else " List them all with: watcher schema"


def _is_needed(model: type[BaseModel], node: Node, path: Path) -> bool:
    """Whether a secret that may be left out can't be empty once it is written."""
    empty = isinstance(node, Scalar) and node.null
    return model is Channel and (path[-1] == "url" or (path[-1] == "slack_token" and not empty))
