"""How each service wants its text, so that what stands in it is shown literally and calls nobody.

apprise is told that a text is plain and converts it where it can. Where that was found to let markup through
(Telegram, Slack, and services that read every message as Markdown), the text is escaped here and passed on untouched.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from watcher.models import Call, Message
from watcher.notifier.text import (
    ZERO_WIDTH_SPACE,
    all_that_fit,
    as_written,
    break_mentions,
    cut,
    escape_html,
    escape_markdown,
    escape_slack,
    fit,
    part_marks,
)

Escape = Callable[[str], str]


def _no_fence(text: str) -> str:
    """Nothing gets out of a code block whose end can't be written."""
    return text.replace("`", f"`{ZERO_WIDTH_SPACE}")


def _slack(text: str) -> str:
    return part_marks(escape_slack(text))


def _slack_fence(text: str) -> str:
    return _no_fence(escape_slack(text))


@dataclass(frozen=True, slots=True)
class Fence:
    """How a service marks lines whose columns must stay: what stands before and after them, and what is escaped."""

    before: str = "```\n"
    after: str = "\n```"
    escape: Escape = _no_fence


@dataclass(frozen=True, slots=True)
class Dialect:
    """`converted`: apprise is told that it's plain text. `titled`: the service shows a title apart, as plain text.

    `calls` has patterns of chat ids, each with how its owner is called; other ids call nobody.
    """

    escape: Escape = as_written
    converted: bool = True
    titled: bool = True
    fence: Fence | None = None
    calls: tuple[tuple[str, str], ...] = ()


_AT = (("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "@{id}"),)

PLAIN = Dialect()
UNTITLED = Dialect(titled=False)
SLACK = Dialect(
    _slack,
    titled=False,
    fence=Fence(escape=_slack_fence),
    calls=(("[UW][A-Z0-9]{2,20}", "<@{id}>"), ("S[A-Z0-9]{2,20}", "<!subteam^{id}>")),
)
TELEGRAM = Dialect(
    escape_html,
    converted=False,
    titled=False,
    fence=Fence("<pre>", "</pre>", escape_html),
    calls=(("[0-9]{1,20}", '<a href="tg://user?id={id}">{owner}</a>'), ("[A-Za-z][A-Za-z0-9_]{3,31}", "@{id}")),
)
MARKDOWN = Dialect(escape_markdown, converted=False, titled=False)
FENCED = Dialect(escape_markdown, converted=False, titled=False, fence=Fence())
DISCORD = Dialect(escape_markdown, converted=False, titled=False, fence=Fence(), calls=(("&?[0-9]{1,20}", "<@{id}>"),))
MATTERMOST = Dialect(escape_markdown, converted=False, titled=False, fence=Fence(), calls=_AT)
MARKS = Dialect(part_marks, converted=False, titled=False)
GOOGLE_CHAT = Dialect(
    part_marks, converted=False, titled=False, fence=Fence(), calls=(("[0-9]{1,30}", "<users/{id}>"),)
)

_BY_SERVICE = {
    "slack": SLACK,
    "telegram": TELEGRAM,
    "discord": DISCORD,
    "guilded": FENCED,
    "fluxer": FENCED,
    "mattermost": MATTERMOST,
    "zulip": FENCED,
    "ryver": MARKDOWN,
    "revolt": FENCED,
    "humhub": MARKDOWN,
    "nextcloudtalk": MARKDOWN,
    "google_chat": GOOGLE_CHAT,
    "whatsapp": MARKS,
}

OWNER_LIMIT = 80
"""Characters of an owner's name."""

_SPACING = {"slack": 1.0, "google_chat": 1.0, "telegram": 1.0, "discord": 1.0, "workflows": 1.0, "msteams": 1.0}


def service(module: str) -> str:
    """The name of the plug-in in `apprise.plugins.NAME`."""
    return module.removeprefix("apprise.plugins.").partition(".")[0]


def dialect(name: str, *, markdown_only: bool) -> Dialect:
    """The dialect of a service. apprise escapes the text of those that take Markdown only, but not their titles."""
    return _BY_SERVICE.get(name, UNTITLED if markdown_only else PLAIN)


def spacing(name: str) -> float:
    """Seconds between two messages that a service wants; 0.0 where it says nothing."""
    return _SPACING.get(name, 0.0)


def quiet(text: str) -> str:
    """`text` in which no sign calls anybody. Once or twice, the same."""
    return break_mentions(text.replace(ZERO_WIDTH_SPACE, ""))


def called(call: Call, style: Dialect) -> str:
    """How the service calls somebody by name; where it can't, the name alone."""
    owner = cut(call.owner, OWNER_LIMIT)
    for pattern, form in style.calls:
        if re.fullmatch(pattern, call.id):
            return form.format(id=call.id, owner=escape_html(quiet(owner)))
    return style.escape(quiet(f"@{owner}"))


def all_called(message: Message, style: Dialect, limit: int) -> str:
    """What follows the first line: everybody who is called. Where that is longer than `limit`, `+7` for the last."""
    calls = all_that_fit([called(call, style) for call in message.calls], limit - 1)
    return "".join(f" {call}" for call in calls)


def written(
    message: Message, style: Dialect, *, title_limit: int, body_limit: int, lines: int = 0, octets: int = 0
) -> tuple[str, str]:
    """Title and body as the service gets them; a limit of 0 lines, or bytes (`octets`), is none."""
    title, body = _written(message, style, title_limit, body_limit, lines)
    while 0 < octets < (size := len(body.encode())):
        # Each letter may have as many bytes as those before it; a little less each time, so that it ends.
        body_limit = min(body_limit, len(body)) * octets // size - 1
        title, body = _written(message, style, title_limit, body_limit, lines)
    return title, body


def _written(message: Message, style: Dialect, title_limit: int, body_limit: int, lines: int) -> tuple[str, str]:
    title, body = quiet(message.title), quiet(message.body)
    if style.titled and title_limit > 0 and message.body:
        suffix = all_called(message, style, title_limit // 2)
        return cut(title, title_limit - len(suffix)) + suffix, _rest(message, body, style, body_limit, lines)
    suffix = all_called(message, style, body_limit // 2)
    first = fit(title, max(body_limit - len(suffix), 1), style.escape) + suffix
    if not message.body and not message.table:
        return "", first
    room = body_limit - len(first) - 1
    rest = _rest(message, body, style, room, lines and lines - 1) if room > 0 and lines != 1 else ""
    return "", f"{first}\n{rest}" if rest else first


def _rest(message: Message, body: str, style: Dialect, limit: int, lines: int) -> str:
    """What follows the first line: of a digest whole lines, and how many are missing."""
    if message.table and style.fence:
        fence = style.fence
        room = limit - len(fence.before) - len(fence.after)
        rows = whole_lines(quiet(message.table), room, fence.escape, lines and lines - 2)
        return f"{fence.before}{rows}{fence.after}" if rows else ""
    if message.table:
        return whole_lines(body, limit, style.escape, lines)
    return fit("\n".join(body.split("\n")[:lines]) if lines else body, limit, style.escape)


def whole_lines(text: str, limit: int, escape: Escape, most: int = 0) -> str:
    """As many lines as fit; `… +7` stands for those that don't."""
    rows = [escape(row) for row in text.split("\n")]
    if len("\n".join(rows)) <= limit and not 0 < most < len(rows):
        return "\n".join(rows)
    kept = rows[: most - 1] if most else rows
    while kept and len("\n".join(kept)) + len(f"\n… +{len(rows) - len(kept)}") > limit:
        kept = kept[:-1]
    return "\n".join([*kept, f"… +{len(rows) - len(kept)}"]) if kept else ""
