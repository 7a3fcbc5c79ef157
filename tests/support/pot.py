"""Collects every text for translators: `python -m tests.support.pot` rewrites the template."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "watcher"
TEMPLATE = PACKAGE / "locale" / "watcher.pot"
HEADER = 'msgid ""\nmsgstr ""\n"Project-Id-Version: watcher\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
CALLS = {"gettext": 1, "ngettext": 2}
OF_MESSAGES = {"say": 1, "say_many": 2}
"""What `Facts` calls them."""


def template() -> str:
    """The .pot file as it should be: sorted by file, without line numbers, which change with every edit."""
    texts: dict[tuple[str, ...], list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        calls = CALLS | OF_MESSAGES if path.parent.name == "notifier" else CALLS
        for found in _texts(ast.parse(path.read_text(encoding="utf-8")), calls):
            places = texts.setdefault(found, [])
            place = path.relative_to(PACKAGE.parent).as_posix()
            places.extend([place] if place not in places else [])
    return "\n".join([HEADER, *(_entry(found, places) for found, places in texts.items())])


def _texts(tree: ast.AST, calls: dict[str, int]) -> list[tuple[str, ...]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            words = [a.value for a in node.args[: calls.get(name, 0)] if isinstance(a, ast.Constant)]
            if words and len(words) == calls[name]:
                found.append(tuple(map(str, words)))
    return found


def _entry(found: tuple[str, ...], places: list[str]) -> str:
    quoted = ['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in found]
    lines = [f"#: {' '.join(places)}", *(["#, python-brace-format"] if "{" in found[0] else []), f"msgid {quoted[0]}"]
    lines += [f"msgid_plural {quoted[1]}", 'msgstr[0] ""', 'msgstr[1] ""'] if len(quoted) > 1 else ['msgstr ""']
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TEMPLATE.write_text(template(), encoding="utf-8")
