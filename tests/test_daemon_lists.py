"""The running daemon and lists that leave out, lie, or stand still: no change is hidden, nothing is gone."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import until
from tests.support.looking import many, played, told_of, until_asked
from tests.support.stage import OTHER, TASK, Stage

BROKEN = {"failureReason": "file.format", "message": "Invalid dataset: required field empty. Completion"}


# What a list leaves out.


def test_a_failure_that_a_list_shows_without_its_message_is_told_once_with_it(tmp_path: Path) -> None:
    with played(tmp_path, listed=[TASK, OTHER]) as stage:
        stage.watcher.start_ready()
        stage.until_told("watcher.started")
        stage.upstream.set(TASK, status="FAILED", statusInfo=BROKEN | {"endDatetime": "2026-01-02T03:04:05+0900"})
        told = stage.until_told("task.failed", TASK)
        assert told.data["failure"]["message"] == BROKEN["message"]
        assert told.data["task"]["statusInfo"]["endDatetime"] == "2026-01-02T03:04:05+0900"
        until_asked(stage, 10)
        assert told_of(stage, TASK) == ["task.discovered", "task.failed"]
        gets = [entry for entry in stage.upstream.log() if entry["path"].endswith(TASK)]
        assert len(gets) == 1


@pytest.mark.long
def test_a_failure_whose_facts_cant_be_had_is_told_all_the_same_and_amended_later(tmp_path: Path) -> None:
    tasks = [TASK, OTHER, *many(3)]
    with played(tmp_path, tasks=tasks, listed=tasks) as stage:
        stage.watcher.start_ready()
        stage.until_told("watcher.started")
        stage.upstream.control(fault={"kind": "hang", "on": "get"})
        began = time.monotonic()
        stage.upstream.set(TASK, status="FAILED", statusInfo=BROKEN)
        until_asked(stage, 1, about=TASK)
        stage.upstream.set(OTHER, status="RUNNING")
        stage.until_told("task.started", OTHER, seconds=3.5)  # it waits for nobody
        assert told_of(stage, TASK) == ["task.discovered"]
        told = stage.until_told("task.failed", TASK)
        assert 4.5 < time.monotonic() - began < 9
        assert told.data["failure"]["reason"] == "file.format"
        assert not told.data["failure"]["message"]
        stage.upstream.control(clear_faults=True)
        amended = stage.until_told("task.failed", TASK, count=2, seconds=30)
        assert amended.data["amends"] == told.event
        assert amended.data["failure"]["message"] == BROKEN["message"]
        until_asked(stage, 10)
        assert told_of(stage, TASK) == ["task.discovered", "task.failed", "task.failed"]


@pytest.mark.long
def test_many_ends_at_once_hide_no_change_of_the_tasks_beside_them(tmp_path: Path) -> None:
    """Each end costs a GET of its own for what the list leaves out; the quota allows five a second."""
    tasks = many(150)
    template = [{"count": 150, "id": "t{n:07d}", "name": "exp {n}"}]
    accounts = {"main": {"queries_per_minute": 300}}
    with played(tmp_path, tasks=template, listed=tasks, accounts=accounts, interval="500ms") as stage:
        stage.watcher.start_ready()
        stage.until_told("watcher.started")
        for task in tasks[:100:2]:
            stage.upstream.set(task, status="FAILED", statusInfo=BROKEN)
        until(lambda: stage.hook.got("task.failed") or len(_gets(stage)) > 2, "the ends are being completed")
        for task in (tasks[1], tasks[149]):
            stage.upstream.set(task, status="RUNNING")
        for task in (tasks[1], tasks[149]):
            stage.until_told("task.started", task, seconds=4)
        until(lambda: len({receipt.task for receipt in stage.hook.got("task.failed")}) == 50, "all ends are told", 8)


def _gets(stage: Stage) -> list[str]:
    return [entry["path"] for entry in stage.upstream.log() if "?" not in entry["path"]]


# Lists that lie.


LIES: list[dict[str, Any]] = [
    {"kind": "list_empty"},
    {"kind": "list_stuck"},
    {"kind": "list_pages"},
    {"kind": "list_pages", "pages": [1, 7, 2]},
    {"kind": "list_pages", "pages": [0]},
    {"kind": "list_broken_item"},
    {"kind": "list_broken_item", "item": "null_status", "task": "t0000003"},
    {"kind": "list_broken_item", "item": "twice", "task": "t0000003"},
    {"kind": "list_twice"},
    {"kind": "list_hides", "task": "t000000*"},
]


def test_lists_that_lie_hide_no_change_and_make_nothing_gone(tmp_path: Path) -> None:
    """One daemon lives through all of them; 120 tasks on two pages, all of which are adopted."""
    tasks = many(120)
    template = [{"count": 120, "id": "t{n:07d}", "name": "exp {n}"}]
    with played(tmp_path, tasks=template, listed=tasks[:6], discover=[{"account": "main"}]) as stage:
        stage.watcher.start_ready()
        stage.until_told("task.discovered", count=120)
        watched = (tasks[3], tasks[115])
        for turn, lie in enumerate(LIES):
            stage.upstream.control(clear_faults=True, fault=lie)
            until_asked(stage, 4)
            for task in watched:
                stage.upstream.set(task, status="WAIT" if turn % 2 else "RUNNING")
            for task in watched:
                until(lambda turn=turn, task=task: len(told_of(stage, task)) == turn + 2, f"{task} under {lie}")
        stage.upstream.control(clear_faults=True)
        until_asked(stage, 10)
        types = {receipt.type for receipt in stage.hook.got()}
        assert types == {"task.discovered", "watcher.started", "task.started", "task.requeued"}
        assert len(stage.hook.got("task.discovered")) == 120
        said = [line["event"] for line in stage.watcher.log() if line["level"] != "info"]
        assert said.count("list.broken_items") <= 6, said


@pytest.mark.long
def test_a_list_of_a_million_pages_isnt_read_to_its_end(tmp_path: Path) -> None:
    with played(tmp_path, listed=[TASK], discover=[{"account": "main"}]) as stage:
        stage.upstream.control(fault={"kind": "list_pages", "pages": [1000000]})
        stage.watcher.start_ready()
        stage.until_told("task.discovered", OTHER)
        until_asked(stage, 70)
        pages = [entry["path"] for entry in stage.upstream.log()]
        assert len({page for page in pages if "page=" in page}) <= 50
        assert len(set(pages[-10:])) <= 2, pages[-10:]  # what lies behind the end has been learnt


# Time stands still.


@pytest.mark.slow
def test_a_pause_is_one_gap_and_hides_nothing(tmp_path: Path) -> None:
    tasks = many(150)
    template = [{"count": 150, "id": "t{n:07d}", "name": "exp {n}"}]
    with played(tmp_path, tasks=template, discover=[{"account": "main"}]) as stage:
        stage.watcher.start_ready()
        stage.until_told("task.discovered", count=150)
        assert stage.watcher.process is not None
        stage.watcher.process.send_signal(signal.SIGSTOP)
        for task in tasks[::10]:
            stage.upstream.set(task, status="RUNNING")
        stage.upstream.control(create={"id": "new00001", "name": "new"})
        stage.upstream.set(tasks[1], status="FAILED", statusInfo=BROKEN)
        time.sleep(25)
        stage.watcher.process.send_signal(signal.SIGCONT)
        for task in tasks[::10]:
            stage.until_told("task.started", task)
        stage.until_told("task.discovered", "new00001")
        assert stage.until_told("task.failed", tasks[1]).data["failure"]["message"] == BROKEN["message"]
        gap = stage.until_told("watcher.gap")
        assert gap.data["count"] == 17
        until_asked(stage, 20)
        assert len(stage.hook.got("watcher.gap")) == 1
