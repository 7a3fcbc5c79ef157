"""From YAML text to the tree.

Built from PyYAML's events and not from its nodes: so aliases and depth can be bounded before they cost anything.
A problem never repeats the text at fault, which may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

import yaml

from watcher.errors import Problem
from watcher.settings.inputs import MAX_BYTES
from watcher.settings.sentences import sentence
from watcher.settings.tree import (
    Entry,
    Mapping,
    Node,
    Path,
    Place,
    Scalar,
    Sequence,
    UnreadableError,
    dotted,
    key_shown,
)

MAX_DEPTH = 32
MAX_VALUES = 200_000
"""How many values a document may have once its aliases are written out."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TAGS = frozenset(
    {"!", *(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map"))}
)


def parse(content: bytes, source: str) -> tuple[Node | None, list[Problem]]:
    """The tree of one file (None if it is empty or unreadable), and what is wrong with it."""
    try:
        composer = _Composer(_decode(content, source), source)
        return composer.document(), composer.problems
    except UnreadableError as error:
        return None, [error.problem]


def parse_variable(text: str, name: str) -> Node | None:
    """The value of an environment variable that holds a list or a mapping; every place is the variable."""
    composer = _Composer(str(text), name, Place(name))
    node = composer.document()
    if composer.problems:
        raise UnreadableError(composer.problems[0])
    return node


def _decode(content: bytes, source: str) -> str:
    if len(content) > MAX_BYTES:
        raise UnreadableError(Place(source).problem("", "is larger than 4 MiB; that is no configuration"))
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:4]:
        raise UnreadableError(Place(source, 1, 1).problem("", "is UTF-16 or UTF-32; save it as UTF-8"))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        place = _place_of(before, len(before), source)
        raise UnreadableError(place.problem("", "isn't UTF-8; save the file as UTF-8")) from None


def _quickly(text: str) -> Iterable[yaml.Event]:
    """libyaml is ten times faster; what it refuses, PyYAML explains better."""
    with suppress(AttributeError, yaml.YAMLError):
        return list(yaml.parse(text, Loader=yaml.CSafeLoader))
    return yaml.parse(text, Loader=yaml.SafeLoader)


def _place_of(text: str, index: int, source: str) -> Place:
    line = text.count("\n", 0, index) + 1
    return Place(source, line, index - text.rfind("\n", 0, index))


class _Composer:
    """Turns events into nodes, once."""

    def __init__(self, text: str, source: str, fixed: Place | None = None) -> None:
        self.problems: list[Problem] = []
        self._text, self._source, self._fixed = text, source, fixed
        self._lines = text.splitlines()
        self._events = self._safely(text)
        self._anchors: dict[str, tuple[Node, int] | None] = {}
        self._values = 0
        self._path: Path = ()

    def document(self) -> Node | None:
        node: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._stop(event, "a second document starts here; write one document per file, without ---")
                node = self._node(next(self._events), 1)
        if isinstance(node, Scalar) and node.null:
            return None
        return node

    def _safely(self, text: str) -> Iterator[yaml.Event]:
        try:
            yield from _quickly(text)
        except yaml.reader.ReaderError as error:
            place = self._fixed or _place_of(self._text, error.position, self._source)
            raise UnreadableError(place.problem("", "a control character can't stand in YAML; remove it")) from None
        except yaml.MarkedYAMLError as error:
            mark, said = error.problem_mark, error.problem or ""
            place = self._fixed or (
                Place(self._source, mark.line + 1, mark.column + 1) if mark else Place(self._source)
            )
            raise UnreadableError(place.problem("", f"not YAML: {sentence(said, self._line(place))}")) from None

    def _line(self, place: Place) -> str:
        return self._lines[place.line - 1] if 0 < place.line <= len(self._lines) else ""

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        if self._fixed or mark is None:
            return self._fixed or Place(self._source)
        return Place(self._source, mark.line + 1, mark.column + 1)

    def _stop(self, event: yaml.Event, text: str) -> NoReturn:
        raise UnreadableError(self._place(event).problem("", text))

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if getattr(event, "tag", None) not in (None, *_TAGS):
            self._stop(event, "a tag that isn't known; write the plain value (in quotes if it starts with !)")
        if depth > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")
        anchor, before = getattr(event, "anchor", None), self._values
        self._count(event, 1)
        if anchor:
            self._anchors[anchor] = None
        node = self._open(event, depth)
        if anchor:
            self._anchors[anchor] = (node, self._values - before)
        return node

    def _count(self, event: yaml.Event, more: int) -> None:
        self._values += more
        if self._values > MAX_VALUES:
            self._stop(event, f"more than {MAX_VALUES} values once the aliases are written out")

    def _alias(self, event: yaml.AliasEvent) -> Node:
        if event.anchor is None or event.anchor not in self._anchors:
            self._stop(event, "an alias (*) without its anchor (&); put the value in quotes if it starts with *")
        found = self._anchors[event.anchor]
        if found is None:
            raise UnreadableError(self._place(event).problem("", "an alias that contains itself"))
        self._count(event, found[1])
        return found[0]

    def _open(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(self._place(event), tuple(self._items(depth)))
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, depth)
        assert isinstance(event, yaml.ScalarEvent)  # noqa: S101 - the parser's grammar has no fourth kind
        null = not event.style and event.value in _NULLS and event.tag in (None, "tag:yaml.org,2002:null")
        place = self._place(event)
        return Scalar(place, event.value, null, self._rest(event, r"\s*(#.*)") if null and not event.value else "")

    def _rest(self, event: yaml.Event, pattern: str) -> str:
        """What the pattern's group finds right behind an event, in its line."""
        mark = event.end_mark
        rest = self._lines[mark.line][mark.column :] if mark and mark.line < len(self._lines) else ""
        found = re.match(pattern, rest)
        return found[1] if found else ""

    def _inside(self, part: str | int, depth: int, event: yaml.Event | None = None) -> Node:
        """The node of the next event (or this one), while the path leads to it."""
        self._path += (part,)
        node = self._node(event or next(self._events), depth + 1)
        self._path = self._path[:-1]
        return node

    def _items(self, depth: int) -> Iterator[Node]:
        index = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._inside(index, depth, event)
            index += 1

    def _commented(self, node: Node, key: yaml.Event) -> Node:
        """In { } an empty value ends where the next token starts, lines later: its comment stands behind the key."""
        if not isinstance(node, Scalar) or not node.null or node.text or self._fixed or key.end_mark is None:
            return node
        comment = self._rest(key, r"\s*:\s+(#.*)")
        if not comment or node.place.line == key.end_mark.line + 1:
            return node
        place = Place(self._source, key.end_mark.line + 1, key.end_mark.column + 2)
        return replace(node, place=place, comment=comment)

    def _mapping(self, start: yaml.Event, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        merged: list[Mapping] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key, place = self._node(event, depth + 1), self._place(event)
            node = self._inside(key_shown(key.text) if isinstance(key, Scalar) else "(a key)", depth)
            if isinstance(key, Scalar) and key.text == "<<" and isinstance(event, yaml.ScalarEvent) and not event.style:
                merged += self._to_merge(node, place)
            elif not isinstance(key, Scalar) or not key.text:
                self.problems.append(place.problem(dotted(self._path), "a key must be a word"))
            elif key.text in entries:
                self._duplicate(key.text, entries[key.text].place, place)
            else:
                entries[key.text] = Entry(place, self._commented(node, event))
        for other in merged:
            for name, entry in other.entries.items():
                entries.setdefault(name, entry)
        return Mapping(self._place(start), entries)

    def _to_merge(self, node: Node, place: Place) -> list[Mapping]:
        found = list(node.items) if isinstance(node, Sequence) else [node]
        if not all(isinstance(each, Mapping) for each in found):
            what = "<< takes a mapping, or a list of mappings, by alias: <<: *name"
            self.problems.append(place.problem(dotted(self._path), what))
        return [each for each in found if isinstance(each, Mapping)]

    def _duplicate(self, key: str, first: Place, second: Place) -> None:
        where = f"in line {first.line} already" if first.line else "twice"
        self.problems.append(
            second.problem(dotted((*self._path, key_shown(key))), f"is written {where}; keep one of the two")
        )
