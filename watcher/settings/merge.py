"""Laying one tree on another: later files on earlier ones, the environment on all of them."""

from __future__ import annotations

from dataclasses import replace

from watcher.settings.tree import Entry, Mapping, Node, Scalar, Sequence


def merge(base: Node, over: Node, *, add_lists: bool, path: tuple[str, ...] = ()) -> Node:
    """`over` laid on `base`: mappings are merged, lists added or replaced, everything else replaced."""
    if isinstance(base, Scalar) and isinstance(over, Mapping) and len(path) == 2 and path[0] == "channels":
        base = Mapping(base.place, {} if base.null else {"url": Entry(base.place, base)})
    if isinstance(base, Sequence) and isinstance(over, Sequence) and add_lists:
        return replace(base, items=base.items + over.items)
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    entries = dict(base.entries)
    for name, entry in over.entries.items():
        name = _same_name(name, entries) if not entry.place.line else name
        _drop_twin(entries, name, over)
        old = entries.get(name)
        node = merge(old.node, entry.node, add_lists=add_lists, path=(*path, name)) if old else entry.node
        entries[name] = Entry(entry.place, node)
    return Mapping(base.place, entries)


def _same_name(name: str, entries: dict[str, Entry]) -> str:
    """Names in the environment come in lower case."""
    return next((known for known in entries if known.lower() == name), name)


def _drop_twin(entries: dict[str, Entry], name: str, over: Mapping) -> None:
    """`api_key` overrides an earlier `api_key_file`, and the reverse."""
    twin = name.removesuffix("_file") if name.endswith("_file") else f"{name}_file"
    if twin not in over.entries:
        entries.pop(twin, None)
