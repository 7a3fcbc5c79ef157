"""The web server: its own socket, its own limits, and a stop that waits for no idle browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from uvicorn import Config
from uvicorn.server import ServerState

from watcher.web.connections import PATIENCE, Connection, Crowd, connection_limit
from watcher.web.guard import Door, Guard
from watcher.web.listen import bind, is_loopback
from watcher.web.routes import application
from watcher.web.status import Status

if TYPE_CHECKING:
    from watcher.settings import Http

log = structlog.get_logger()

GRACE = 1.0
"""Seconds that answers under way get when the server stops."""

LARGEST_HEADERS = 32 * 1024


class WebServer:
    """Opens its port when it is made (raises ListenError), answers while `serve` runs.

    It doesn't use `uvicorn.Server`, which takes the process's signals, ends the process when it can't listen, and
    waits for idle connections when it stops.
    """

    def __init__(
        self, http: Http, status: Status, *, limit: int | None = None, patience: float = PATIENCE, grace: float = GRACE
    ) -> None:
        self._http = http
        self._crowd = Crowd(limit or connection_limit())
        self._patience = patience
        self._grace = grace
        self._socket = bind(http)
        self._loopback = is_loopback(self._socket)
        self.port: int = self._socket.getsockname()[1]
        self._app = Guard(application(status, self._door), self._door, self._crowd.full)

    def replace(self, http: Http) -> None:
        """Take a changed token after a reload. Host and port stay as they are until a restart."""
        self._http = http

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer until `stop` is set; then finish what is being answered, for a second at most."""
        state = ServerState()
        make = self._connections(state)
        server = await asyncio.get_running_loop().create_server(make, sock=self._socket)
        self._announce()
        try:
            await stop.wait()
            server.close()
            if state.tasks:
                await asyncio.wait(set(state.tasks), timeout=self._grace)
        finally:
            server.close()
            for connection in self._crowd.all():
                connection.abort() if connection.answering else connection.transport.close()
            for task in state.tasks:
                task.cancel()

    def close(self) -> None:
        """Give the port back without having served."""
        self._socket.close()

    def _connections(self, state: ServerState) -> Callable[[], Connection]:
        config = Config(
            self._app,
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # a warning per malformed request would let a port scanner fill the disk
            access_log=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=LARGEST_HEADERS,
        )
        config.load()

        def make() -> Connection:
            return Connection(config, state, {}, crowd=self._crowd, patience=self._patience)

        return make

    def _door(self) -> Door:
        token = self._http.token
        return Door(token.get_secret_value() if token is not None else "", self._loopback)

    def _announce(self) -> None:
        host = self._http.host
        log.info("web.listening", url=f"http://{f'[{host}]' if ':' in host else host}:{self.port}")
        door = self._door()
        if not door.token and not door.loopback:
            log.warning(
                "web.closed",
                reason=f"http.host {host} can be reached from other machines and http.token isn't set: "
                "only /healthz and /readyz are served",
                hint="set http.token, or http.host to 127.0.0.1",
            )
