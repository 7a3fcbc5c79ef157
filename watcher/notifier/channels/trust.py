"""Which servers a channel trusts, and whether they can be reached at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from functools import lru_cache

from watcher.errors import WatcherError

PATIENCE = 10.0
"""Seconds to wait for a connection."""


def trust(name: str, ca_file: str | None, *, shared: bool = True) -> ssl.SSLContext:
    """The system's certificate authorities, and those of `ca_file`.

    `shared` contexts mustn't be changed: they are made once, since each costs 20 ms.
    """
    try:
        stamp = os.stat(ca_file).st_mtime_ns if ca_file else 0
        return _shared(ca_file, stamp) if shared else _context(ca_file)
    except OSError as error:
        raise WatcherError(
            f"channel {name}: ca_file can't be used: {error.strerror or error}",
            f"{ca_file} must be a readable file of PEM certificates",
        ) from None


def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context


@lru_cache(maxsize=4)
def _shared(ca_file: str | None, _stamp: int) -> ssl.SSLContext:
    return _context(ca_file)


_SPEAKING = (ssl.SSLError, socket.gaierror, ConnectionError, TimeoutError)
"""Errors that say what happened; libraries hide them in plainer ones."""


async def reach(name: str, host: str, port: int, context: ssl.SSLContext | None) -> None:
    """Connect and hang up. Raises WatcherError naming the channel, never its address."""
    try:
        async with asyncio.timeout(PATIENCE):
            server_hostname = host if context else None
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=server_hostname)
    except (OSError, ssl.SSLError, TimeoutError) as error:
        inner = cause(error) or error
        raise WatcherError(f"channel {name}: {why(inner)}", advice(inner)) from None
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()


def cause(error: BaseException) -> BaseException | None:
    """The operating system's or TLS's own error inside the libraries' wrappers; None where there is none."""
    found: BaseException | None = None
    waiting = [error]
    for inner in waiting:
        waiting += inner.exceptions if isinstance(inner, BaseExceptionGroup) else ()
        waiting += [outer for outer in (inner.__cause__, inner.__context__) if outer and outer not in waiting]
        if isinstance(inner, _SPEAKING):
            return inner
        if found is None and type(inner) is OSError:
            found = inner
    return found


def why(error: BaseException) -> str:
    """A connection's failure in words, without the address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate isn't trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "it doesn't speak TLS as expected"
    if isinstance(error, TimeoutError):
        return "it didn't answer in time"
    if isinstance(error, socket.gaierror):
        return "its host name can't be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens at its address"
    return f"it can't be reached: {getattr(error, 'strerror', None) or type(error).__name__}"


def certified(error: BaseException | None) -> str:
    """What to do where a certificate is the reason; "" where something else is."""
    untrusted = error is not None and isinstance(cause(error), ssl.SSLCertVerificationError)
    return "renew the certificate, or name its authority with ca_file" if untrusted else ""


def advice(error: BaseException) -> str:
    """What to do about it."""
    return certified(error) or "check the address, the network and the proxy setting; messages wait until it works"
