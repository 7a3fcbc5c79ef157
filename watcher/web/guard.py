"""Who may ask for what, and the headers of every answer."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watcher.web.problems import Problem

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""For probes, which have no token, come by any name, and must be answered when the server is crowded."""

ANSWER_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Door:
    """How the server can be reached: `token` ("" for none), `loopback`: by programs on this machine only."""

    token: str
    loopback: bool


class Guard:
    """An ASGI application around the routes; everything but the open paths passes here first."""

    def __init__(self, app: ASGIApp, door: Callable[[], Door], crowded: Callable[[], bool]) -> None:
        self._app = app
        self._door = door
        self._crowded = crowded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        app = self._app if scope["path"] in OPEN_PATHS else self._refusal(Headers(scope=scope)) or self._app
        await app(scope, receive, _with_headers(send))

    def _refusal(self, headers: Headers) -> Problem | None:
        door = self._door()
        if self._crowded():
            return Problem(503, "Too many connections. Try again.", {"retry-after": "5", "connection": "close"})
        if door.token:
            if not shows_token(headers, door.token):
                return Problem(401, "Send the header Authorization: Bearer, with http.token.", _CHALLENGE)
            return None
        if not door.loopback:
            return Problem(403, "Only /healthz and /readyz are served here, since http.token isn't set.")
        if not names_loopback(headers.get("host", "")):
            return Problem(421, "Without http.token only requests to localhost, 127.0.0.1 or [::1] are answered.")
        return None


_CHALLENGE = {"www-authenticate": 'Bearer realm="watcher"'}


def authorised(request: Request, door: Door) -> bool:
    """The request shows the token (and there is one)."""
    return bool(door.token) and shows_token(request.headers, door.token)


def shows_token(headers: Headers, token: str) -> bool:
    """Takes the same time for every wrong token."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return hmac.compare_digest(shown.strip().encode(), token.encode()) and scheme.lower() == "bearer"


def names_loopback(host: str) -> bool:
    """Whether a Host header names this machine by a name that no foreign DNS server can give out."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, "0"
    if not (port.isascii() and port.isdigit()):
        return False
    if name.lower() == "localhost":
        return True
    if name.startswith("[") and name.endswith("]"):
        return name == "[::1]"
    try:
        return ipaddress.IPv4Address(name).is_loopback
    except ValueError:
        return False


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("date", formatdate(usegmt=True))
            for name, value in ANSWER_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
