"""The database as a file: where it may lie, who holds it, what it must be."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from watcher.errors import StoreBusy, StoreLost, StoreUnusable
from watcher.state.files import StoreLock, check_location, create_private, inspect, sqlite_path
from watcher.state.mounts import Mount, mount_of, parse_mountinfo, read_mounts

HOLD = """
import sys, time
from pathlib import Path
from watcher.state.files import StoreLock
lock = StoreLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def other_process_holding(path: Path) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///watcher.db", "watcher.db"),
        ("sqlite:////data/watcher.db", "/data/watcher.db"),
        ("sqlite+pysqlite:////data/watcher.db?timeout=3", "/data/watcher.db"),
        ("sqlite:///a b/%41.db", "a b/%41.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql://user@host/db", None),
    ],
)
def test_the_file_of_a_store_address(url: str, path: str | None) -> None:
    assert sqlite_path(url) == (Path(path) if path else None)


# --- the lock


def test_a_second_daemon_is_refused_and_told_who_holds_the_store(tmp_path: Path) -> None:
    with other_process_holding(tmp_path / "w.db") as holder:
        with pytest.raises(StoreBusy, match=f"process {holder.pid} on ") as error:
            StoreLock(tmp_path / "w.db").acquire()
        assert "stop that watcher" in error.value.hint


def test_a_second_daemon_is_refused_through_links_to_the_file_and_the_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "link.db").symlink_to("real/w.db")
    with other_process_holding(tmp_path / "real" / "w.db"):
        for name in ("link.db", "folder/w.db", "real/../folder/w.db"):
            with pytest.raises(StoreBusy):
                StoreLock(tmp_path / name).acquire()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    with other_process_holding(tmp_path / "w.db") as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        lock = StoreLock(tmp_path / "w.db")
        lock.acquire()
        lock.release()


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    first, second = StoreLock(tmp_path / "w.db"), StoreLock(tmp_path / "w.db")
    first.acquire()
    with pytest.raises(StoreBusy, match=f"process {os.getpid()} "):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_the_lock_is_private_and_follows_no_planted_link(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path / "w.db")
    lock.acquire()
    assert stat.S_IMODE((tmp_path / "w.db.lock").stat().st_mode) == 0o600
    lock.release()
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "x.db.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StoreUnusable):
        StoreLock(tmp_path / "x.db").acquire()
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_child_that_outlives_the_daemon_does_not_keep_the_lock(tmp_path: Path) -> None:
    script = HOLD.replace(
        'print("held"', 'import subprocess\nchild = subprocess.Popen(["sleep", "60"], close_fds=False)\nprint(child.pid'
    )
    daemon = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "w.db")], stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    child = int(daemon.stdout.readline())
    try:
        daemon.kill()
        daemon.wait()
        StoreLock(tmp_path / "w.db").acquire()
    finally:
        os.kill(child, signal.SIGKILL)
        daemon.stdout.close()


def test_a_deleted_or_replaced_database_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    create_private(path)
    lock = StoreLock(path)
    lock.acquire()
    lock.watch()
    lock.verify()
    path.rename(tmp_path / "aside")
    with pytest.raises(StoreLost, match="deleted or replaced"):
        lock.verify()
    create_private(path)
    with pytest.raises(StoreLost):
        lock.verify()
    (tmp_path / "aside").rename(path)
    lock.verify()
    (tmp_path / "w.db.lock").unlink()
    with pytest.raises(StoreLost, match=r"lock .* was deleted"):
        lock.verify()
    lock.release()


# --- where it lies

MOUNTINFO = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 0:30 / /mnt/net\040share rw shared:9 master:2 - nfs4 server:/x rw,vers=4.2
31 30 254:3 / /mnt/net\040share/disk rw - xfs /dev/vdb rw
32 22 0:40 / /mnt/auto rw - autofs systemd-1 rw,fd=36
33 32 0:41 / /mnt/auto rw - cifs //server/share rw
34 22 0:42 / /data rw - tmpfs tmpfs rw
nonsense
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/w.db", "ext4"),
        ("/mnt/net share/w.db", "nfs4"),
        ("/mnt/net share/disk/w.db", "xfs"),
        ("/mnt/net share2/w.db", "ext4"),
        ("/mnt/auto/w.db", "cifs"),
        ("/data/w.db", "tmpfs"),
        ("/database/w.db", "ext4"),
    ],
)
def test_the_mount_of_a_path_is_the_deepest_and_the_last(path: str, kind: str) -> None:
    mount = mount_of(Path(path), parse_mountinfo(MOUNTINFO))
    assert mount is not None
    assert mount.kind == kind


def test_this_machine_tells_its_mounts() -> None:
    assert mount_of(Path("/"), read_mounts()) is not None


def mounted(tmp_path: Path, kind: str) -> list[Mount]:
    return [Mount(Path("/"), "ext4"), Mount(tmp_path.resolve(), kind)]


@pytest.mark.parametrize(
    "kind",
    ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse.sshfs", "fuse.s3fs", "fuse", "vboxsf", "drvfs", "ceph"],
)
def test_network_and_shared_file_systems_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(StoreUnusable, match=f"lies on {kind} .*network or shared") as error:
        check_location(tmp_path / "w.db", mounted(tmp_path, kind))
    assert "local disk" in error.value.hint


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "fuseblk", "f2fs"])
def test_local_disks_are_fine(tmp_path: Path, kind: str) -> None:
    assert check_location(tmp_path / "w.db", mounted(tmp_path, kind)) == []


@pytest.mark.parametrize(
    ("kind", "word"),
    [("tmpfs", "memory"), ("overlay", "container's own layer"), ("fuse.fuse-overlayfs", "container's")],
)
def test_places_that_forget_are_warned_about(tmp_path: Path, kind: str, word: str) -> None:
    (warning,) = check_location(tmp_path / "w.db", mounted(tmp_path, kind))
    assert word in warning


def test_a_link_onto_a_network_share_is_refused(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "w.db").symlink_to("share/w.db")
    with pytest.raises(StoreUnusable):
        check_location(tmp_path / "w.db", mounted(tmp_path / "share", "nfs"))


def test_a_database_mounted_as_a_single_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="single file"):
        check_location(tmp_path / "w.db", mounted(tmp_path / "w.db", "ext4"))


def test_a_missing_folder_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="doesn't exist") as error:
        check_location(tmp_path / "no" / "w.db")
    assert error.value.hint == f"make it with: mkdir -p {tmp_path / 'no'}"


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StoreUnusable):
        inspect(tmp_path / "a")


AS_NOBODY = """
import os, sys
from pathlib import Path
from watcher.errors import StoreUnusable
from watcher.state.files import check_location, create_private, inspect, StoreLock
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
for act in (check_location, create_private, lambda path: StoreLock(path).acquire()):
    try:
        act(Path(sys.argv[1]) / "w.db")
    except StoreUnusable as error:
        print(error.message, "/", error.hint)
"""


@pytest.mark.parametrize("forbidden", ["folder", "folder/inside"])
def test_what_this_user_cannot_write_is_refused(forbidden: str) -> None:
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        (Path(top) / "folder" / "inside").mkdir(parents=True)
        (Path(top) / "folder").chmod(0o555 if forbidden == "folder" else 0)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, f"{top}/{forbidden}"], capture_output=True, text=True, check=True
        )
        (Path(top) / "folder").chmod(0o755)
    assert len(done.stdout.splitlines()) == 3
    assert "by user" in done.stdout or "for user" in done.stdout


# --- what it is


def test_nothing_there_is_no_database_and_no_error(tmp_path: Path) -> None:
    assert inspect(tmp_path / "w.db") is False


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_a_new_database_is_private_whatever_the_umask_says(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "w.db"
    before = os.umask(umask)
    try:
        create_private(path)
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("CREATE TABLE t (x)")
            modes = {name.name: stat.S_IMODE(name.stat().st_mode) for name in tmp_path.iterdir()}
        db.close()
    finally:
        os.umask(before)
    assert modes == {"w.db": 0o600, "w.db-wal": 0o600, "w.db-shm": 0o600}
    assert inspect(path) is True


def test_creating_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "w.db").write_bytes(b"something")
    create_private(tmp_path / "w.db")
    assert (tmp_path / "w.db").read_bytes() == b"something"


def test_a_database_is_created_where_a_link_points(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "w.db").symlink_to("real/w.db")
    create_private(tmp_path / "w.db")
    assert (tmp_path / "real" / "w.db").exists()


def test_another_kind_of_file_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    path.write_text("my notes")
    with pytest.raises(StoreUnusable, match="not a SQLite database"):
        inspect(path)
    assert path.read_text() == "my notes"


def test_a_folder_or_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(StoreUnusable, match="not a file"):
            inspect(path)


def test_a_database_with_two_names_is_refused(tmp_path: Path) -> None:
    create_private(tmp_path / "w.db")
    (tmp_path / "other.db").hardlink_to(tmp_path / "w.db")
    with pytest.raises(StoreUnusable, match="2 names"):
        inspect(tmp_path / "other.db")


def test_a_log_without_its_database_is_no_silent_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "w.db-wal").write_bytes(b"\x37\x7f\x06\x82" * 10)
    with pytest.raises(StoreUnusable, match=r"is missing, but w\.db-wal"):
        inspect(tmp_path / "w.db")
