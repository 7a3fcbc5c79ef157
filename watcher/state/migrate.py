"""Bringing a database to this version's schema, with a copy of what was there before."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

from watcher.errors import StoreUnusable
from watcher.state.budget import get_meta, set_meta
from watcher.state.database import scalar, translate
from watcher.state.schema import APPLICATION_ID, metadata

HEAD = "0003"
"""The newest revision in migrations/versions; a test holds it against that folder."""


def revision_of(tx: Connection) -> str | None:
    """The schema's revision; None for an empty database. Raises StoreUnusable when the tables aren't ours."""
    tables = set(inspect(tx).get_table_names())
    if "alembic_version" in tables and "deliveries" in tables:
        return str(scalar(tx, "SELECT version_num FROM alembic_version"))
    if tables:
        raise StoreUnusable(
            "the database holds tables of another program and wasn't touched",
            "give the watcher a file of its own with `store:`",
        )
    return None


def upgrade(engine: Engine, path: Path) -> None:
    """Migrate to HEAD in one transaction; nothing happens when the database is there already.

    A database that isn't empty is copied first (`VACUUM INTO`, beside it). Killed midway, it is either revision.
    """
    with engine.begin() as tx:
        revision = revision_of(tx)
        backup = get_meta(tx, "copy") if revision else None
    if revision == HEAD:
        return
    _refuse_newer(revision, backup, path)
    copy = _copy(engine, path, revision) if revision else ""
    with engine.begin() as tx:
        if revision is None:
            create(tx)
        else:
            run_alembic(tx)
            set_meta(tx, "copy", copy)
        tx.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def create(tx: Connection) -> None:
    """The newest schema in an empty database; a test holds it against what the migrations make."""
    metadata.create_all(tx)
    # As Alembic makes it.
    tx.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    tx.exec_driver_sql(f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')")  # noqa: S608


def _refuse_newer(revision: str | None, backup: str | None, path: Path) -> None:
    if revision is None or revision < HEAD:
        return
    mend = f"or go back to the copy from before the upgrade: {backup}" if backup else "or use another store"
    raise StoreUnusable(
        f"the store {path} was written by a newer watcher (schema {revision}, this version knows {HEAD})",
        f"run the newer version, {mend}",
    )


def _copy(engine: Engine, path: Path, revision: str) -> str:
    stamp = datetime.now(tz=UTC).strftime("%Y%m%dT%H%M%S.%f")
    target = path.with_name(f"{path.name}.copy-{revision}-{stamp}")
    target.touch(mode=0o600)
    raw = engine.raw_connection()
    try:
        raw.cursor().execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise translate(error, path) from None
    finally:
        raw.close()
    return str(target)


def run_alembic(tx: Connection, revision: str = "head") -> None:
    """Bring the database from whatever revision it has to that one."""
    # Alembic takes long to import, and hardly a start needs it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = tx
    command.upgrade(config, revision)
