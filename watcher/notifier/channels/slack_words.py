"""A message as Slack's blocks: the title in bold, whoever is called by name, then the rest. Pure.

The text stands in `rich_text`, in which Slack interprets nothing.
"""

from __future__ import annotations

import re

from watcher.models import Message
from watcher.notifier.cards_blocks import TEXT, Block, as_mrkdwn, fallback, table
from watcher.notifier.text import break_mentions, clean, cut

_USER = re.compile(r"[UW][A-Z0-9]{2,}")
_GROUP = re.compile(r"S[A-Z0-9]{2,}")
_OWNER = 80


def message_blocks(message: Message) -> tuple[list[Block], str]:
    """Blocks and the text beside them, which is what notifications show; it calls the owner, too."""
    called = _called(message)
    parts = [_text(message.title, bold=True), *([_text("  "), called] if called else [])]
    if message.body and not message.table:
        parts.append(_text(f"\n{message.body}"))
    words = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": parts}]}
    return [words, *([table(message.table.split("\n"))] if message.table else [])], message_text(message)


def message_text(message: Message, *, whole: bool = False) -> str:
    """The message as mrkdwn that shows everything literally: its title, or the `whole` of it."""
    text = f"{message.title}\n{message.body}" if whole and message.body else message.title
    call = _markup(message)
    return fallback(text) + (f"  {call}" if call else "")


def _text(text: str, *, bold: bool = False) -> Block:
    shown: Block = {"type": "text", "text": cut(text, TEXT) or "?"}
    return shown | {"style": {"bold": True}} if bold else shown


def _called(message: Message) -> Block | None:
    if _USER.fullmatch(message.call):
        return {"type": "user", "user_id": message.call}
    if _GROUP.fullmatch(message.call):
        return {"type": "usergroup", "usergroup_id": message.call}
    return _text(f"@{_owner(message)}") if message.owner else None


def _markup(message: Message) -> str:
    if _USER.fullmatch(message.call):
        return f"<@{message.call}>"
    if _GROUP.fullmatch(message.call):
        return f"<!subteam^{message.call}>"
    return as_mrkdwn(f"@{_owner(message)}") if message.owner else ""


def _owner(message: Message) -> str:
    """A name that Slack knows nobody by: written, but calling nobody."""
    return break_mentions("@" + cut(clean(message.owner), _OWNER)).removeprefix("@")
