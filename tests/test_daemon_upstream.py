"""The running daemon and its accounts, seen from outside: what appears in a list is adopted, what nobody knows is told,
accounts don't mind each other's troubles, and lists that lie change nothing."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import KEY, Hook, Upstream, hook_settings, serving, until, watching
from tests.support.stage import OTHER, TASK, Stage
from watcher import local

LAB_KEY = "nv-lab-key-0123456789"
BROKEN = {"failureReason": "file.format", "message": "Invalid dataset: required field empty. Completion"}


@contextmanager
def played(
    folder: Path,
    *,
    tasks: Sequence[Any] = (TASK, OTHER),
    listed: Sequence[Any] = (),
    keys: Sequence[str] = (KEY,),
    accounts: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> Iterator[Stage]:
    """A fake upstream, a receiver, and a daemon that isn't started yet. `accounts` are written as far as they differ
    from the usual one."""
    folder.mkdir(exist_ok=True)
    upstream = Upstream(folder, tasks)
    with serving(upstream):
        upstream.control(keys=list(keys))
        hook = Hook(folder)
        plain = {"base_url": upstream.url, "queries_per_minute": 60000, "timeout": "5s"}
        whole = {
            name: {**plain, **({} if "api_key_file" in each else {"api_key": KEY}), **each}
            for name, each in (accounts or {"main": {}}).items()
        }
        channels = {"hook": hook_settings(hook)}
        with (
            serving(hook),
            watching(folder, upstream, listed, channels, accounts=whole, **settings) as watcher,
        ):
            yield Stage(folder, upstream, hook, watcher)


def many(count: int) -> list[str]:
    return [f"t{number:07d}" for number in range(count)]


def of(stage: Stage, task: str) -> list[str]:
    return stage.hook.types(task)


def until_asked(stage: Stage, more: int, *, about: str = "", seconds: float = 20.0) -> None:
    """Until the upstream was asked so many times more, about this part of its paths."""

    def count() -> int:
        return sum(about in entry["path"] for entry in stage.upstream.log())

    before = count()
    until(lambda: count() >= before + more, f"{more} more queries about {about!r}", seconds)


def planned(stage: Stage, task: str) -> dict[str, Any]:
    """When the daemon means to ask about the task, how and why."""
    (found,) = [each for each in plan(stage)["tasks"] if each["id"] == task] or [{"next_at": None, "because": "left"}]
    return dict(found)


def plan(stage: Stage) -> dict[str, Any]:
    """What `status --why` asks the daemon, without the time that a command needs to start."""
    said = local.ask(stage.watcher.store, "plan")
    assert isinstance(said, dict), "the daemon doesn't answer"
    return said


def seconds_until(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


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
        assert of(stage, "new00002") == []

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
        until(lambda: not _watched(stage, TASK), "it has left")
        stage.upstream.set(TASK, status="RUNNING")
        stage.until_told("task.reopened", TASK)
        assert of(stage, TASK).count("task.discovered") == 1
        assert "ready" not in stage.watcher.run("status").stdout


def _watched(stage: Stage, task: str) -> bool:
    """Whether the daemon itself still plans to look at it."""
    return planned(stage, task)["next_at"] is not None


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


# Accounts don't mind each other.


def two_accounts(folder: Path, **settings: Any) -> Any:
    """The account main with TASK, lab with OTHER."""
    listed = [{"id": TASK, "account": "main"}, {"id": OTHER, "account": "lab"}]
    accounts = {"main": {}, "lab": settings.pop("lab", {"api_key": LAB_KEY})}
    return played(folder, listed=listed, keys=[KEY, LAB_KEY], accounts=accounts, **settings)


def test_an_account_that_hangs_slows_no_other(tmp_path: Path) -> None:
    with two_accounts(tmp_path) as stage:
        stage.watcher.start_ready()
        stage.until_told("watcher.started")
        stage.upstream.control(fault={"kind": "hang", "key": LAB_KEY})
        for turn in range(3):
            began = time.monotonic()
            stage.upstream.set(TASK, status="WAIT" if turn % 2 else "RUNNING")
            until(lambda turn=turn: len(of(stage, TASK)) == turn + 2, "the change is told")
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
        assert of(stage, TASK) == ["task.discovered"]
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
        assert of(stage, TASK) == ["task.discovered", "task.failed"]
        gets = [entry for entry in stage.upstream.log() if entry["path"].endswith(TASK)]
        assert len(gets) == 1


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
        assert of(stage, TASK) == ["task.discovered"]
        told = stage.until_told("task.failed", TASK)
        assert 4.5 < time.monotonic() - began < 9
        assert told.data["failure"]["reason"] == "file.format"
        assert not told.data["failure"]["message"]
        stage.upstream.control(clear_faults=True)
        amended = stage.until_told("task.failed", TASK, count=2, seconds=30)
        assert amended.data["amends"] == told.event
        assert amended.data["failure"]["message"] == BROKEN["message"]
        until_asked(stage, 10)
        assert of(stage, TASK) == ["task.discovered", "task.failed", "task.failed"]


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
                until(lambda turn=turn, task=task: len(of(stage, task)) == turn + 2, f"{task} under {lie}", 10)
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
        until(lambda: not _watched(stage, TASK) and not _watched(stage, OTHER), "both have settled")
        account = plan(stage)["accounts"]["main"]
        assert 200 < seconds_until(account["next_at"]) <= 300
        assert "one list item" in account["because"]
        asked = len(stage.upstream.log())
        time.sleep(1.5)
        assert len(stage.upstream.log()) == asked


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
