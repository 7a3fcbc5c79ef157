"""The running daemon as its users meet it: started, stopped, paused, starved and started again, as a real process."""

from __future__ import annotations

import glob
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.daemon import Chat, ask, hook_settings, serving, until
from tests.support.http import free_port
from tests.support.stage import IN_CI, OTHER, TASK, Stage, staged


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as made:
        yield made


def error_lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith(("Error: ", "Try: "))]


# Stopping.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_0(number: signal.Signals, stage: Stage) -> None:
    stage.first_sight()
    assert stage.watcher.stop(number, seconds=8) == 0
    assert "Traceback" not in stage.watcher.said()
    assert stage.watcher.lines("watcher.stopped")


def test_a_stop_while_receivers_hang_records_the_tries_as_unknown_and_the_next_process_repeats_them(
    stage: Stage,
) -> None:
    """Also where a library sends from a thread that nobody can end."""
    chat = Chat(stage.folder, "chat")
    with serving(chat):
        room = {"url": f"mmost://127.0.0.1:{chat.port}/abcdefghijklmnop1234567890", "events": ["task.started"]}
        stage.watcher.write(channels={"hook": hook_settings(stage.hook), "chat": room})
        stage.first_sight()
        until(lambda: len(chat.texts()) == 1, "the chat hears of the start")
        for receiver in (stage.hook, chat):
            receiver.behave(mode="hang")
        stage.upstream.set(TASK, status="RUNNING")
        until(lambda: stage.hook.got("task.started", accepted=False), "the webhook is on its way")
        until(lambda: len(chat.requests()) == 2, "the chat message is on its way")
        assert stage.watcher.stop(seconds=8) == 0
        (event,) = stage.watcher.events("task.started")
        tries = "SELECT d.channel, d.state, a.result FROM deliveries d JOIN attempts a ON a.delivery_id = d.id"
        ended = f"{tries} WHERE d.event_id = ? AND a.ended IS NOT NULL ORDER BY 1"
        assert stage.watcher.query(ended, event["id"]) == [
            ("chat", "waiting", "unknown"),
            ("hook", "waiting", "unknown"),
        ]

        for receiver in (stage.hook, chat):
            receiver.behave()
        stage.watcher.start()
        told = stage.until_told("task.started", TASK)
        assert {copy.delivery for copy in stage.hook.got("task.started", accepted=False)} == {told.delivery}
        until(lambda: len(chat.texts()) == 2, "the chat message is repeated")


def test_a_stop_under_load_leaves_no_try_without_an_outcome(stage: Stage) -> None:
    """Sends end, are claimed and are recorded all the time while the stop begins."""
    tasks = [f"busy{number:04d}" for number in range(12)]
    for task in tasks:
        stage.upstream.control(create={"id": task})
    stage.watcher.write(tasks=tasks, channels={f"hook{n}": hook_settings(stage.hook) for n in range(4)})
    for turn in range(3):
        stage.hook.behave(delay=0.05)
        stage.watcher.start_ready()
        for task in tasks:
            stage.upstream.set(task, status="WAIT" if turn % 2 else "RUNNING")
        until(lambda: stage.watcher.unfinished() > 8, "there is a lot to tell")
        assert stage.watcher.stop() == 0
        left = stage.watcher.query("SELECT id, state, attempts FROM deliveries WHERE state = 'sending'")
        open_ = stage.watcher.query("SELECT delivery_id, number FROM attempts WHERE result IS NULL")
        assert (turn, left, open_) == (turn, [], [])
    stage.hook.behave()
    stage.watcher.start_ready()
    until(lambda: stage.watcher.unfinished() == 0, "all is told")
    sent = stage.watcher.query("SELECT id FROM deliveries")
    assert {receipt.delivery for receipt in stage.hook.got()} == {row[0] for row in sent}


def test_a_stop_is_bounded_also_while_another_program_holds_the_store(stage: Stage) -> None:
    stage.first_sight()
    with closing(sqlite3.connect(stage.watcher.store, timeout=5)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert stage.watcher.stop(seconds=8) == 0
        other.rollback()


# One store, one daemon.


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


def test_a_port_in_use_is_one_error_and_what_to_try(stage: Stage) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        stage.watcher.write(http={"port": port})
        refused = stage.watcher.run("run")
    assert refused.returncode == 1
    first, second = error_lines(refused.stderr)
    assert str(port) in first
    assert second.startswith("Try: ")
    assert "Traceback" not in refused.stderr


def test_a_wrong_configuration_ends_with_exit_2_and_touches_nothing(stage: Stage) -> None:
    stage.watcher.write(chanels={}, poll={"interval": "soon"})
    before = sorted(path.name for path in stage.folder.iterdir())
    refused = stage.watcher.run("run")
    assert refused.returncode == 2
    assert "chanels" in refused.stderr
    assert "poll.interval" in refused.stderr
    assert sorted(path.name for path in stage.folder.iterdir()) == before
    assert stage.upstream.log() == []
    assert stage.hook.got(accepted=False) == []


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
        until(lambda: ask(f"{stage.watcher.url}/healthz")[1] == '{"status":"ok","conditions":[]}', "all is well", 15)
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


# Restarts.


def test_a_restart_repeats_nothing_and_makes_nothing(stage: Stage) -> None:
    stage.first_sight()
    stage.upstream.set(TASK, status="RUNNING", statusInfo={"currStep": 60, "totalTrainSteps": 100})
    stage.until_told("task.progress", TASK)
    before = stage.hook.got()
    for turn in (1, 2):
        assert stage.watcher.stop() == 0
        stage.watcher.start_ready()
        stage.until_told("watcher.started", count=turn + 1)
        asked = len(stage.upstream.log())
        until(lambda asked=asked: len(stage.upstream.log()) > asked + 6, "everything was looked at again")
    news = stage.hook.got()[len(before) :]
    assert [receipt.type for receipt in news] == ["watcher.started", "watcher.started"]
    assert [receipt.data["notable"] for receipt in stage.hook.got("watcher.started")] == [True, False, False]


def test_the_backlog_of_a_removed_channel_is_parked_and_goes_on_when_its_name_returns(stage: Stage) -> None:
    stage.first_sight()
    channels = stage.watcher.settings["channels"]
    stage.hook.behave(status=503)
    stage.upstream.set(TASK, status="RUNNING")
    until(lambda: stage.hook.got("task.started", accepted=False), "it was tried")
    assert stage.watcher.stop() == 0
    stage.watcher.write(channels={"console": "console://"})
    stage.watcher.start_ready()
    (parked,) = stage.watcher.query("SELECT state FROM deliveries WHERE state <> 'delivered' AND channel = 'hook'")
    assert parked == ("parked",)
    assert stage.watcher.stop() == 0

    stage.hook.behave()
    stage.watcher.write(channels=channels)
    stage.watcher.start_ready()
    stage.until_told("task.started", TASK)
    assert len({copy.delivery for copy in stage.hook.got("task.started", accepted=False)}) == 1


def test_what_is_redelivered_beside_the_running_daemon_goes_out_within_two_seconds(stage: Stage) -> None:
    stage.first_sight()
    stage.hook.behave(status=422)
    stage.upstream.set(TASK, status="RUNNING")
    stage.watcher.until_said("delivery.refused")
    (refused,) = json.loads(stage.watcher.run("deliveries", "--failed", "--json").stdout)["items"]
    stage.hook.behave()
    done = stage.watcher.run("redeliver", refused["id"])
    returned = time.monotonic()
    assert done.returncode == 0, done.stderr
    told = stage.until_told("task.started", TASK, seconds=10)
    assert time.monotonic() - returned < 2.0
    assert told.delivery == refused["id"]


# The upstream in trouble.

GARBAGE = ("html", "html_502", "truncated", "wrong_id", "empty", "garbage", "no_status", "no_result", "envelope_50000")


def test_gateway_garbage_makes_no_task_event_and_is_told_as_unreachable_and_recovered_once(tmp_path: Path) -> None:
    with staged(tmp_path, rules={"unreachable_after": "2s"}) as stage:
        stage.first_sight()
        for kind in GARBAGE:
            asked = len(stage.upstream.log())
            stage.upstream.control(clear_faults=True, fault={"kind": kind})
            until(lambda kind=kind, asked=asked: _outcomes(stage, kind, asked) >= 1, f"{kind} was answered", 30)
        told = stage.until_told("account.unreachable", seconds=30)
        assert told.data["window"]["after"] is not None
        stage.upstream.control(clear_faults=True)
        stage.until_told("account.recovered", seconds=30)
        stage.upstream.set(TASK, status="RUNNING")
        stage.until_told("task.started", TASK)
        types = [receipt.type for receipt in stage.hook.got()]
        assert sorted(types) == sorted(
            ["task.discovered"] * 2 + ["watcher.started", "account.unreachable", "account.recovered", "task.started"]
        )


def _outcomes(stage: Stage, kind: str, since: int) -> int:
    return sum(entry["outcome"] in (kind, f"{kind}00") for entry in stage.upstream.log()[since:])


# The wall clock. faketime's library stands between the daemon and the clock; its monotonic clock stays true.

FAKETIME = [*glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"), os.environ.get("FAKETIME_LIB", "")]
HOUR, YEAR = 3600, 365 * 86400


@pytest.mark.skipif(not FAKETIME[0] and not IN_CI, reason="libfaketime is missing: make test-deps")
def test_whatever_the_wall_clock_does_it_goes_on_watching_and_telling(stage: Stage) -> None:
    assert FAKETIME[0], "libfaketime is missing: make test-deps"
    clock = stage.folder / "clock"
    clock.write_text("+0")
    stage.watcher.environment |= {
        "LD_PRELOAD": FAKETIME[0],
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    stage.first_sight()
    moves = [("+", HOUR, "RUNNING"), ("-", HOUR, "FAILED"), ("+", YEAR, "WAIT"), ("-", YEAR, "RUNNING")]
    for turn, (sign, seconds, status) in enumerate(moves, start=1):
        stage.hook.behave(status=503)
        stage.upstream.set(OTHER, status="RUNNING" if turn % 2 else "WAIT")
        until(lambda: stage.hook.got(task=OTHER, accepted=False)[-1].status == 503, "a message waits for its next try")
        stage.upstream.control(fault={"kind": "http_503"})  # so that its next look is beyond the jump
        asked = len(stage.upstream.log())
        until(lambda asked=asked: _outcomes(stage, "http_503", asked), "a poll failed")
        clock.write_text(f"{sign}{seconds}")
        until(lambda turn=turn: len(stage.watcher.lines("clock.jumped")) == turn, "the jump was noticed", 5)
        # What was on its way when it was noticed may still count as a look from before.
        asked = len(stage.upstream.log())
        until(lambda asked=asked: _outcomes(stage, "http_503", asked), "another poll failed")
        stage.hook.behave()
        stage.upstream.set(TASK, status=status)
        stage.upstream.control(clear_faults=True)
        until(lambda turn=turn: len(stage.hook.got(task=TASK)) == turn + 1, f"{status} is told")
        until(lambda turn=turn: len(stage.hook.got(task=OTHER)) == turn + 1, "what waited is told")
        data = stage.hook.got(task=TASK)[-1].data
        assert data["clock_stepped"] is True
        assert data["window"]["after"] <= data["window"]["before"]
    assert "watcher.gap" not in stage.hook.types()
    assert stage.watcher.stop() == 0
    assert [int(receipt.event) for receipt in stage.hook.got(task=TASK)] == sorted(
        {int(receipt.event) for receipt in stage.hook.got(task=TASK)}
    )


# What the daemon says of itself.


def test_health_readiness_and_metrics_of_the_running_daemon(tmp_path: Path) -> None:
    with staged(tmp_path, http={"port": free_port()}) as stage:
        stage.upstream.control(fault={"kind": "slow", "delay": 1.5})
        stage.watcher.start_ready()
        url = stage.watcher.url
        assert ask(f"{url}/readyz")[0] == 503  # the first poll hasn't ended
        assert ask(f"{url}/healthz") == (200, '{"status":"ok","conditions":[]}')
        until(lambda: ask(f"{url}/readyz")[0] == 200, "ready", 15)
        stage.upstream.control(clear_faults=True)
        stage.until_told("watcher.started")

        def metrics() -> str:
            return ask(f"{url}/metrics")[1]

        until(lambda: 'watcher_deliveries{channel="hook",state="delivered"} 3.0' in metrics(), metrics(), 15)
        assert 'watcher_tasks{account="main",status="WAIT"} 2.0' in metrics()
        names = {line.split("{")[0].split(" ")[0] for line in metrics().splitlines() if line[0] != "#"}
        assert {name for name in names if not name.startswith("watcher_")} == set()
        assert ask(f"{url}/metrics", Host="example.com")[0] == 421
        healthy = stage.watcher.run("health")
        assert (healthy.returncode, healthy.stderr) == (0, "")


def test_health_works_without_a_port(stage: Stage) -> None:
    unborn = stage.watcher.run("health")
    assert unborn.returncode == 1
    stage.first_sight()
    healthy = stage.watcher.run("health")
    assert (healthy.returncode, healthy.stdout[:8]) == (0, "healthy:"), healthy
    listening = subprocess.run(
        [sys.executable, "-c", _LISTENING, str(stage.watcher.process.pid)],  # type: ignore[union-attr]
        capture_output=True,
        text=True,
    )
    assert listening.stdout.strip() == "0"


_LISTENING = """
import os, re, sys
own = {os.readlink(f"/proc/{sys.argv[1]}/fd/{fd}") for fd in os.listdir(f"/proc/{sys.argv[1]}/fd")}
rows = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}").readlines()[1:]]
print(sum(row[3] == "0A" and f"socket:[{row[9]}]" in own for row in rows))
"""
