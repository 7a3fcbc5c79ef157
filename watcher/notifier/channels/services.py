"""What single services need done to apprise's plug-ins: a phone shows the first line, nobody is called, digests fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from watcher.models import Call
from watcher.notifier.channels import recorder
from watcher.notifier.channels.dialects import service

DISCORD_TEXT, DISCORD_EMBED = 2000, 4000
"""Characters that Discord takes in a message, and (a few more) in what is embedded in it."""

DISCORD_CALLS = 100
"""People whom Discord lets one message call, and roles."""

TEAMS_TEXT = 4000
"""Characters that fit Teams' 28 KB for a card, each as an escape of six."""

OCTETS = {"ntfy": 4096}
"""Bytes that a service takes as a message, where it counts these; ntfy shows more as a file, or refuses it."""


def adapt(plugin: Any) -> None:
    """Change this one plug-in, where its service wants it."""
    change = _CHANGES.get(service(type(plugin).__module__))
    if change is not None:
        change(plugin)


def _slack(plugin: Any) -> None:
    """The first line becomes the message itself, which notifications show and in which names are called; the rest
    stays in apprise's attachment with its coloured bar. Our text is escaped already, which blocks of plain text aren't.
    """
    plugin.use_blocks = plugin.use_blocks and bool(plugin.template)
    convert, send = plugin.dialect_convert, plugin._send

    def as_it_is(body: str, body_format: Any = None, *args: Any, **kwargs: Any) -> str:
        return body if recorder.current() is not None else str(convert(body, body_format, *args, **kwargs))

    def speak(url: str, payload: Any, *args: Any, **kwargs: Any) -> Any:
        first = payload["attachments"][0] if isinstance(payload, dict) and payload.get("attachments") else {}
        if recorder.current() is not None and isinstance(first.get("text"), str):
            title, _, rest = first["text"].partition("\n")
            kept = {"color": first.get("color"), "text": rest, "fallback": rest, "mrkdwn_in": ["text"]}
            payload = payload | {"text": title, "mrkdwn": True, "attachments": [kept] if rest else []}
        return send(url, payload, *args, **kwargs)

    plugin.dialect_convert, plugin._send = as_it_is, speak


def _discord(plugin: Any) -> None:
    """Discord is told whom a message may call, whatever its text looks like; what is too long for it is embedded."""
    send = plugin._send
    plugin.body_maxlen = DISCORD_EMBED

    def speak(payload: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        attempt = recorder.current()
        if attempt is not None and not plugin.ping:
            calls = attempt.letter.message.calls if attempt.letter else ()
            payload = payload | {"allowed_mentions": {"parse": [], **_allowed(calls)}}
        return send(payload | _embedded(payload.get("content") or ""), *args, **kwargs)

    plugin._send = speak


def _embedded(content: str) -> dict[str, Any]:
    if len(content) <= DISCORD_TEXT:
        return {}
    first, _, rest = content.partition("\n")
    first, rest = (first, rest) if rest and len(first) <= DISCORD_TEXT else ("", content)
    return {"content": first, "embeds": [{"description": rest}]}


def _teams(plugin: Any) -> None:
    plugin.body_maxlen = TEAMS_TEXT


def _allowed(calls: Sequence[Call]) -> dict[str, list[str]]:
    """People and roles; no list for none."""
    ids = [call.id for call in calls if re.fullmatch("&?[0-9]{1,20}", call.id)]
    lists = {
        "users": [id_ for id_ in ids if not id_.startswith("&")],
        "roles": [id_[1:] for id_ in ids if id_.startswith("&")],
    }
    return {kind: listed[:DISCORD_CALLS] for kind, listed in lists.items() if listed}


_CHANGES: dict[str, Callable[[Any], None]] = {"slack": _slack, "discord": _discord, "workflows": _teams}
