"""What is asked of a single node of what was written."""

from __future__ import annotations

from watcher.settings.tree import Entry, Mapping, Node, Path, Scalar, Sequence


def is_nothing(node: Node) -> bool:
    """Null, or an empty list or mapping; a variable's value is still text."""
    if isinstance(node, Scalar):
        return node.null or (not node.place.line and node.text.strip() in ("[]", "{}"))
    return not (node.items if isinstance(node, Sequence) else node.entries)


def encodable(text: str) -> bool:
    """Variables may hold bytes that are no UTF-8, and YAML escapes lone surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def is_id(path: Path) -> bool:
    """Whether a task's id belongs here, where `null` is one too."""
    return path[0] == "tasks" and (path[-1] == "id" or len(path) == 2)


def comment_hint(node: Scalar, *, secret: bool) -> str:
    """What to do about a # that made the value empty; "" where there is none."""
    if not node.comment:
        return ""
    first = node.comment.split()[0].rstrip(",]}")
    example = "Put the value in quotes" if secret or not first[1:].replace("-", "").isalpha() else f'Write "{first}"'
    return f"; # starts a comment. {example}"


def is_for_all_events(node: Node) -> bool:
    """Whether one text stands in the place of a mapping from patterns of events."""
    return isinstance(node, Scalar) and not node.null


def for_all_events(node: Node) -> Mapping:
    """The mapping that one text means."""
    return Mapping(node.place, {"*": Entry(node.place, node)})
