"""A message as Slack's blocks: the title in bold, whoever is called by name, then the rest. Pure.

The text stands in `rich_text`, in which Slack interprets nothing.
"""

from __future__ import annotations

import re

from watcher.models import Call, Message
from watcher.notifier.cards_blocks import TEXT, Block, as_mrkdwn, fallback, table
from watcher.notifier.text import all_that_fit, break_mentions, clean, cut

_USER = re.compile(r"[UW][A-Z0-9]{2,}")
_GROUP = re.compile(r"S[A-Z0-9]{2,}")
_OWNER = 80
_CALLS = 2000
"""Characters of all calls: a first line has at most 200, and Slack asks for no more than 4,000."""


def message_blocks(message: Message) -> tuple[list[Block], str]:
    """Blocks and the text beside them, which is what notifications show; it calls the owners, too."""
    parts = [_text(message.title, bold=True), *_called(message)]
    if message.body and not message.table:
        parts.append(_text(f"\n{message.body}"))
    words = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": parts}]}
    return [words, *([table(message.table.split("\n"))] if message.table else [])], message_text(message)


def message_text(message: Message, *, whole: bool = False) -> str:
    """The message as mrkdwn that shows everything literally: its title, or the `whole` of it."""
    text = f"{message.title}\n{message.body}" if whole and message.body else message.title
    return "  ".join(filter(None, (fallback(text), " ".join(_all_calls(message)))))


def _text(text: str, *, bold: bool = False) -> Block:
    shown: Block = {"type": "text", "text": cut(text, TEXT) or "?"}
    return shown | {"style": {"bold": True}} if bold else shown


def _called(message: Message) -> list[Block]:
    """What follows the title: everybody who is called, and how many more there are."""
    calls = _all_calls(message)
    shown = [_element(call) for call in message.calls[: len(calls)]]
    if calls and calls[-1].startswith("+"):
        shown[-1] = _text(calls[-1])
    blanks = [_text("  "), *(_text(" ") for _ in shown[1:])]
    return [block for pair in zip(blanks, shown, strict=False) for block in pair]


def _element(call: Call) -> Block:
    if _USER.fullmatch(call.id):
        return {"type": "user", "user_id": call.id}
    if _GROUP.fullmatch(call.id):
        return {"type": "usergroup", "usergroup_id": call.id}
    return _text(f"@{_owner(call)}")


def _all_calls(message: Message) -> list[str]:
    return all_that_fit([_markup(call) for call in message.calls], _CALLS)


def _markup(call: Call) -> str:
    if _USER.fullmatch(call.id):
        return f"<@{call.id}>"
    if _GROUP.fullmatch(call.id):
        return f"<!subteam^{call.id}>"
    return as_mrkdwn(f"@{_owner(call)}")


def _owner(call: Call) -> str:
    """A name that Slack knows nobody by: written, but calling nobody."""
    return break_mentions("@" + cut(clean(call.owner), _OWNER)).removeprefix("@")
