"""What went wrong on the way, told from the chain of exceptions that the HTTP library leaves behind."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import anyio
import httpx2

from watcher import errors
from watcher.clova.text import Redact, one_line

_STREAM = (anyio.BrokenResourceError, anyio.ClosedResourceError)

CAUGHT = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    *_STREAM,
    OSError,
    UnicodeError,
    ExceptionGroup,
)
"""Everything that a request may raise besides what we raise: UnicodeError comes from host names that no DNS takes, an
ExceptionGroup around whatever else connecting raises (OverflowError from an impossible port)."""

_NO_ADDRESS = (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, UnicodeError)
_NETWORK = "check the network and base_url; it is asked again by itself"
_PROXY = "check the address of the proxy, and that it may reach the upstream"
_GARBAGE = "it is asked again by itself; if it stays so, check base_url and what stands between (proxy, gateway)"
_NO_ANSWER = "Server disconnected without sending a response."


class BrokenError(Exception):
    """The connection broke before an answer began: the same GET may be sent once more."""

    def __init__(self, error: errors.UpstreamError) -> None:
        super().__init__(error.message)
        self.error = error


def before_answer(error: BaseException) -> bool:
    """Whether a connection that stood broke without a byte of an answer, as a stale one does."""
    if isinstance(error, httpx2.RemoteProtocolError):
        return str(error) == _NO_ANSWER
    return isinstance(error, (httpx2.ReadError, httpx2.WriteError, *_STREAM))


def timed_out(seconds: float) -> errors.Unreachable:
    """No whole answer came within the account's timeout."""
    return errors.Unreachable(f"no answer within {seconds:g} s", "check the network, or raise the account's timeout")


def cut_off(error: BaseException) -> errors.BadAnswer:
    """The answer had begun, and then broke."""
    if isinstance(error, httpx2.DecodingError):
        return errors.BadAnswer("the answer can't be unpacked", _GARBAGE)
    return errors.BadAnswer("the answer is cut off", _GARBAGE)


def explain(error: BaseException, redact: Redact, *, proxied: bool) -> errors.UpstreamError:
    """The typed error for what broke before the answer had begun."""
    for cause in _chain(error):
        if known := _of_cause(cause, proxied):
            return known
    said = one_line(str(error), redact)
    if isinstance(error, httpx2.ProxyError):
        return errors.Unreachable(f"the proxy refuses: {said}", _PROXY)
    if isinstance(error, httpx2.RemoteProtocolError) and said != _NO_ANSWER:
        return errors.BadAnswer(f"the answer isn't HTTP: {said}", _GARBAGE)
    if isinstance(error, _NO_ADDRESS):
        return errors.RequestRefused("base_url isn't an address", "write base_url as https://host")
    if isinstance(error, httpx2.ConnectError):
        return errors.Unreachable(f"{_whom(proxied)} can't be connected to", _PROXY if proxied else _NETWORK)
    return errors.Unreachable("the connection broke before an answer came", _NETWORK)


def _of_cause(cause: BaseException, proxied: bool) -> errors.UpstreamError | None:
    whom, hint = _whom(proxied), _PROXY if proxied else _NETWORK
    if isinstance(cause, ssl.SSLCertVerificationError):
        return errors.Unreachable(
            f"the upstream's certificate isn't trusted: {cause.verify_message}",
            "if a proxy inspects TLS, give its CA as ca_file; else check base_url and this machine's clock",
        )
    if isinstance(cause, ssl.SSLError):
        return errors.Unreachable(f"TLS fails: {cause.reason or 'no reason given'}", "check base_url: https or http?")
    if isinstance(cause, socket.gaierror):
        return errors.Unreachable(f"the name of {whom} can't be looked up", hint)
    if isinstance(cause, OverflowError):
        return errors.RequestRefused(f"{whom} has an impossible port", "write a port from 1 to 65535")
    if isinstance(cause, ConnectionRefusedError):
        return errors.Unreachable(f"{whom} refuses the connection", hint)
    return None


def _whom(proxied: bool) -> str:
    return "the proxy" if proxied else "the upstream"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, and everything that led to it, members of groups included."""
    waiting, seen = [error], set[int]()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [link for link in (current.__cause__, current.__context__) if link is not None]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
