"""A fake upstream that costs next to nothing, so that what is measured is the watcher.

`python -m bench.upstream [changing] [tasks=N] [tls=FOLDER]` prints its address and answers until its input closes.
Without `tasks` it knows every task that it is asked for and lists none; with it each account, at ADDRESS or
ADDRESS/a0, /a1, ... (any letters), lists so many, which train. `changing`: every task's step is another at each read.
`tls`: it speaks https, with a certificate that it makes in that folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

CREATED = "2026-01-01T00:00:00+0900"
_LIST = re.compile(r"(?:/[a-z]+(\d+))?/tuning/v2/tasks\?page=(\d+)&size=(\d+)")
_STEP, _DATE = 987654321, "@DATE"
_BEGAN = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=9)))


class Page(NamedTuple):
    """A list page that is asked for."""

    account: int
    number: int
    size: int


def page_asked(path: str) -> Page | None:
    """The page that a request is for; None when it is for a single task."""
    match = _LIST.fullmatch(path)
    return Page(int(match[1] or 0), int(match[2]), int(match[3])) if match else None


def task_id(number: int) -> str:
    return f"t{number:07d}"


def item(id_: str, status: str, step: int, *, updated: str = CREATED, **info: Any) -> dict[str, Any]:
    """A task as CLOVA Studio shows it; `info` goes into statusInfo."""
    known = {
        "label": None, "dataRows": 1000, "numOfTokens": 200000, "currStep": step, "totalTrainSteps": 1_000_000,
        "currEpoch": 1, "totalTrainEpochs": 8, "estimatedTime": 3600, "trainLoss": 1.5, "sendWeightSuccess": None,
        "failureReason": None, "message": None, "endDatetime": None,
    }  # fmt: skip
    return {
        "id": id_, "name": f"run {id_}", "model": "HCX-003", "method": "LoRA", "taskType": "GENERATION",
        "trainEpochs": 8, "learningRate": 0.0001, "status": status, "statusInfo": {**known, **info},
        "createdClientType": "API", "createdDate": CREATED, "updatedDate": updated,
    }  # fmt: skip


def enveloped(result: Any) -> bytes:
    return json.dumps({"status": {"code": "20000", "message": "OK"}, "result": result}).encode()


def answer(id_: str, status: str, step: int, *, updated: str = CREATED, **info: Any) -> bytes:
    """The answer to a GET of one task."""
    return enveloped(item(id_, status, step, updated=updated, **info))


def listing(items: Sequence[dict[str, Any]], number: int, size: int, total: int) -> bytes:
    """The answer to a GET of a list page, whose items are given."""
    counts = {"totalPages": -(-total // size), "totalElements": total, "size": size, "number": number}
    return enveloped({**counts, "content": list(items)})


class Steps:
    """Answers of tasks that train, out of bytes that were made before; `changing` as above."""

    def __init__(self, tasks: int, *, changing: bool) -> None:
        self._tasks, self._changing = tasks, changing
        self._pages: dict[Page, bytes] = {}
        self._reads = 0

    def __call__(self, _method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        self._reads += self._changing
        page = page_asked(path)
        if page is None:
            return 200, answer(path.rsplit("/", 1)[1], "RUNNING", self._reads, updated=self._updated())
        if page not in self._pages:
            self._pages[page] = self._made(page)
        return 200, self._filled(self._pages[page]) if self._changing else self._pages[page]

    def _made(self, page: Page) -> bytes:
        first = page.account * self._tasks + page.number * page.size
        last = min(first + page.size, (page.account + 1) * self._tasks)
        items = [item(task_id(number), "RUNNING", _STEP, updated=_DATE) for number in range(first, last)]
        made = listing(items, page.number, page.size, self._tasks)
        return made if self._changing else self._filled(made)

    def _filled(self, page: bytes) -> bytes:
        return page.replace(b"%d" % _STEP, b"%d" % self._reads).replace(_DATE.encode(), self._updated().encode())

    def _updated(self) -> str:
        return (_BEGAN + timedelta(seconds=self._reads)).strftime("%Y-%m-%dT%H:%M:%S%z")


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

    def __init__(
        self, handle: Callable[[str, str, bytes], tuple[int, bytes]], tls: ssl.SSLContext | None = None
    ) -> None:
        self._loop = asyncio.new_event_loop()
        listening = self._loop.create_server(lambda: Http(handle), "127.0.0.1", 0, ssl=tls)
        server = self._loop.run_until_complete(listening)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@contextlib.contextmanager
def process(*options: str) -> Iterator[str]:
    """This module in a process of its own; gives its address."""
    command = [sys.executable, "-m", "bench.upstream", *options]
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield running.stdout.readline().strip()  # type: ignore[union-attr]
    finally:
        running.communicate()


def _certified(folder: Path) -> ssl.SSLContext:
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


def main(options: Sequence[str]) -> None:
    given = dict(option.split("=") for option in options if "=" in option)
    tls = _certified(Path(given["tls"])) if "tls" in given else None
    server = Server(Steps(int(given.get("tasks", 0)), changing="changing" in options), tls)
    print(server.url, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
