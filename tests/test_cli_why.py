"""`status` with what only the running daemon knows, and with tasks that nobody listed."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Filled, Shell, filled_store, shell
from watcher.cli.reading import Known
from watcher.cli.status import Overview, recent
from watcher.local import serve, socket_path
from watcher.models import Snapshot, TaskKey
from watcher.views import rfc3339

__all__ = ["shell"]

CONFIG = """\
accounts: {main: {api_key: "${NO_SUCH_KEY}"}, lab: {api_key: "${NO_SUCH_KEY}", queries_per_minute: 12}}
tasks:
  - {id: czf9fbky, account: main, name: support-bot v3, labels: {team: nlp}}
  - {id: ended123, account: main}
  - {id: unseen12, account: lab}
discover:
  - {account: main, name: "exp-*", labels: {team: research, kind: sweep}}
groups:
  - {name: lr-sweep, match: "exp-lr-*"}
  - {name: bots, match: "*-bot *"}
channels:
  team: {url: "console://"}
routes:
  - {events: [task.failed], labels: {kind: sweep}, channels: [team]}
store: sqlite:///watcher.db
"""
NOW = datetime(2026, 3, 10, tzinfo=UTC)
DATABASE = Path("watcher.db")


@pytest.fixture
def store(shell: Shell) -> Iterator[Filled]:
    shell.configure(CONFIG)
    with filled_store() as opened:
        opened.see("czf9fbky", "RUNNING", currStep=500, totalTrainSteps=2000)
        opened.see("ended123", "RUNNING")
        opened.see("ended123", "SUCCEEDED")
        opened.see("adopted1", "RUNNING", name="exp-lr-1")
        opened.see("adopted2", "WAIT", name="exp-lr-2")
        opened.see("adopted3", "RUNNING", name="exp-lr-3")
        opened.see("adopted3", "SUCCEEDED", name="exp-lr-3")
        opened.see("stranger", "RUNNING", name="other")
        opened.live()
        yield opened


def planned(key: str, seconds: float | None, query: str | None, because: str) -> dict[str, Any]:
    """A task as the daemon's plan shows it."""
    account, _, id_ = key.partition("/")
    at = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    return {"account": account, "id": id_, "next_at": rfc3339(at), "query": query, "because": because}


def a_plan() -> dict[str, Any]:
    account = planned("main/", 30, "page 1", "new tasks are looked for")
    return {
        "tasks": [
            planned("main/czf9fbky", 95, "page 3", "RUNNING, its end is near"),
            planned("main/adopted1", -40, "get", "RUNNING"),
            planned("main/ended123", None, None, "ended and settled"),
            planned("lab/unseen12", None, None, "the key is refused"),
        ],
        "accounts": {"main": {**account, "late": 0, "stalest": None, "pace": 30.0}},
    }


@contextmanager
def answering(plan: Any) -> Iterator[None]:
    """The daemon's side of the socket, in a thread of its own."""
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(DATABASE, lambda _question: plan, stop)))
    thread.start()
    deadline = time.monotonic() + 5
    while not socket_path(DATABASE).exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def row_of(out: str, task: str) -> str:
    """The table's row of a task, its columns one blank apart."""
    return " ".join(next(line for line in out.splitlines() if task in line).split())


# ── when it is asked next, and why ──


def test_why_shows_for_each_task_when_it_is_asked_by_which_query_and_why(shell: Shell, store: Filled) -> None:
    with answering(a_plan()):
        said = shell("status", "--why")
    assert (said.code, said.err) == (0, "")
    assert "STATE TASK NAME NEXT QUERY BECAUSE" in [" ".join(line.split()) for line in said.out.splitlines()]
    row = row_of(said.out, "main/czf9fbky")
    assert re.fullmatch(
        r"▶ training main/czf9fbky support-bot v3 in 1 m 3[45] s list page 3 RUNNING, its end is near", row
    )
    assert re.fullmatch(
        r"▶ training main/adopted1 exp-lr-1 4\d s late single GET RUNNING", row_of(said.out, "adopted1")
    )
    assert row_of(said.out, "ended123") == "✔ ready main/ended123 not any more ended and settled"
    assert row_of(said.out, "adopted2") == "○ waiting main/adopted2 exp-lr-2 not taken up yet"
    assert row_of(said.out, "unseen12") == "· not seen yet lab/unseen12 the key is refused"
    assert re.search(
        r"^account main: next in \d+ s by list page 1 \(new tasks are looked for\), 30 queries a minute$",
        said.out,
        re.MULTILINE,
    )


def test_an_adopted_task_that_has_left_and_a_stranger_are_not_asked_any_more(shell: Shell, store: Filled) -> None:
    with answering(a_plan()):
        out = shell("status", "--why", "--all").out
    assert row_of(out, "adopted3") == "✔ ready main/adopted3 exp-lr-3 not any more ended and settled"
    assert row_of(out, "stranger") == "▶ training main/stranger other not any more neither listed nor adopted"


def test_why_as_json_gives_each_item_its_next_look(shell: Shell, store: Filled) -> None:
    plan = a_plan()
    with answering(plan):
        said = shell("status", "--why", "--json")
    items = {item["id"]: item["why"] for item in said.items}
    next_at = plan["tasks"][0]["next_at"]
    assert items["czf9fbky"] == {"next_at": next_at, "query": "page 3", "because": "RUNNING, its end is near"}
    assert items["adopted3"] == {"next_at": None, "query": None, "because": "ended and settled"}
    assert json.loads(said.out)["accounts"] == plan["accounts"]
    assert "why" not in shell("status", "--json").items[0]


def test_without_a_daemon_why_says_so_in_one_line_and_shows_the_rest(shell: Shell) -> None:
    shell.configure(CONFIG)
    with filled_store() as store:
        store.see("czf9fbky", "RUNNING")
        store.live()
        busy = shell("status", "--why")
    stopped = shell("status", "--why")
    assert [said.code for said in (busy, stopped)] == [0, 0]
    place = Path("watcher.db.sock").resolve()
    assert busy.out.splitlines()[0].startswith(f"⚠ the running watcher doesn't answer at {place}: ")
    assert stopped.out.splitlines()[0] == "⚠ the watcher isn't running, so nothing is planned"
    assert stopped.out.splitlines()[1:] == shell("status").out.splitlines()
    assert [item["why"] for item in shell("status", "--why", "--json").items] == [None, None, None]


def test_a_daemon_that_stopped_long_ago_is_said_once(shell: Shell, store: Filled) -> None:
    store.live(ago=3600)
    notes = [line for line in shell("status", "--why").out.splitlines() if line.startswith("⚠")]
    assert notes == ["⚠ the watcher isn't running: its last sign of life is 1 h old"]


@pytest.mark.parametrize(
    "plan",
    [
        None,
        [],
        {},
        {"tasks": 1, "accounts": []},
        {"tasks": [None, {}, {"account": 1, "id": [], "next_at": "soon", "query": 7, "because": None}]},
        {"tasks": [], "accounts": {"main": {"next_at": 1, "pace": "fast"}, "lab": None}},
    ],
)
def test_an_answer_of_another_version_breaks_nothing(shell: Shell, store: Filled, plan: Any) -> None:
    with answering(plan):
        assert shell("status", "--why").code == 0
        assert shell("status", "--why", "--json").code == 0


def test_text_of_the_daemon_is_shown_literally(shell: Shell, store: Filled) -> None:
    plan = {"tasks": [planned("main/czf9fbky", 5, "page \x1b[31m", "[/red]\u202e")], "accounts": {}}
    with answering(plan):
        out = shell("status", "--why").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[/red]" in out


# ── when the budget doesn't suffice ──


def test_a_budget_that_doesnt_suffice_is_a_sentence_per_account(shell: Shell, store: Filled) -> None:
    late = {"tasks": 700, "stalest": 240.0, "why": "quota"}
    store.live(late={"main": late, "lab": {"tasks": 1, "stalest": 61.0, "why": "slowed"}})
    assert shell("status").out.splitlines()[:2] == [
        "⚠ account main: 700 tasks are looked at later than wanted, the oldest 4 m ago: "
        "30 queries a minute don't suffice",
        "⚠ account lab: 1 task is looked at later than wanted, the oldest 1 m 1 s ago: "
        "CLOVA Studio has asked for a slower pace",
    ]


@pytest.mark.parametrize("late", [None, {}, [], {"main": None}, {"main": {}}, {"main": {"tasks": "many"}}])
def test_a_summary_without_lateness_says_nothing_of_it(shell: Shell, store: Filled, late: Any) -> None:
    store.live(late=late)
    assert "⚠" not in shell("status").out


# ── adopted tasks ──


def test_adopted_tasks_are_known_with_the_labels_of_their_rules(shell: Shell, store: Filled) -> None:
    items = {item["id"]: item for item in shell("status", "--json").items}
    assert items["adopted1"]["labels"] == {"team": "research", "kind": "sweep"}
    assert items["czf9fbky"]["labels"] == {"team": "nlp"}
    watched = {id_: (item["watched"], item["adopted"]) for id_, item in items.items()}
    assert watched["adopted1"] == watched["adopted3"] == (True, True)
    assert (watched["czf9fbky"], watched["stranger"]) == ((True, False), (False, False))


def test_a_task_of_an_account_that_isnt_configured_any_more_is_not_adopted(shell: Shell, store: Filled) -> None:
    shell.configure('tasks: [czf9fbky]\ndiscover: [{name: "*"}]\nstore: sqlite:///watcher.db\n')
    assert {item["adopted"] for item in shell("status", "--json").items} == {False}


@pytest.mark.parametrize("command", ["history {}", "prove {}", "routes {} task.failed", "wait {} --timeout 100ms"])
def test_every_command_knows_an_adopted_task(shell: Shell, store: Filled, command: str) -> None:
    assert shell(*command.format("adopted1").split()).code in (0, 3)
    assert "Did you mean adopted1?" in shell(*command.format("adopted11").split()).err


def test_wait_ends_with_an_adopted_task_that_ended_long_ago(shell: Shell, store: Filled) -> None:
    assert shell("wait", "adopted3").code == 0


def test_routes_go_by_the_labels_of_the_rules(shell: Shell, store: Filled) -> None:
    assert "routes[0]" in shell("routes", "adopted1", "task.failed").out
    assert shell("routes", "czf9fbky", "task.failed").out == "no channel hears task.failed of czf9fbky\n"


def test_what_nobody_listed_and_has_ended_is_left_out_and_counted(shell: Shell, store: Filled) -> None:
    out = shell("status").out
    assert [id_ for id_ in ("czf9fbky", "ended123", "unseen12", "adopted1", "adopted2") if id_ not in out] == []
    assert [id_ for id_ in ("adopted3", "stranger") if id_ in out] == []
    assert out.splitlines()[-1] == "2 more ended over a day ago or aren't watched any more: watcher status --all"
    everything = shell("status", "--all").out
    assert [id_ for id_ in ("adopted3", "stranger") if id_ not in everything] == []
    assert "more ended" not in everything
    assert len(shell("status", "--json").items) == 7


def snapshot(status: str, *, ended: float | None = None, seen: float = 0, first: float = 200, **more: Any) -> Snapshot:
    """A task of which things were seen so many hours ago."""

    def ago(hours: float) -> datetime:
        return NOW - timedelta(hours=hours)

    fields = {"status": status, **more.pop("fields", {})}
    at = None if ended is None else ago(ended)
    return Snapshot(TaskKey("main", "x"), fields, 1, ago(first), ago(seen), at or ago(seen), ended=at, **more)


MONTH_AGO = "2026-02-10T09:00:00+0900"


@pytest.mark.parametrize(
    ("adopted", "seen", "shown"),
    [
        (True, snapshot("RUNNING", seen=100), True),
        (True, snapshot("PAUSED"), True),
        (True, snapshot("SUCCEEDED", ended=23), True),
        (True, snapshot("FAILED", ended=25), False),
        # It had ended before anybody looked: its own date says when.
        (True, snapshot("FAILED", ended=1, first=1, fields={"statusInfo.endDatetime": MONTH_AGO}), False),
        (True, snapshot("FAILED", ended=1, first=1, fields={"updatedDate": MONTH_AGO}), False),
        (True, snapshot("FAILED", ended=1, first=1, fields={"updatedDate": "some day"}), True),
        # It ended while nobody looked, and that was news an hour ago.
        (True, snapshot("FAILED", ended=1, first=99, fields={"updatedDate": MONTH_AGO}), True),
        (True, snapshot("RUNNING", gone="not_found", missing_since=NOW - timedelta(hours=2)), True),
        (True, snapshot("RUNNING", gone="not_found", missing_since=NOW - timedelta(hours=30)), False),
        (False, snapshot("RUNNING", seen=2), True),
        (False, snapshot("RUNNING", seen=30), False),
    ],
)
def test_adopted_tasks_are_shown_until_a_day_after_their_end(adopted: bool, seen: Snapshot, shown: bool) -> None:
    overview = recent(Overview((Known(seen.key, None, seen, adopted),), ()), NOW)
    assert bool(overview.tasks) is shown
    assert bool(overview.more) is not shown


# ── groups ──


def test_groups_are_a_line_each_and_a_field_of_every_task(shell: Shell, store: Filled) -> None:
    lines = shell("status").out.splitlines()
    assert "lr-sweep: 3 tasks, 1 training, 1 waiting, 1 ready" in lines
    assert "bots: 1 task, 1 training" in lines
    groups = {item["id"]: item["group"] for item in shell("status", "--json").items}
    assert (groups["adopted3"], groups["czf9fbky"], groups["stranger"]) == ("lr-sweep", "bots", None)


def test_a_group_without_tasks_says_so(shell: Shell, store: Filled) -> None:
    shell.configure(CONFIG.replace("exp-lr-*", "exp-ls-*"))
    assert "lr-sweep: 0 tasks" in shell("status").out.splitlines()


# ── what a check says of the rules ──


def test_check_names_rules_and_groups(shell: Shell) -> None:
    shell.configure(CONFIG.replace("${NO_SUCH_KEY}", "nv-abcdefgh0123"))
    assert [line for line in shell("check").out.splitlines() if line.startswith("✓")][1:] == [
        "✓ 3 tasks of lab, main",
        "✓ 1 discover rule: adopts tasks of main",
        "✓ 2 groups: lr-sweep, bots",
        "✓ 1 channel: team (console)",
    ]


def test_check_warns_when_nobody_hears_of_what_a_rule_adopts(shell: Shell) -> None:
    rules = "discover: [{name: a*, labels: {team: nlp}}, {name: b*, labels: {team: ops}}, {model: HCX-*}]\n"
    channels = "channels: {team: {url: 'console://', events: [account.*]}}\n"
    routes = "routes: [{events: [task.*], labels: {team: nlp}, task: 'a-1*', channels: [team]}]\n"
    shell.configure("accounts: {main: {api_key: nv-abcdefgh0123}}\n" + rules + channels + routes)
    said = shell("check")
    warnings = [line for line in said.out.splitlines() if line.startswith("⚠")]
    assert (said.code, said.err) == (0, "")
    assert [warning.split(". Try")[0] for warning in warnings] == [
        "⚠ no channel hears task.succeeded of what discover[1], discover[2] adopts",
        "⚠ no channel hears task.failed of what discover[1], discover[2] adopts",
    ]
