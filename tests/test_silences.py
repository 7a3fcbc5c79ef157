"""Silences over a real store, and which events they cover."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as listen

from tests.support.builders import NOON, at, event
from watcher.errors import UsageError
from watcher.events import EVENT_TYPES
from watcher.models import Event
from watcher.state import silences
from watcher.state.database import Database
from watcher.state.silences import FOLLOWS_FROM_REJECTED, Silence, inhibited, silenced_by

HOUR = timedelta(hours=1)


def add(database: Database, *, seconds: float = 3600, **what: Any) -> Silence:
    return database.write_now(silences.add, now=NOON, ends=at(seconds), **what)


def silence(**what: Any) -> Silence:
    values = {"account": None, "task": None, "label": None, "value": None, "reason": "", **what}
    return Silence(id="1", made=NOON, ends=NOON + HOUR, **values)


def about_task(type_: str = "task.failed", *, account: str = "main", task: str = "a", **labels: str) -> Event:
    return event(type_, account=account, task=task, subject={"id": task, "labels": labels})


def test_a_silence_is_stored_as_it_was_made(database: Database) -> None:
    made = add(database, account="main", task="a", reason="moving the data")
    expected = Silence("1", "main", "a", None, None, NOON, NOON + HOUR, "moving the data")
    assert made == expected
    assert database.write_now(silences.active, NOON) == (expected,)


def test_active_are_those_that_havent_ended_oldest_first(database: Database) -> None:
    long, short = add(database, task="a"), add(database, seconds=60, label="team", value="nlp")
    assert database.write_now(silences.active, at(59)) == (long, short)
    assert database.write_now(silences.active, at(60)) == (long,)
    assert database.write_now(silences.active, at(3600)) == ()


def test_asking_what_is_active_is_one_query(database: Database) -> None:
    add(database, task="a")
    asked: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    listen.listen(database._engine, "before_cursor_execute", note)
    database.write_now(silences.active, NOON)
    assert [each for each in asked if "silences" in each and not each.startswith("BEGIN")] == asked[-1:]


def test_a_silence_ends_early_once(database: Database) -> None:
    one, two = add(database, task="a"), add(database, task="b")
    assert database.write_now(silences.end, [two.id, two.id], at(60)) == [two]
    assert database.write_now(silences.active, at(60)) == (one,)
    with pytest.raises(UsageError, match=r"silence 2 \(b\) is over already") as caught:
        database.write_now(silences.end, ["2"], at(60))
    assert caught.value.hint == "watcher silences lists the others"


@pytest.mark.parametrize("wrong", ["3", "a", "", "-1", "1.0", "²", "9" * 30, "1 "])
def test_ids_that_arent_there_end_nothing(database: Database, wrong: str) -> None:
    made = add(database, task="a")
    with pytest.raises(UsageError, match="there is no silence") as caught:
        database.write_now(silences.end, [made.id, wrong], at(60))
    assert caught.value.hint == "see the ids with: watcher silences"
    assert database.write_now(silences.active, at(60)) == (made,)


@pytest.mark.parametrize(
    ("held", "told", "covered"),
    [
        # a task, in one account or in any
        (silence(account="main", task="a"), about_task(), True),
        (silence(account="lab", task="a"), about_task(), False),
        (silence(account="main", task="b"), about_task(), False),
        (silence(task="a"), about_task(account="lab"), True),
        # every type of event about it
        *((silence(task="a"), about_task(name), True) for name in EVENT_TYPES if name.startswith("task.")),
        # a label: the whole value, as it is written
        (silence(label="team", value="nlp"), about_task(team="nlp"), True),
        (silence(label="team", value="nlp"), about_task(team="nlp2"), False),
        (silence(label="team", value="nlp"), about_task(team="NLP"), False),
        (silence(label="team", value="nlp"), about_task(owner="nlp"), False),
        (silence(label="team", value="n*"), about_task(team="nlp"), False),
        (silence(label="team", value="nlp"), about_task(), False),
        # what is about no task is never silenced
        (silence(task="a"), event("account.rejected", account="a"), False),
        (silence(label="team", value="nlp"), event("watcher.gap", subject={"labels": {"team": "nlp"}}), False),
        (silence(task="a"), event("channel.failing", channel="a"), False),
        # subjects that aren't as they should be
        (silence(label="team", value="nlp"), event("task.gone", task="a", subject=None), False),
        (silence(label="team", value="nlp"), event("task.gone", task="a", subject={"labels": 3}), False),
    ],
)  # fmt: skip
def test_which_events_a_silence_covers(held: Silence, told: Event, covered: bool) -> None:
    assert silenced_by(told, [silence(task="other"), held]) == (held if covered else None)


def test_nothing_silences_nothing() -> None:
    assert silenced_by(about_task(), ()) is None


def test_the_first_of_several_silences_is_the_reason() -> None:
    first, second = silence(task="a"), silence(label="team", value="nlp")
    assert silenced_by(about_task(team="nlp"), [first, second]) is first


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_what_merely_follows_from_a_refused_key_is_inhibited(name: str) -> None:
    follows = name in {"account.unreachable", "task.stalled", "task.queued_long", "task.gone", "task.unknown"}
    reason = inhibited(event(name, account="main"), {"main"})
    assert reason == ("the key of account main is refused" if follows else "")
    assert inhibited(event(name, account="lab"), {"main"}) == ""
    assert inhibited(event(name, account="main"), ()) == ""
    assert set(EVENT_TYPES) >= FOLLOWS_FROM_REJECTED


def test_a_silence_says_what_it_is_about_as_it_is_written() -> None:
    held = [silence(task="a"), silence(account="main", task="a"), silence(label="team", value="n l=p")]
    assert [each.about for each in held] == ["a", "main/a", "team=n l=p"]
