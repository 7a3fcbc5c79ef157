"""Commands that read the store beside the daemon, over a store that real observations filled."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.cli import CONFIG, EVIL, Filled, Shell, filled_store, finished, shell, start, story
from watcher.cli.health import judge
from watcher.cli.outbox import HEADERS as DELIVERIES
from watcher.cli.printing import Cell, fitting, number, part_of, plain_table, rich_table, span
from watcher.cli.status import HEADERS as TASKS
from watcher.errors import KeyRejected
from watcher.notifier.decide import Decision
from watcher.state.database import scalar
from watcher.state.record import record_poll

__all__ = ["shell"]

READING = (
    "status", "history czf9fbky", "prove czf9fbky", "wait czf9fbky", "deliveries", "follow", "health",
    "redeliver --failed",
)  # fmt: skip


@pytest.fixture
def store(shell: Shell) -> Iterator[Filled]:
    shell.configure()
    with filled_store() as opened:
        story(opened)
        yield opened


@pytest.mark.parametrize("command", READING)
def test_without_a_store_a_reading_command_says_how_to_get_one_and_makes_none(shell: Shell, command: str) -> None:
    shell.configure()
    said = shell(*command.split())
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("Error: there is no store at watcher.db\nTry: ")
    assert "watcher run" in said.err
    assert [path.name for path in shell.folder.iterdir()] == ["watcher.yaml"]


def test_reading_commands_write_nothing_to_the_store(shell: Shell, store: Filled) -> None:
    version = store.database.write_now(scalar, "PRAGMA data_version")
    for command in (
        "status",
        "history czf9fbky",
        "prove czf9fbky",
        "deliveries",
        "health",
        "routes czf9fbky task.gone",
    ):
        assert shell(*command.split()).code == 0
    # SQLite counts this up for every change that another connection made.
    assert store.database.write_now(scalar, "PRAGMA data_version") == version


def test_status_shows_training_first_and_what_was_never_seen(shell: Shell, store: Filled) -> None:
    said = shell("status")
    lines = said.out.splitlines()
    assert (said.code, said.err) == (0, "")
    assert lines[0] == "2 training · 1 waiting · 1 not seen yet · 1 failed"
    assert lines[1].split() == ["STATE", "TASK", "NAME", "PROGRESS", "STEP", "EPOCH", "LOSS", "SEEN"]
    assert [line.split()[1] for line in lines[2:]] == ["training", "training", "waiting", "not", "failed"]
    row = next(line for line in lines if "main/czf9fbky" in line)
    assert "support-bot v3" in row
    assert "25 %" in row
    assert "500/2000  2/8    0.9" in row


def test_status_names_only_the_id_where_there_is_one_account(shell: Shell) -> None:
    shell.configure("tasks: [czf9fbky]\n")
    with filled_store() as store:
        store.see("czf9fbky", "RUNNING", account="default")
        assert "default/" not in shell("status").out


def test_text_from_outside_is_shown_literally(shell: Shell, store: Filled) -> None:
    for command in ("status", "history 1234e567", "prove 1234e567"):
        said = shell(*command.split())
        assert "[/red]␛[31m<b>" in said.out
        assert "\x1b" not in said.out
        assert "\u202e" not in said.out


def test_status_on_a_terminal_obeys_no_markup_and_no_escapes(
    shell: Shell, store: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    said = shell("status")
    assert said.code == 0
    assert "[/red]␛[31m<b>" in said.out


def test_status_as_json_has_everything_that_is_known(shell: Shell, store: Filled) -> None:
    items = {(item["account"], item["id"]): item for item in shell("status", "--json").items}
    assert set(items) == {
        ("main", "czf9fbky"), ("main", "1234e567"), ("main", "twin1234"), ("lab", "twin1234"), ("lab", "unseen12"),
    }  # fmt: skip
    task = items["main", "czf9fbky"]
    assert task["statusInfo"]["trainLoss"] == 0.9
    assert task["labels"] == {"team": "nlp"}
    more = ("name", "status", "progress", "first_seen", "last_seen", "gone", "watched")
    assert [task[key] for key in more] == [
        "support-bot v3", "RUNNING", 25, "2026-03-01T05:01:00.000Z", "2026-03-01T05:02:00.000Z", None, True,
    ]  # fmt: skip
    assert items["main", "1234e567"]["name"] == EVIL
    unseen = items["lab", "unseen12"]
    assert (unseen["status"], unseen["last_seen"], unseen["watched"]) == (None, None, True)


def test_status_marks_tasks_that_are_gone_or_not_watched_any_more(shell: Shell, store: Filled) -> None:
    store.miss("czf9fbky")
    shell.configure(CONFIG.replace("  - {id: twin1234, account: lab}\n", ""))
    assert "⚠ gone" in shell("status").out
    items = {(item["account"], item["id"]): item for item in shell("status", "--json").items}
    assert items["main", "czf9fbky"]["gone"] == "40400"
    assert items["lab", "twin1234"]["watched"] is False


def test_status_says_on_top_when_the_watcher_is_silent_or_an_account_in_trouble(shell: Shell, store: Filled) -> None:
    error = KeyRejected("the key is refused", status=401, code="40104")
    store.database.write_now(record_poll, store.settled(), "lab", "rejected", error, datetime.now(UTC), None)
    store.live(ago=3600)
    first, second = shell("status").out.splitlines()[:2]
    assert first == "⚠ the watcher isn't running: its last sign of life is 1 h old"
    assert second.startswith("⚠ account lab: the key is refused (401, 40104). Issue a new key")


def test_status_shows_what_an_account_doesnt_know(shell: Shell, store: Filled) -> None:
    store.live(unknown=["lab/unseen12"])
    assert "⚠ unknown to lab" in shell("status").out


def test_a_task_in_two_accounts_needs_the_account(shell: Shell, store: Filled) -> None:
    said = shell("history", "twin1234")
    assert said.code == 2
    assert "write one of main/twin1234, lab/twin1234" in said.err
    assert shell("history", "lab/twin1234").code == 0


@pytest.mark.parametrize("command", ["history {}", "prove {}", "wait {}", "routes {} task.failed"])
def test_an_unknown_task_is_named_with_its_nearest(shell: Shell, store: Filled, command: str) -> None:
    said = shell(*command.format("czf9fbk").split())
    assert said.code == 2
    assert "there is no task czf9fbk" in said.err
    assert "Did you mean czf9fbky?" in said.err


def test_history_tells_events_and_curve(shell: Shell, store: Filled) -> None:
    said = shell("history", "main/czf9fbky")
    assert "▶ training · czf9fbky support-bot v3 · account main" in said.out
    assert "task.started" in said.out
    assert "support-bot v3 is training" in said.out
    assert "2026-03-01 14:02:00 KST  500   2      0.9   status: RUNNING" in said.out


def test_history_as_json_has_events_as_items_and_the_curve_beside_them(shell: Shell, store: Filled) -> None:
    shape = json.loads(shell("history", "czf9fbky", "--json").out)
    assert [item["type"] for item in shape["items"]] == ["task.discovered", "task.started", "task.progress"]
    assert shape["next"] is None
    assert [(point["step"], point["loss"]) for point in shape["curve"]] == [(None, None), (500, 0.9)]


def test_prove_shows_window_commit_rule_and_every_try(shell: Shell, store: Filled) -> None:
    delivery = next(each for each in store.claim("team") if each.event.task == "1234e567")
    store.finish(delivery, Decision("delivered", "accepted", "200 OK", answered=True))
    said = shell("prove", "1234e567")
    assert "observed   between 2026-03-01 14:03:00 KST and 2026-03-01 14:04:00 KST" in said.out
    assert f"team       delivered as {delivery.id}; the rule: notable, the default" in said.out
    assert re.search(r"accepted after 0\.\d\d\d s: 200 OK", said.out)
    assert "hook       waiting as msg_" in said.out
    assert "channels.hook.events: task.failed" in said.out
    failed = next(item for item in shell("prove", "1234e567", "--json").items if item["event"]["type"] == "task.failed")
    told = {each["channel"]: each for each in failed["deliveries"]}
    assert told["team"]["state"] == "delivered"
    assert [each["result"] for each in told["team"]["tries"]] == ["accepted"]


def test_the_deliveries_of_a_channel_are_those_of_all_its_recipients(shell: Shell) -> None:
    shell.configure(
        "tasks: [{id: czf9fbky, account: main}]\naccounts: {main: {api_key: nv-x}}\nchannels:\n"
        "  mail: {url: 'mailto://u:p@smtp.example.com?to=jiwon@x.com,minsu@x.com', events: [task.discovered]}\n"
    )
    with filled_store() as store:
        store.see("czf9fbky", "WAIT")
        told = shell("deliveries", "--channel", "mail", "--json").items
        assert sorted(item["channel"] for item in told) == ["mail.jiwon", "mail.minsu"]
        assert [item["channel"] for item in shell("deliveries", "--channel", "mail.minsu", "--json").items] == [
            "mail.minsu"
        ]


def test_deliveries_are_chosen_by_channel_and_state(shell: Shell, store: Filled) -> None:
    everything = shell("deliveries", "--json").items
    assert {item["channel"] for item in everything} == {"team", "hook"}
    assert [item["type"] for item in shell("deliveries", "--channel", "hook", "--json").items] == ["task.failed"]
    assert shell("deliveries", "--state", "delivered", "--json").items == []
    assert shell("deliveries", "--failed").out == "no failed deliveries\n"
    assert shell("deliveries", "--state", "delivered").out == "no such delivery\n"
    wrong = shell("deliveries", "--channel", "hok")
    assert (wrong.code, "Did you mean hook?" in wrong.err) == (2, True)


def test_redeliver_keeps_the_id_and_says_what_goes_out(shell: Shell, store: Filled) -> None:
    (delivery,) = store.claim("hook")
    busy = shell("redeliver", delivery.id)
    assert (busy.code, "it will be tried by itself" in busy.err) == (2, True)
    store.finish(delivery, Decision("refused", "refused", "HTTP 410", answered=True))
    assert "HTTP 410" in shell("deliveries", "--failed").out
    said = shell("redeliver", "--failed")
    assert (said.code, said.out) == (0, f"{delivery.id} goes out again: task.failed of 1234e567 to hook\n")
    assert [item["state"] for item in shell("deliveries", "--channel", "hook", "--json").items] == ["waiting"]
    assert shell("redeliver", "--failed").out == "nothing has failed\n"
    assert shell("redeliver", "msg_nope").code == 2


@pytest.mark.parametrize(
    ("tasks", "code"),
    [(["czf9fbky"], 0), (["1234e567"], 1), (["czf9fbky", "1234e567"], 1), (["main/twin1234"], 3), (["unseen12"], 3)],
)
def test_wait_exits_by_how_the_tasks_ended(shell: Shell, store: Filled, tasks: list[str], code: int) -> None:
    store.see("czf9fbky", "SUCCEEDED")
    said = shell("wait", *tasks, "--timeout", "100ms")
    assert said.code == code
    assert ("✔ ready · czf9fbky support-bot v3" in said.out) == ("czf9fbky" in tasks)
    assert ("timed out; not ended yet: " in said.err) == (code == 3)


def test_wait_ends_when_the_store_hears_of_the_end(shell: Shell, store: Filled) -> None:
    process = start("wait", "czf9fbky", "main/twin1234", folder=shell.folder)
    store.see("czf9fbky", "SUCCEEDED", sendWeightSuccess=False)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("✔ ready · czf9fbky")
    assert "its weights weren't saved" in first
    store.miss("twin1234")
    said = finished(process)
    assert (said.code, said.out) == (1, "⚠ gone · twin1234\n")


def test_wait_as_json_is_the_tasks_as_they_are_at_the_end(shell: Shell, store: Filled) -> None:
    said = shell("wait", "1234e567", "--json")
    assert (said.code, [item["status"] for item in said.items]) == (1, ["FAILED"])


def test_what_keeps_a_task_from_being_seen_is_said_once(shell: Shell, store: Filled) -> None:
    said = shell("wait", "lab/twin1234", "--timeout", "1.2s")
    assert said.err.splitlines()[0].startswith("Error: timed out")
    store.live(unknown=["lab/unseen12"])
    why = "account lab doesn't know it"
    said = shell("wait", "unseen12", "--timeout", "1.2s")
    assert (said.code, said.err.count(f"Note: unseen12: {why}. That may change, so the waiting goes on\n")) == (3, 1)
    for command in ("history", "prove"):
        assert f"\nNothing is known of it yet: {why}.\n" in shell(command, "unseen12").out
    error = KeyRejected("the key is refused", status=401, code="40104")
    store.database.write_now(record_poll, store.settled(), "lab", "rejected", error, datetime.now(UTC), None)
    assert "Note: twin1234: account lab: the key is refused" in shell("wait", "lab/twin1234", "--timeout", "0.1").err


def test_wait_says_when_nobody_is_watching(shell: Shell, store: Filled) -> None:
    store.live(ago=120)
    assert "the watcher isn't running" in shell("wait", "unseen12", "--timeout", "0.1").err


def test_health_is_what_the_last_sign_of_life_says(shell: Shell, store: Filled) -> None:
    assert shell("health").code == 0
    store.live(conditions=[{"name": "channel-failing", "text": "channel team fails"}])
    said = shell("health")
    assert (said.code, said.out.endswith("; channel team fails\n")) == (0, True)
    store.live(fatal=["loop-dead"])
    assert (shell("health").code, shell("health").out) == (1, "unhealthy: loop-dead\n")
    store.live(ago=61)
    assert shell("health").code == 0, "a full disk silences the store's sign of life, not the lock's"
    os.utime("watcher.db.lock", (0, 0))
    assert shell("health").code == 1


def test_a_watcher_that_stopped_a_moment_ago_is_not_healthy(shell: Shell) -> None:
    shell.configure("tasks: [czf9fbky]\naccounts: {main: {api_key: nv-0123456789}}\n")
    with filled_store() as store:
        store.live()
    said = shell("health")
    assert (said.code, said.out) == (1, "unhealthy: no watcher runs with this store\n")


@pytest.mark.parametrize(
    ("meta", "healthy"),
    [
        ({}, False),
        ({"alive": "2026-03-01T00:00:00+00:00"}, True),
        ({"alive": "2026-02-28T23:59:01+00:00", "health": "{}"}, True),
        ({"alive": "2026-02-28T23:58:59+00:00"}, False),
        ({"alive": "2026-03-01T00:01:01+00:00"}, False),
        ({"alive": "2026-03-01T00:00:00+00:00", "health": '{"fatal": ["store-lost"]}'}, False),
    ],
)
def test_health_believes_a_minute(meta: dict[str, str], healthy: bool) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert judge(meta, 0.0, now).healthy == healthy
    assert not judge(meta, None, now).healthy


def test_health_with_the_store_in_the_environment_reads_no_file_and_loads_nothing_heavy(
    shell: Shell, store: Filled
) -> None:
    shell.configure("this is: [not yaml")
    code = "import sys; from watcher.cli import main; print(main(['health']), *sys.modules)"
    env = {**os.environ, "WATCHER_STORE": "sqlite:///watcher.db", "PYTHONPATH": str(Path(__file__).parents[1])}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    healthy, modules = said.stdout.splitlines()
    assert healthy.startswith("healthy: ")
    assert modules.startswith("0 ")
    assert not {"sqlalchemy", "pydantic", "yaml", "rich"}.intersection(modules.split())


def test_health_of_a_file_that_is_no_store_is_one_line(shell: Shell) -> None:
    shell.configure()
    Path("watcher.db").write_bytes(b"not a database at all" * 100)
    said = shell("health")
    assert (said.code, said.err.startswith("Error: the store watcher.db can't be read: ")) == (1, True)


def test_follow_in_a_pipe_is_a_line_for_every_change(shell: Shell, store: Filled) -> None:
    process = start("follow", folder=shell.folder)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    assert sum("training" in line for line in lines) == 2
    store.see("czf9fbky", "SUCCEEDED")
    assert "✔ ready  main/czf9fbky  support-bot v3  100 %" in process.stdout.readline()
    process.send_signal(2)
    said = finished(process)
    assert (said.code, said.err) == (130, "")


def test_routes_explains_who_hears_what(shell: Shell, store: Filled) -> None:
    assert shell("routes", "czf9fbky", "task.failed", "--json").items == [
        {"channel": "team", "because": "notable, the default"},
        {"channel": "hook", "because": "channels.hook.events: task.failed"},
    ]
    assert shell("routes", "czf9fbky", "task.progress").out == "no channel hears task.progress of czf9fbky\n"


def test_routes_follow_labels_and_models_without_a_store(shell: Shell) -> None:
    rule = "routes:\n  - {events: [task.failed], labels: {team: nlp}, channels: [hook]}\n"
    shell.configure(CONFIG.replace(", events: [task.failed]", "") + rule)
    told = {task: shell("routes", task, "task.failed", "--json").items for task in ("czf9fbky", "1234e567")}
    assert told["czf9fbky"][1] == {"channel": "hook", "because": "routes[0]"}
    assert [item["channel"] for item in told["1234e567"]] == ["team"]


def test_routes_says_where_the_answer_hangs_on_a_url_that_isnt_here(shell: Shell, store: Filled) -> None:
    shell.configure(
        CONFIG.replace(", events: [task.failed]", "") + "routes: [{events: [task.gone], channels: [hook]}]\n"
    )
    told = {
        item["channel"]: item["because"] for item in shell("routes", "czf9fbky", "account.rejected", "--json").items
    }
    assert told["hook"].startswith("kind unknown without its url; unless it is a webhook: no route names it")


IDS = ("msg_" + "0123456789abcdef" * 2, "czf9fbky")


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_ids_are_whole_on_every_terminal(width: int) -> None:
    delivery = (
        *(Cell(text) for text in (IDS[0], "task.succeeded", IDS[1], "team", "delivered", "3", "")),
        Cell("x" * 90),
    )
    shown = on_terminal(DELIVERIES, [delivery], width)
    assert IDS[0] in shown
    task = [Cell(text) for text in ("▶ training", IDS[1], "a name " * 20, "25 %", "500/2000", "2/8", "0.9", "8 s ago")]
    assert IDS[1] in on_terminal(TASKS, [task], width)
    assert all(len(line) <= width for line in shown.splitlines())


def test_a_narrow_terminal_says_what_it_leaves_out() -> None:
    widths = {"DELIVERY": 36, "EVENT": 14, "TASK": 8, "CHANNEL": 7, "STATE": 9, "TRIES": 5, "REASON": 90}
    assert fitting(widths, 200) == (list(widths), True)
    assert fitting(widths, 80) == (["DELIVERY", "TASK", "CHANNEL", "STATE", "REASON"], True)
    assert fitting(widths, 20) == (["DELIVERY", "TASK", "STATE"], False)
    row = [Cell("x" * size) for size in widths.values()]
    assert "A wider terminal shows EVENT, TRIES too." in on_terminal(tuple(widths), [row], 80)


def on_terminal(headers: Sequence[str], rows: Sequence[Sequence[Cell]], width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(rich_table(headers, rows, width))
    return capture.get()


def test_nothing_secret_is_printed_by_reading_commands(shell: Shell) -> None:
    key, hook = "nv-canary0123456789", "https://127.0.0.1:1/canary-hook-path"
    secret = CONFIG.replace("${NO_SUCH_KEY}", key).replace("${NO_SUCH_HOOK}", hook)
    shell.configure(secret)
    with filled_store() as store:
        story(store)
        for command in (*READING[:3], "deliveries", "health", "routes czf9fbky task.failed", "check", "status --json"):
            said = shell(*command.split())
            assert "canary" not in said.out + said.err


def test_spans_show_their_two_largest_units() -> None:
    spans = {0: "0 s", 8: "8 s", 60: "1 m", 310: "5 m 10 s", 11100: "3 h 5 m", 3605: "1 h", 176400: "2 d 1 h"}
    assert {seconds: span(seconds) for seconds in spans} == spans


def test_numbers_are_short_and_unknown_ones_empty() -> None:
    assert [number(value) for value in (0.4189123, 12, None, "NaN")] == ["0.4189", "12", "", "NaN"]
    assert [part_of(1, 2), part_of(1, None), part_of(None, 2)] == ["1/2", "1", ""]


def test_columns_are_aligned_by_what_is_seen() -> None:
    assert plain_table(("A", "B"), [(Cell("한국"), Cell("x")), (Cell("abc"), Cell("y"))]) == [
        "A     B",
        "한국  x",
        "abc   y",
    ]
