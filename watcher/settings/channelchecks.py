"""What the keys of one channel ask of each other."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from watcher.settings.notes import Notes
from watcher.settings.tree import Path
from watcher.settings.values import base_url

_APP = 'write slack_token_file: /path and channel: "#ml"'
_NO_TOKEN = "missing; write slack_token_file: /path, with the bot token of your Slack app (xoxb-...)"  # noqa: S105
_NO_CHANNEL = 'missing; write where the Slack app is to post: "#ml", or the channel\'s id'
_OWN_CHANNEL = f"an address has its own channel; leave it out, or use a Slack app in place of url: {_APP}"
_NO_CARD = f"a living card needs a Slack app: {_APP}; other channels take messages"
_UNSIGNED = "signs http(s) webhooks only; this URL isn't one. Leave it out"
_WHOLE = "a signed webhook carries whole events, without words; leave the template out"
_WEBHOOK = "is an incoming webhook's, which needs no slack_token; keep one of the two"
_CUT_OFF = "is only a part of {service}'s webhook address; copy it again, whole: {form}"
_WHOLE_ADDRESSES = {
    "hooks.slack.com": ("Slack", "/services/", r"(/[\w-]+){3}/?", "https://hooks.slack.com/services/T.../B.../..."),
    "discord.com": ("Discord", "/api/webhooks/", r"(/[\w-]+){2}.*", "https://discord.com/api/webhooks/ID/TOKEN"),
}
"""By host: whose it is, how paths for messages begin, what must follow, and an example. A part of such an address would
be taken for anybody's webhook."""

_NO_BASE = "with slack_token it is where Slack's Web API is; leave it out for https://slack.com/api/"


def channels(data: dict[str, Any], notes: Notes) -> None:
    """Every channel needs its address or its Slack app, and only webhooks are signed."""
    for name, channel in (data.get("channels") or {}).items():
        path = ("channels", name)
        if _written("slack_token", channel, path, notes):
            _slack(channel, path, notes)
        else:
            _address(name, channel, path, notes)
        if channel.get("secret") and (channel.get("template") or _written("template", channel, path, notes)):
            notes.report((*path, "template"), _WHOLE)


def _written(key: str, channel: dict[str, Any], path: Path, notes: Notes) -> bool:
    return channel.get(key) is not None or (*path, key) in notes.bad


def _address(name: str, channel: dict[str, Any], path: Path, notes: Notes) -> None:
    url = channel.get("url")
    if "url" not in channel and (*path, "url") not in notes.bad:
        if channel.get("channel") or channel.get("mode") == "card":
            notes.report((*path, "slack_token"), _NO_TOKEN)
        else:
            notes.report((*path, "url"), f"missing; write {name}: URL, or url_file: /path")
        return
    if url:
        _whole(url, path, notes)
    if url and channel.get("secret") and not str(url).lower().startswith(("http://", "https://")):
        notes.report((*path, "secret"), _UNSIGNED)
    if channel.get("channel"):
        notes.report((*path, "channel"), _OWN_CHANNEL)
    if channel.get("mode") == "card":
        notes.report((*path, "mode"), _NO_CARD)


def _whole(url: str, path: Path, notes: Notes) -> None:
    try:
        parts = urlsplit(url)
        known = _WHOLE_ADDRESSES.get(parts.hostname or "")
    except ValueError:
        return  # the check of the value says so
    if known is None:
        return
    service, begin, rest, form = known
    inside = f"{parts.path}/".startswith(begin) and parts.scheme.lower() in ("http", "https")
    if inside and not re.fullmatch(rest, parts.path[len(begin) - 1 :]):
        notes.report((*path, "url"), _CUT_OFF.format(service=service, form=form))


def _slack(channel: dict[str, Any], path: Path, notes: Notes) -> None:
    if not _written("channel", channel, path, notes):
        notes.report((*path, "channel"), _NO_CHANNEL)
    if channel.get("secret"):
        notes.report((*path, "secret"), _UNSIGNED.replace("this URL isn't one", "a Slack app is none"))
    url = channel.get("url")
    if url and (*path, "url") not in notes.bad:
        try:
            base_url(url)
        except ValueError:
            notes.report((*path, "url"), _NO_BASE)
            return
        if urlsplit(url).hostname == "hooks.slack.com":
            notes.report((*path, "url"), _WEBHOOK)
