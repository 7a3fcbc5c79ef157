"""The database and the one thread that writes to it.

Work is a plain function `work(tx, ...)` that gets a connection inside a transaction. It runs in the store's own thread,
so a waiter that is cancelled can't cut a transaction in half, and whole transactions follow one another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from watcher.errors import StoreError, StoreStalled, StoreUnusable

P = ParamSpec("P")
R = TypeVar("R")

BUSY_TIMEOUT = 5.0
"""Seconds that a writer waits for another process's transaction (redeliver beside the daemon)."""

CLOSE_TIMEOUT = 0.5

CROWDED = 8
"""Pieces of work that may wait before those who can wait too are held back."""

_STALLING = ("disk is full", "readonly", "read-only", "locked", "busy", "disk i/o", "unable to open")
_CORRUPT = ("malformed", "not a database", "corrupt")


def writing_engine(path: Path) -> Engine:
    """An engine whose every transaction takes SQLite's write lock at once: no read can go stale before its write."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(path, timeout=BUSY_TIMEOUT, check_same_thread=False, isolation_level=None),
        poolclass=StaticPool,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _set_up(raw: sqlite3.Connection, _record: object) -> None:
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reading_engine(path: Path) -> Engine:
    """An engine that can't write, for pages and reading commands beside the daemon."""

    def connect() -> sqlite3.Connection:
        # Who may not write to the folder can't make the files that WAL needs; a store at rest needs none.
        at_rest = not Path(f"{path}-wal").exists() and not os.access(path.parent, os.W_OK)
        url = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if at_rest else ''}"
        return sqlite3.connect(url, uri=True, timeout=BUSY_TIMEOUT, check_same_thread=False)

    return create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)


class Database:
    """The open store of one daemon."""

    def __init__(
        self,
        path: Path,
        engine: Engine,
        *,
        beat: Callable[[], None] = lambda: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`beat` is called before and after each piece of work; `check` raises StoreLost when the file isn't ours."""
        self.path = path
        self._engine = engine
        self._beat = beat
        self._check = check
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._waiting = 0
        self._calm = asyncio.Event()

    async def write(self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in one transaction. Raises StoreStalled when it may succeed later, StoreError when it won't."""
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            return await loop.run_in_executor(self._thread, lambda: self.write_now(work, *args, **kwargs))
        finally:
            self._waiting -= 1
            if self._waiting <= CROWDED:
                self._calm.set()

    async def calm(self) -> None:
        """Wait while more than a little work waits for the store's thread: who would bring more should wait."""
        while self._waiting > CROWDED:
            self._calm.clear()
            await self._calm.wait()

    def write_now(self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The same, from the calling thread: for commands that run no loop."""
        self._beat()
        try:
            self._check()
            with self._engine.begin() as tx:
                return work(tx, *args, **kwargs)
        except DatabaseError as error:
            raise translate(error, self.path) from None
        finally:
            self._beat()

    def close(self) -> None:
        """Close the file after what is being written; don't wait for long, somebody else may hold SQLite's lock."""
        closing = self._thread.submit(self._engine.dispose)
        with contextlib.suppress(TimeoutError):
            closing.result(timeout=CLOSE_TIMEOUT)
        self._thread.shutdown(wait=False, cancel_futures=True)


def translate(error: Exception, path: Path) -> StoreError:
    """A foreign database error as one of ours; its text holds no parameters."""
    text = str(error.orig if isinstance(error, DBAPIError) else error)
    if any(mark in text.lower() for mark in _CORRUPT):
        return StoreUnusable(
            f"the store {path} is damaged: {text}",
            "stop the watcher, keep a copy of the file, restore the last backup "
            "or save what is readable with: sqlite3 FILE .recover",
        )
    if any(mark in text.lower() for mark in _STALLING):
        return StoreStalled(
            f"the store {path} can't be written just now: {text}",
            "check free space, permissions and mount options of its folder; writing goes on by itself",
        )
    return StoreError(f"the store {path} answered with an error: {text}", "see the log; report it with this text")


def scalar(tx: Connection, sql: str) -> Any:
    return tx.exec_driver_sql(sql).scalar()
