"""Questions to the daemon over the socket beside its store: private, bounded, and never in the daemon's way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.upstream import until
from watcher import local
from watcher.local import ask, serve, socket_path

PLAN = {"tasks": [{"id": "czf9fbky", "next_at": None}]}


@contextlib.asynccontextmanager
async def serving(database: Path, answer: Callable[[str], Any] = lambda _question: PLAN) -> AsyncIterator[None]:
    """The daemon's side, until the test is through."""
    stop = asyncio.Event()
    loop = asyncio.create_task(serve(database, answer, stop))
    await until(lambda: loop.done() or _answers(database))
    try:
        yield
    finally:
        stop.set()
        await loop


def _answers(database: Path) -> bool:
    return socket_path(database).is_socket()


async def asked(database: Path, question: str = "plan") -> Any:
    return await asyncio.to_thread(ask, database, question)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.anyio
async def test_a_question_gets_its_answer_as_json(tmp_path: Path) -> None:
    database = tmp_path / "watcher.db"
    async with serving(database, lambda question: {"asked": question}):
        assert await asked(database, "plan") == {"asked": "plan"}
        assert await asked(database, "한국어 ?") == {"asked": "한국어 ?"}


@pytest.mark.anyio
async def test_only_its_own_user_may_open_the_socket_and_it_goes_with_the_daemon(tmp_path: Path) -> None:
    database = tmp_path / "watcher.db"
    async with serving(database):
        assert stat.S_IMODE(socket_path(database).stat().st_mode) == 0o600
        assert names(tmp_path) == ["watcher.db.sock"]
    assert names(tmp_path) == []


@pytest.mark.anyio
async def test_the_socket_that_a_dead_daemon_left_behind_is_replaced(tmp_path: Path) -> None:
    database = tmp_path / "watcher.db"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
        left_behind.bind(str(socket_path(database)))
    dead = socket_path(database).stat().st_ino
    assert ask(database, "plan") is None
    stop = asyncio.Event()
    loop = asyncio.create_task(serve(database, lambda _question: PLAN, stop))
    await until(lambda: socket_path(database).stat().st_ino != dead)
    assert await asked(database) == PLAN
    stop.set()
    await loop


@pytest.mark.anyio
async def test_a_file_that_is_no_socket_is_left_alone_and_said_once(tmp_path: Path) -> None:
    database = tmp_path / "watcher.db"
    socket_path(database).write_text("somebody's notes")
    with capture_logs() as lines:
        await _serve_for_a_moment(database)
    assert [line["event"] for line in lines] == ["local.unavailable"]
    assert socket_path(database).read_text() == "somebody's notes"


@pytest.mark.anyio
async def test_a_folder_that_takes_no_socket_is_logged_once_and_not_fatal(tmp_path: Path) -> None:
    with capture_logs() as lines:
        await _serve_for_a_moment(tmp_path / "nowhere" / "watcher.db")
    assert [(line["event"], line["error"]) for line in lines] == [("local.unavailable", "No such file or directory")]


async def _serve_for_a_moment(database: Path) -> None:
    """Goes on until it is stopped, as every loop of the daemon must."""
    stop = asyncio.Event()
    loop = asyncio.create_task(serve(database, lambda _question: PLAN, stop))
    done, _ = await asyncio.wait([loop], timeout=0.1)
    assert not done
    stop.set()
    await loop


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["watcher.db", "w" * 240 + ".db"])
async def test_a_path_longer_than_a_sockets_address_works(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ("deep" * 30) / ("deeper" * 20)
    folder.mkdir(parents=True)
    database = folder / name
    assert len(os.fsencode(socket_path(database))) > 250
    async with serving(database):
        assert await asked(database) == PLAN
        assert stat.S_IMODE(socket_path(database).stat().st_mode) == 0o600
    assert names(folder) == []


@pytest.mark.anyio
async def test_a_link_to_the_database_leads_to_the_same_socket(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    database, link = tmp_path / "real" / "watcher.db", tmp_path / "link.db"
    database.touch()
    link.symlink_to(database)
    async with serving(link):
        assert await asked(database) == PLAN
        assert await asked(link) == PLAN


@pytest.mark.anyio
async def test_several_ask_at_once(tmp_path: Path) -> None:
    database = tmp_path / "watcher.db"
    async with serving(database, lambda question: question):
        assert await asyncio.gather(*(asked(database, str(each)) for each in range(6))) == [*"012345"]


@pytest.mark.anyio
async def test_a_slow_asker_neither_blocks_the_loop_nor_the_next_asker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "PATIENCE", 0.3)
    database = tmp_path / "watcher.db"
    large = "x" * (4 << 20)  # more than a socket's buffer
    async with serving(database, lambda question: large if question == "large" else question):
        silent, deaf = _connected(database), _connected(database)
        deaf.send(b"large\n")
        began = time.monotonic()
        assert await asked(database, "quick") == "quick"
        assert time.monotonic() - began < 0.3
        assert await asyncio.to_thread(_heard, silent) == b""
        assert len(await asyncio.to_thread(_heard, deaf)) < len(large)


@pytest.mark.anyio
async def test_who_comes_when_all_places_are_taken_is_turned_away(tmp_path: Path) -> None:
    database = tmp_path / "watcher.db"
    async with serving(database):
        waiting = [_connected(database) for _ in range(local.CONNECTIONS)]
        assert await asked(database) is None
        waiting[0].send(b"plan\n")
        assert await asyncio.to_thread(_heard, waiting[0])
        assert await asked(database) == PLAN
        for each in waiting:
            each.close()


@pytest.mark.anyio
async def test_garbage_gets_no_answer_and_harms_nobody(tmp_path: Path) -> None:
    database = tmp_path / "watcher.db"
    async with serving(database):
        for said in (b"\xff\xfe\x00" * 100, b"x" * 5000 + b"\n", b""):
            asker = _connected(database)
            asker.sendall(said)
            asker.shutdown(socket.SHUT_WR)
            assert await asyncio.to_thread(_heard, asker) == b""
        assert await asked(database) == PLAN


@pytest.mark.anyio
async def test_a_question_that_fails_is_logged_and_the_next_is_answered(tmp_path: Path) -> None:
    database = tmp_path / "watcher.db"

    def answer(question: str) -> Any:
        return {"plan": PLAN, "nan": float("nan")}[question]

    with capture_logs() as lines:
        async with serving(database, answer):
            assert await asked(database, "nonsense") is None
            assert await asked(database, "nan") is None
            assert await asked(database, "plan") == PLAN
    assert [line["error"] for line in lines] == ["KeyError", "ValueError"]


@pytest.mark.anyio
async def test_a_stop_hangs_up_on_whoever_still_waits(tmp_path: Path) -> None:
    database = tmp_path / "watcher.db"
    async with serving(database):
        waiting = _connected(database)
        assert await asked(database) == PLAN
    assert await asyncio.to_thread(_heard, waiting) == b""


def test_nobody_there_is_no_answer_at_once(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file.sock").write_text("")
    for name in ("watcher.db", "nowhere/watcher.db", "loop", "file"):
        assert ask(tmp_path / name, "plan") is None


@pytest.mark.parametrize("drip", [b"", b" "])
def test_who_takes_the_question_and_never_ends_the_answer_is_given_up_in_time(tmp_path: Path, drip: bytes) -> None:
    database = tmp_path / "watcher.db"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(socket_path(database)))
        listener.listen()
        with _dripping(listener, drip):
            began = time.monotonic()
            assert ask(database, "plan", timeout=0.3) is None
            assert 0.2 < time.monotonic() - began < 2


@contextlib.contextmanager
def _dripping(listener: socket.socket, drip: bytes) -> Iterator[None]:
    """Takes a connection and says `drip` again and again, if anything."""
    over = threading.Event()

    def talk() -> None:
        taken, _ = listener.accept()
        with taken, contextlib.suppress(OSError):
            while not over.wait(0.05):
                taken.sendall(drip)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _connected(database: Path) -> socket.socket:
    asker = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    asker.settimeout(2)
    asker.connect(str(socket_path(database)))
    return asker


def _heard(asker: socket.socket) -> bytes:
    """All that the other side says until it ends the connection; fails when it doesn't."""
    said = b""
    with asker, contextlib.suppress(ConnectionError):
        while piece := asker.recv(1 << 16):
            said += piece
    return said
