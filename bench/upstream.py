"""A fake upstream that costs next to nothing, so that what is measured is the watcher.

`python -m bench.upstream [changing]` prints its address and answers GETs of single tasks until its input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable

CREATED = "2026-01-01T00:00:00+0900"


def answer(task_id: str, status: str, step: int) -> bytes:
    """A task as CLOVA Studio shows it."""
    info = {
        "label": None, "dataRows": 1000, "numOfTokens": 200000, "currStep": step, "totalTrainSteps": 1_000_000,
        "currEpoch": 1, "totalTrainEpochs": 8, "estimatedTime": 3600, "trainLoss": 1.5, "sendWeightSuccess": None,
        "failureReason": None, "message": None, "endDatetime": None,
    }  # fmt: skip
    task = {
        "id": task_id, "name": f"run {task_id}", "model": "HCX-003", "method": "LoRA", "taskType": "GENERATION",
        "trainEpochs": 8, "learningRate": 0.0001, "status": status, "statusInfo": info, "createdClientType": "API",
        "createdDate": CREATED, "updatedDate": CREATED,
    }  # fmt: skip
    return json.dumps({"status": {"code": "20000", "message": "OK"}, "result": task}).encode()


class Http(asyncio.Protocol):
    """Just enough HTTP/1.1: `handle(method, path, body)` returns (status, body)."""

    def __init__(self, handle: Callable[[str, str, bytes], tuple[int, bytes]]) -> None:
        self._handle = handle
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].decode("latin-1")
            length = next(
                (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0
            )
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            method, path, _ = head.split("\r\n", 1)[0].split(" ")
            status, content = self._handle(method, path, body)
            self._transport.write(
                b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(content), content)
            )


class Server:
    """The same inside this process, on a thread of its own."""

    def __init__(self, handle: Callable[[str, str, bytes], tuple[int, bytes]]) -> None:
        self._loop = asyncio.new_event_loop()
        server = self._loop.run_until_complete(self._loop.create_server(lambda: Http(handle), "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def main(changing: bool) -> None:
    steps: dict[str, int] = {}

    def handle(_method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        steps[path] = steps.get(path, 0) + changing
        return 200, answer(path.rsplit("/", 1)[1], "RUNNING", steps[path])

    server = Server(handle)
    print(server.url, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main("changing" in sys.argv)
