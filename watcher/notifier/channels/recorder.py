"""What really happened on the wire while apprise sent one message: it only says yes or no.

Hooks around `requests` and `smtplib` write into the attempt of the running context, so other threads and other users
of these libraries see nothing of it. This also carries into them what apprise can't pass on: proxy and trust.
"""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from watcher.notifier.mail import Letter, composed

VERBS = frozenset({"ehlo", "helo", "starttls", "auth", "mail", "rcpt", "data", "rset", "quit", "noop"})
"""SMTP commands; whatever else goes over the line answers a challenge, and is a secret."""

AFTERWARDS = frozenset({"rset", "quit", "noop"})
"""Those that say nothing about the message."""


class NotSent(requests.ConnectionError):
    """Raised instead of sending: only the server's place is wanted, or it has asked to be left alone."""


class Connections:
    """What a channel keeps open: apprise would connect anew, and over TLS greet anew, for each message of many."""

    IDLE = 4.0
    """Seconds without a message after which nothing is kept: servers hang up on who is silent for longer."""

    def __init__(self) -> None:
        self._adapter = HTTPAdapter(pool_connections=2, pool_maxsize=1)
        self._used = 0.0

    def adapter(self) -> HTTPAdapter:
        """What sends the next request."""
        now = time.monotonic()
        if now - self._used > self.IDLE:
            self.close()
        self._used = now
        return self._adapter

    def close(self) -> None:
        self._adapter.close()


@dataclass
class Attempt:
    """One call of apprise. `statuses` has one HTTP status per request, `reply` the last SMTP answer that says no."""

    trust: ssl.SSLContext
    connections: Connections | None = None
    ca_file: str | None = None
    proxy: str | None = None
    letter: Letter | None = None
    dry: bool = False

    place: tuple[str, str, int] | None = None
    statuses: list[int] = field(default_factory=list)
    retry_after: str | None = None
    body: str = ""
    sent: bool = False
    """A request or a mail went out whole, and no answer came."""
    error: BaseException | None = None
    command: str = ""
    reply: tuple[str, int, str] | None = None
    smtp: bool = False
    broker: str = ""
    """Why an MQTT broker wants nothing of it."""


_current: ContextVar[Attempt | None] = ContextVar("attempt", default=None)


def current() -> Attempt | None:
    """The attempt of the running context."""
    return _current.get()


@contextmanager
def recording(attempt: Attempt) -> Iterator[Attempt]:
    """Record in `attempt` what happens in this context."""
    token = _current.set(attempt)
    try:
        yield attempt
    finally:
        _current.reset(token)


def install() -> None:
    """Set the hooks, once per process."""
    if hasattr(HTTPAdapter.send, "__wrapped__"):
        return
    for owner, name, hook in (
        (requests.sessions, "get_environ_proxies", _http_environment),
        (HTTPAdapter, "send", _http_send),
        (HTTPAdapter, "build_connection_pool_key_attributes", _http_trust),
        (smtplib.SMTP, "putcmd", _smtp_putcmd),
        (smtplib.SMTP, "getreply", _smtp_getreply),
        (smtplib.SMTP, "connect", _smtp_connect),
        (smtplib.SMTP, "starttls", _smtp_step),
        (smtplib.SMTP, "login", _smtp_step),
        (smtplib.SMTP, "sendmail", _smtp_sendmail),
    ):
        setattr(owner, name, _hooked(getattr(owner, name), hook))


def _hooked(original: Callable[..., Any], hook: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        attempt = _current.get()
        return original(*args, **kwargs) if attempt is None else hook(attempt, original, *args, **kwargs)

    return call


def _http_environment(_attempt: Attempt, _original: Callable[..., Any], *_args: Any, **_kwargs: Any) -> dict[str, str]:
    """Only what the configuration says: the environment's proxies are for other programs, and costly to look for."""
    return {}


def _http_send(attempt: Attempt, original: Callable[..., Any], adapter: Any, request: Any, **kwargs: Any) -> Any:
    attempt.place = place(request.url)
    if attempt.dry:
        raise NotSent("only looking")
    if attempt.statuses[-1:] == [429]:
        # Some plug-ins would try again after a pause that is ours to keep; `retry_after` stays as it is.
        raise NotSent("asked to wait")
    attempt.sent, attempt.error, attempt.retry_after = False, None, None
    proxies = {"http": attempt.proxy, "https": attempt.proxy} if attempt.proxy else {}
    if attempt.connections is not None and type(adapter) is HTTPAdapter:
        adapter = attempt.connections.adapter()
    try:
        response = original(adapter, request, **kwargs | {"proxies": proxies})
    except Exception as error:
        attempt.error, attempt.sent = error, not _before_sending(error)
        attempt.statuses.append(0)
        raise
    attempt.statuses.append(response.status_code)
    attempt.retry_after = response.headers.get("Retry-After")
    try:
        attempt.body = response.content[:2048].decode("utf-8", "replace")
    except requests.RequestException as error:
        attempt.error, attempt.sent = error, True
        raise
    return response


def place(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _before_sending(error: BaseException) -> bool:
    """No connection came about. A time-out while connecting is one of these, a time-out while reading isn't."""
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    if isinstance(error, requests.exceptions.ProxyError):
        # Also what breaks behind the proxy, once it has led us there, comes as its error.
        return not isinstance(getattr(reason, "original_error", None), ConnectionError)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    if isinstance(error, requests.exceptions.SSLError | requests.exceptions.InvalidURL):
        return True
    return type(reason).__name__ in {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError"}


def _http_trust(attempt: Attempt, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """requests would trust certifi's list only; with our context it trusts the system and `ca_file` as well."""
    host, pool = original(*args, **kwargs)
    if host.get("scheme") == "https" and pool.get("cert_reqs") != "CERT_NONE":
        pool["ssl_context"] = attempt.trust
    return host, pool


def _smtp_putcmd(attempt: Attempt, original: Callable[..., Any], smtp: Any, command: str, args: str = "") -> Any:
    verb = command.lower()
    attempt.command = verb if verb in VERBS else attempt.command
    return original(smtp, command, args)


def _smtp_getreply(attempt: Attempt, original: Callable[..., Any], smtp: Any) -> Any:
    code, said = original(smtp)
    if attempt.command == "data" and code < 400:
        # 354 asks for the content; what comes next answers the whole mail.
        attempt.command = "content"
    elif code >= 400 and attempt.command not in AFTERWARDS:
        attempt.reply = (attempt.command, code, said.decode("utf-8", "replace"))
    return code, said


def _smtp_connect(attempt: Attempt, original: Callable[..., Any], smtp: Any, *args: Any, **kwargs: Any) -> Any:
    attempt.smtp, attempt.command = True, "connect"
    if attempt.dry:
        raise OSError("only looking")
    return _smtp_step(attempt, original, smtp, *args, **kwargs)


def _smtp_step(attempt: Attempt, original: Callable[..., Any], smtp: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return original(smtp, *args, **kwargs)
    except Exception as error:
        attempt.error = error
        raise


def _smtp_sendmail(attempt: Attempt, original: Callable[..., Any], smtp: Any, *args: Any, **kwargs: Any) -> Any:
    attempt.reply = None  # what greeting and logging in said on the way; they went well in the end
    try:
        return original(smtp, *args, **kwargs)
    except Exception as error:
        attempt.error = error
        attempt.sent = attempt.command == "content" and attempt.reply is None
        raise


def install_mail(email: Any, smtp: Any) -> None:
    """Hooks in apprise's mail modules: mails that we compose, and `ca_file` for the server.

    A mail that is to be signed or encrypted with PGP stays apprise's own, but for its Message-ID.
    """
    make_msgid, prepare = email.make_msgid, email.NotifyEmail.prepare_emails

    def message_id(*args: Any, domain: str | None = None, **kwargs: Any) -> str:
        attempt = _current.get()
        if attempt is None or attempt.letter is None:
            return str(make_msgid(*args, domain=domain, **kwargs))
        return f"<{attempt.letter.id}@{domain or 'watcher'}>"

    def prepared(**about: Any) -> Iterator[Any]:
        attempt = _current.get()
        if attempt is None or attempt.letter is None or about["pgp_mode"] != email.PGPMode.NONE:
            yield from prepare(**about)
            return
        sender, (name, address) = about["from_addr"], about["to"][0]
        body = composed(
            attempt.letter,
            sender=(sender[0] or "", sender[1]),
            recipient=(name or "", address),
            now=datetime.now(UTC),
            reply_to=sorted(about["reply_to"]),
            headers=about["headers"],
        )
        yield email.EmailMessage(recipient=address, to_addrs=[address], body=body)

    def context() -> ssl.SSLContext:
        made = ssl.create_default_context()
        attempt = _current.get()
        if attempt is not None and attempt.ca_file:
            made.load_verify_locations(cafile=attempt.ca_file)
        return made

    email.make_msgid, email.NotifyEmail.prepare_emails = message_id, staticmethod(prepared)
    smtp.ssl = SimpleNamespace(create_default_context=context, CERT_NONE=ssl.CERT_NONE)
