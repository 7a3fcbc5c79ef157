"""The checks of what says how a channel talks: Slack's token and channel, ids of people, templates.

As in `values`: a ValueError says what is wrong and what to write, and never repeats the value.
"""

from __future__ import annotations

import re

from watcher.settings.values import header_safe

SLACK_CHANNEL = r"^#[^\s#@<>,:]{1,80}$|^[CDGUW][A-Z0-9]{6,20}$"
EVERYBODY = frozenset({"all", "channel", "everyone", "here", "group"})
LONGEST_TEMPLATE = 64 * 1024

_BOT_TOKEN = "the bot token of your Slack app, which starts with xoxb- (api.slack.com/apps, OAuth & Permissions)"  # noqa: S105 - a hint


def slack_token(value: str) -> str:
    """A token that the Web API's methods for messages take."""
    if value.startswith(("xapp-", "xoxr-", "xoxe-")):
        raise ValueError(f"is another kind of Slack token; write {_BOT_TOKEN}")
    if not re.match(r"(xoxe\.)?xox[bp]-.", value):
        raise ValueError(f"must be {_BOT_TOKEN}")
    return header_safe(value)


def slack_channel(value: str) -> str:
    """A name with its `#`, or an id."""
    if not re.search(SLACK_CHANNEL, value):
        raise ValueError('must be a Slack channel\'s name with its #, in quotes: "#ml", or its id, such as C012AB3CD')
    return value


def chat_id(value: str) -> str:
    """Somebody's id, which is put between the signs of each service (`<@ID>`)."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise ValueError("must be the person's id in the chat alone, without @ and <>, such as U012AB3CD")
    if value.lower() in EVERYBODY:
        raise ValueError("calls everybody; write one person's id in the chat, such as U012AB3CD")
    return value


def template(value: str) -> str:
    """Any text but an empty one; what it means is told by `watcher check`."""
    if not value.strip():
        raise ValueError('empty; write a Jinja2 template, such as "{{ title }}"')
    if len(value.encode()) > LONGEST_TEMPLATE:
        raise ValueError("is larger than 64 KiB; that is no template")
    return value
