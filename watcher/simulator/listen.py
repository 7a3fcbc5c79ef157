"""A real HTTP server on a socket of our own, inside the running loop, that can also break its connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from watcher.errors import ListenError

_TRANSPORTS: dict[tuple[object, object], asyncio.Transport] = {}
"""By both ends of the connection: one client port may serve connections to several servers."""


class _Protocol(H11Protocol):
    """Remembers its transport, which ASGI doesn't show."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _TRANSPORTS[self.client, self.server] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        _TRANSPORTS.pop((self.client, self.server), None)
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """Leaves the process's signals alone, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets=sockets)
        finally:
            self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def hang_up(scope: Any, *, reset: bool = False) -> None:
    """Closes a request's connection after what was sent so far; with `reset` by a TCP reset."""
    transport = _TRANSPORTS.get((tuple(scope["client"]), tuple(scope["server"])))
    if transport is None:
        return
    if reset:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises ListenError."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise ListenError(
            f"can't listen on {host}:{port}: {error.strerror}", "use --port 0 for any free port"
        ) from None
    return sock


def url_of(sock: socket.socket) -> str:
    """`http://127.0.0.1:PORT`."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def listening(app: Any, sock: socket.socket) -> AsyncIterator[None]:
    """Serves the ASGI app until the block ends; then hangs up on whoever is still being answered."""
    config = uvicorn.Config(
        app, http=_Protocol, ws="none", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]), name="simulator http")
    try:
        await server.ready.wait()
        yield
    finally:
        server.should_exit = True
        here = sock.getsockname()[:2]
        for (_, end), transport in list(_TRANSPORTS.items()):
            if end == here:
                transport.abort()
        await task
        sock.close()
