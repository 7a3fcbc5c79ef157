"""Opens the port, or says why it can't be opened."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING

from watcher.errors import ListenError

if TYPE_CHECKING:
    from watcher.settings import Http

BACKLOG = 128


def bind(http: Http) -> socket.socket:
    """A listening socket for `http.host` and `http.port` (0: any free port). Raises ListenError."""
    port = http.port or 0
    try:
        family, kind, protocol, _, address = _resolve(http.host, port)[0]
        # Without IPv6 in the kernel even the socket can't be made.
        sock = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise _failure(http.host, port, error) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if http.host == "::" else 1)
        sock.bind(address)
        # Listening at once: Linux lets two processes bind the same port as long as neither listens.
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _failure(http.host, port, error) from None
    sock.setblocking(False)
    return sock


def is_loopback(sock: socket.socket) -> bool:
    """Only programs on this machine can reach the socket."""
    address = ipaddress.ip_address(str(sock.getsockname()[0]).partition("%")[0])
    return address.is_loopback


def _resolve(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    found = socket.getaddrinfo(host.strip("[]") or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # `localhost` is ::1 first on many machines; people and probes try 127.0.0.1.
    return sorted(found, key=lambda entry: entry[0] != socket.AF_INET)  # type: ignore[arg-type]


def _failure(host: str, port: int, error: OSError | UnicodeError) -> ListenError:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        message = f"Port {port} on {host} is already in use"
        hint = "stop the program that uses it, or set http.port to another one (0: any free port)"
    elif number in (errno.EACCES, errno.EPERM):
        message = f"Port {port} on {host} may not be opened by this user"
        hint = "set http.port to a number above 1023"
    elif isinstance(error, socket.gaierror | UnicodeError) or number in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        message = f"http.host {host} is not an address of this machine"
        hint = "set http.host to 127.0.0.1 (this machine only) or 0.0.0.0 (everybody; then set http.token too)"
    else:
        message = f"Port {port} on {host} can't be opened: {error}"
        hint = "set http.host and http.port to an address that is free"
    return ListenError(message, hint)
