"""The running daemon and its share of queries, judged by the upstream's own log: kept by whoever asks, however often it
dies; slower at once when the upstream says so; spent on what matters when it doesn't suffice."""

from __future__ import annotations

import re
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import KEY, Hook, Upstream, ask, hook_settings, serving, until, watching
from tests.support.stage import OTHER, TASK, Stage

QUICK = 600
"""Queries a minute that make a short test long enough: ten a second."""


@contextmanager
def limited(folder: Path, *, qpm: float, tasks: Sequence[Any] = (TASK, OTHER), **settings: Any) -> Iterator[Stage]:
    """A daemon with a share that it could easily exceed."""
    folder.mkdir(exist_ok=True)
    upstream = Upstream(folder, tasks)
    with serving(upstream):
        hook = Hook(folder)
        account = {"api_key": KEY, "base_url": upstream.url, "queries_per_minute": qpm, "timeout": "5s"}
        settings.setdefault("accounts", {"main": account})
        settings.setdefault("http", {"port": 0})
        listed = settings.pop("listed", [task if isinstance(task, str) else task["id"] for task in tasks])
        channels = {"hook": hook_settings(hook)}
        with serving(hook), watching(folder, upstream, listed, channels, **settings) as watcher:
            yield Stage(folder, upstream, hook, watcher)


def many(count: int) -> list[str]:
    return [f"t{number:07d}" for number in range(count)]


def busiest(stage: Stage, seconds: float) -> int:
    """The most queries that the upstream saw in any window of so many seconds."""
    at = sorted(entry["at"] for entry in stage.upstream.log())
    first, most = 0, 0
    for last, moment in enumerate(at):
        while moment - at[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def asked(stage: Stage) -> int:
    return len(stage.upstream.log())


def until_asked(stage: Stage, more: int, seconds: float = 30.0) -> None:
    before = asked(stage)
    until(lambda: asked(stage) >= before + more, f"{more} more queries: {stage.watcher.said()[-1500:]}", seconds)


def metric(stage: Stage, name: str) -> float:
    """The metric of the account main; other labels it hasn't."""
    text = ask(f"{stage.watcher.url}/metrics")[1]
    found = re.search(rf'^{name}\{{account="main"\}} (\S+)$', text, re.MULTILINE)
    assert found, (name, text)
    return float(found[1])


def only_gets(stage: Stage) -> None:
    """The list is refused, as some keys may not list: every look costs a query of its own."""
    stage.upstream.control(fault={"kind": "forbidden", "on": "list"})


# Whoever asks, and however it ends.


@pytest.mark.long
def test_the_distance_of_queries_holds_over_kills_stops_and_single_rounds(tmp_path: Path) -> None:
    """Three seconds, which is longer than a start takes: whoever comes next waits for what the one before may use."""
    with limited(tmp_path, qpm=20) as stage:
        for end in (stage.watcher.kill, stage.watcher.stop, stage.watcher.kill):
            stage.watcher.start_ready()
            until_asked(stage, 1)
            end()
        assert stage.watcher.run("once", seconds=30).returncode == 0
        stage.watcher.start_ready()
        until_asked(stage, 1)
        gaps = _gaps(stage, above=0.0)
        assert len(gaps) >= 4
        assert min(gaps) > 2.9
        assert max(gaps) < 10.0  # a start after a kill waits, but not for long


@pytest.mark.long
def test_a_single_round_asks_every_task_once_and_ends_however_long_the_quota_makes_it(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=240, tasks=many(30)) as stage:
        only_gets(stage)
        done = stage.watcher.run("once", seconds=25)
        assert done.returncode == 0, done
        looks = Counter(entry["path"] for entry in stage.upstream.log() if "?" not in entry["path"])
        assert len(looks) == 30
        assert max(looks.values()) == 1, looks


def _gaps(stage: Stage, above: float) -> list[float]:
    at = [entry["at"] for entry in stage.upstream.log()]
    return [later - earlier for earlier, later in pairwise(at) if later - earlier > above]


def test_what_people_look_at_beside_the_daemon_costs_no_query(tmp_path: Path) -> None:
    """Every query of the log is one that the daemon has counted."""
    with limited(tmp_path, qpm=QUICK) as stage:
        stage.first_sight()
        for command in (["status", "--why"], ["status", "--json"], ["health"]):
            done = stage.watcher.run(*command)
            assert done.returncode == 0, (command, done.stderr)
        assert _counted(stage)


def _counted(stage: Stage) -> bool:
    """As many queries as the daemon says; asked again where one came in between."""

    def equal() -> bool:
        before = asked(stage)
        said = metric(stage, "watcher_queries")
        return before <= said <= asked(stage) + 1

    return until(equal, "the daemon's count is the upstream's")


@pytest.mark.long
def test_a_check_beside_the_daemon_keeps_to_the_accounts_share(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=QUICK, tasks=many(12)) as stage:
        stage.watcher.start_ready()
        until_asked(stage, 20)
        assert stage.watcher.run("check", "--online").returncode == 0
        until_asked(stage, 40)
        assert busiest(stage, 6.0) <= 61


@pytest.mark.long
def test_a_new_share_holds_from_the_reload_on(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=QUICK, tasks=many(12)) as stage:
        only_gets(stage)
        stage.watcher.start_ready()
        until_asked(stage, 20)
        for qpm in (120, QUICK):
            _set_share(stage, qpm)
            until(lambda qpm=qpm: metric(stage, "watcher_pace_queries_per_minute") == qpm, f"the pace is {qpm}")
            began = stage.upstream.log()[-1]["at"]
            until_asked(stage, qpm // 20)
            at = [entry["at"] for entry in stage.upstream.log() if entry["at"] > began + 0.6]
            assert (len(at) - 1) / (at[-1] - at[0]) == pytest.approx(qpm / 61.2, rel=0.2)
        assert busiest(stage, 6.0) <= 61


def _set_share(stage: Stage, qpm: float) -> None:
    account = stage.watcher.settings["accounts"]["main"] | {"queries_per_minute": qpm}
    stage.watcher.write(accounts={"main": account})
    assert stage.watcher.process is not None
    stage.watcher.process.send_signal(signal.SIGHUP)


@pytest.mark.long
def test_a_retry_after_a_broken_connection_is_a_query_like_any_other(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=QUICK) as stage:
        stage.upstream.control(fault={"kind": "close", "rate": 0.5})
        stage.watcher.start_ready()
        until_asked(stage, 60, 40)
        assert sum(entry["outcome"] == "close" for entry in stage.upstream.log()) > 10
        assert busiest(stage, 6.0) <= 61
        assert _counted(stage)
        close = [gap for gap in _gaps(stage, above=0.0) if gap < 0.05]
        assert len(close) < 6, close  # evenly spaced, not in pairs


@pytest.mark.slow
def test_no_minute_has_more_queries_than_the_share_however_often_it_is_killed(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=60, tasks=many(12)) as stage:
        only_gets(stage)
        for turn in range(7):
            stage.watcher.start_ready()
            until_asked(stage, 1 + 4 * turn, 60)
            if turn == 3:
                assert stage.watcher.stop() == 0
            else:
                stage.watcher.kill()
        assert stage.watcher.run("once", seconds=60).returncode == 0
        stage.watcher.start_ready()
        until_asked(stage, 70, 100)
        assert 50 < busiest(stage, 60.0) <= 60


# The upstream asks for less.


@pytest.mark.long
def test_a_429_slows_the_pace_at_once_is_said_once_and_makes_nobody_unreachable(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=QUICK) as stage:
        stage.first_sight()
        stage.upstream.control(fault={"kind": "rate_limited", "times": 1, "retry_after": "2"})
        until(lambda: metric(stage, "watcher_pace_queries_per_minute") == QUICK / 2, "half the pace")
        until_asked(stage, 10)
        log = stage.upstream.log()
        (number,) = [number for number, entry in enumerate(log) if entry["status"] == 429]
        assert log[number + 1]["at"] - log[number]["at"] >= 1.95
        after = [entry["at"] for entry in log[number + 1 :]]
        assert min(later - earlier for earlier, later in pairwise(after)) > 0.15
        stage.upstream.set(TASK, status="RUNNING")
        stage.until_told("task.started", TASK)
        assert len([line for line in stage.watcher.log() if "429" in str(line.get("error"))]) == 1
        assert not {"account.unreachable", "account.recovered"} & set(stage.hook.types())


def test_a_429_without_a_word_of_how_long_slows_down_more_with_each(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=QUICK) as stage:
        stage.first_sight()
        stage.upstream.control(fault={"kind": "rate_limited", "times": 3, "retry_after": "none"})
        # Those that were under way together count as one.
        until(lambda: metric(stage, "watcher_pace_queries_per_minute") <= QUICK / 4, "a quarter of the pace", 20)
        stage.upstream.set(TASK, status="RUNNING")
        stage.until_told("task.started", TASK)


@pytest.mark.slow
def test_the_pace_recovers_slowly_and_is_the_old_one_in_the_end(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=QUICK) as stage:
        stage.first_sight()
        stage.upstream.control(fault={"kind": "rate_limited", "times": 1, "retry_after": "1"})
        until(lambda: metric(stage, "watcher_pace_queries_per_minute") == QUICK / 2, "half the pace")
        began, paces = time.monotonic(), [QUICK / 2]
        while paces[-1] < QUICK:
            until(lambda: metric(stage, "watcher_pace_queries_per_minute") != paces[-1], "it recovers", 60)
            paces.append(metric(stage, "watcher_pace_queries_per_minute"))
        assert paces == sorted(paces)
        assert time.monotonic() - began > 60


@pytest.mark.long
def test_a_limit_that_others_use_up_is_shared_with_them(tmp_path: Path) -> None:
    """The upstream's headers say how much is left: after the first of them nothing is refused any more."""
    with limited(tmp_path, qpm=QUICK) as stage:
        stage.upstream.control(queries_per_minute=120, limits={"other_queries_per_minute": 60})
        stage.first_sight()
        until(lambda: metric(stage, "watcher_pace_queries_per_minute") <= 120, "the limit is known")
        until_asked(stage, 10)
        assert [entry for entry in stage.upstream.log() if entry["status"] == 429] == []
        stage.upstream.set(TASK, status="RUNNING")
        stage.until_told("task.started", TASK)


@pytest.mark.slow
def test_a_minute_of_a_limit_shared_with_others_hardly_ever_refuses(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=QUICK) as stage:
        stage.upstream.control(queries_per_minute=60, limits={"other_queries_per_minute": 40})
        stage.first_sight()
        stage.upstream.set(TASK, status="RUNNING")
        stage.until_told("task.started", TASK, seconds=40)
        until(lambda: stage.upstream.log()[-1]["at"] - stage.upstream.log()[0]["at"] > 100, "a while", 130)
        refused = sum(entry["status"] == 429 for entry in stage.upstream.log())
        assert refused <= 5, [(entry["at"], entry["status"]) for entry in stage.upstream.log()]
        assert "account.unreachable" not in stage.hook.types()


def test_an_account_that_refuses_every_query_for_long_is_unreachable_once(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=6000, rules={"unreachable_after": "2s"}) as stage:
        stage.first_sight()
        stage.upstream.control(fault={"kind": "rate_exceeded", "retry_after": "1"})
        told = stage.until_told("account.unreachable", seconds=30)
        assert "429" in str(told.data), told.data
        stage.upstream.control(clear_faults=True)
        stage.until_told("account.recovered", seconds=30)
        assert stage.hook.types().count("account.unreachable") == 1


# When it doesn't suffice, and when it does.


def test_three_hundred_tasks_are_seen_with_three_queries_a_round(tmp_path: Path) -> None:
    tasks = many(300)
    template = [{"count": 300, "id": "t{n:07d}", "name": "exp {n}"}]
    with limited(tmp_path, qpm=240, tasks=template, listed=tasks, interval="1s") as stage:
        stage.first_sight()
        moved = (tasks[5], tasks[150], tasks[299])
        for task in moved:
            stage.upstream.set(task, status="RUNNING")
        for task in moved:
            told = stage.until_told("task.started", task, seconds=20)
            assert told.data["task"]["id"] == task
        kinds = Counter("page" if "?" in entry["path"] else "get" for entry in stage.upstream.log())
        at = [entry["at"] for entry in stage.upstream.log()]
        assert kinds["get"] <= 1, kinds
        assert kinds["page"] <= 3 * (2 + (at[-1] - at[0]) / 0.9), kinds
        assert stage.watcher.lines("quota.insufficient") == []
        assert metric(stage, "watcher_tasks_late") == 0


@pytest.mark.slow
def test_what_trains_and_what_is_about_to_end_goes_first_when_the_quota_doesnt_suffice(tmp_path: Path) -> None:
    """150 tasks that wait would take 150 queries a second; there are ten. Who goes first is weighed every 5 s."""
    tasks = many(150)
    with limited(tmp_path, qpm=QUICK, tasks=tasks, interval="1s") as stage:
        training, ending = tasks[20], tasks[30]
        only_gets(stage)
        stage.upstream.set(training, status="RUNNING", statusInfo={"currStep": 1, "totalTrainSteps": 100000})
        stage.watcher.start_ready()
        until(lambda: len(stage.watcher.events("task.discovered")) == 150, "all were seen once", 60)
        stage.upstream.set(ending, status="RUNNING", statusInfo={"currStep": 10, "totalTrainSteps": 1000})
        stage.until_told("task.started", ending, seconds=60)
        stage.upstream.set(ending, statusInfo={"currStep": 995, "totalTrainSteps": 1000})
        until(lambda: _near_end(stage, ending), "its end is known to be near", 30)
        since = asked(stage)
        until_asked(stage, 300, 60)
        looks = Counter(entry["path"].rpartition("/")[2] for entry in stage.upstream.log()[since:])
        waiting = [looks[task] for task in tasks if task not in (training, ending)]
        assert looks[ending] > looks[training] > 1.4 * sum(waiting) / len(waiting), looks
        assert min(waiting) >= 1, looks  # nobody is forgotten for it
        assert metric(stage, "watcher_staleness_seconds") < 40


def test_a_quota_that_doesnt_suffice_is_shown_as_numbers(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=120, tasks=many(30), interval="500ms") as stage:
        only_gets(stage)
        stage.watcher.start_ready()
        until(lambda: metric(stage, "watcher_tasks_late") > 5, "many are late", 30)
        assert 5 < metric(stage, "watcher_staleness_seconds") < 20


@pytest.mark.slow
def test_a_quota_that_doesnt_suffice_forgets_nobody_and_is_said_once_as_is_its_end(tmp_path: Path) -> None:
    with limited(tmp_path, qpm=QUICK, tasks=many(80), interval="500ms") as stage:
        stage.upstream.control(fault={"kind": "not_implemented", "on": "list"})
        stage.watcher.start_ready()
        until(lambda: len(stage.watcher.events("task.discovered")) == 80, "all are seen", 15)
        stage.watcher.until_said("quota.insufficient", 40)
        (line,) = stage.watcher.lines("quota.insufficient")
        assert (line["account"], line["level"], line["queries_per_minute"]) == ("main", "warning", QUICK)
        assert line["late_tasks"] > 5
        assert 5 < line["stalest_seconds"] < 30
        assert metric(stage, "watcher_tasks_late") > 5
        assert 5 < metric(stage, "watcher_staleness_seconds") < 30
        note = stage.watcher.run("status").stdout.splitlines()[0]
        assert re.fullmatch(
            r"⚠ account main: \d+ tasks are looked at later than wanted, the oldest \d+ s ago: "
            r"600 queries a minute don't suffice",
            note,
        )
        _set_share(stage, 60000)
        stage.watcher.until_said("quota.suffices", 30)
        assert len(stage.watcher.lines("quota.insufficient")) == 1
        assert metric(stage, "watcher_tasks_late") == 0
        assert "later than wanted" not in stage.watcher.run("status").stdout


def _near_end(stage: Stage, task: str) -> bool:
    said = stage.watcher.run("status", "--why").stdout
    return any(task in line and "end is near" in line for line in said.splitlines())


def test_two_429s_of_the_list_dont_make_every_task_cost_a_query(tmp_path: Path) -> None:
    tasks = many(20)
    with limited(tmp_path, qpm=QUICK, tasks=tasks, interval="500ms") as stage:
        stage.first_sight()
        stage.upstream.control(fault={"kind": "rate_limited", "on": "list", "times": 2, "retry_after": "none"})
        until(lambda: _statuses(stage).count(429) == 2, "the list was refused", 20)
        until_asked(stage, 6)
        gets = [entry["path"] for entry in stage.upstream.log() if "?" not in entry["path"]]
        assert len(gets) <= 2, gets


def _statuses(stage: Stage) -> list[int]:
    return [entry["status"] for entry in stage.upstream.log()]
