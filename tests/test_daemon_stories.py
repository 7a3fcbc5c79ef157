"""The running daemon over time: pauses, kills, refused keys, a channel that fails for long."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.daemon import Hook, hook_settings, serving, until
from tests.support.stage import IN_CI, OTHER, TASK, staged

# Long waits: the stories, each with a daemon of its own, and the test that tells them.


def _a_channel_that_fails(folder: Path) -> None:
    """A channel is failing after three failed tries over at least a minute; the other channel hears of it, and of the
    end of it, once; what waited arrives."""
    with staged(folder) as stage, ExitStack() as stack:
        good = Hook(folder, "good")
        stack.enter_context(serving(good))
        stage.watcher.write(channels={"bad": hook_settings(stage.hook), "good": hook_settings(good)})
        stage.hook.behave(status=503, retry_after=5)
        began = time.monotonic()
        stage.watcher.start_ready()
        until(lambda: good.got("channel.failing"), "the other channel hears of it", 90)
        assert time.monotonic() - began > 59
        (told,) = good.got("channel.failing")
        assert told.data["channel"] == "bad"
        stage.hook.behave()
        until(lambda: stage.watcher.unfinished() == 0, "the backlog is told", 30)
        assert len(good.got("channel.recovered")) == 1
        assert len(good.got("channel.failing")) == 1
        assert [receipt.type for receipt in stage.hook.got() if receipt.type.startswith("channel.")] == []
        assert sorted(stage.hook.types(TASK)) == ["task.discovered"]


def _a_pause(folder: Path) -> None:
    """SIGSTOP for longer than a gap needs: exactly one watcher.gap, that speaks of that time and of what it hid."""
    with staged(folder) as stage:
        stage.first_sight()
        assert stage.watcher.process is not None
        stopped = datetime.now(UTC)
        stage.watcher.process.send_signal(signal.SIGSTOP)
        time.sleep(11)
        stage.upstream.set(TASK, status="RUNNING")
        time.sleep(12)
        stage.watcher.process.send_signal(signal.SIGCONT)
        went_on = datetime.now(UTC)
        gap = stage.until_told("watcher.gap")
        _speaks_of(gap.data["window"], stopped, went_on)
        assert gap.data["count"] == 1
        _speaks_of(stage.until_told("task.started", TASK).data["window"], stopped, went_on)
        asked = len(stage.upstream.log())
        until(lambda: len(stage.upstream.log()) > asked + 20, "it goes on looking")
        assert len(stage.hook.got("watcher.gap")) == 1


def _a_change_while_down(folder: Path) -> None:
    """Killed, and started again later: the change is told with an honest window, and so is the gap."""
    with staged(folder) as stage:
        stage.first_sight()
        stage.upstream.set(OTHER, status="RUNNING")
        stage.until_told("task.started", OTHER)
        stage.watcher.kill()
        killed = datetime.now(UTC)
        time.sleep(6)
        failed = {"failureReason": "file.encoding", "message": "Unsupported charset"}
        stage.upstream.set(TASK, status="FAILED", statusInfo=failed)
        changed = datetime.now(UTC)
        time.sleep(20)
        stage.watcher.start_ready()
        started = datetime.now(UTC)
        told = stage.until_told("task.failed", TASK)
        window = told.data["window"]
        # What was seen last is written at most 30 s late; never may the window begin after the kill.
        assert _instant(window["after"]) <= killed < changed < _instant(window["before"])
        assert _instant(window["after"]) > killed - timedelta(seconds=40)
        assert told.data["failure"]["reason"] == "file.encoding"
        assert (told.data["from"], told.data["to"]) == ("WAIT", "FAILED")
        gap = stage.until_told("watcher.gap")
        assert _instant(gap.data["window"]["after"]) <= killed
        assert _instant(gap.data["window"]["before"]) <= started + timedelta(seconds=2)
        assert gap.data["count"] == 1
        assert stage.hook.types().count("watcher.gap") == 1


def _a_quota(folder: Path) -> None:
    """What a killed process has reserved is waited for by the next one, however often that is."""
    with staged(folder) as stage:
        stage.first_sight()
        for _ in range(2):
            stage.watcher.kill()
            asked = len(stage.upstream.log())
            ((reserved,),) = stage.watcher.query("SELECT reserved_until FROM accounts")
            stage.watcher.start_ready()
            ready = time.time()
            until(lambda asked=asked: len(stage.upstream.log()) > asked, "it asks again")
            next_ = _instant(stage.upstream.log()[asked]["time"]).timestamp()
            # To the millisecond, which is how exactly the store keeps times.
            assert reserved / 1000 - 0.002 <= next_ < max(reserved / 1000, ready) + 10


def _a_refused_key(folder: Path) -> None:
    """account.rejected comes once, over restarts too, and is over when the key works again."""
    with staged(folder) as stage:
        stage.first_sight()
        stage.upstream.control(keys=["nv-another"])
        told = stage.until_told("account.rejected", seconds=40)
        assert "401" in told.data["reason"]
        for turn in (2, 3):
            assert stage.watcher.stop() == 0
            asked = len(stage.upstream.log())
            stage.watcher.start_ready()
            until(lambda asked=asked: len(stage.upstream.log()) > asked, "it asks again after a start")
            stage.until_told("watcher.started", count=turn)
        time.sleep(11)  # two refusals ten seconds apart would be told by now
        assert len(stage.hook.got("account.rejected")) == 1
        assert stage.watcher.stop() == 0
        stage.upstream.control(keys=[stage.watcher.settings["accounts"]["main"]["api_key"]])
        stage.watcher.start_ready()
        stage.until_told("account.recovered")
        assert not [receipt for receipt in stage.hook.got() if receipt.type == "task.gone"]


@pytest.mark.first
def test_stories_that_take_their_time(tmp_path: Path) -> None:
    """At the same time, since each of them waits most of its own; the one that takes more than a minute in CI only."""
    stories = (_a_pause, _a_change_while_down, _a_refused_key, _a_quota, *((_a_channel_that_fails,) if IN_CI else ()))
    with ThreadPoolExecutor(len(stories)) as threads:
        told = [threads.submit(story, tmp_path / story.__name__) for story in stories]
    troubles = [trouble for each in told if (trouble := each.exception()) is not None]
    if troubles:
        raise BaseExceptionGroup("stories that went wrong", troubles)


def _speaks_of(window: dict[str, str], after: datetime, before: datetime) -> None:
    slack = timedelta(seconds=2)
    assert after - slack <= _instant(window["after"]) <= after + slack, (window, after)
    assert before - slack <= _instant(window["before"]) <= before + slack, (window, before)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
