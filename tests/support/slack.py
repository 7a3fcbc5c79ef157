"""Slack's Web API on loopback: a real server that takes form-encoded and JSON bodies and keeps what was posted.

A test reads the messages as people would; `order` makes a method fail in any way that Slack knows.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from tests.support.slack_workspace import SCOPES, TOKEN, Limited, Posted, Refusal, Workspace

__all__ = ["SCOPES", "TOKEN", "Fault", "Slack", "slack_running"]

WRITES = {"chat.postMessage", "chat.update"}
"""They take JSON; the other methods ignore it, as Slack's do."""


@dataclass(frozen=True)
class Call:
    method: str
    arguments: Mapping[str, Any]
    token: str
    at: float


@dataclass(frozen=True)
class Fault:
    """What goes wrong: `error` (with `status` 200), another `status`, a raw `body`.

    `how`: "hang" and "break" read the request and answer nothing. `done`: what was asked for is done all the same.
    """

    error: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    how: str = "answer"
    done: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


class Slack(Workspace):
    """A workspace that answers over HTTP. The options are Workspace's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[Call] = []
        self.limited = 0
        self._faults: dict[str, deque[Fault | None]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/api/"

    def order(self, method: str, *faults: Fault | str | None) -> None:
        """The next calls of `method` fail so, one after the other; None: that one goes well."""
        orders = self._faults.setdefault(method, deque())
        orders.extend(Fault(fault) if isinstance(fault, str) else fault for fault in faults)

    def posted(self, name: str = "ml") -> list[Posted]:
        """Everything in a channel, oldest first, replies too."""
        with self._lock:
            return list(self.messages.get(self.room(name).id, ()))

    def said(self, method: str) -> list[Mapping[str, Any]]:
        """The arguments of each call of a method."""
        with self._lock:
            return [call.arguments for call in self.calls if call.method == method]

    def close(self) -> None:
        self._ended.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, method: str, arguments: dict[str, Any], token: str) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers and body."""
        with self._lock:
            self.calls.append(Call(method, arguments, token, self._clock()))
            try:
                body = self.do(method, arguments, token)
            except Limited as limit:
                self.limited += 1
                return 429, {"Retry-After": str(limit.after)}, {"ok": False, "error": "ratelimited"}
            except Refusal as refusal:
                body = {"ok": False, "error": refusal.error, **refusal.more}
        headers = {"X-OAuth-Scopes": ",".join(sorted(self.scopes))} if token == self.token else {}
        return 200, headers, body

    def fault(self, method: str) -> Fault | None:
        with self._lock:
            orders = self._faults.get(method)
            return orders.popleft() if orders else None

    def wait(self) -> None:
        self._ended.wait(30)

    def _handler(slack) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                method = self.path.rpartition("/")[2].partition("?")[0]
                arguments = _arguments(method, self.headers.get("Content-Type", ""), body)
                token = str(arguments.pop("token", "") or self.headers.get("Authorization", "").removeprefix("Bearer "))
                fault = slack.fault(method)
                status, headers, said = 200, dict[str, str](), dict[str, Any]()
                if fault is None or fault.done:
                    status, headers, said = slack.answer(method, arguments, token)
                else:
                    slack.calls.append(Call(method, arguments, token, time.monotonic()))
                if fault is not None and fault.how != "answer":
                    slack.wait() if fault.how == "hang" else None
                    self.close_connection = True
                    return
                if fault is not None:
                    status, headers = fault.status, dict(fault.headers)
                    said = {"ok": False, "error": fault.error, **fault.more}
                self._say(
                    status, headers, fault.body if fault and fault.body is not None else json.dumps(said).encode()
                )

            do_GET = do_POST  # noqa: N815

            def _say(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


def _arguments(method: str, content_type: str, body: bytes) -> dict[str, Any]:
    if content_type.startswith("application/json"):
        found = json.loads(body) if body and method in WRITES else {}
        return found if isinstance(found, dict) else {}
    form: dict[str, Any] = dict(parse_qsl(body.decode(), keep_blank_values=True))
    for name in {"blocks", "metadata"} & form.keys():
        form[name] = json.loads(form[name])
    return form


@contextmanager
def slack_running(**options: Any) -> Iterator[Slack]:
    slack = Slack(**options)
    thread = threading.Thread(target=slack.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield slack
    finally:
        slack.close()
        thread.join(5)
