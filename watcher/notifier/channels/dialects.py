"""How each service wants its text, so that what stands in it is shown literally.

apprise is told that a text is plain and converts it where it can. Where that was found to let markup through
(Telegram, and services that read every message as Markdown), the text is escaped here and passed on untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from watcher.models import Message
from watcher.notifier.text import as_written, cut, escape_html, escape_markdown, fit, part_marks


@dataclass(frozen=True, slots=True)
class Dialect:
    """`converted`: apprise escapes by itself. `titled`: the service shows a title apart, as plain text."""

    escape: Callable[[str], str] = as_written
    converted: bool = True
    titled: bool = True


PLAIN = Dialect()
UNTITLED = Dialect(titled=False)
HTML = Dialect(escape_html, converted=False, titled=False)
MARKDOWN = Dialect(escape_markdown, converted=False, titled=False)
MARKS = Dialect(part_marks, converted=False, titled=False)

_BY_MODULE = {
    "telegram": HTML,
    "discord": MARKDOWN,
    "guilded": MARKDOWN,
    "fluxer": MARKDOWN,
    "mattermost": MARKDOWN,
    "zulip": MARKDOWN,
    "ryver": MARKDOWN,
    "revolt": MARKDOWN,
    "humhub": MARKDOWN,
    "nextcloudtalk": MARKDOWN,
    "google_chat": MARKS,
    "whatsapp": MARKS,
}


def dialect(module: str, *, markdown_only: bool) -> Dialect:
    """The dialect of the plug-in in `apprise.plugins.MODULE`.

    apprise escapes the text of those that take Markdown only, but not their titles.
    """
    return _BY_MODULE.get(
        module.removeprefix("apprise.plugins.").partition(".")[0], UNTITLED if markdown_only else PLAIN
    )


def written(message: Message, style: Dialect, *, title_limit: int, body_limit: int, lines: int = 0) -> tuple[str, str]:
    """Title and body as the service gets them; a limit of 0 lines is none."""
    if not message.body:
        return "", fit(message.title, body_limit, style.escape)
    if style.titled and title_limit > 0:
        return cut(message.title, title_limit), fit(_lines(message.body, lines), body_limit, style.escape)
    return "", fit(_lines(f"{message.title}\n{message.body}", lines), body_limit, style.escape)


def _lines(text: str, limit: int) -> str:
    return "\n".join(text.split("\n")[:limit]) if limit else text
