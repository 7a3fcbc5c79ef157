"""Opening the store, keeping it private, bringing it up to date, and losing it: real files, real SQLite."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, inspect

from tests.support.builders import NOON, draft, opened, seen, set_read_only, settled, url
from watcher.errors import StoreBusy, StoreLost, StoreStalled, StoreUnusable, UsageError
from watcher.models import TaskKey
from watcher.state import migrate, schema
from watcher.state.budget import get_meta, set_meta
from watcher.state.database import Database, scalar
from watcher.state.record import record_drafts, record_observations
from watcher.state.store import open_beside, open_reader, open_store


def tell(database: Database, *types: str) -> None:
    database.write_now(record_drafts, settled(), [draft(each) for each in types or ("task.started",)])


def told(folder: Path) -> list[str]:
    reader = open_reader(url(folder))
    try:
        return [event.type for event in reader.events()]
    finally:
        reader.close()


def sql(path: Path, *statements: str) -> list[Any]:
    """Ask the closed file by SQLite alone."""
    raw = sqlite3.connect(path, isolation_level=None)
    try:
        return [raw.execute(statement).fetchall() for statement in statements]
    finally:
        raw.close()


# ── opening ──


def test_a_new_store_is_made_and_keeps_what_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        tell(store.database)
    with opened(tmp_path) as store:
        tell(store.database, "task.failed")
    assert told(tmp_path) == ["task.started", "task.failed"]


def test_every_file_of_the_store_is_only_its_owners(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(tmp_path) as store:
            tell(store.database)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes) == {"watcher.db", "watcher.db-wal", "watcher.db-shm", "watcher.db.lock"}
    assert set(modes.values()) == {0o600}


def test_the_file_is_marked_as_ours_and_writes_survive_a_power_cut(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        found = [store.database.write_now(scalar, f"PRAGMA {name}") for name in ("journal_mode", "synchronous")]
        assert store.database.write_now(scalar, "PRAGMA application_id") == schema.APPLICATION_ID
    assert found == ["wal", 2]


def test_a_second_daemon_on_the_same_store_is_refused_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to("watcher.db")
    with opened(tmp_path):
        for name in ("watcher.db", "link.db"):
            with pytest.raises(StoreBusy, match="is held by"), opened(tmp_path, name):
                pass


def test_a_closed_store_can_be_opened_again_in_the_same_process(tmp_path: Path) -> None:
    for _ in range(3):
        with opened(tmp_path) as store:
            tell(store.database)
    assert len(told(tmp_path)) == 3


def test_a_store_that_fails_to_open_lets_go_of_its_lock(tmp_path: Path) -> None:
    (tmp_path / "watcher.db").write_text("not a database, but long enough to be one")
    for _ in range(2):
        with pytest.raises(StoreUnusable, match="not a SQLite database"):
            open_store(url(tmp_path))


def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "watcher.db"
    sql(path, "CREATE TABLE photos (id INTEGER)", "INSERT INTO photos VALUES (7)")
    before = path.stat().st_size
    with pytest.raises(StoreUnusable, match="another program"):
        open_store(url(tmp_path))
    assert (path.stat().st_size, sql(path, "SELECT * FROM photos")) == (before, [[(7,)]])


def test_a_newer_store_is_refused_with_its_version_and_the_copy_from_before(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.database.write_now(set_meta, "copy", "/data/watcher.db.copy-0001")
        tell(store.database)
    sql(tmp_path / "watcher.db", "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnusable, match=r"newer watcher \(schema 9999") as error:
        open_store(url(tmp_path))
    assert "/data/watcher.db.copy-0001" in error.value.hint


def test_a_postgresql_store_is_refused_in_this_version() -> None:
    with pytest.raises(UsageError, match="SQLite only"):
        open_store("postgresql://user@host/db")


def test_a_folder_that_doesnt_exist_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="doesn't exist") as error:
        open_store(f"sqlite:///{tmp_path}/nowhere/watcher.db")
    assert "mkdir" in error.value.hint


@pytest.mark.parametrize(
    ("place", "damage"),
    [
        pytest.param(16, b"\x00" * 84, id="the header"),
        pytest.param(100, b"\xff" * 400, id="the first page"),
        pytest.param(None, b"\xff" * 400, id="the events"),
    ],
)
def test_a_damaged_store_is_refused_kept_and_copied(tmp_path: Path, place: int | None, damage: bytes) -> None:
    path = tmp_path / "watcher.db"
    with opened(tmp_path) as store:
        for _ in range(40):
            tell(store.database)
    if place is None:
        place = 4096 * (sql(path, "SELECT rootpage FROM sqlite_master WHERE name = 'events'")[0][0][0] - 1)
    content = bytearray(path.read_bytes())
    content[place : place + len(damage)] = damage
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match="damaged") as error:
        open_store(url(tmp_path))
    copies = list(tmp_path.glob("watcher.db.damaged-*"))
    assert [copy.read_bytes() for copy in copies if "-wal" not in copy.name] == [bytes(content)]
    assert path.read_bytes() == bytes(content)
    assert str(copies[0]).removesuffix("-wal") in error.value.message


def test_a_truncated_store_is_never_a_silent_fresh_start(tmp_path: Path) -> None:
    path = tmp_path / "watcher.db"
    with opened(tmp_path) as store:
        tell(store.database)
    os.truncate(path, 4096 * 2)
    with pytest.raises(StoreUnusable, match="damaged"):
        open_store(url(tmp_path))


# ── reading beside it ──


def test_a_reader_finds_no_store_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="there is no store"):
        open_reader(url(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_reader_works_beside_an_open_transaction_and_doesnt_see_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        tell(store.database)

        def look_meanwhile(tx: Connection) -> list[str]:
            record_drafts(tx, settled(), [draft("task.failed")])
            return told(tmp_path)

        assert store.database.write_now(look_meanwhile) == ["task.started"]
        assert told(tmp_path) == ["task.started", "task.failed"]


def test_a_command_writes_beside_the_daemon_without_its_lock(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        tell(store.database)
        beside = open_beside(url(tmp_path))
        beside.write_now(set_meta, "note", "from beside")
        beside.close()
        assert store.database.write_now(get_meta, "note") == "from beside"


# ── transactions ──


def test_work_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(tx: Connection) -> None:
        record_drafts(tx, settled(), [draft()])
        raise RuntimeError("halfway")

    with opened(tmp_path) as store:
        with pytest.raises(RuntimeError, match="halfway"):
            store.database.write_now(fail)
        tell(store.database, "task.failed")
    assert told(tmp_path) == ["task.failed"]


def test_work_that_has_only_read_so_far_already_keeps_other_writers_out(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        beside = open_beside(url(tmp_path))
        writer = threading.Thread(target=beside.write_now, args=(set_meta, "note", "from beside"))

        def read_slowly(tx: Connection) -> str | None:
            get_meta(tx, "note")
            writer.start()
            writer.join(0.1)
            return get_meta(tx, "note") if writer.is_alive() else "it didn't wait"

        assert store.database.write_now(read_slowly) is None
        writer.join(5)
        beside.close()
        assert store.database.write_now(get_meta, "note") == "from beside"


def test_an_error_of_the_database_shows_no_values(tmp_path: Path) -> None:
    def twice(tx: Connection) -> None:
        for _ in range(2):
            tx.exec_driver_sql("INSERT INTO meta VALUES (?, ?)", ("one", "hunter2-is-secret"))

    with opened(tmp_path) as store, pytest.raises(Exception, match="answered with an error") as error:
        store.database.write_now(twice)
    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.anyio
async def test_the_watchdog_hears_each_piece_of_work_begin_and_end(tmp_path: Path) -> None:
    beats: list[int] = []
    with open_store(url(tmp_path), beat=lambda: beats.append(1)) as store:
        await store.database.write(scalar, "SELECT 1")
        assert len(beats) == 2


# ── stalled ──


def fill(tx: Connection) -> None:
    set_meta(tx, "filler", "x" * 1_000_000)


def test_a_full_database_stalls_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        tell(store.database)
        pages = store.database.write_now(scalar, "PRAGMA page_count")
        store.database.write_now(scalar, f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreStalled, match="can't be written just now") as error:
            store.database.write_now(fill)
        assert "free space" in error.value.hint
        store.database.write_now(scalar, "PRAGMA max_page_count = 1000000")
        store.database.write_now(fill)
        tell(store.database, "task.failed")
    assert told(tmp_path) == ["task.started", "task.failed"]


def test_a_read_only_database_stalls(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        set_read_only(store.database, True)
        with pytest.raises(StoreStalled):
            tell(store.database)
        set_read_only(store.database, False)
        tell(store.database)
    assert told(tmp_path) == ["task.started"]


FULL_DISK = """
import os, sys
from pathlib import Path
from tests.support.builders import draft, opened, settled
from watcher.errors import StoreStalled
from watcher.state.record import record_drafts
folder = Path(sys.argv[1])
with opened(folder) as store:
    def tell():
        store.database.write_now(record_drafts, settled(), [draft()])
    tell()
    with open(folder / "filler", "wb", buffering=0) as filler:
        try:
            while True: filler.write(b"x" * 4096)
        except OSError: pass
    stalled = told = 0
    for _ in range(400):
        try: tell(); told += 1
        except StoreStalled: stalled += 1
    os.unlink(folder / "filler")
    tell()
    print("stalled" if stalled else "never", told + 2)
with opened(folder) as store:
    print(store.database.write_now(lambda tx: tx.exec_driver_sql("SELECT count(*) FROM events").scalar()))
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounts a small disk of its own")
def test_a_full_disk_stalls_loses_nothing_that_was_committed_and_goes_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"mount -t tmpfs -o size=1m none {disk} && exec {sys.executable} - {disk}"],
        input=FULL_DISK, capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    if "mount" in mounted.stderr and "permi" in mounted.stderr:
        pytest.skip("may not mount here")
    word, expected, kept = mounted.stdout.split() or [mounted.stderr, "", ""]
    assert word == "stalled"
    assert kept == expected


# ── lost ──


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_store_that_is_deleted_or_replaced_under_the_daemon_is_lost(tmp_path: Path, how: str) -> None:
    path = tmp_path / "watcher.db"
    with opened(tmp_path) as store:
        tell(store.database)
        if how == "replaced":
            shutil.copy(path, tmp_path / "other.db")
            (tmp_path / "other.db").replace(path)
        else:
            path.unlink()
        with pytest.raises(StoreLost, match="deleted or replaced"):
            tell(store.database)


# ── migrations ──


def _partial(options: dict[str, Any]) -> str:
    return str(options.get("sqlite_where"))


def shape(path: Path) -> dict[str, Any]:
    engine = create_engine(f"sqlite:///{path}")
    look = inspect(engine)
    found = {
        table: (
            [(c["name"], str(c["type"]), c["nullable"], c.get("primary_key")) for c in look.get_columns(table)],
            sorted(
                (str(i["name"]), tuple(i["column_names"]), i["unique"], _partial(i.get("dialect_options", {})))
                for i in look.get_indexes(table)
            ),
            sorted((tuple(k["constrained_columns"]), k["referred_table"], str(k["options"]))
                   for k in look.get_foreign_keys(table)),
        )
        for table in look.get_table_names()
        if table != "alembic_version"
    }  # fmt: skip
    engine.dispose()
    return found


MADE = ("created", "migrated")


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    for name, make in (("created", migrate.create), ("migrated", migrate.run_alembic)):
        engine = create_engine(f"sqlite:///{tmp_path}/{name}.db")
        with engine.begin() as tx:
            make(tx)
        engine.dispose()
    assert shape(tmp_path / "created.db") == shape(tmp_path / "migrated.db")
    versions = [sql(tmp_path / f"{name}.db", "SELECT version_num FROM alembic_version") for name in MADE]
    assert versions == [[[(migrate.HEAD,)]]] * 2


def test_head_is_the_newest_migration() -> None:
    folder = Path(migrate.__file__).parent / "migrations" / "versions"
    assert max(path.name for path in folder.glob("[0-9]*.py")).startswith(f"{migrate.HEAD}_")


HEAD = migrate.HEAD
NEXT = """
import os, signal
from alembic import op
import sqlalchemy as sa

revision = "9998"
down_revision = "{HEAD}"


def upgrade():
    op.create_table("notes", sa.Column("id", sa.Integer(), primary_key=True))
    if os.environ.get("KILL_MIDWAY"):
        os.kill(os.getpid(), signal.SIGKILL)
    op.add_column("meta", sa.Column("note", sa.Text(), nullable=True))
"""


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of migrations with one more than this version has; use it as this version's."""
    folder = tmp_path / "next"
    shutil.copytree(Path(migrate.__file__).parent / "migrations", folder / "migrations")
    (folder / "migrations" / "versions" / "9998_notes.py").write_text(NEXT.replace("{HEAD}", migrate.HEAD))
    monkeypatch.setattr(migrate, "HEAD", "9998")
    monkeypatch.setattr(migrate, "__file__", str(folder / "migrate.py"))
    return folder


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    """A store of this version with two events in it."""
    with opened(tmp_path) as store:
        tell(store.database, "task.started", "task.failed")
    return tmp_path / "watcher.db"


def test_an_upgrade_keeps_a_private_copy_of_the_store_from_before(old_store: Path, next_version: Path) -> None:
    with open_store(f"sqlite:///{old_store}") as store:
        (copy,) = old_store.parent.glob(f"watcher.db.copy-{HEAD}-*")
        assert store.database.write_now(get_meta, "copy") == str(copy)
    assert sql(old_store, "SELECT version_num FROM alembic_version", "SELECT * FROM notes") == [[("9998",)], []]
    assert sql(copy, "SELECT version_num FROM alembic_version", "SELECT count(*) FROM events") == [[(HEAD,)], [(2,)]]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_store_that_is_up_to_date_is_neither_copied_nor_migrated(old_store: Path) -> None:
    with open_store(f"sqlite:///{old_store}"):
        pass
    assert list(old_store.parent.glob("*.copy-*")) == []


UPGRADE = """
import sys
from watcher.state import migrate
from watcher.state.store import open_store
migrate.HEAD, migrate.__file__ = "9998", sys.argv[2]
open_store(sys.argv[1])
"""


def test_an_upgrade_killed_midway_starts_again(old_store: Path, next_version: Path) -> None:
    arguments = [sys.executable, "-c", textwrap.dedent(UPGRADE), f"sqlite:///{old_store}", f"{next_version}/migrate.py"]
    killed = subprocess.run(arguments, env={**os.environ, "KILL_MIDWAY": "1"}, timeout=30)
    assert killed.returncode == -signal.SIGKILL
    assert sql(
        old_store, "SELECT version_num FROM alembic_version", "SELECT name FROM sqlite_master WHERE name = 'notes'"
    ) == [[(HEAD,)], []]
    with open_store(f"sqlite:///{old_store}"):
        pass
    assert sql(old_store, "SELECT version_num FROM alembic_version", "SELECT count(*) FROM events") == [
        [("9998",)],
        [(2,)],
    ]


# ── from 0.1.0 ──

FIRST_TASK = (
    "INSERT INTO tasks VALUES (?, 'main', ?, ?, 9, 1000, 2000, 2000, 1, 25, 1500, NULL, '', 0, 0, NULL, '')",
    '{"status":"RUNNING","name":"봇","statusInfo.currStep":30,"statusInfo.totalTrainSteps":100,'
    '"statusInfo.trainLoss":"NaN"}',
)


@pytest.fixture
def first_store(tmp_path: Path) -> Path:
    """A store as 0.1.0 left it: 70 tasks with three points of history each, an event, a delivery."""
    path = tmp_path / "watcher.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as tx:
        migrate.run_alembic(tx, "0001")
        tx.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        for no in range(1, 71):
            tx.exec_driver_sql(FIRST_TASK[0], (no, f"task{no:02}", FIRST_TASK[1]))
            for number in (1, 5, 9):
                point = (no, number, number * 1000, number * 3, number / 2, f'{{"name":"{no}"}}')
                tx.exec_driver_sql("INSERT INTO history VALUES (?, ?, ?, 1, ?, 0, ?, ?)", point)
        tx.exec_driver_sql(
            "INSERT INTO events VALUES (77, 'task.started', 'info', 1, NULL, 1000, 1000, 'main', 'task01', NULL, "
            '\'{"from":"WAIT","to":"RUNNING","changes":{},"failure":null,"details":{},"subject":null}\')'
        )
        tx.exec_driver_sql(
            "INSERT INTO deliveries VALUES ('msg_1', 77, 'team', 'q', 'default', 'waiting', 0, 1000, '', 0.0, 0, NULL)"
        )
    engine.dispose()
    path.chmod(0o600)
    return path


def test_a_store_of_the_first_version_is_upgraded_with_all_that_it_knows(first_store: Path, tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    reader = open_reader(url(tmp_path))
    tasks = reader.tasks()
    assert [task.key.id for task in tasks] == [f"task{no:02}" for no in range(1, 71)]
    assert {json.dumps(dict(task.fields), ensure_ascii=False, separators=(",", ":")) for task in tasks} == {
        FIRST_TASK[1]
    }
    for no in (1, 32, 70):
        points = reader.history(TaskKey("main", f"task{no:02}"))
        assert [(p.step, p.loss, dict(p.changes)) for p in points] == [
            (3, 0.5, {"name": str(no)}), (15, 2.5, {"name": str(no)}), (27, 4.5, {"name": str(no)})
        ]  # fmt: skip
    assert [delivery.event.type for delivery in reader.deliveries()] == ["task.started"]
    reader.close()
    assert sql(first_store, "PRAGMA integrity_check", "PRAGMA foreign_key_check") == [[("ok",)], []]
    assert sql(first_store, f"SELECT count(*) FROM history WHERE band = task_no / {schema.BAND}") == [[(210,)]]
    (copy,) = tmp_path.glob("watcher.db.copy-0001-*")
    assert sql(copy, "SELECT count(*) FROM history") == [[(210,)]]


def test_an_upgraded_store_goes_on_where_the_first_version_stopped(first_store: Path, tmp_path: Path) -> None:
    key = TaskKey("main", "task33")
    shown: dict[str, Any] = {"step": 30, "steps": 100, "loss": "NaN", "name": "봇"}
    looks = [seen(number=10, key=key, **shown), seen(number=11, key=key, **{**shown, "step": 31, "loss": 0.25})]
    with opened(tmp_path) as store:
        recorded = [store.database.write_now(record_observations, settled(), [look]) for look in looks]
    assert [(each.comparisons or {})[key].because for each in recorded] == ["unchanged", "changed"]
    reader = open_reader(url(tmp_path))
    assert [point.step for point in reader.history(key)] == [3, 15, 27, 31]
    reader.close()


def test_times_are_kept_as_whole_milliseconds(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        tell(store.database)
    (rows,) = sql(tmp_path / "watcher.db", "SELECT time FROM events")
    assert rows == [((int(NOON.timestamp()) + 60) * 1000,)]


def test_a_foreign_database_is_refused_without_a_byte_of_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "foreign.db"
    with contextlib.closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE theirs (a)")
        theirs.commit()
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="another program"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["foreign.db"]
