"""A real HTTP server on loopback that remembers what it got and answers as told, well or badly."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer; `how`: "answer", "hang" (read all, say nothing), "reset" (read all, break), "stall" (half a body),
    "close" (answer, then hang up without a word of it)."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    how: str = "answer"


class _Server(ThreadingHTTPServer):
    receiver: Receiver

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.receiver.closed += 1


class Receiver:
    """`replies` are used up one by one; the last one stays."""

    def __init__(self, *replies: Reply) -> None:
        self.seen: list[Seen] = []
        self.connections = self.closed = 0
        self._replies = list(replies) or [Reply()]
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.server = _Server(("127.0.0.1", 0), self._handler())
        self.server.receiver = self
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._ended.set()
        self.server.shutdown()
        self.server.server_close()

    def next_reply(self) -> Reply:
        with self._lock:
            return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    def wait(self) -> None:
        self._ended.wait(30)

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                receiver.connections += 1
                super().setup()

            def _any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.seen.append(Seen(self.command, self.path, headers, self.rfile.read(length)))
                reply = receiver.next_reply()
                if reply.how == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                if reply.how == "hang":
                    receiver.wait()
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body) + (1000 if reply.how == "stall" else 0)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)
                    self.wfile.flush()
                self.close_connection = self.close_connection or reply.how == "close"
                if reply.how == "stall":
                    receiver.wait()
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_HEAD = _any  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


@contextmanager
def receiving(*replies: Reply) -> Iterator[Receiver]:
    receiver = Receiver(*replies)
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.close()
        thread.join(5)


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
