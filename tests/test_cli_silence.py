"""`watcher silence`, `silences` and `unsilence` beside a store that the daemon holds."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, select

from tests.support.cli import CONFIG, Filled, Shell, filled_store, finished, shell, start, story
from watcher.state import schema
from watcher.state.database import scalar

__all__ = ["shell"]

DISCOVER = CONFIG + 'discover: [{account: lab, name: "exp-*", labels: {team: "vision lab", stage: dev}}]\n'


@pytest.fixture
def store(shell: Shell) -> Iterator[Filled]:
    shell.configure(DISCOVER)
    with filled_store() as opened:
        story(opened)
        yield opened


def states(store: Filled, task: str, account: str = "main") -> dict[tuple[str, str], tuple[str, str]]:
    """State and reason of each delivery of a task's events, by event and channel."""

    def read(tx: Connection) -> dict[tuple[str, str], tuple[str, str]]:
        joined = schema.deliveries.join(schema.events, schema.deliveries.c.event_id == schema.events.c.id)
        d, e = schema.deliveries.c, schema.events.c
        rows = tx.execute(
            select(e.type, d.channel, d.state, d.reason).select_from(joined).where(e.task == task, e.account == account)
        )
        return {(row.type, row.channel): (row.state, row.reason) for row in rows}

    return store.database.write_now(read)


@pytest.mark.parametrize(
    "command", ["silence czf9fbky --for 2h", "silence team=nlp --for 2h", "silences", "unsilence 1"]
)
def test_without_a_store_it_says_how_to_get_one_and_makes_none(shell: Shell, command: str) -> None:
    shell.configure()
    said = shell(*command.split())
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("Error: there is no store at watcher.db\nTry: ")
    assert [path.name for path in shell.folder.iterdir()] == ["watcher.yaml"]


def test_a_silenced_task_is_told_to_nobody_until_it_isnt_silenced_any_more(shell: Shell, store: Filled) -> None:
    said = shell("silence", "czf9fbky", "--for", "2h", "--reason", "moving the data")
    assert (said.code, said.err) == (0, "")
    assert re.fullmatch(r"silence 1: main/czf9fbky is quiet until [\d-]+ [\d:]+ KST\n", said.out)
    store.see("czf9fbky", "FAILED", failureReason="file.format", message="bad")
    reason = ("silenced", "silence 1: moving the data")
    found = states(store, "czf9fbky")
    assert (found["task.failed", "team"], found["task.failed", "hook"]) == (reason, reason)
    assert found["task.started", "team"][0] == "waiting", "what waited already goes out"
    assert shell("unsilence", "1").out == "silence 1 is over: main/czf9fbky is heard again\n"
    store.see("czf9fbky", "RUNNING")
    assert states(store, "czf9fbky")["task.reopened", "team"][0] == "waiting"


def test_other_tasks_are_heard_meanwhile(shell: Shell, store: Filled) -> None:
    shell("silence", "main/twin1234", "--for", "2h")
    store.see("twin1234", "SUCCEEDED")
    store.see("twin1234", "SUCCEEDED", account="lab")
    assert states(store, "twin1234")["task.succeeded", "team"] == ("silenced", "silence 1")
    assert states(store, "twin1234", "lab")["task.succeeded", "team"][0] == "waiting"


def test_a_label_is_silenced_wherever_it_is(shell: Shell, store: Filled) -> None:
    assert "team=nlp is quiet until" in shell("silence", "team=nlp", "--for", "30m").out
    store.see("czf9fbky", "SUCCEEDED")
    store.see("twin1234", "SUCCEEDED")
    assert states(store, "czf9fbky")["task.succeeded", "team"] == ("silenced", "silence 1")
    assert states(store, "twin1234")["task.succeeded", "team"][0] == "waiting"


def test_the_list_shows_what_is_quiet_and_for_how_long(shell: Shell, store: Filled) -> None:
    assert shell("silences").out == "nothing is silenced\n"
    shell("silence", "czf9fbky", "--for", "90m", "--reason", "moving the data")
    shell("silence", "team=vision lab", "--for", "3d")
    lines = shell("silences").out.splitlines()
    assert lines[0].split() == ["SILENCE", "WHAT", "NAME", "ENDS", "LEFT", "REASON"]
    left = r"(1 h 30 m|1 h 29 m)"
    assert re.match(rf"1 +main/czf9fbky +support-bot v3 +[\d-]+ [\d:]+ KST +{left} +moving the data$", lines[1])
    assert re.match(r"2 +team=vision lab +[\d-]+ [\d:]+ KST +(2 d 23 h|3 d)$", lines[2])


def test_programs_get_the_whole_of_it(shell: Shell, store: Filled) -> None:
    before = datetime.now(UTC)
    made = shell("silence", "lab/twin1234", "--for", "2h", "--json").items
    assert shell("silences", "--json").items == made
    (item,) = made
    assert {key: item[key] for key in item if key not in ("made", "ends")} == {
        "id": "1", "account": "lab", "task": "twin1234", "label": None, "value": None, "reason": "",
    }  # fmt: skip
    ends = datetime.fromisoformat(item["ends"])
    assert ends - datetime.fromisoformat(item["made"]) == timedelta(hours=2)
    assert abs(ends - before - timedelta(hours=2)) < timedelta(seconds=20)
    assert shell("silences", "--json").out == shell("silences", "--json").out


def test_the_list_forgets_what_is_over(shell: Shell, store: Filled) -> None:
    shell("silence", "czf9fbky", "--for", "2h")
    shell("silence", "team=nlp", "--for", "2h")
    assert shell("unsilence", "2", "1").out.splitlines() == [
        "silence 2 is over: team=nlp is heard again",
        "silence 1 is over: main/czf9fbky is heard again",
    ]
    assert shell("silences").out == "nothing is silenced\n"
    assert shell("silences", "--json").items == []


@pytest.mark.parametrize(
    ("command", "error", "hint"),
    [
        ("silence czf9fbyk --for 2h", "there is no task czf9fbyk in the configuration or the store. Did you mean "
            "czf9fbky?", "watcher status lists them"),
        ("silence lab/czf9fbky --for 2h", "there is no task lab/czf9fbky", "watcher status lists them"),
        ("silence twin1234 --for 2h", "the task twin1234 stands in 2 accounts", "write one of main/twin1234, lab/twin"),
        ("silence team=npl --for 2h", "no task has the label team=npl. Did you mean team=nlp?",
            "there are: team=nlp, team=vision lab, stage=dev"),
        ("silence taem=nlp --for 2h", "no task has the label taem=nlp. Did you mean team=nlp?", "there are: team=nlp"),
        ("silence = --for 2h", "no task has the label =", "there are: "),
        ("silence team= --for 2h", "no task has the label team=", "there are: "),
        ("silence czf9fbky", "the following arguments are required: --for", "watcher silence --help"),
        ("silence --for 2h", "the following arguments are required: WHAT", "watcher silence --help"),
        ("silence czf9fbky --for '2 hours'", "argument --for: not a duration; write 30s", "watcher silence --help"),
        ("silence czf9fbky --for 0", "argument --for: must be from 100ms to 3650d", "watcher silence --help"),
        ("silence czf9fbky --for=-2h", "argument --for: not a duration", "watcher silence --help"),
        ("silence czf9fbky --for 1h --reason ''", "argument --reason: must be 1 to 200", "watcher silence --help"),
        ("silence czf9fbky --for 1h --reason 'a\nb'", "argument --reason: must be 1 to 200", "watcher silence --help"),
        ("unsilence", "the following arguments are required: ID", "watcher unsilence --help"),
        ("unsilence 7", "there is no silence 7", "see the ids with: watcher silences"),
        ("unsilence czf9fbky", "there is no silence czf9fbky", "see the ids with: watcher silences"),
    ],
)  # fmt: skip
def test_what_cant_be_silenced_is_refused_and_changes_nothing(
    shell: Shell, store: Filled, command: str, error: str, hint: str
) -> None:
    said = shell(*shlex.split(command))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"Error: {error}")
    assert f"Try: {hint}" in said.err
    assert shell("silences").out == "nothing is silenced\n"


def test_without_any_label_it_says_where_to_write_one(shell: Shell) -> None:
    shell.configure("tasks: [a]\n")
    with filled_store():
        assert "labels: {team: nlp}" in shell("silence", "team=nlp", "--for", "2h").err


def test_where_there_is_one_account_the_id_is_enough(shell: Shell) -> None:
    shell.configure("tasks: [a]\n")
    with filled_store():
        assert shell("silence", "a", "--for", "2h").out.startswith("silence 1: a is quiet until ")
        assert shell("silences").out.splitlines()[1].split()[:2] == ["1", "a"]
        assert shell("unsilence", "1").out == "silence 1 is over: a is heard again\n"


def test_reading_the_list_writes_nothing(shell: Shell, store: Filled) -> None:
    shell("silence", "czf9fbky", "--for", "2h")
    version = store.database.write_now(scalar, "PRAGMA data_version")
    assert shell("silences").code == 0
    assert store.database.write_now(scalar, "PRAGMA data_version") == version


def test_other_processes_silence_beside_the_one_that_holds_the_store(shell: Shell, store: Filled) -> None:
    said = [
        finished(start("silence", "czf9fbky", "--for", "1h", folder=shell.folder)),
        finished(start("silence", "team=nlp", "--for", "1h", folder=shell.folder)),
    ]
    assert [(each.code, each.err) for each in said] == [(0, ""), (0, "")]
    assert [each["id"] for each in shell("silences", "--json").items] == ["1", "2"]


def test_the_texts_of_others_are_shown_literally(shell: Shell, store: Filled) -> None:
    shell("silence", "1234e567", "--for", "2h", "--reason", "[/red]<b>")
    said = shell("silences")
    assert said.out.count("[/red]") == 2
    assert "\x1b" not in said.out
    assert "\u202e" not in said.out
