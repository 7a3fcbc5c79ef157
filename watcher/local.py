"""Questions to the running daemon, over a socket beside its store that only its own user may open.

One line asks, one line of JSON answers, and the connection ends. The store says what was seen; this says what only
the process knows, such as when it will look next.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import stat
import time
import zlib
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()

QUESTION_LIMIT = 1024
ANSWER_LIMIT = 256 << 20
"""Bytes. Nobody who answers with more is the daemon."""

PATIENCE = 5.0
"""Seconds that a connection gets, from the first byte to the last."""

CONNECTIONS = 8
ADDRESS_LIMIT = 107
"""Bytes of a path that fit into a socket's address, its final zero left out."""

Answer = Callable[[str], Any]


def socket_path(database: Path) -> Path:
    """Beside the real file, whatever link leads there. Raises OSError or RuntimeError where a link leads nowhere."""
    real = database.resolve()
    return real.with_name(f"{real.name}.sock")


async def serve(database: Path, answer: Answer, stop: asyncio.Event) -> None:
    """Answer questions until `stop` is set; `answer` gives a JSON value for a question, quickly: it runs on the loop.

    Where there can be no socket, that is logged once, and the watcher does without. The caller holds the store's lock:
    what lies at the socket's place was left behind by a process that has died.
    """
    try:
        path = socket_path(database)
        listener = _listen(path)
    except (OSError, RuntimeError) as error:
        said = error.strerror if isinstance(error, OSError) else "a symbolic link that leads nowhere"
        log.warning("local.unavailable", store=str(database), error=said, hint="watcher status --why needs a socket")
        await stop.wait()
        return
    await _answer_until(stop, listener, path, _Desk(answer))


def ask(database: Path, question: str, timeout: float = 3.0) -> Any:
    """The daemon's answer; None when nobody answers within `timeout` seconds, or not in JSON."""
    deadline = time.monotonic() + timeout
    with suppress(OSError, RuntimeError, ValueError, RecursionError):
        path = socket_path(database)
        with _address(path, path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
            asker.settimeout(timeout)
            asker.connect(address)
            asker.sendall(question.encode() + b"\n")
            return json.loads(b"".join(_pieces(asker, deadline)))
    return None


class _Desk:
    """Takes a few askers at a time; the ones above that are turned away and may come again."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._open: set[StreamWriter] = set()

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS:
            _abort(writer)
            return
        self._open.add(writer)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # an asker who hung up, dawdled, or talked too long
        except Exception as error:
            log.exception("local.failed", error=type(error).__name__)
        finally:
            self._open.discard(writer)
            _abort(writer)

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        question = (await reader.readuntil(b"\n")).decode(errors="replace").strip()
        value = json.dumps(self._answer(question), separators=(",", ":"), allow_nan=False)
        writer.write(value.encode() + b"\n")
        writer.close()
        await writer.wait_closed()

    def hang_up(self) -> None:
        for writer in tuple(self._open):
            _abort(writer)


async def _answer_until(stop: asyncio.Event, listener: socket.socket, path: Path, desk: _Desk) -> None:
    mine = _identity(path)
    server = await asyncio.start_unix_server(desk.serve, sock=listener, limit=QUESTION_LIMIT)
    try:
        await stop.wait()
    finally:
        server.close()
        desk.hang_up()
        _remove(path, mine)


def _listen(path: Path) -> socket.socket:
    """A listening socket at `path`, in place of whatever socket lay there. Raises OSError.

    It gets its place only when it is private and listens, so that no asker meets it half made.
    """
    half_made = path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}.sock")
    _check_free(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        half_made.unlink(missing_ok=True)
        with _address(half_made, half_made.parent) as address:
            listener.bind(address)
        half_made.chmod(0o600)
        listener.listen(CONNECTIONS)
        half_made.replace(path)
    except BaseException:
        listener.close()
        raise
    return listener


def _check_free(path: Path) -> None:
    """A dead process's socket may be replaced; a file of another kind is somebody's."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, f"{path.name} is there already and isn't a socket")


def _remove(path: Path, mine: tuple[int, int] | None) -> None:
    """Unless somebody else has put theirs there."""
    if mine is not None and _identity(path) == mine:
        with suppress(OSError):
            path.unlink()


@contextmanager
def _address(path: Path, at: Path) -> Iterator[str]:
    """How to call `path`, which may be longer than a socket's address: then by a descriptor of `at`, which is the
    socket itself or, before there is one, its folder."""
    if len(os.fsencode(path)) <= ADDRESS_LIMIT:
        yield str(path)
        return
    descriptor = os.open(at, os.O_PATH | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}" + ("" if at == path else f"/{path.name}")
    finally:
        os.close(descriptor)


def _pieces(asker: socket.socket, deadline: float) -> Iterator[bytes]:
    size = 0
    while size <= ANSWER_LIMIT:
        asker.settimeout(max(deadline - time.monotonic(), 0.001))
        piece = asker.recv(1 << 16)
        if not piece:
            return
        size += len(piece)
        yield piece
    raise ValueError("too long")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _abort(writer: StreamWriter) -> None:
    """Hang up at once, whatever is still to be sent."""
    # A transport that has closed meanwhile has forgotten its loop (Python 3.11), and with it how to be aborted.
    with suppress(AttributeError):
        writer.transport.abort()
