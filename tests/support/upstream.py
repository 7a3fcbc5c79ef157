"""The fake upstream and a server that breaks HTTP itself, for tests; and a client pointed at either."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from watcher.clova import Client
from watcher.redact import Redactor
from watcher.settings import Account
from watcher.simulator import Scenario, Simulator, serve

KEY = "nv-test-canary-0123456789"

PLAIN: dict[str, Any] = {"keys": [KEY], "tasks": [{"id": "czf9fbky", "name": "support-bot v3"}]}
"""One waiting task, no quota."""


@contextlib.asynccontextmanager
async def running_simulator(
    scenario: Scenario | Mapping[str, Any] | str | Path = PLAIN, *, speed: float = 1.0
) -> AsyncIterator[Simulator]:
    """The fake upstream in this loop, on a free port."""
    async with serve(scenario, speed=speed) as simulator:
        yield simulator


@contextlib.contextmanager
def simulator_process(scenario: Path, *, speed: float = 1.0) -> Iterator[str]:
    """The fake upstream in a process of its own; gives its base_url."""
    with _listening("watcher.simulator", str(scenario), "--speed", str(speed)) as url:
        yield url


@contextlib.contextmanager
def receiver_process(log: Path) -> Iterator[str]:
    """The webhook receiver in a process of its own; gives its base_url."""
    with _listening("watcher.simulator.receiver", "--log", str(log)) as url:
        yield url


@contextlib.contextmanager
def _listening(module: str, *arguments: str) -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip().removeprefix("listening on ")
    finally:
        process.terminate()
        process.communicate(timeout=10)


def account(base_url: str, *, key: str = KEY, timeout: float = 5.0) -> Account:
    """An account as the client sees it; unchecked, since the client must stand what settings would refuse."""
    return Account.model_construct(
        name="main", api_key=SecretStr(key), base_url=base_url, queries_per_minute=60, timeout=timeout
    )


@contextlib.asynccontextmanager
async def running_client(
    base_url: str, *, key: str = KEY, seconds: float = 5.0, **options: Any
) -> AsyncIterator[Client]:
    """A client whose redactor knows its key."""
    made = account(base_url, key=key, timeout=seconds)
    client = Client(made, redactor=Redactor([key.strip()]), **options)
    try:
        yield client
    finally:
        await client.aclose()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Waits for a condition, with a deadline."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def raw_server(talk: Talk) -> AsyncIterator[str]:
    """A bare socket server: `talk` gets each connection, and hangs up when it returns."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"


def saying(*pieces: bytes, pause: float = 0.0) -> Talk:
    """Reads one request, says these bytes, and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return talk


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An HTTP answer with its length."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body
