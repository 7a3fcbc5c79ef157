"""What a channel takes when: digests, quiet hours, cards, silences, pace, over the real outbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.support.builders import draft, opened, prepare, settled, url
from watcher.models import (
    Accepted,
    Card,
    CardRef,
    Delivery,
    Digest,
    Event,
    Observation,
    Outcome,
    Refused,
    Retry,
    TaskKey,
    Unknown,
)
from watcher.notifier.decide import decide
from watcher.notifier.deliver import Lane
from watcher.state import outbox, schema
from watcher.state.cards import card_behind, save_card
from watcher.state.claim import Terms
from watcher.state.database import Database
from watcher.state.ledger import Ledger
from watcher.state.reader import Reader
from watcher.state.record import load_channel, record_drafts, record_observations
from watcher.state.retention import forget
from watcher.state.silences import add
from watcher.state.store import open_reader
from watcher.state.telling import append_events

WEEK = 7 * 86400.0
TEN = Terms(digest_after=10)
CARDS = Terms(cards=True)


def look(task: str, step: int = 1, *, number: int = 1, time: datetime | None = None) -> Observation:
    fields = {"status": "RUNNING", "name": "support-bot", "statusInfo.currStep": step}
    return Observation(TaskKey("main", task), number, time or datetime.now(tz=UTC), "get", fields)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    prepare(tmp_path)
    with opened(tmp_path) as store:
        yield store.database


@pytest.fixture
def reader(database: Database, tmp_path: Path) -> Iterator[Reader]:
    reader = open_reader(url(tmp_path))
    yield reader
    reader.close()


def soon(seconds: float = 1.0) -> datetime:
    return datetime.now(tz=UTC) + timedelta(seconds=seconds)


def tell(database: Database, *events: str, **more: Any) -> list[Event]:
    """Events such as `task.started a`, in this order."""
    subject = more.pop("subject", None)
    drafts = [draft(type_, task=task) for type_, task in (each.split() for each in events)]
    facts = settled(**more)
    if subject is None:
        return list(database.write_now(record_drafts, facts, drafts).events)
    return [database.write_now(append_events, [one], facts, {**subject, "id": one.task})[0] for one in drafts]


def started(database: Database, tasks: Sequence[str]) -> list[Event]:
    return tell(database, *(f"task.started {task}" for task in tasks))


def turn(
    database: Database, *finished: outbox.Finished, terms: Terms = TEN, room: int = 1, now: datetime | None = None,
    uptime: float = 0.0,
) -> outbox.Turn:  # fmt: skip
    facts = settled(uptime=uptime)
    return database.write_now(outbox.turn, facts, "team", finished, room, now or soon(), WEEK, terms)[0]


def ended(sending: Delivery | Digest, outcome: Outcome, *, card: Card | None = None) -> list[outbox.Finished]:
    members = sending.members if isinstance(sending, Digest) else (sending,)
    digest = sending.id if isinstance(sending, Digest) else None
    return [
        outbox.Finished(
            each,
            decide(outcome, attempts=each.attempts, age=0.0, give_up_after=WEEK, chance=0.0),
            datetime.now(tz=UTC),
            card,
            digest,
        )
        for each in members
    ]


def states(reader: Reader) -> list[str]:
    return [delivery.state for delivery in reader.deliveries()]


def tasks_of(digest: Digest) -> list[str | None]:
    return [member.event.task for member in digest.members]


# ── digests: RULE 18 ──


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


def test_null_means_no_digests(database: Database) -> None:
    started(database, [f"t{number}" for number in range(40)])
    assert turn(database, terms=Terms(digest_after=None)).digests == ()


def test_a_redelivery_goes_out_alone(database: Database, reader: Reader) -> None:
    started(database, [f"t{number}" for number in range(11)])
    (digest,) = turn(database).digests
    turn(database, *ended(digest, Accepted()), room=0)
    database.write_now(outbox.redeliver, [member.id for member in digest.members], soon())
    assert turn(database).digests == ()


# ── quiet hours ──


def quiet(seconds: float = 3600.0) -> Terms:
    return Terms(quiet_until=soon(seconds))


def test_what_comes_in_quiet_hours_is_held_until_they_end(database: Database, reader: Reader) -> None:
    started(database, ["a"])
    hours = quiet()
    taken = turn(database, terms=hours)
    assert (taken.claimed, states(reader)) == ((), ["held"])
    assert taken.next_at is not None
    assert abs((taken.next_at - soon(3600)).total_seconds()) < 10
    (woken,) = turn(database, now=soon(3601)).claimed
    assert woken.event.task == "a"


def test_an_urgent_failure_comes_in_quiet_hours_and_passes_what_is_held(database: Database, reader: Reader) -> None:
    urgent = {"urgent": lambda event, _channel, _because: event.severity == "failure"}
    tell(database, "task.started a", "task.failed a", "task.failed b", **urgent)
    taken = turn(database, terms=quiet(), room=8)
    assert [(each.event.task, each.event.type) for each in taken.claimed] == [
        ("a", "task.failed"),
        ("b", "task.failed"),
    ]
    assert sorted(states(reader)) == ["held", "sending", "sending"]


def test_time_in_which_it_was_held_doesnt_count_towards_giving_up(database: Database, reader: Reader) -> None:
    started(database, ["a"])
    turn(database, terms=quiet(), uptime=100.0)
    (woken,) = turn(database, now=soon(3601), uptime=100.0 + WEEK).claimed
    assert woken.born == WEEK


def test_a_try_that_failed_before_quiet_hours_is_held_too_and_keeps_its_count(database: Database) -> None:
    started(database, ["a"])
    (first,) = turn(database).claimed
    turn(database, *ended(first, Retry("503")), terms=quiet(), now=soon(600))
    (again,) = turn(database, now=soon(7200)).claimed
    assert (again.id, again.attempts) == (first.id, 2)


def test_a_restart_holds_it_again_or_lets_it_go_as_the_configuration_says(database: Database, reader: Reader) -> None:
    started(database, ["a"])
    turn(database, terms=quiet())
    database.write_now(outbox.take_over, settled(), ["team"], soon())
    assert states(reader) == ["waiting"]
    turn(database, terms=quiet())
    assert states(reader) == ["held"]


def test_what_a_removed_channel_held_is_parked_and_comes_when_the_name_returns(
    database: Database, reader: Reader
) -> None:
    started(database, ["a"])
    turn(database, terms=quiet())
    database.write_now(outbox.park_and_return, settled(uptime=50.0), ["other"], soon())
    assert states(reader) == ["parked"]
    database.write_now(outbox.park_and_return, settled(uptime=90.0), ["team"], soon())
    (back,) = turn(database, uptime=90.0).claimed
    assert back.born == 90.0  # no time has counted yet


def test_a_digest_that_quiet_hours_tear_apart_is_none_any_more(database: Database) -> None:
    urgent = {"urgent": lambda event, _channel, _because: event.severity == "failure"}
    tell(database, "task.failed a", "task.failed b", *(f"task.started t{number}" for number in range(12)), **urgent)
    (digest,) = turn(database).digests
    hours = Terms(digest_after=1, quiet_until=soon(3600))
    (failures,) = turn(database, *ended(digest, Retry("503")), terms=hours, now=soon(60)).digests
    assert tasks_of(failures) == ["a", "b"]
    (later,) = turn(database, *ended(failures, Accepted()), now=soon(7200)).digests
    assert len(later.members) == 12
    assert len({digest.id, failures.id, later.id}) == 3


# ── cards: RULE 19 ──


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


# ── pauses, pace ──


class Chat:
    """A chat that takes everything, and keeps when it came."""

    name, kind, parallel = "team", "chat", 1

    def __init__(self, spacing: float = 0.0, outcome: Outcome | None = None) -> None:
        self.spacing = spacing
        self.outcome = outcome or Accepted()
        self.sent: list[tuple[float, Delivery | Digest]] = []

    async def send(self, delivery: Delivery) -> Outcome:
        self.sent.append((time.monotonic(), delivery))
        return self.outcome

    async def send_digest(self, digest: Digest) -> Outcome:
        self.sent.append((time.monotonic(), digest))
        return self.outcome

    async def probe(self) -> None: ...

    async def aclose(self) -> None: ...


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - polls a condition of another thread's
            await asyncio.sleep(0.01)


def lane_to(chat: Chat, database: Database, **more: Any) -> Lane:
    return Lane(chat, Ledger(database, settled), give_up_after=WEEK, **more)


@pytest.mark.anyio
async def test_a_lane_keeps_the_pace_of_its_channel(database: Database, reader: Reader) -> None:
    started(database, ["a", "b", "c", "d"])
    chat = Chat(spacing=0.2)
    lane = lane_to(chat, database)
    running = asyncio.create_task(lane.run())
    await until(lambda: len(chat.sent) == 4)
    await until(lambda: set(states(reader)) == {"delivered"})
    gaps = [after - before for (before, _), (after, _) in zip(chat.sent, chat.sent[1:], strict=False)]
    assert min(gaps) >= 0.19
    await lane.stop(1.0)
    await running


@pytest.mark.anyio
async def test_a_backlog_drains_in_few_messages_each_told_once(database: Database, reader: Reader) -> None:
    started(database, [f"t{number:03}" for number in range(500)])
    chat = Chat()
    lane = lane_to(chat, database, digest_after=10)
    running = asyncio.create_task(lane.run())
    await until(lambda: set(states(reader)) == {"delivered"}, 30)
    told = [each.event.task for _, s in chat.sent for each in (s.members if isinstance(s, Digest) else (s,))]
    assert sorted(told) == [f"t{number:03}" for number in range(500)]
    assert len(chat.sent) == 10
    await lane.stop(1.0)
    await running


@pytest.mark.anyio
async def test_webhooks_get_no_digests(database: Database, reader: Reader) -> None:
    started(database, [f"t{number}" for number in range(20)])
    hook = Chat()
    hook.kind = "webhook"
    lane = lane_to(hook, database, digest_after=10)
    running = asyncio.create_task(lane.run())
    await until(lambda: set(states(reader)) == {"delivered"})
    assert len(hook.sent) == 20
    await lane.stop(1.0)
    await running


@pytest.mark.anyio
async def test_a_channel_that_asked_to_stay_away_is_believed_over_a_restart(database: Database, reader: Reader) -> None:
    started(database, ["a"])
    chat = Chat(outcome=Retry("429", 600))
    lane = lane_to(chat, database)
    running = asyncio.create_task(lane.run())
    await until(lambda: reader.channels() and reader.channels()[0].paused_until)
    await lane.stop(1.0)
    await running
    started(database, ["b"])
    chat = Chat()
    lane = lane_to(chat, database)
    running = asyncio.create_task(lane.run())
    await until(lambda: lane.failures == 1)
    await database.write(lambda _tx: None)
    assert chat.sent == []
    await lane.stop(1.0)
    await running


def test_the_first_good_answer_ends_the_pause(database: Database) -> None:
    started(database, ["a"])
    (first,) = turn(database).claimed
    (again,) = turn(database, *ended(first, Retry("429", 600)), now=soon(601)).claimed
    assert database.write_now(load_channel, "team").paused_until is not None
    turn(database, *ended(again, Accepted()), room=0)
    assert database.write_now(load_channel, "team").paused_until is None
