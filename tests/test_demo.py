"""`watcher demo`: one real performance, which several tests look at; and the counting, by values."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from watcher.errors import UsageError
from watcher.models import Event, Window
from watcher.simulator import parse_scenario
from watcher.simulator.demo import main, story
from watcher.simulator.demo.screen import PlainScreen, Row, View, drawn
from watcher.simulator.demo.story import Clock, Played
from watcher.simulator.demo.tally import Message, count, event_from, on_story_time
from watcher.views import cloud_event

OPENED = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
CLOCK = Clock(OPENED, 720.0, OPENED)
CHANGE = Played(3600.0, "czf9fbky", "task.started")


@dataclass(frozen=True)
class Performance:
    """A demo that has ended: its exit code, what it said, and when (seconds) its first message and its end came."""

    code: int
    said: str
    first: float
    took: float
    left_behind: list[str]


def perform(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A demo in a process of its own, in a folder that can't be written, with a reader's own settings around it."""
    folder.mkdir(mode=0o700)
    env = {**os.environ, "TMPDIR": str(folder), "WATCHER_STORE": "sqlite:////nowhere/x.db", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "watcher", "demo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd="/proc")


def processes_of(folder: Path) -> list[str]:
    """Command lines of running processes that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        found += [line] if str(folder) in line else []
    return found


@pytest.fixture(scope="module")
def performance(tmp_path_factory: pytest.TempPathFactory) -> Performance:
    folder = tmp_path_factory.mktemp("demo") / "tmp"
    began = time.monotonic()
    process, said, first = perform(folder), "", 0.0
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        first = first or (time.monotonic() - began if "Watching 4 tunings" in line else 0.0)
    code = process.wait(timeout=20)
    left = [*map(str, folder.iterdir()), *processes_of(folder)]
    return Performance(code, said, first, time.monotonic() - began, left)


@pytest.mark.first
def test_nothing_is_lost_and_the_exit_code_says_so(performance: Performance) -> None:
    assert "12 changes, 12 told, 0 lost, " in performance.said, performance.said
    assert performance.code == 0


def test_it_is_quick(performance: Performance) -> None:
    assert 0 < performance.first < 20  # 2 s on a machine that has nothing else to do
    assert performance.took < 90


def test_the_story_is_told_in_order(performance: Performance) -> None:
    milestones = (
        "one second is 12 minutes",
        "● Watching 4 tunings: 4 waiting",
        "▶ support-bot v3 is training",
        "The channel goes down",
        "The channel works again",
        "↻ 🎉 요약봇 · 要約ボット waits again",
        "✔ support-bot v3 is ready",
        "kill -9",
        "The watcher is started again",
        "✖ refund-classifier failed: Invalid dataset: required field empty. Completion",
        "▶ exp-lr-3e-4 is training",
        "12 changes",
    )
    places = [performance.said.find(each) for each in milestones]
    assert -1 not in places, performance.said
    assert places == sorted(places)


def test_what_failed_behind_its_back_is_told_with_its_window(performance: Performance) -> None:
    failed = re.search(r"refund-classifier failed: .* \(between (\d\d:\d\d) and (\d\d:\d\d) KST\)", performance.said)
    assert failed is not None, performance.said
    assert failed[1] <= "14:24" <= failed[2], "it failed at 14:24"


def test_messages_wait_for_the_channel(performance: Performance) -> None:
    late = re.search(r"Late: (\d+) waited for the channel, (\d+) for the watcher's return", performance.said)
    assert late is not None, performance.said
    assert int(late[1]) >= 3
    assert int(late[2]) >= 1


def test_no_file_and_no_process_stays(performance: Performance) -> None:
    assert performance.left_behind == []


@pytest.fixture
def interrupted(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    folder = tmp_path / "tmp"
    process = perform(folder)
    yield process, folder
    process.kill()
    process.communicate()


def test_ctrl_c_ends_it_at_once_and_nothing_stays(interrupted: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = interrupted
    assert process.stdout is not None
    assert any("Watching" in line for line in process.stdout)
    assert processes_of(folder), "the simulator and the watcher run"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    assert [*folder.iterdir(), *processes_of(folder)] == []


def test_a_port_in_use_is_said_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = perform(tmp_path / "tmp", "--port", str(port))
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"Port {port} on 127.0.0.1 is already in use" in said
    assert "\nTry: " in said
    assert [*(tmp_path / "tmp").iterdir(), *processes_of(tmp_path)] == []


def test_wrong_orders_are_refused_before_anything_starts() -> None:
    with pytest.raises(UsageError, match="no language fr"):
        main(language="fr")
    with pytest.raises(UsageError, match="can't take 5 s"):
        main(seconds=5)


# ── the story ──


def test_the_story_has_twelve_changes_in_its_day() -> None:
    played = story.played(story.END)
    assert len(played) == 12
    assert [each for each in played if each.task == "oi55o2ej"] == [
        Played(4.0 * story.HOUR, "oi55o2ej", "task.started"),
        Played(5.4 * story.HOUR, "oi55o2ej", "task.failed"),
    ]
    assert story.played(0.5 * story.HOUR) == (Played(0.4 * story.HOUR, "czf9fbky", "task.started"),)


def test_one_fails_between_the_kill_and_the_return() -> None:
    dead = [each for each in story.played(story.END) if story.KILLED < each.at < story.STARTED_AGAIN]
    assert "task.failed" in {each.event for each in dead}


def test_the_simulator_takes_the_scenario() -> None:
    assert len(parse_scenario(story.scenario(OPENED)).tasks) == 4


# ── the count ──


def message(delivery: str = "msg_1", *, type: str = "task.started", minutes: float = 1.0, **more: object) -> Message:  # noqa: A002
    """A message that arrived so many story minutes after ten o'clock."""
    arrived = OPENED + timedelta(seconds=(3600 + minutes * 60) / CLOCK.speed)
    event = Event("7", type, "info", True, Window(arrived, arrived), "default", CHANGE.task)
    return replace(Message(delivery, event, arrived, 0, True), **more)  # type: ignore[arg-type]


def test_a_change_that_was_told_in_time_is_neither_lost_nor_late() -> None:
    tally = count([CHANGE], [message()], CLOCK)
    assert str(tally) == "1 change, 1 told, 0 lost, 0 late, 0 repeated"
    assert tally.good


def test_a_change_that_nobody_told_is_lost() -> None:
    tally = count([CHANGE, replace(CHANGE, at=7200.0)], [message()], CLOCK)
    assert str(tally) == "2 changes, 1 told, 1 lost, 0 late, 0 repeated"
    assert not tally.good


def test_a_repeated_delivery_counts_once() -> None:
    tally = count([CHANGE], [message(), message()], CLOCK)
    assert str(tally) == "1 change, 1 told, 0 lost, 0 late, 1 repeated"
    assert tally.good


def test_lateness_says_whom_it_waited_for() -> None:
    asleep = Window(OPENED, OPENED + timedelta(seconds=9))
    event = replace(message().event, window=asleep)
    for_watcher = count([CHANGE], [message(minutes=60, event=event)], CLOCK)
    for_channel = count([CHANGE], [message(minutes=60, tries=2)], CLOCK)
    assert (for_watcher.late, for_watcher.late_by_channel) == (1, 0)
    assert (for_channel.late, for_channel.late_by_channel) == (1, 1)


def test_a_message_about_nothing_and_a_wrong_signature_are_faults() -> None:
    assert not count([CHANGE], [message(), message("msg_2")], CLOCK).good
    assert not count([CHANGE], [message(signed=False)], CLOCK).good


def test_an_event_survives_its_way_through_a_webhook() -> None:
    from watcher.notifier.samples import sample_event

    for type_ in ("task.failed", "task.progress", "account.unreachable", "watcher.started"):
        event = sample_event(type_, now=OPENED)
        assert cloud_event(event_from(cloud_event(event))) == cloud_event(event)


def test_times_are_the_storys() -> None:
    event = replace(message().event, subject={"createdDate": "2026-03-02T09:30:00+0900", "statusInfo": None})
    shown = on_story_time(event, replace(CLOCK, simulated=datetime(2026, 3, 2, 2, 0, tzinfo=UTC)))
    assert abs(shown.window.before - CLOCK.hand(3660)) < timedelta(seconds=1)
    assert f"{CLOCK.hand(3660):%H:%M}" == "10:01"
    assert shown.subject is not None
    assert shown.subject["createdDate"] == "2026-03-02T07:30:00+0900"


# ── the screen ──


def test_the_sum_up_names_what_was_lost(capsys: pytest.CaptureFixture[str]) -> None:
    from watcher.simulator.demo.director import _sum_up

    _sum_up(PlainScreen(), count([CHANGE], [], CLOCK))
    said = capsys.readouterr().out
    assert "1 change, 0 told, 1 lost" in said
    assert "✖ lost: task.started of support-bot v3" in said


@pytest.mark.parametrize("width", [20, 40, 120])
def test_the_table_fits_every_terminal(width: int) -> None:
    from rich.cells import cell_len
    from rich.console import Console

    rows = tuple(Row(tuning.name, "RUNNING", "RUNNING", 62, "▶◐✔") for tuning in story.TUNINGS)
    console = Console(width=width, color_system=None, markup=False)
    with console.capture() as capture:
        console.print(drawn(View("10:02", "runs", True, "answers", True, rows)))
    assert all(cell_len(line) <= width for line in capture.get().splitlines())


def test_names_from_outside_are_shown_literally() -> None:
    from rich.console import Console

    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        rows = (Row("[red]\x1b[31mx[/red]", "ODD", "", None, ""),)
        console.print(drawn(View("10:02", "runs", True, "answers", True, rows)))
    assert "[red]␛[31mx[/red]" in capture.get()
