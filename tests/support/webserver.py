"""A real web server on a free port, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp

from watcher.settings import Http
from watcher.web import Condition, WebServer


@dataclass
class FakeDaemon:
    """What the web server asks of the daemon, as a test sets it."""

    now: list[Condition] = field(default_factory=list)
    is_ready: bool = True
    text: str = "watcher_up 1\n"

    def conditions(self) -> list[Condition]:
        return self.now

    def ready(self) -> bool:
        return self.is_ready

    def metrics(self) -> str:
        return self.text


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    server: WebServer
    daemon: FakeDaemon
    stop: asyncio.Event
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread

    def ask(self, path: str, method: str = "GET", at: str = "127.0.0.1", **headers: str) -> Answer:
        """One request on a connection of its own; header names with _ for -."""
        connection = http.client.HTTPConnection(at, self.server.port, timeout=10)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            reply = connection.getresponse()
            return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)
        assert not self.thread.is_alive()


@contextmanager
def running(
    host: str = "127.0.0.1", token: str | None = None, app: ASGIApp | None = None, **limits: Any
) -> Iterator[Running]:
    """`app`: what is served instead of the watcher's own routes."""
    daemon = FakeDaemon()
    server = WebServer(Http.model_validate({"host": host, "port": 0, "token": token}), daemon, **limits)
    server._app = app or server._app
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    def serve() -> None:
        loop.run_until_complete(server.serve(stop))
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    web = Running(server, daemon, stop, loop, thread)
    try:
        yield web
    finally:
        if thread.is_alive():
            web.end()
