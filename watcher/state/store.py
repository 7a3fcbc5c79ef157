"""Opening the store: every check that must come before the first write, in order."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from watcher.errors import StoreError, StoreUnusable, UsageError
from watcher.state import files
from watcher.state.database import Database, reading_engine, scalar, translate, writing_engine
from watcher.state.migrate import HEAD, revision_of, upgrade
from watcher.state.reader import Reader

CHECKED_WHOLE = 64 * 1024 * 1024
"""Bytes up to which every page is looked at before the start."""


@dataclass(slots=True)
class Store:
    """An open store with its lock. `warnings` are sentences about where it lies."""

    database: Database
    lock: files.StoreLock
    warnings: list[str]
    _cleanup: ExitStack

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._cleanup.close()


def open_store(url: str, *, beat: Callable[[], None] = lambda: None) -> Store:
    """Open the store for the daemon: location, lock, file, pages, schema. Raises StoreError with what to do."""
    path = path_of(url)
    warnings = files.check_location(path)
    if files.inspect(path):
        _refuse_foreign(path)
    with ExitStack() as cleanup:
        lock = files.StoreLock(path)
        lock.acquire()
        cleanup.callback(lock.release)
        files.inspect(path)
        files.create_private(path)
        engine = writing_engine(path)
        try:
            _prepare(engine, path)
        except BaseException:
            engine.dispose()
            raise
        lock.watch()
        database = Database(path, engine, beat=beat, check=lock.verify)
        cleanup.callback(database.close)
        return Store(database, lock, warnings, cleanup.pop_all())


def open_beside(url: str) -> Database:
    """Open an existing store for one short write (redeliver) beside a daemon: no lock, nothing created or migrated."""
    path = path_of(url)
    Reader(path).close()
    return Database(path, writing_engine(path))


def open_reader(url: str) -> Reader:
    """Open an existing store for reading; raises StoreUnusable when there is none."""
    return Reader(path_of(url))


def path_of(url: str) -> Path:
    path = files.sqlite_path(url)
    if path is None:
        raise UsageError("this version keeps its store in SQLite only", "write store: sqlite:///watcher.db")
    return path


def _refuse_foreign(path: Path) -> None:
    """Before anything is written: a connection that writes would already change another program's file."""
    engine = reading_engine(path)
    try:
        with engine.connect() as tx:
            revision_of(tx)
    except DatabaseError:
        pass  # what is wrong with a file of ours is found, and kept a copy of, under the lock
    finally:
        engine.dispose()


def _prepare(engine: Engine, path: Path) -> None:
    try:
        with engine.begin() as tx:
            revision_of(tx)
            damage = scalar(tx, "PRAGMA quick_check(1)") if path.stat().st_size <= CHECKED_WHOLE else "ok"
        if damage != "ok":
            raise _quarantine(engine, path, str(damage))
        upgrade(engine, path)
    except DatabaseError as error:
        translated = translate(error, path)
        if isinstance(translated, StoreUnusable):
            raise _quarantine(engine, path, translated.message) from None
        raise translated from None


def _quarantine(engine: Engine, path: Path, damage: str) -> StoreError:
    engine.dispose()
    # Named after the damaged file's own time: a supervisor that starts us again and again makes no second copy.
    changed = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    copy = path.with_name(f"{path.name}.damaged-{changed:%Y%m%dT%H%M%S}")
    for suffix in ("", "-wal"):
        if Path(f"{path}{suffix}").exists() and not Path(f"{copy}{suffix}").exists():
            shutil.copy2(f"{path}{suffix}", f"{copy}{suffix}")
    return StoreUnusable(
        f"the store {path} is damaged ({damage}); nothing was changed and a copy was kept: {copy}",
        f"restore the last backup, or save what is readable: sqlite3 {copy} .recover | sqlite3 {path}.new",
    )


__all__ = ["HEAD", "Store", "open_beside", "open_reader", "open_store", "path_of"]
