"""The running daemon and its store: shared with nobody, taken away, on a disk that takes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.daemon import ask, until
from tests.support.looking import error_lines
from tests.support.stage import IN_CI, OTHER, TASK, Stage, staged


def test_a_second_daemon_on_the_same_store_is_refused_also_through_a_symlink(stage: Stage, tmp_path: Path) -> None:
    stage.first_sight()
    link = tmp_path / "elsewhere.db"
    link.symlink_to(stage.watcher.store)
    for store in (stage.watcher.store, link):
        stage.watcher.environment["WATCHER_STORE"] = f"sqlite:///{store}"
        refused = stage.watcher.run("run")
        assert refused.returncode == 1
        first, second = error_lines(refused.stderr)
        assert first.startswith(f"Error: The store {stage.watcher.store} is held by process ")
        assert second.startswith("Try: ")
        assert "Traceback" not in refused.stderr
    assert stage.watcher.process is not None
    assert stage.watcher.process.poll() is None


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_database_that_is_taken_away_ends_the_daemon_with_exit_1(how: str, stage: Stage) -> None:
    stage.first_sight()
    if how == "replaced":
        shutil.copy(stage.watcher.store, stage.folder / "copy.db")
        (stage.folder / "copy.db").replace(stage.watcher.store)
    else:
        stage.watcher.store.unlink()
    assert stage.watcher.ended(15) == 1
    assert "deleted or replaced" in stage.watcher.said()
    assert "Traceback" not in stage.watcher.said()


# A disk that takes nothing.


in_its_own_mounts = pytest.mark.skipif(
    not IN_CI and (os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0),
    reason="needs root and unshare -m",
)


def _mounted(folder: Path, *mounts: str) -> tuple[str, ...]:
    """A command line in front of the daemon: it lives among these mounts, and nobody else does."""
    script = "; ".join([*mounts, f"cd {folder}", 'exec "$@"'])
    return ("unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh")


@in_its_own_mounts
def test_a_full_disk_is_said_and_survived_and_all_is_told_when_there_is_space_again(tmp_path: Path) -> None:
    with _on_a_small_disk(tmp_path) as stage:
        stage.first_sight()
        ballast = _disk_of(stage) / "ballast"
        _fill(ballast)
        stage.upstream.set(TASK, status="RUNNING")
        stage.watcher.until_said("store.stalled")
        until(lambda: "store-stalled" in ask(f"{stage.watcher.url}/healthz")[1], "the condition is shown")
        assert ask(f"{stage.watcher.url}/healthz")[0] == 200
        stage.upstream.set(OTHER, status="FAILED", statusInfo={"failureReason": "clops.error"})
        lasting = len(stage.watcher.said())
        time.sleep(3)  # long enough for anything that would be sent or said endlessly
        assert stage.watcher.process.poll() is None
        assert stage.hook.got("task.started", accepted=False) == []
        assert len(stage.watcher.said()) - lasting < 3000, stage.watcher.said()[lasting:]

        ballast.unlink()
        stage.until_told("task.started", TASK)
        stage.until_told("task.failed", OTHER)
        until(lambda: ask(f"{stage.watcher.url}/healthz")[1] == '{"status":"ok","conditions":[]}', "all is well", 30)
        assert stage.watcher.stop() == 0
        assert len(stage.hook.got("task.started", accepted=False)) == 1


@in_its_own_mounts
def test_a_start_that_a_full_disk_held_up_is_told_when_there_is_space_again(tmp_path: Path) -> None:
    with _on_a_small_disk(tmp_path) as stage:
        stage.upstream.control(fault={"kind": "slow", "delay": 1.0})
        stage.watcher.start_ready()
        ballast = _disk_of(stage) / "ballast"
        _fill(ballast)
        stage.watcher.until_said("store.stalled")
        stage.watcher.until_said('"account": "main"')  # the first look came back, and nothing of it could be written
        time.sleep(1)  # so that whoever would tell of the start has come by
        ballast.unlink()
        stage.until_told("task.discovered", count=2)
        told = stage.until_told("watcher.started")
        assert told.data["notable"] is True


@contextmanager
def _on_a_small_disk(folder: Path) -> Iterator[Stage]:
    disk = folder / "disk"
    disk.mkdir()
    wrapper = _mounted(folder, f"mount -t tmpfs -o size=1m none {disk}")
    with staged(folder, wrapper=wrapper, store=f"sqlite:///{disk}/watcher.db", http={"port": 0}) as stage:
        yield stage


def _disk_of(stage: Stage) -> Path:
    """The disk as the daemon sees it."""
    assert stage.watcher.process is not None
    return Path(f"/proc/{stage.watcher.process.pid}/root{stage.folder}/disk")


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


@in_its_own_mounts
def test_a_store_on_a_read_only_disk_is_one_error_and_what_to_try(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounts = (f"mount -t tmpfs none {disk}", f"mount -o remount,ro {disk}")
    with staged(tmp_path, wrapper=_mounted(tmp_path, *mounts), store=f"sqlite:///{disk}/watcher.db") as stage:
        stage.watcher.start()
        assert stage.watcher.ended() == 1
        first, second = error_lines(stage.watcher.said())
        assert str(disk) in first
        assert second.startswith("Try: ")
