"""What a channel takes when several things are due: one by one, or a digest (RULE 18), over the real outbox."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event

from tests.support.builders import settled
from tests.support.claiming import TEN, WEEK, ended, soon, started, states, tasks_of, tell, turn
from watcher.models import (
    Accepted,
    Refused,
    Retry,
    Unknown,
)
from watcher.notifier.decide import decide
from watcher.state import outbox
from watcher.state.claim import Terms
from watcher.state.database import Database
from watcher.state.reader import Reader


def test_up_to_digest_after_each_goes_out_alone(database: Database) -> None:
    started(database, [f"t{number}" for number in range(10)])
    taken = turn(database)
    assert (len(taken.claimed), taken.digests) == (1, ())


def test_more_than_digest_after_become_one_message(database: Database, reader: Reader) -> None:
    names = [f"t{number}" for number in range(11)]
    started(database, names)
    (digest,) = turn(database).digests
    assert tasks_of(digest) == names
    assert set(states(reader)) == {"sending"}


def test_a_digest_holds_fifty_at_most_and_those_that_have_ended_first_each_task_in_order(database: Database) -> None:
    started(database, [f"t{number:02}" for number in range(60)])
    tell(database, "task.failed t58", "task.succeeded t59")
    (digest,) = turn(database).digests
    told = [(member.event.task, member.event.type) for member in digest.members]
    assert len(told) == 50
    assert told[0] == ("t00", "task.started")  # members are in the order of events; the words put endings first
    assert [each for each in told if each[0] in ("t58", "t59")] == [
        ("t58", "task.started"),
        ("t59", "task.started"),
        ("t58", "task.failed"),
        ("t59", "task.succeeded"),
    ]


def test_a_retry_sends_the_same_members_under_the_same_id(database: Database) -> None:
    started(database, [f"t{number}" for number in range(11)])
    (digest,) = turn(database).digests
    started(database, ["later"])
    for outcome in (Retry("HTTP 503"), Unknown("no answer")):
        (again,) = turn(database, *ended(digest, outcome), room=8, now=soon(60)).digests
        assert (again.id, [m.id for m in again.members]) == (digest.id, [m.id for m in digest.members])
        digest = again
    assert {member.attempts for member in digest.members} == {3}


def test_a_digest_that_was_being_sent_when_the_process_died_goes_out_again_as_it_was(database: Database) -> None:
    started(database, [f"t{number}" for number in range(11)])
    (digest,) = turn(database).digests
    database.write_now(outbox.take_over, settled(), ["team"], soon())
    (again,) = turn(database, now=soon(60)).digests
    assert (again.id, tasks_of(again)) == (digest.id, tasks_of(digest))


def test_after_two_deaths_in_a_digest_each_member_is_told_alone_in_its_own_words(database: Database) -> None:
    started(database, [f"t{number:02}" for number in range(11)])
    for _ in range(2):
        assert len(turn(database, now=soon(60)).digests) == 1
        database.write_now(outbox.take_over, settled(), ["team"], soon())
    assert turn(database).claimed == ()  # until the process has lived for a while
    taken = turn(database, room=50, now=soon(60))
    assert (len(taken.claimed), taken.digests) == (11, ())
    assert {each.plain for each in taken.claimed} == {False}


def test_who_ends_the_process_alone_too_is_suspected_and_the_others_are_not(database: Database) -> None:
    started(database, [f"t{number:02}" for number in range(11)])
    for _ in range(2):
        turn(database, now=soon(60))
        database.write_now(outbox.take_over, settled(), ["team"], soon())
    (culprit,) = turn(database, now=soon(60)).claimed
    database.write_now(outbox.take_over, settled(), ["team"], soon())
    told = {each.id: each.plain for each in turn(database, room=50, now=soon(120)).claimed}
    assert [id_ for id_, plain in told.items() if plain] == [culprit.id]


def test_a_refused_digest_is_sent_singly_and_nothing_is_told_as_given_up(database: Database, reader: Reader) -> None:
    started(database, [f"t{number}" for number in range(12)])
    (digest,) = turn(database).digests
    taken = turn(database, *ended(digest, Refused("msg_too_long")), now=soon(60))
    sent = []
    while taken.claimed:
        assert taken.digests == ()
        sent += taken.claimed
        taken = turn(database, *ended(taken.claimed[0], Accepted()), now=soon(60))
    assert [each.event.task for each in sent] == tasks_of(digest)
    assert set(states(reader)) == {"delivered"}
    assert reader.events()[-1].type == "task.started"


def test_a_digest_waits_behind_what_is_tried_again_of_its_task_but_others_dont(database: Database) -> None:
    started(database, ["slow"])
    (alone,) = turn(database).claimed
    retried = outbox.Finished(
        alone, decide(Retry("429", 600), attempts=1, age=0.0, give_up_after=WEEK, chance=1.0), datetime.now(tz=UTC)
    )
    started(database, ["slow", *(f"t{number}" for number in range(12))])
    (digest,) = turn(database, retried, now=soon(2)).digests
    assert tasks_of(digest) == [f"t{number}" for number in range(12)]


def test_what_came_later_waits_for_a_digest_that_is_tried_again(database: Database) -> None:
    started(database, [f"t{number:02}" for number in range(12)])
    (digest,) = turn(database).digests
    started(database, [f"later{number:02}" for number in range(12)])
    waiting = turn(database, *ended(digest, Retry("503", 60)), now=soon(2))
    assert (waiting.claimed, waiting.digests) == ((), ())
    assert waiting.next_at is not None
    (again,) = turn(database, now=waiting.next_at).digests
    (then,) = turn(database, *ended(again, Accepted()), now=soon(120)).digests
    assert (again.id, tasks_of(then)) == (digest.id, [f"later{number:02}" for number in range(12)])


def test_null_means_no_digests(database: Database) -> None:
    started(database, [f"t{number}" for number in range(40)])
    assert turn(database, terms=Terms(digest_after=None)).digests == ()


def test_a_redelivery_goes_out_alone(database: Database, reader: Reader) -> None:
    started(database, [f"t{number}" for number in range(11)])
    (digest,) = turn(database).digests
    turn(database, *ended(digest, Accepted()), room=0)
    database.write_now(outbox.redeliver, [member.id for member in digest.members], soon())
    assert turn(database).digests == ()


# ── what each turn costs ──


@pytest.mark.parametrize(
    "terms",
    [Terms(), TEN, Terms(cards=True, released=True), Terms(quiet_until=datetime(2100, 1, 1, tzinfo=UTC))],
    ids=["one by one", "digests", "cards", "quiet hours"],
)
def test_no_turn_reads_through_all_that_was_ever_delivered(database: Database, terms: Terms) -> None:
    started(database, [f"t{number}" for number in range(12)])
    read: list[tuple[str, Any]] = []
    engine = database.write_now(lambda tx: tx.engine)

    @event.listens_for(engine, "before_cursor_execute")
    def _keep(_c: object, _cursor: object, statement: str, values: Any, _x: object, many: bool) -> None:
        read.append((statement, values[0] if many else values))

    taken = turn(database, terms=terms)
    sent = [one for each in (*taken.claimed, *taken.digests) for one in ended(each, Accepted())]
    turn(database, *sent, terms=terms)
    event.remove(engine, "before_cursor_execute", _keep)
    plans = {step for asked in read if _reads(asked[0]) for step in _plan(database, *asked)}
    assert {step for step in plans if step.startswith("SEARCH deliveries")}
    assert {step for step in plans if step.startswith(("SCAN deliveries", "SCAN other", "SCAN later"))} == set()


def _reads(statement: str) -> bool:
    return statement.startswith(("SELECT", "UPDATE", "DELETE"))


def _plan(database: Database, statement: str, values: Any) -> list[str]:
    """How SQLite goes about it, step by step."""
    return database.write_now(
        lambda tx: [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    )
