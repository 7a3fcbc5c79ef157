"""The running daemon and its accounts, seen from outside: none minds another's troubles; when each is asked."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import KEY, until
from tests.support.looking import looks_at, plan, planned, played, seconds_until, told_of, until_asked
from tests.support.stage import OTHER, TASK

LAB_KEY = "nv-lab-key-0123456789"


def two_accounts(folder: Path, **settings: Any) -> Any:
    """The account main with TASK, lab with OTHER."""
    listed = [{"id": TASK, "account": "main"}, {"id": OTHER, "account": "lab"}]
    accounts = {"main": {}, "lab": settings.pop("lab", {"api_key": LAB_KEY})}
    return played(folder, listed=listed, keys=[KEY, LAB_KEY], accounts=accounts, **settings)


@pytest.mark.long
def test_an_account_that_hangs_slows_no_other(tmp_path: Path) -> None:
    with two_accounts(tmp_path) as stage:
        stage.watcher.start_ready()
        stage.until_told("watcher.started")
        stage.upstream.control(fault={"kind": "hang", "key": LAB_KEY})
        for turn in range(3):
            began = time.monotonic()
            stage.upstream.set(TASK, status="WAIT" if turn % 2 else "RUNNING")
            until(lambda turn=turn: len(told_of(stage, TASK)) == turn + 2, "the change is told")
            assert time.monotonic() - began < 2.0
        stage.upstream.set(OTHER, status="RUNNING")
        stage.upstream.control(clear_faults=True)
        stage.until_told("task.started", OTHER, seconds=30)


def test_a_start_while_an_account_hangs_watches_the_other(tmp_path: Path) -> None:
    with two_accounts(tmp_path, http={"port": 0}) as stage:
        stage.upstream.control(fault={"kind": "hang", "key": LAB_KEY})
        stage.watcher.start_ready()
        stage.until_told("task.discovered", TASK, seconds=3)
        stage.upstream.set(TASK, status="RUNNING")
        stage.until_told("task.started", TASK, seconds=3)


@pytest.mark.long
def test_a_refused_key_is_probed_once_and_then_slowly_and_its_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "lab.key"
    file.write_text(LAB_KEY)
    with two_accounts(tmp_path, lab={"api_key_file": str(file)}) as stage:
        stage.upstream.control(keys=[KEY, "nv-renewed-0123456789"])
        stage.watcher.start_ready()
        stage.watcher.until_said("✗ account lab     the key is refused (401, 40104 Invalid key). Try: ")
        stage.until_told("account.rejected", seconds=15)
        at = [entry["at"] for entry in stage.upstream.log() if entry["key"] == LAB_KEY]
        assert len(at) == 2
        assert 9.5 < at[1] - at[0] < 12
        assert told_of(stage, TASK) == ["task.discovered"]
        assert 250 < seconds_until(planned(stage, OTHER)["next_at"]) <= 300
        assert "⚠ account lab: the key is refused" in stage.watcher.run("status").stdout

        assert stage.watcher.stop() == 0
        stage.watcher.start_ready()
        stage.until_told("watcher.started", count=2)
        file.write_text("nv-renewed-0123456789\n")
        stage.watcher.process.send_signal(signal.SIGHUP)
        stage.until_told("account.recovered")
        stage.until_told("task.discovered", OTHER)
        assert stage.hook.types().count("account.rejected") == 1
        assert stage.hook.types().count("account.recovered") == 1
        assert LAB_KEY not in stage.watcher.said_ever()
        assert "nv-renewed" not in stage.watcher.said_ever()


# When it looks.


@pytest.mark.long
def test_a_training_is_looked_at_more_often_near_its_end(tmp_path: Path) -> None:
    with played(tmp_path, listed=[TASK], poll={"interval": "3s", "wait_interval": "200ms"}) as stage:
        stage.watcher.start_ready()
        stage.until_told("task.discovered", TASK)
        stage.upstream.set(TASK, status="RUNNING", statusInfo={"currStep": 1, "totalTrainSteps": 1000})
        stage.until_told("task.started", TASK)
        stage.upstream.set(TASK, statusInfo={"currStep": 995, "totalTrainSteps": 1000})
        until(lambda: "end is near" in planned(stage, TASK)["because"], "its end is known to be near")
        until_asked(stage, 4)
        at = [entry["at"] for entry in stage.upstream.log()][-4:]
        assert at[-1] - at[0] < 3 * 1.5
        stage.upstream.set(TASK, status="SUCCEEDED", statusInfo={"currStep": 1000})
        stage.until_told("task.succeeded", TASK, seconds=2)


def test_a_settled_account_is_asked_for_one_list_item_every_five_minutes(tmp_path: Path) -> None:
    poll = {"interval": "100ms", "wait_interval": "100ms", "settle": "1s"}
    with played(tmp_path, listed=[TASK, OTHER], poll=poll) as stage:
        stage.watcher.start_ready()
        stage.until_told("watcher.started")
        for task in (TASK, OTHER):
            stage.upstream.set(task, status="SUCCEEDED", statusInfo={"sendWeightSuccess": True})
        until(lambda: not looks_at(stage, TASK) and not looks_at(stage, OTHER), "both have settled")
        account = plan(stage)["accounts"]["main"]
        assert 200 < seconds_until(account["next_at"]) <= 300
        assert "one list item" in account["because"]
        asked = len(stage.upstream.log())
        time.sleep(1.5)
        assert len(stage.upstream.log()) == asked
