"""The running daemon as its users meet it, as a real process: what it says of itself, of the upstream, of the clock."""

from __future__ import annotations

import glob
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import ask, until
from tests.support.http import free_port
from tests.support.looking import error_lines
from tests.support.stage import IN_CI, OTHER, TASK, Stage, staged

# A start that can't be.


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
        until(lambda turn=turn: len(stage.watcher.lines("clock.jumped")) == turn, "the jump was noticed")
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
        until(lambda: ask(f"{url}/readyz")[0] == 200, "ready", 30)
        stage.upstream.control(clear_faults=True)
        stage.until_told("watcher.started")

        def metrics() -> str:
            return ask(f"{url}/metrics")[1]

        until(lambda: 'watcher_deliveries{channel="hook",state="delivered"} 3.0' in metrics(), metrics(), 30)
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
