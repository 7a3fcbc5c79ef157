"""The running daemon and its lists, seen from outside: what appears is adopted, what nobody knows is told."""

from __future__ import annotations

from pathlib import Path

from tests.support.daemon import until
from tests.support.looking import looks_at, played, told_of, until_asked
from tests.support.stage import OTHER, TASK

# Discovery.


SUPPORT = [{"account": "main", "name": "support-*", "labels": {"team": "nlp"}}]


def test_a_task_that_appears_is_adopted_while_running_with_the_labels_of_its_rule(tmp_path: Path) -> None:
    with played(tmp_path, listed=[OTHER], discover=SUPPORT) as stage:
        stage.watcher.start_ready()
        stage.until_told("watcher.started")
        stage.upstream.control(create={"id": "new00001", "name": "support-bot v4"})
        stage.upstream.control(create={"id": "new00002", "name": "something else"})
        told = stage.until_told("task.discovered", "new00001")
        assert told.data["task"]["labels"] == {"team": "nlp"}
        assert told.data["task"]["name"] == "support-bot v4"
        stage.upstream.set("new00001", status="RUNNING")
        assert stage.until_told("task.started", "new00001").data["task"]["labels"] == {"team": "nlp"}
        assert told_of(stage, "new00002") == []

        assert "new00001" in stage.watcher.run("status").stdout
        assert "support-bot v4" in stage.watcher.run("history", "new00001").stdout
        assert "adopted" in stage.watcher.run("status", "--json").stdout
        waiting = stage.watcher.run("wait", "new00001", "--timeout", "1s")
        assert waiting.returncode == 3, waiting
        stage.upstream.set("new00001", status="SUCCEEDED")
        assert stage.watcher.run("wait", "new00001").returncode == 0

        assert stage.watcher.stop() == 0
        before = len(stage.hook.got())
        stage.watcher.start_ready()
        stage.until_told("watcher.started", count=2)
        until_asked(stage, 5)
        assert [receipt.type for receipt in stage.hook.got()[before:]] == ["watcher.started"]


def test_the_start_is_told_once_every_page_was_looked_at(tmp_path: Path) -> None:
    template = [{"count": 250, "id": "t{n:07d}", "name": "support-bot {n}"}]
    accounts = {"main": {"queries_per_minute": 300}}
    with played(tmp_path, tasks=template, listed=["t0000200"], discover=SUPPORT, accounts=accounts) as stage:
        stage.watcher.start_ready()
        told = stage.until_told("watcher.started")
        assert (told.data["tasks"], told.data["waiting"]) == (250, 250)
        stage.watcher.until_said("✓ account main    250 tasks visible")


def test_what_ended_before_it_was_first_seen_is_no_news_unless_it_is_listed(tmp_path: Path) -> None:
    tasks = [{"id": TASK, "name": "support-bot v1"}, {"id": OTHER, "name": "support-bot v2"}]
    with played(tmp_path, tasks=tasks, listed=[{"id": OTHER, "labels": {"team": "mine"}}], discover=SUPPORT) as stage:
        for task in (TASK, OTHER):
            stage.upstream.set(task, status="SUCCEEDED", statusInfo={"sendWeightSuccess": True})
        stage.watcher.start_ready()
        adopted = stage.until_told("task.succeeded", TASK)
        listed = stage.until_told("task.succeeded", OTHER)
        assert (adopted.data["first_sight"], adopted.data["notable"]) == (True, False)
        assert (listed.data["first_sight"], listed.data["notable"]) == (True, True)
        assert listed.data["task"]["labels"]["team"] == "mine"


def test_an_adopted_task_that_has_settled_leaves_and_comes_back_when_it_starts_anew(tmp_path: Path) -> None:
    tasks = [{"id": TASK, "name": "support-bot v1"}]
    poll = {"interval": "100ms", "wait_interval": "100ms", "settle": "1s"}
    with played(tmp_path, tasks=tasks, discover=SUPPORT, poll=poll) as stage:
        stage.watcher.start_ready()
        stage.until_told("task.discovered", TASK)
        stage.upstream.set(TASK, status="SUCCEEDED", statusInfo={"sendWeightSuccess": True})
        stage.until_told("task.succeeded", TASK)
        until(lambda: not looks_at(stage, TASK), "it has left")
        stage.upstream.set(TASK, status="RUNNING")
        stage.until_told("task.reopened", TASK)
        assert told_of(stage, TASK).count("task.discovered") == 1
        assert "ready" not in stage.watcher.run("status").stdout


# Ids that nobody knows.


def test_an_id_that_its_account_doesnt_know_is_told_once_with_what_looks_like_it(tmp_path: Path) -> None:
    with played(tmp_path, listed=["czf9fbk", TASK, OTHER]) as stage:
        stage.watcher.start_ready()
        told = stage.until_told("task.unknown", "czf9fbk")
        assert (told.data["near"], told.data["reason"], told.data["severity"]) == ([TASK], "not_found", "warning")
        stage.watcher.until_said("✗ task czf9fbk    unknown to main. Did you mean czf9fbky?")
        assert "✓ account main    2 of 3 tasks visible" in stage.watcher.said()
        until(lambda: "unknown to main" in stage.watcher.run("status").stdout, "status knows it")
        assert stage.watcher.stop() == 0
        stage.watcher.start_ready()
        stage.watcher.until_said("✗ task czf9fbk")
        stage.until_told("watcher.started", count=2)
        assert stage.hook.types().count("task.unknown") == 1
        until_asked(stage, 5)
        assert sum(entry["path"].rpartition("/")[2] == "czf9fbk" for entry in stage.upstream.log()) <= 2

        stage.upstream.control(create={"id": "czf9fbk", "name": "late"})
        stage.until_told("task.discovered", "czf9fbk")
        assert stage.hook.types().count("task.unknown") == 1
        assert "unknown to main" not in stage.watcher.run("status").stdout.splitlines()[-1]
