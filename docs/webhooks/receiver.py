"""A webhook receiver to start from: verifies, handles each event once, answers. It needs nothing but Python.

    WEBHOOK_SECRET=whsec_... python receiver.py --port 8000 --seen seen.txt

Several secrets, with a blank between them, are taken while one replaces another. Put it behind a server that speaks TLS
when the watcher isn't on the same machine.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOLERANCE = 300
"""Seconds that a message may be old, or ahead of this machine's clock."""

LARGEST = 1024 * 1024
"""Bytes of a message; larger ones aren't the watcher's."""


def handle(event: Mapping[str, Any]) -> None:
    """What you want to happen. An exception makes the watcher try again; slow work belongs into a queue of yours."""
    print(event["type"], event.get("subject", "-"), event["data"]["to"] or "-", flush=True)


def verified(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: float | None = None) -> bool:
    """Whether one of the secrets signed this body, as it came, within the last minutes."""
    id_, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent.isdecimal() or abs((time.time() if now is None else now) - int(sent)) > TOLERANCE:
        return False
    signed = f"{id_}.{sent}.".encode() + body
    given = [each[3:].encode() for each in headers.get("webhook-signature", "").split() if each.startswith("v1,")]
    wanted = [_signature(secret, signed) for secret in secrets]
    # How long it takes to compare tells nobody how much of a guess was right.
    return any(hmac.compare_digest(one, other) for one in wanted for other in given)


def _signature(secret: str, signed: bytes) -> bytes:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())


class Seen:
    """The ids of the events that were handled, in a file: a restart doesn't forget them."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+", encoding="utf-8")
        self._file.seek(0)
        self._ids = set(self._file.read().split("\n"))
        self._lock = threading.Lock()

    def once(self, event: Mapping[str, Any]) -> None:
        """Handle the event unless that was done. It is noted afterwards: rather twice than never."""
        with self._lock:
            if event["id"] in self._ids:
                return
            handle(event)
            self._file.write(f"{event['id']}\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._ids.add(event["id"])


class Handler(BaseHTTPRequestHandler):
    """One request. The answer decides what the watcher does next: see webhooks.md."""

    server: Receiver
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            self.close_connection = True  # the body isn't read, so nothing can follow it
            return self._answer(413)
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not verified(self.server.secrets, headers, body):
            return self._answer(401)  # tried again, so nothing is lost while a secret is mended
        try:
            self.server.seen.once(json.loads(body))
        except Exception as error:
            print(f"not handled: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return self._answer(500)
        return self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Only what is handled is printed."""


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], secrets: Sequence[str], seen: Seen) -> None:
        super().__init__(address, Handler)
        self.secrets, self.seen = secrets, seen


def main() -> None:
    parser = argparse.ArgumentParser(description="Receive the watcher's webhooks.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--seen", type=Path, default=Path("seen.txt"), help="where the ids of handled events are kept")
    arguments = parser.parse_args()
    secrets = os.environ.get("WEBHOOK_SECRET", "").split()
    try:
        usable = [len(base64.b64decode(each.removeprefix("whsec_"), validate=True)) >= 24 for each in secrets]
    except binascii.Error:
        usable = []
    if not usable or not all(usable):
        sys.exit("set WEBHOOK_SECRET to the channel's secret: whsec_ and base64")
    with Receiver((arguments.host, arguments.port), secrets, Seen(arguments.seen)) as receiver:
        print(f"listening on http://{arguments.host}:{receiver.server_address[1]}", flush=True)
        receiver.serve_forever()


if __name__ == "__main__":
    main()
