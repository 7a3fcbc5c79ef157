"""What living messages need of the outbox (RULE 19): which edits go out, and which cards are behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from tests.support.builders import settled
from tests.support.claiming import CARDS, ended, look, soon, states, tell, turn
from watcher.models import (
    Accepted,
    Card,
    CardRef,
    Event,
    Retry,
)
from watcher.state import schema
from watcher.state.cards import card_behind, save_card
from watcher.state.claim import Terms
from watcher.state.database import Database
from watcher.state.reader import Reader
from watcher.state.record import record_observations
from watcher.state.retention import forget
from watcher.state.silences import add


def on_cards(database: Database, *events: str, **more: Any) -> list[Event]:
    return tell(database, *events, keeps_cards={"team"}, subject={"status": "RUNNING", "name": "x"}, **more)


def test_of_the_rows_that_only_edit_a_card_the_newest_goes_out(database: Database, reader: Reader) -> None:
    on_cards(database, "task.started a", "task.progress a", "task.progress a", "task.started b")
    taken = turn(database, terms=CARDS, room=8)
    assert [(each.event.task, each.event.type, each.silent) for each in taken.claimed] == [
        ("a", "task.progress", True),
        ("b", "task.started", True),
    ]
    assert states(reader) == ["superseded", "superseded", "sending", "sending"]
    assert [each.card.subject for each in taken.claimed if each.card] == ["task main/a", "task main/b"]


def test_ends_and_trouble_are_never_superseded(database: Database, reader: Reader) -> None:
    on_cards(database, "task.started a", "task.failed a", "task.reopened a", "task.succeeded a", "task.progress a")
    sent = []
    taken = turn(database, terms=CARDS)
    while taken.claimed:
        sent += [each.event.type for each in taken.claimed]
        taken = turn(database, *ended(taken.claimed[0], Accepted()), terms=CARDS)
    assert sent == ["task.failed", "task.reopened", "task.succeeded", "task.progress"]
    assert states(reader) == ["superseded", *["delivered"] * 4]


def test_the_tasks_of_a_group_share_its_card(database: Database) -> None:
    group = {"group": lambda _key, _fields: "sweep"}
    on_cards(database, "task.started a", "task.started b", "task.failed c", **group)
    taken = turn(database, terms=CARDS, room=8)
    assert [(each.event.task, each.card and each.card.subject) for each in taken.claimed] == [("c", "group sweep")]


def test_a_card_is_remembered_with_what_it_shows(database: Database) -> None:
    database.write_now(record_observations, settled(()), [look("a")])
    on_cards(database, "task.progress a")
    (first,) = (each for each in turn(database, terms=CARDS, room=8).claimed if each.event.type == "task.progress")
    assert first.card is not None
    assert first.card.ref is None
    assert [task.subject["name"] for task in first.card.tasks] == ["support-bot"]
    posted = replace(first.card, ref=CardRef("C1", "1700.1"), shown="digest")
    on_cards(database, "task.failed a")
    (second,) = turn(database, *ended(first, Accepted(card=posted), card=posted), terms=CARDS, room=8).claimed
    assert second.card is not None
    assert (second.card.ref, second.card.shown) == (CardRef("C1", "1700.1"), "digest")


def test_a_card_that_a_retry_has_posted_isnt_posted_again(database: Database) -> None:
    on_cards(database, "task.failed a")
    (first,) = turn(database, terms=CARDS).claimed
    posted = Card("task main/a", (), CardRef("C1", "1700.1"), "x")
    (again,) = turn(database, *ended(first, Retry("ratelimited"), card=posted), terms=CARDS, now=soon(60)).claimed
    assert again.card is not None
    assert again.card.ref == posted.ref


def behind(database: Database, seconds: float = 60.0) -> str | None:
    card = database.write_now(card_behind, settled(), "team", soon(seconds), 30.0)
    return card.subject if card else None


def test_a_card_is_behind_when_its_task_has_changed_since_and_not_edited_too_often(database: Database) -> None:
    database.write_now(record_observations, settled(()), [look("a")])
    on_cards(database, "task.progress a")
    (first,) = (each for each in turn(database, terms=CARDS, room=8).claimed if each.card)
    assert first.card is not None
    posted = replace(first.card, ref=CardRef("C1", "1700.1"), shown="x")
    turn(database, *ended(first, Accepted(), card=posted), terms=CARDS, room=0)
    assert behind(database) is None
    moved = look("a", 2, number=9, time=soon(40))
    database.write_now(record_observations, settled(()), [moved])
    assert behind(database, 10) is None
    assert behind(database) == "task main/a"


def test_a_card_is_behind_when_a_look_that_began_before_its_edit_is_written_down_after_it(database: Database) -> None:
    database.write_now(record_observations, settled(()), [look("a")])
    on_cards(database, "task.progress a")
    (first,) = turn(database, terms=CARDS, room=8).claimed
    assert first.card is not None
    overlapping = look("a", 2, number=9, time=datetime.now(tz=UTC))
    posted = replace(first.card, ref=CardRef("C1", "1700.1"), shown="x")
    turn(database, *ended(first, Accepted(), card=posted), terms=CARDS, room=0)
    database.write_now(record_observations, settled(()), [overlapping])
    assert behind(database) == "task main/a"


def test_a_card_whose_event_went_out_in_a_digest_is_behind_even_before_it_was_posted(database: Database) -> None:
    database.write_now(record_observations, settled(()), [look("a")])
    on_cards(database, *("task.failed a task.failed b task.failed c".replace(" task", "|task").split("|")))
    (digest,) = turn(database, terms=Terms(digest_after=2, cards=True)).digests
    turn(database, *ended(digest, Accepted()), terms=CARDS, room=0)
    assert behind(database) == "task main/a"


def test_old_cards_and_silences_are_forgotten_and_the_others_kept(database: Database) -> None:
    now = datetime.now(tz=UTC)
    for days in (1, 401):
        then = now - timedelta(days=days)
        database.write_now(save_card, "team", Card(f"task main/t{days}", (), CardRef("C1", str(days))), then)
        database.write_now(lambda tx, then=then: add(tx, now=then, ends=then, task="a") and None)
    database.write_now(forget, now, history=86400.0, events=400 * 86400.0)
    kept = database.write_now(lambda tx: [tx.execute(select(t)).all() for t in (schema.cards, schema.silences)])
    assert [len(rows) for rows in kept] == [1, 1]
    assert kept[0][0].subject == "task main/t1"
