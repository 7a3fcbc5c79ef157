"""Which texts of the settings must never be shown: whole secrets, and the secret parts of URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from watcher.settings.schema import Settings

_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*)://(?:(?P<user>[^@/?#]*)@)?(?P<host>[^/?#]*)(?P<path>[^?#]*)\??(?P<query>[^#]*)"
)
_SECRET_ARGUMENT = re.compile(r"key|token|secret|pass|pwd|sig|auth|code", re.IGNORECASE)


def collect(settings: Settings) -> frozenset[str]:
    """Every value that must be redacted wherever text is shown."""
    found = {account.api_key.get_secret_value() for account in settings.accounts.values()}
    for channel in settings.channels.values():
        found.update(_of_url(channel.url.get_secret_value() if channel.url else ""))
        found.add(channel.slack_token.get_secret_value() if channel.slack_token else "")
        for secret in channel.secrets:
            found.update((secret.get_secret_value(), secret.get_secret_value().removeprefix("whsec_")))
    if settings.http and settings.http.token:
        found.add(settings.http.token.get_secret_value())
    if settings.heartbeat:
        found.update(_of_url(settings.heartbeat.url.get_secret_value()))
    for url in (settings.store, settings.proxy):
        if url and "@" in url.get_secret_value():
            found.update(_of_url(url.get_secret_value()))
    return frozenset(found - {""})


def _of_url(url: str) -> Iterator[str]:
    parts = _PARTS.match(url)
    if parts is None or parts["scheme"] == "console":
        return
    yield url
    yield from _of_user(parts["user"] or "")
    web = parts["scheme"].lower() in ("http", "https")
    words = re.split(r"[/:]", parts["path"] if web else f"{parts['host']}/{parts['path']}")
    yield from (form for word in words if _token_like(word) for form in _forms(word))
    if web and parts["path"].count("/") > 1 and len(parts["path"]) > 11:
        yield parts["path"]
    for name, value in parse_qsl(parts["query"]):
        if _token_like(value) or (_SECRET_ARGUMENT.search(name) and len(value) > 4):
            yield value


def _of_user(userinfo: str) -> Iterator[str]:
    user, colon, password = userinfo.partition(":")
    if password:
        yield from (*_forms(password), userinfo)
    if user and (not colon or _token_like(user)):
        yield from _forms(user)


def _forms(text: str) -> tuple[str, str]:
    return text, unquote(text)


def _token_like(word: str) -> bool:
    """Long, and of a kind that no ordinary word is; host names have dots."""
    if len(word) < 8 or re.fullmatch(r"[\w-]+(\.[\w-]+)+", word):
        return False
    mixed = re.search(r"[a-z][A-Z]|[A-Z]{2}[a-z]", word) and len(word) >= 12
    return bool(re.search(r"\d", word) or mixed or (len(word) >= 16 and "-" not in word))
