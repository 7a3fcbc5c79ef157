"""Many events in one message: everything told, ends first, in columns, within what a chat takes."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.messages import NOW, READERS, mixed, named
from watcher.events import EVENT_TYPES
from watcher.models import Call, Event, Failure, Message, Window
from watcher.notifier.brief import brief_types
from watcher.notifier.digest import MOST_ROWS, ROOM, render_digest
from watcher.notifier.render import TITLE_LIMIT
from watcher.notifier.samples import sample_event
from watcher.notifier.text import columns


def digest(events: list[Event], language: str = "en", **more: Any) -> Message:
    reader: dict[str, Any] = {"kind": "chat", "language": language, "timezone": READERS[language], "now": NOW}
    return render_digest(events, **(reader | more))


def event(type_: str, name: str = "support-bot v3", task: str | None = None, **more: Any) -> Event:
    return replace(named(sample_event(type_, now=NOW), name, task), **more)


def rows(message: Message) -> list[str]:
    """The table without its last line."""
    return message.table.splitlines()[:-1]


# ── what it says ──


def test_the_first_line_counts_what_happened() -> None:
    assert digest(mixed()).title == ("✖ 12 changes: 2 failed, 2 ready, 4 in trouble, 2 started, 1 progressed, 1 other")
    assert digest([event("task.started")]).title == "● 1 change: 1 started"
    assert digest([event("task.started"), event("task.stalled")]).title == "⚠ 2 changes: 1 in trouble, 1 started"
    assert digest([event("task.started"), event("task.succeeded")]).title == "✔ 2 changes: 1 ready, 1 started"


def test_what_all_of_them_are_is_named_where_it_has_no_number_of_its_own() -> None:
    assert digest([event("task.discovered")] * 14).title == "● 14 changes: watched now"
    assert digest([event("task.discovered"), event("task.resumed")]).title == "● 2 changes: 2 other"


def test_failures_come_first_then_successes_then_trouble_then_the_rest_each_in_order() -> None:
    told = ["started", "stalled", "failed", "succeeded", "progress", "gone", "failed", "succeeded", "resumed"]
    message = digest([event(f"task.{type_}", f"{count}") for count, type_ in enumerate(told)])
    assert [row.split()[1] for row in rows(message)] == ["2", "6", "3", "7", "1", "5", "0", "4", "8"]


def test_each_row_stands_in_columns_however_wide_its_letters_are() -> None:
    message = digest([event("task.succeeded", name) for name in ("bot", "요약봇", "要約ボット v2", "👨‍👩‍👧 ❤️ 👍🏽")])
    starts = {columns(row[: row.index("ready")]) for row in rows(message)}
    assert starts == {17}
    assert len({columns(row[: row.index("loss")]) for row in rows(message)}) == 1
    assert not any(row.endswith(" ") for row in message.table.splitlines())


def test_the_body_says_the_same_without_columns() -> None:
    message = digest([event("task.failed"), event("task.started", "exp-lr-3")])
    assert message.body.splitlines() == [
        "✖ support-bot v3 · failed · Invalid dataset: required field empty. Completion · 14:02",
        "▶ exp-lr-3 · training starts · waited 1 h 12 m · 14:02",
        "Times: KST",
    ]


def test_tasks_of_one_name_are_told_apart_and_so_are_accounts() -> None:
    same = [event("task.succeeded", "bot", task="aaaa1111"), event("task.succeeded", "bot", task="bbbb2222")]
    assert [row.split("  ")[0] for row in rows(digest(same))] == ["✔ aaaa1111 bot", "✔ bbbb2222 bot"]
    other = [event("task.succeeded", "bot"), event("task.succeeded", "box", account="lab")]
    assert [row.split("  ")[0] for row in rows(digest(other))] == ["✔ default/bot", "✔ lab/box"]


def test_the_time_is_no_more_exact_than_what_was_seen_and_has_a_date_where_it_isnt_todays() -> None:
    windows = (
        Window(NOW - timedelta(hours=4), NOW),
        Window(NOW - timedelta(hours=20, seconds=30), NOW - timedelta(hours=20)),
        Window(None, NOW),
    )
    wide, yesterday, first = (event("task.failed", task=f"t{n}", window=each) for n, each in enumerate(windows))
    assert [row.split(" · ")[-1] for row in digest([wide, yesterday, first]).body.splitlines()[:-1]] == [
        "10:02–14:02",
        "02-28 18:02",
        "14:02",
    ]


def test_what_is_told_of_one_task_besides_its_end_stays_in_order() -> None:
    def of(type_: str, task: str) -> Event:
        return event(type_, task, task=task)

    story = [
        of("task.started", "waits"),
        of("task.started", "done"),
        of("task.requeued", "waits"),
        of("task.failed", "again"),
        of("task.requeued", "done"),
        of("task.started", "done"),
        of("task.reopened", "again"),
        of("task.succeeded", "done"),
    ]
    told = [row.split()[:2] for row in rows(digest(story))]
    assert told == [
        ["✔", "done"],
        ["▶", "waits"],
        ["↻", "waits"],
        ["▶", "done"],
        ["↻", "done"],
        ["▶", "done"],
        ["✖", "again"],
        ["↻", "again"],
    ]


def test_the_owner_of_each_failure_is_called_once_in_the_order_of_the_rows() -> None:
    owners = ("nobody", "minho", "jiwon", "minho", "Minho")
    failed = [named(event("task.failed"), f"failed-{n}", owner=owner) for n, owner in enumerate(owners)]
    told = [
        named(event("task.weights_missing"), "first-but-told-last", owner="sora"),
        *failed,
        named(event("task.started"), "x", owner="yuna"),
    ]
    mentions = {"jiwon": "U1", "minho": "U2", "Minho": "U2", "sora": "U3", "yuna": "U4"}
    message = digest(told, mentions=mentions)
    assert message.calls == (Call("U2", "minho"), Call("U1", "jiwon"), Call("U3", "sora"))
    assert digest(told).calls == ()


def test_who_failed_beyond_the_last_row_is_called_too() -> None:
    failed = [named(event("task.failed"), f"failed-{n}", owner=f"owner-{n}") for n in range(57)]
    assert len(digest(failed, mentions={f"owner-{n}": f"U{n}" for n in range(57)}).calls) == 57


@pytest.mark.parametrize("language", READERS)
def test_what_is_longest_stands_behind_the_columns_so_that_a_narrow_screen_breaks_none_of_them(language: str) -> None:
    late = Window(NOW - timedelta(hours=1), NOW)
    told = [
        event("task.failed"),
        event("task.stalled", "exp-lr-1e-4", window=late),
        sample_event("channel.recovered", now=NOW),
    ]
    message = digest(told, language)
    cells = [re.fullmatch(r"(.*  )(\d\d:\d\d\S*)(?:( +)(\S.*))?", row) for row in rows(message)]
    found = [(columns(cell[1]), columns(cell[2] + cell[3]) if cell[4] else 0) for cell in cells if cell]
    assert found == [(found[0][0], 13), (found[0][0], 13), (found[0][0], 0)]
    assert sum(found[0]) <= 60


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    names = [f"experiment-with-learning-rate-and-a-long-name-{count:03}" for count in range(50)]
    shown = [row.split("  ")[0] for row in rows(digest([event("task.succeeded", name) for name in names]))]
    assert len(set(shown)) == 50
    assert shown[7].startswith("✔ experi")
    assert shown[7].endswith("-007")


def test_every_type_has_a_row_of_its_own() -> None:
    assert brief_types() == set(EVENT_TYPES)


# ── what it never does ──

HOSTILE = [
    "n" * 10_000,
    "이름" * 5_000,
    "👨‍👩‍👧" * 2_000,
    "e" + "\u0301" * 10_000,
    "🇰🇷" * 3_000,
    "\x1b[31m@everyone\r\n<!channel> <users/all>\u202e\u2066 <script>alert(1)</script>",
    "```\n# owned\n```",
    "{name} {0} %s",
    "\ud800",
    "",
]


def hostile(type_: str, text: str) -> Event:
    details = dict.fromkeys(("reason", "hint", "count", "percent", "seconds", "waited", "group", "kind"), text)
    subject = dict.fromkeys(("name", "model", "status", "progress", "labels", "createdDate", "statusInfo"), text)
    return replace(
        sample_event(type_, now=NOW),
        task=text if type_.startswith("task.") else None,
        account=None if type_.startswith(("channel.", "group.", "watcher.")) else text,
        channel=text if type_.startswith("channel.") else None,
        from_=text,
        to=text,
        failure=Failure(text, text, text, text),
        details={**details, "near": [text], "problems": [text], "missed": [text]},
        subject=subject,
    )


@pytest.mark.parametrize("language", READERS)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stay_in_their_cells_and_nothing_is_dropped(text: str, language: str) -> None:
    told = [hostile(type_, text) for type_ in [*EVENT_TYPES, *EVENT_TYPES]][:MOST_ROWS]
    message = digest(told, language)
    assert len(message.title) <= TITLE_LIMIT
    for shown in (message.table, message.body):
        assert len(shown.splitlines()) == len(told) + 1
        assert len(shown) <= ROOM
        for forbidden in ("\x1b", "\r", "\u202e", "\u2066", "@everyone", "<!channel>", "<users/all>", "\ud800"):
            assert forbidden not in shown


@pytest.mark.parametrize("language", READERS)
def test_the_longest_times_and_words_still_fit(language: str) -> None:
    """Fifty events of other days, each seen hours late, of several accounts, with the longest words there are."""
    late = Window(datetime(2026, 2, 1, 1, 2, tzinfo=UTC), datetime(2026, 2, 12, 3, 4, tzinfo=UTC))
    told = [
        event(type_, "a name of quite some length", task=f"task{count:04}", account=f"account-{count}", window=late)
        for count, type_ in enumerate(sorted(type_ for type_ in EVENT_TYPES if type_.startswith("task.")) * 3)
    ][:MOST_ROWS]
    message = digest(told, language)
    assert len(rows(message)) == len(told) == 50 or len(rows(message)) == len(told)
    assert max(len(message.table), len(message.body)) <= ROOM


def test_a_cell_is_never_cut_within_a_character() -> None:
    message = digest([event("task.succeeded", f"{count}" + "👨‍👩‍👧" * 60) for count in range(MOST_ROWS)])
    assert not any("\u200d…" in row or "…\u200d" in row for row in rows(message))


def test_what_is_too_much_is_counted() -> None:
    message = digest([event("task.started", f"t{count}") for count in range(57)])
    assert len(rows(message)) == MOST_ROWS
    assert message.table.splitlines()[-1] == "and 7 more · Times: KST"
    assert message.title == "● 57 changes: 57 started"
