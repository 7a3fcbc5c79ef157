"""The running daemon is stopped and started again: no try without an outcome, nothing repeated, nothing lost."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from tests.support.daemon import Chat, hook_settings, serving, until
from tests.support.stage import TASK, Stage

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
