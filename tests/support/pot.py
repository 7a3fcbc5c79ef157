"""Collects every text for translators: `python -m tests.support.pot` remakes the template and all catalogues.

The `.po` files keep what is translated, get what is new (empty, to be filled in) and lose what is gone; the `.mo` files
are compiled from them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

PACKAGE = Path(__file__).parents[2] / "watcher"
LOCALE = PACKAGE / "locale"
TEMPLATE = LOCALE / "watcher.pot"
LANGUAGES = ("ja", "ko")
"""English is what stands in the code."""

HEADER = 'msgid ""\nmsgstr ""\n"Project-Id-Version: watcher\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
OF_LANGUAGE = HEADER + '"Language: {language}\\n"\n"Plural-Forms: nplurals=1; plural=0;\\n"\n'
CALLS = {"gettext": 1, "ngettext": 2}
OF_MESSAGES = {"say": 1, "say_many": 2, "sentence": 1}
"""What the words of messages are said by, anywhere in `notifier/`."""

Text = tuple[str, ...]
"""One text, or its singular and its plural."""


def collected() -> dict[Text, list[str]]:
    """Every text with the files that it stands in: by file, then in the order in which they stand there."""
    texts: dict[Text, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE.parent)
        calls = CALLS | OF_MESSAGES if "notifier" in place.parts else CALLS
        for found in _texts(ast.parse(path.read_text(encoding="utf-8")), calls):
            places = texts.setdefault(found, [])
            places.extend([place.as_posix()] if place.as_posix() not in places else [])
    return texts


def template() -> str:
    """The .pot file as it should be: without line numbers, which change with every edit."""
    return "\n".join([HEADER, *(_entry(text, places) for text, places in collected().items())])


def catalogue(language: str) -> Catalog:
    """What the language's .po file holds."""
    with po_file(language).open("rb") as file:
        return read_po(file, locale=language)


def renewed(language: str) -> str:
    """The .po file as it should be: every text of the template, translated where it was."""
    known = catalogue(language) if po_file(language).exists() else Catalog(locale=language)
    entries = []
    for text, places in collected().items():
        message = known.get(text[0])
        said = message.string if message else ""
        entries.append(_entry(text, places, said if isinstance(said, str) else said[0]))
    return "\n".join([OF_LANGUAGE.format(language=language), *entries])


def po_file(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "watcher.po"


def mo_file(language: str) -> Path:
    return po_file(language).with_suffix(".mo")


def remake() -> None:
    """Write template and catalogues."""
    TEMPLATE.write_text(template(), encoding="utf-8")
    for language in LANGUAGES:
        text = renewed(language)
        po_file(language).parent.mkdir(parents=True, exist_ok=True)
        po_file(language).write_text(text, encoding="utf-8")
        compiled = catalogue(language)
        compiled.creation_date = compiled.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
        with mo_file(language).open("wb") as file:
            write_mo(file, compiled)


def _texts(tree: ast.AST, calls: dict[str, int]) -> list[Text]:
    found = [
        (node.lineno, node.col_offset, text)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for text in _said(node, calls.get(getattr(node.func, "attr", getattr(node.func, "id", "")), 0))
    ]
    return [text for _, _, text in sorted(found)]


def _said(call: ast.Call, count: int) -> Iterator[Text]:
    """The texts of a call: its first arguments, or both sides of `"..." if ... else "..."`."""
    for choice in [call.args[0].body, call.args[0].orelse] if count and _is_choice(call) else call.args[:1]:
        words = [choice, *call.args[1:count]][:count]
        texts = tuple(word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str))
        if texts and len(texts) == count:
            yield texts


def _is_choice(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.IfExp)


def _entry(text: Text, places: list[str], said: str = "") -> str:
    lines = [f"#: {' '.join(places)}"]
    lines += ["#, python-brace-format"] if "{" in text[0] else ["#, python-format"] if "%(" in text[0] else []
    lines.append(f"msgid {_quoted(text[0])}")
    if len(text) > 1:
        lines += [f"msgid_plural {_quoted(text[1])}", f"msgstr[0] {_quoted(said)}"]
    else:
        lines.append(f"msgstr {_quoted(said)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


if __name__ == "__main__":
    remake()
