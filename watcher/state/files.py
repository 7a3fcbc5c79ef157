"""The SQLite file as a file: where it may lie, who holds it, whether it is one.

Never open the database, its -wal or its -shm while SQLite has them open in this process: closing any descriptor of the
file drops SQLite's locks. So `inspect` and `create_private` come before the first connection, and the rest asks only
for names and numbers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import stat
import time
from pathlib import Path

from watcher.errors import StoreBusy, StoreLost, StoreUnusable
from watcher.state.mounts import Mount, mount_of, read_mounts

MAGIC = b"SQLite format 3\x00"
PATIENCE = 0.5
NEIGHBOURS = ("", "-wal", "-shm", ".lock")
"""Everything that lies beside the database while it is open, by what is added to its name."""

SHARED = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fuse", "glusterfs", "gfs2", "gpfs",
    "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
})  # fmt: skip
"""File systems that other machines may write too, or whose locks and shared memory aren't to be relied on. All of
`fuse.*` counts, but for the ones that are a container's own layer."""

LAYERS = frozenset({"aufs", "fuse.fuse-overlayfs", "overlay"})
MEMORY = frozenset({"ramfs", "tmpfs"})

_SQLITE_URL = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>[^?]+)(?:\?.*)?", re.DOTALL)
ELSEWHERE = "set store to a file on a local disk, for example sqlite:////var/lib/watcher/watcher.db"


def sqlite_path(store_url: str) -> Path | None:
    """The file of a `sqlite:///` address (relative to the working directory); None for every other store."""
    match = _SQLITE_URL.fullmatch(store_url)
    return Path(match["path"]) if match and match["path"] != ":memory:" else None


def check_location(path: Path, mounts: list[Mount] | None = None) -> list[str]:
    """Warnings about where the database lies. Raises StoreUnusable where it can't or mustn't lie.

    `mounts`: what is mounted; read from the system unless given.
    """
    real = _resolved(path)
    try:
        _check_folder(real)
        _check_neighbours(real)
    except PermissionError as error:  # a folder above may not even be looked into
        raise _unusable(real, error) from None
    return _check_mount(real, read_mounts() if mounts is None else mounts)


def create_private(path: Path) -> None:
    """Make an empty database that only this user can read, unless there is one. Raises StoreUnusable."""
    real = _resolved(path)
    try:
        descriptor = os.open(real, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise _unusable(real, error) from None
    os.fchmod(descriptor, 0o600)  # whatever the umask says; SQLite gives -wal and -shm the same mode
    os.close(descriptor)


def inspect(path: Path) -> bool:
    """Whether there is a database; False when there is nothing yet. Raises StoreUnusable when there is anything else.

    Only before this process connects.
    """
    real = _resolved(path)
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        _check_orphan(real)
        return False
    except OSError as error:
        raise _unusable(real, error) from None
    try:
        return _is_database(real, descriptor)
    finally:
        os.close(descriptor)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file this is, whatever its name; None when there is none. Doesn't open it."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class StoreLock:
    """One daemon per database: a lock on `<database>.lock` beside the real file, which dies with the process.

    The file stays when the lock goes: removing it would let two processes hold locks on two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self._database = _resolved(path)
        self._path = self._database.with_name(self._database.name + ".lock")
        self._descriptor: int | None = None
        self._watched: tuple[int, int] | None = None

    def acquire(self, patience: float = PATIENCE) -> None:
        """Raises StoreBusy when another process holds it, StoreUnusable when it can't be made.

        `patience` in seconds: `held` takes the lock for a moment, too, to see whether it is free.
        """
        deadline = time.monotonic() + patience
        while self._descriptor is None:
            descriptor = self._open()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise _busy(self._database, _holder(descriptor)) from None
                time.sleep(0.05)
            except OSError as error:
                raise _unusable(self._path, error) from None
            else:
                # Somebody may have removed the file between our opening and locking it.
                self._descriptor = descriptor if _is_at(descriptor, self._path) else None
            finally:
                if self._descriptor is None:
                    os.close(descriptor)
        self._sign()

    def touch(self) -> None:
        """A sign of life that needs no free space: the lock file's time of change."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.utime(self._descriptor)

    def watch(self) -> None:
        """Remember which file the database is, once it exists: `verify` compares."""
        self._watched = identity(self._database)

    def verify(self) -> None:
        """Raises StoreLost when the database or the lock isn't the one any more that this process opened."""
        if self._watched is not None and identity(self._database) != self._watched:
            raise StoreLost(
                f"The store {self._database} was deleted or replaced while it was in use",
                "put the file back and start again; stop the watcher before touching its files",
            )
        if self._descriptor is not None and not _is_at(self._descriptor, self._path):
            raise StoreLost(
                f"The lock {self._path} was deleted or replaced while it was in use",
                "start again; leave the file alone while the watcher runs",
            )

    def release(self) -> None:
        """After the database is closed. Exit and SIGKILL release too."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child between fork and exec may hold a copy for a moment
            os.close(descriptor)

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _unusable(self._path, error) from None

    def _sign(self) -> None:
        """Best effort: the disk may be full, and the lock holds without a name."""
        assert self._descriptor is not None  # noqa: S101 - acquire() calls
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        except OSError:
            pass


def held(path: Path) -> float | None:
    """When the daemon that holds the database's lock last gave a sign of life (seconds since the epoch); None: none
    holds it."""
    try:
        descriptor = os.open(_resolved(path).with_name(f"{_resolved(path).name}.lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.fstat(descriptor).st_mtime
    else:
        return None
    finally:
        os.close(descriptor)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        raise StoreUnusable(f"The store {path} is a symbolic link that leads nowhere", ELSEWHERE) from None


def _is_at(descriptor: int, path: Path) -> bool:
    opened = os.fstat(descriptor)
    return (opened.st_dev, opened.st_ino) == identity(path)


def _holder(descriptor: int) -> str:
    """`123 on host`, as the process that holds the lock wrote it; "" if it didn't."""
    try:
        match = re.fullmatch(rb"(\d{1,10}) ([\w.-]{1,255})\n", os.pread(descriptor, 300, 0), re.ASCII)
    except OSError:
        return ""
    return f"{int(match[1])} on {match[2].decode()}" if match else ""


def _busy(database: Path, holder: str) -> StoreBusy:
    who = f"process {holder}" if holder else "another process"
    return StoreBusy(
        f"The store {database} is held by {who}", "stop that watcher first, or give this one its own store"
    )


def _check_folder(real: Path) -> None:
    folder = real.parent
    if not folder.is_dir():
        raise StoreUnusable(f"The store's folder {folder} doesn't exist", f"make it with: mkdir -p {folder}")
    if not _may(folder, os.W_OK | os.X_OK):
        raise StoreUnusable(
            f"The store's folder {folder} can't be written by user {os.geteuid()}",
            f"chown it to {os.geteuid()}, mount it writable, or set store to another place",
        )


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _check_neighbours(real: Path) -> None:
    for ending in NEIGHBOURS:
        path = real.with_name(real.name + ending)
        if path.exists() and not _may(path, os.R_OK | os.W_OK):
            raise StoreUnusable(
                f"{path} can't be read and written by user {os.geteuid()}",
                f"chown {real}* to {os.geteuid()}, or start the watcher as the user that made them",
            )


def _check_mount(real: Path, mounts: list[Mount]) -> list[str]:
    mount = mount_of(real, mounts)
    if mount is None:
        return []
    if mount.point == real:
        raise StoreUnusable(
            f"{real} is mounted as a single file, so its -wal and its lock would lie elsewhere",
            f"mount the folder {real.parent} instead of the file",
        )
    if mount.kind in LAYERS:
        return [f"the store {real} lies in the container's own layer and goes when the container goes: mount a volume"]
    if mount.kind in MEMORY:
        return [f"the store {real} lies in memory ({mount.kind}) and goes at the next restart: use a disk"]
    if mount.kind in SHARED or mount.kind.startswith("fuse."):
        raise StoreUnusable(
            f"The store {real} lies on {mount.kind} ({mount.point}), a network or shared file system, "
            "where SQLite's locks don't hold",
            ELSEWHERE,
        )
    return []


def _is_database(real: Path, descriptor: int) -> bool:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise StoreUnusable(f"The store {real} is not a file", ELSEWHERE)
    if found.st_nlink > 1:
        raise StoreUnusable(
            f"The store {real} has {found.st_nlink} names (hard links): a watcher at another one would ruin it",
            f"stop every watcher, then give it one name: cp {real} {real}.new && mv {real}.new {real}",
        )
    if found.st_size == 0:
        _check_orphan(real)
        return False
    if os.pread(descriptor, len(MAGIC), 0) != MAGIC:
        raise StoreUnusable(f"{real} is not a SQLite database", "move it away, or set store to another file")
    return True


def _check_orphan(real: Path) -> None:
    """A -wal with something in it belongs to a database that was taken away: its news would be lost in silence."""
    wal = real.with_name(real.name + "-wal")
    if wal.exists() and wal.stat().st_size > 0:
        raise StoreUnusable(
            f"The store {real} is missing, but {wal.name} of it is still there",
            f"put {real.name} back beside it, or move {wal.name} away to start anew",
        )


def _unusable(path: Path, error: OSError) -> StoreUnusable:
    return StoreUnusable(f"{path} can't be opened: {error.strerror}", f"make it writable for user {os.geteuid()}")
