"""The outbox: what may be sent now, what became of it, and what a crash, a restart or a long failure does to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from tests.support.builders import at, draft, event, settled, url
from watcher.errors import UsageError
from watcher.models import Accepted, Delivery, Event, Outcome, Refused, Retry, TaskKey, Unknown
from watcher.notifier.decide import decide
from watcher.notifier.deliver import Lane
from watcher.state import outbox, schema
from watcher.state.budget import save_alive
from watcher.state.database import Database
from watcher.state.ledger import Ledger
from watcher.state.reader import Reader
from watcher.state.record import record_drafts
from watcher.state.retention import forget
from watcher.state.store import open_beside

WEEK = 7 * 86400.0


def soon() -> datetime:
    """A moment at which everything that was just written is due."""
    return datetime.now(tz=UTC) + timedelta(seconds=1)


def tell(
    database: Database,
    *tasks: str,
    hearers: Sequence[str] = ("team",),
    uptime: float = 0.0,
    type_: str = "task.started",
) -> list[Event]:
    """One event for each of these tasks, in this order."""
    drafts = [draft(type_, task=task) for task in tasks]
    return list(database.write_now(record_drafts, settled(hearers, uptime=uptime), drafts).events)


def turn(
    database: Database,
    *finished: outbox.Finished,
    room: int = 8,
    now: datetime | None = None,
    uptime: float = 0.0,
    channel: str = "team",
    hearers: Sequence[str] = ("team",),
) -> list[Delivery]:
    result, _ = database.write_now(
        outbox.turn, settled(hearers, uptime=uptime), channel, finished, room, now or soon(), WEEK
    )
    return list(result.claimed)


def ended(
    delivery: Delivery, outcome: Outcome, *, uptime: float = 0.0, when: datetime | None = None
) -> outbox.Finished:
    age = uptime - delivery.born
    decision = decide(outcome, attempts=delivery.attempts, age=age, give_up_after=WEEK, chance=1.0)
    return outbox.Finished(delivery, decision, when or datetime.now(tz=UTC))


def take_over(database: Database, *channels: str, uptime: float = 0.0, now: datetime | None = None) -> list[str]:
    hearers = settled(channels, uptime=uptime)
    recorded = database.write_now(outbox.take_over, hearers, channels or ("team",), now or soon())
    return [event.type for event in recorded.events]


def states(reader: Reader, channel: str | None = None) -> list[str]:
    return [delivery.state for delivery in reader.deliveries(channels=[channel] if channel else [])]


def tasks(deliveries: Sequence[Delivery]) -> list[str | None]:
    return [delivery.event.task for delivery in deliveries]


# ── claims ──


def test_a_claim_is_committed_as_an_attempt_before_anything_is_sent(database: Database, reader: Reader) -> None:
    (started,) = tell(database, "a")
    (claimed,) = turn(database)
    (((delivery, _, attempts),),) = [t.deliveries for t in reader.trail(_key(started))]
    assert (delivery.id, delivery.state, delivery.attempts) == (claimed.id, "sending", 1)
    assert [(a.number, a.ended, a.result) for a in attempts] == [(1, None, None)]


def test_only_the_head_of_each_queue_is_claimed_in_the_order_of_events(database: Database) -> None:
    events = tell(database, "a", "a", "b", "a", "b")
    assert [d.event.id for d in turn(database)] == [events[0].id, events[2].id]
    assert turn(database) == []


def test_what_is_being_sent_isnt_claimed_twice(database: Database) -> None:
    tell(database, "a", "b")
    assert tasks(turn(database, room=1)) == ["a"]
    assert tasks(turn(database, room=1)) == ["b"]
    assert turn(database) == []


def test_no_more_is_claimed_than_there_is_room_for(database: Database) -> None:
    tell(database, *"abcdefghijkl")
    assert len(turn(database, room=0)) == 0
    assert len(turn(database, room=8)) == 8
    assert len(turn(database, room=8)) == 4


def test_the_next_of_a_queue_goes_out_when_the_one_before_was_accepted(database: Database) -> None:
    tell(database, "a", "a")
    (first,) = turn(database)
    (second,) = turn(database, ended(first, Accepted()))
    assert int(second.event.id) > int(first.event.id)


def test_a_refused_delivery_doesnt_block_the_next(database: Database, reader: Reader) -> None:
    tell(database, "a", "a")
    (first,) = turn(database)
    assert len(turn(database, ended(first, Refused("413")))) == 1
    assert states(reader) == ["refused", "sending"]


@pytest.mark.parametrize("outcome", [Retry("503"), Unknown("no answer"), Retry("429", 3600)])
def test_a_waiting_delivery_blocks_the_next_of_its_task_and_no_other(database: Database, outcome: Outcome) -> None:
    tell(database, "a", "a", "b")
    first, b = turn(database)
    assert tasks([first, b]) == ["a", "b"]
    now = datetime.now(tz=UTC)
    assert turn(database, ended(first, outcome, when=now), ended(b, Accepted()), now=now) == []


def test_channels_dont_wait_for_each_other(database: Database) -> None:
    tell(database, "a", "a", hearers=("team", "mail"))
    assert len(turn(database, channel="team")) == 1
    (mail,) = turn(database, channel="mail")
    assert len(turn(database, ended(mail, Accepted()), channel="mail")) == 1


def test_equal_task_ids_of_two_accounts_are_two_queues(database: Database) -> None:
    drafts = [draft(account=account) for account in ("main", "other")]
    database.write_now(record_drafts, settled(), drafts)
    assert {d.event.account for d in turn(database)} == {"main", "other"}


def test_nothing_is_claimed_before_it_is_due(database: Database) -> None:
    tell(database, "a")
    (first,) = turn(database)
    later = datetime.now(tz=UTC) + timedelta(seconds=100)
    assert turn(database, ended(first, Retry("429", 60), when=later), now=later + timedelta(seconds=59)) == []
    (again,) = turn(database, now=later + timedelta(seconds=60))
    assert (again.id, again.attempts) == (first.id, 2)


def test_the_lane_learns_when_the_next_try_is_due(database: Database) -> None:
    tell(database, "a")
    (first,) = turn(database)
    now = datetime.now(tz=UTC).replace(microsecond=0)
    finished = [ended(first, Retry("429", 60), when=now)]
    result, _ = database.write_now(outbox.turn, settled(), "team", finished, 8, now, WEEK)
    assert result.next_at == now + timedelta(seconds=60)


def test_two_lanes_that_claim_at_the_same_time_never_get_the_same_or_the_second_of_a_queue(
    database: Database, tmp_path: Path
) -> None:
    tell(database, *[f"t{n % 10}" for n in range(40)])
    beside, claims = open_beside(url(tmp_path)), list[list[Delivery]]()

    def claim(store: Database) -> None:
        for _ in range(10):
            claims.append(turn(store, room=1))

    threads = [threading.Thread(target=claim, args=(store,)) for store in (database, beside)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    beside.close()
    claimed = [delivery for each in claims for delivery in each]
    assert sorted(tasks(claimed), key=str) == [f"t{n}" for n in range(10)]
    assert len({delivery.id for delivery in claimed}) == 10


# ── what became of it ──


@pytest.mark.parametrize(
    ("outcome", "state", "result"),
    [
        (Accepted("200"), "delivered", "accepted"),
        (Refused("413"), "refused", "refused"),
        (Retry("503"), "waiting", "retry"),
        (Unknown("cut off"), "waiting", "unknown"),
    ],
)
def test_an_outcome_ends_the_attempt_and_decides_the_delivery(
    database: Database, reader: Reader, outcome: Outcome, state: str, result: str
) -> None:
    (started,) = tell(database, "a")
    (claimed,) = turn(database)
    turn(database, ended(claimed, outcome), room=0)
    (((delivery, _, attempts),),) = [t.deliveries for t in reader.trail(_key(started))]
    assert (delivery.state, [a.result for a in attempts]) == (state, [result])
    assert attempts[0].ended is not None


def _key(of: Event) -> TaskKey:
    return TaskKey(of.account or "", of.task or "")


def test_a_delivery_keeps_its_id_over_many_tries(database: Database) -> None:
    tell(database, "a")
    (delivery,) = turn(database)
    for tries in range(2, 6):
        turn(database, ended(delivery, Retry("503")), room=0)
        (again,) = turn(database, now=datetime.now(tz=UTC) + timedelta(hours=1))
        assert (again.id, again.attempts) == (delivery.id, tries)
        delivery = again


def test_failing_recovering_and_giving_up_are_told_to_the_other_channels_only(
    database: Database, reader: Reader
) -> None:
    tell(database, "a")
    both = ("team", "mail")
    (delivery,) = turn(database, hearers=both)
    for uptime in (0.0, 30.0, 60.0):
        turn(database, ended(delivery, Retry("503")), room=0, uptime=uptime, hearers=both)
        (delivery,) = turn(database, now=datetime.now(tz=UTC) + timedelta(hours=1), uptime=uptime, hearers=both)
    turn(database, ended(delivery, Refused("410")), room=0, uptime=90.0, hearers=both)
    told = [(d.event.type, d.event.channel, d.channel) for d in reader.deliveries() if d.event.channel]
    assert told == [
        ("channel.failing", "team", "mail"),
        ("channel.recovered", "team", "mail"),
        ("channel.gave_up", "team", "mail"),
    ]


# ── expiry counts running time ──


def test_a_delivery_expires_when_a_try_fails_after_a_week_of_running(database: Database, reader: Reader) -> None:
    tell(database, "a", uptime=100.0)
    (delivery,) = turn(database, uptime=100.0)
    turn(database, ended(delivery, Retry("503"), uptime=99 + WEEK), room=0, uptime=99 + WEEK)
    assert states(reader) == ["waiting"]
    (delivery,) = turn(database, now=datetime.now(tz=UTC) + timedelta(hours=1))
    turn(database, ended(delivery, Retry("503"), uptime=100 + WEEK), room=0, uptime=100 + WEEK)
    assert [(d.state, d.reason, d.next_at) for d in reader.deliveries()] == [("expired", "given up: 503", None)]


def test_years_of_wall_time_expire_nothing(database: Database, reader: Reader) -> None:
    tell(database, "a")
    years = datetime.now(tz=UTC) + timedelta(days=3 * 365)
    take_over(database, "team", now=years)
    (delivery,) = turn(database, now=years)
    turn(database, ended(delivery, Retry("503"), uptime=60.0, when=years), room=0, uptime=60.0, now=years)
    assert states(reader) == ["waiting"]


def test_a_failed_try_gives_up_on_the_untried_that_waited_as_long(database: Database, reader: Reader) -> None:
    tell(database, "a", "a", uptime=0.0)
    tell(database, "a", uptime=1000.0)
    tell(database, "b", hearers=("mail",))
    (head,) = turn(database)
    turn(database, ended(head, Retry("503"), uptime=WEEK), room=0, uptime=WEEK)
    assert states(reader, "team") == ["expired", "expired", "waiting"]
    assert states(reader, "mail") == ["waiting"]


@pytest.mark.parametrize("outcome", [Accepted(), Refused("413")])
def test_a_try_that_was_answered_gives_up_on_nothing_however_old(
    database: Database, reader: Reader, outcome: Outcome
) -> None:
    tell(database, "a", "a")
    (head,) = turn(database)
    turn(database, ended(head, outcome), room=0, uptime=WEEK * 9)
    assert states(reader)[1] == "waiting"


def test_without_a_failed_try_nothing_ever_expires(database: Database, reader: Reader) -> None:
    tell(database, "a", "b")
    take_over(database, "team", uptime=WEEK * 9)
    assert len(turn(database, uptime=WEEK * 9)) == 2
    assert states(reader) == ["sending", "sending"]


def test_giving_up_is_told_at_most_hourly_with_the_count_and_reason(database: Database, reader: Reader) -> None:
    tell(database, *"abcd")
    told = list[tuple[float, int]]()
    for uptime, delivery in zip((0.0, 10.0, 20.0, 3700.0), turn(database), strict=True):
        turn(database, ended(delivery, Refused("413")), room=0, uptime=uptime, hearers=("mail",))
        gave_up = [e for e in reader.events() if e.type == "channel.gave_up"]
        told.append((uptime, sum(e.details["count"] for e in gave_up)))
    assert told == [(0.0, 1), (10.0, 1), (20.0, 1), (3700.0, 4)]
    assert {e.details["reason"] for e in reader.events() if e.type == "channel.gave_up"} == {"413"}


def test_what_the_hourly_limit_held_back_is_told_later_by_itself(database: Database) -> None:
    tell(database, *"ab")
    for delivery in turn(database):
        turn(database, ended(delivery, Refused("413")), room=0)

    def overdue(uptime: float) -> list[int]:
        moment = settled(("mail",), uptime=uptime)
        recorded = database.write_now(outbox.tell_overdue, moment, {"team": False}, soon(), WEEK)
        return [event.details["count"] for event in recorded.events]

    assert (overdue(3599.0), overdue(3600.0), overdue(9999.0)) == ([], [1], [])


def test_a_channel_that_has_failed_for_a_minute_is_told_without_another_try(database: Database) -> None:
    tell(database, "a")
    for _ in range(3):
        (delivery,) = turn(database, now=datetime.now(tz=UTC) + timedelta(hours=1))
        turn(database, ended(delivery, Retry("HTTP 503")), room=0)

    def told(uptime: float) -> list[str]:
        moment = settled(("mail",), uptime=uptime)
        recorded = database.write_now(outbox.tell_overdue, moment, {"team": True}, soon(), WEEK)
        return [f"{event.type}: {event.details['reason']}" for event in recorded.events]

    assert (told(59.0), told(60.0), told(120.0)) == ([], ["channel.failing: HTTP 503"], [])


@pytest.mark.parametrize(("failed", "expired"), [(True, ["channel.gave_up"]), (False, [])])
def test_time_alone_gives_up_only_where_this_process_has_seen_a_try_fail(
    database: Database, failed: bool, expired: list[str]
) -> None:
    tell(database, "a")
    moment = settled(("mail",), uptime=WEEK + 1)
    recorded = database.write_now(outbox.tell_overdue, moment, {"team": failed}, soon(), WEEK)
    assert [event.type for event in recorded.events] == expired


def test_a_redelivery_waits_for_a_younger_one_of_its_task_that_is_being_sent(database: Database) -> None:
    tell(database, "a")
    (first,) = turn(database)
    turn(database, ended(first, Accepted()), room=0)
    tell(database, "a")
    (second,) = turn(database)
    database.write_now(outbox.redeliver, [first.id], datetime.now(tz=UTC))
    assert turn(database) == []
    assert [delivery.id for delivery in turn(database, ended(second, Accepted()))] == [first.id]


# ── crashes ──


def die_while_sending(database: Database) -> Delivery:
    """A process claims and dies; the next one takes over."""
    (delivery,) = turn(database, now=soon() + outbox.SUSPECT_WAITS)
    take_over(database, "team", "mail")
    return delivery


def test_what_was_being_sent_when_the_process_died_goes_out_again_with_the_same_id(
    database: Database, reader: Reader
) -> None:
    (started,) = tell(database, "a")
    died = die_while_sending(database)
    (again,) = turn(database)
    (((_, _, attempts),),) = [t.deliveries for t in reader.trail(_key(started))]
    assert (again.id, again.attempts, again.plain) == (died.id, 2, False)
    assert [a.result for a in attempts] == ["unknown", None]


def test_after_two_deaths_the_words_are_plain_and_after_three_it_is_parked_and_told(
    database: Database, reader: Reader
) -> None:
    tell(database, "a", "a", hearers=("team", "mail"))
    assert [die_while_sending(database).plain for _ in range(3)] == [False, False, True]
    assert states(reader, "team") == ["parked", "waiting"]
    (gave_up,) = [e for e in reader.events() if e.type == "channel.gave_up"]
    assert (gave_up.channel, gave_up.details["count"]) == ("team", 1)


def test_a_suspect_waits_until_the_process_has_lived_for_a_while(database: Database) -> None:
    tell(database, "a")
    for _ in range(2):
        die_while_sending(database)
    assert turn(database) == []
    assert len(turn(database, now=soon() + outbox.SUSPECT_WAITS)) == 1


def test_a_process_that_lived_on_after_a_try_had_begun_didnt_die_of_it(database: Database) -> None:
    tell(database, "a")
    for minute in range(4):
        later = soon() + timedelta(minutes=minute)
        (delivery,) = turn(database, now=later)
        database.write_now(save_alive, later + timedelta(seconds=6), 0.0, "{}")
        take_over(database, "team", now=later + timedelta(seconds=7))
    assert delivery.plain is False


def test_a_poisonous_delivery_doesnt_come_back_by_itself(database: Database, reader: Reader) -> None:
    tell(database, "a")
    for _ in range(3):
        die_while_sending(database)
    take_over(database, "team", "mail")
    assert (states(reader, "team"), turn(database)) == (["parked"], [])


def test_a_try_that_was_recorded_between_two_deaths_clears_the_suspicion(database: Database) -> None:
    tell(database, "a")
    die_while_sending(database)
    (delivery,) = turn(database)
    turn(database, ended(delivery, Retry("503"), when=datetime.now(tz=UTC) - timedelta(minutes=5)), room=0)
    die_while_sending(database)
    assert turn(database)[0].plain is False


def test_an_orderly_stop_between_two_deaths_clears_the_suspicion(database: Database) -> None:
    tell(database, "a")
    die_while_sending(database)
    database.write_now(outbox.shut_down, turn(database), datetime.now(tz=UTC))
    take_over(database, "team")
    die_while_sending(database)
    assert turn(database)[0].plain is False


def test_an_orderly_stop_records_what_is_unanswered_as_unknown_and_isnt_a_death(
    database: Database, reader: Reader
) -> None:
    (started,) = tell(database, "a")
    for _ in range(5):
        database.write_now(outbox.shut_down, turn(database), datetime.now(tz=UTC))
        take_over(database, "team")
    (((delivery, _, attempts),),) = [t.deliveries for t in reader.trail(_key(started))]
    assert (delivery.state, delivery.plain) == ("waiting", False)
    assert {a.result for a in attempts} == {"unknown"}


# ── channels that leave and return ──


def test_the_backlog_of_a_removed_channel_is_parked_and_goes_on_when_its_name_returns(
    database: Database, reader: Reader
) -> None:
    tell(database, "a", "a", "b", hearers=("team", "mail"))
    take_over(database, "mail")
    assert (states(reader, "team"), states(reader, "mail")) == (["parked"] * 3, ["waiting"] * 3)
    take_over(database, "team")
    assert tasks(turn(database)) == ["a", "b"]


def test_what_was_being_sent_to_a_removed_channel_is_parked_too(database: Database, reader: Reader) -> None:
    tell(database, "a")
    turn(database)
    take_over(database, "mail")
    assert states(reader) == ["parked"]


def test_a_removed_channel_doesnt_block_the_others(database: Database) -> None:
    tell(database, "a", hearers=("team", "mail"))
    take_over(database, "mail")
    assert len(turn(database, channel="mail")) == 1


# ── clocks ──


def test_after_a_jump_of_the_clock_everything_that_waits_is_due(database: Database) -> None:
    tell(database, "a")
    (delivery,) = turn(database)
    turn(database, ended(delivery, Retry("429", 3600)), room=0)
    back = datetime.now(tz=UTC) - timedelta(days=365)
    assert turn(database, now=back) == []
    database.write_now(outbox.make_due, back)
    assert len(turn(database, now=back)) == 1


def test_a_clock_that_was_set_back_while_stopped_delays_nothing(database: Database) -> None:
    tell(database, "a")
    back = datetime.now(tz=UTC) - timedelta(days=365)
    take_over(database, "team", now=back)
    assert len(turn(database, now=back)) == 1


# ── redelivery ──


@pytest.mark.parametrize("outcome", [Refused("413"), Accepted()])
def test_redelivering_keeps_the_id_and_goes_on_counting_tries(database: Database, outcome: Outcome) -> None:
    tell(database, "a")
    (delivery,) = turn(database)
    turn(database, ended(delivery, outcome), room=0)
    database.write_now(outbox.redeliver, [delivery.id], datetime.now(tz=UTC))
    (again,) = turn(database)
    assert (again.id, again.attempts) == (delivery.id, 2)


def test_a_redelivered_delivery_gets_its_full_time_again(database: Database, reader: Reader) -> None:
    tell(database, "a")
    (delivery,) = turn(database)
    turn(database, ended(delivery, Retry("503"), uptime=WEEK), room=0, uptime=WEEK)
    database.write_now(save_alive, at(0), WEEK + 5, "{}")
    database.write_now(outbox.redeliver, [delivery.id], datetime.now(tz=UTC))
    (again,) = turn(database)
    turn(database, ended(again, Retry("503"), uptime=WEEK + 9), room=0, uptime=WEEK + 9)
    assert states(reader) == ["waiting"]


def test_redelivering_several_is_all_or_nothing_and_names_what_is_wrong(database: Database, reader: Reader) -> None:
    tell(database, "a", "b")
    a, b = turn(database)
    turn(database, ended(a, Refused("413")), room=0)
    with pytest.raises(UsageError, match=f"{b.id} is sending"):
        database.write_now(outbox.redeliver, [a.id, b.id], datetime.now(tz=UTC))
    with pytest.raises(UsageError, match="no delivery msg_x"):
        database.write_now(outbox.redeliver, [a.id, "msg_x"], datetime.now(tz=UTC))
    assert states(reader) == ["refused", "sending"]


def test_a_redelivered_older_row_goes_before_the_younger_of_its_queue(database: Database) -> None:
    first, second = tell(database, "a", "a")
    (delivery,) = turn(database)
    turn(database, ended(delivery, Refused("413")), room=0)
    database.write_now(outbox.redeliver, [delivery.id], datetime.now(tz=UTC))
    assert [d.event.id for d in turn(database)] == [first.id]
    assert int(second.id) > int(first.id)


def test_failed_means_refused_expired_and_parked(database: Database) -> None:
    tell(database, *"abcdef")
    wanted = ["refused", "expired", "parked", "delivered", "silenced", "waiting"]

    def set_states(tx: Connection) -> list[str]:
        ids = list(tx.execute(select(schema.deliveries.c.id).order_by(schema.deliveries.c.event_id)).scalars())
        for id_, state in zip(ids, wanted, strict=True):
            tx.execute(update(schema.deliveries).where(schema.deliveries.c.id == id_).values(state=state))
        return ids

    ids = database.write_now(set_states)
    assert database.write_now(outbox.failed_ids) == ids[:3]


# ── overdue and forgetting ──


def test_overdue_counts_what_still_waits_after_so_long(database: Database) -> None:
    tell(database, "a", "b")
    (delivered, *_) = turn(database, room=1)
    turn(database, ended(delivered, Accepted()), room=0)
    assert database.write_now(outbox.overdue, -1.0) == 1
    assert database.write_now(outbox.overdue, 300.0) == 0


@pytest.mark.parametrize("state", ["waiting", "held", "sending", "parked"])
def test_retention_keeps_the_event_of_a_delivery_that_isnt_finished(
    database: Database, reader: Reader, state: str
) -> None:
    tell(database, "a", "b", "c")
    _set(database, state)
    database.write_now(forget, at(10**9), history=0.0, events=0.0)
    assert states(reader) == [state] * 3


@pytest.mark.parametrize("state", ["delivered", "refused", "expired", "silenced", "superseded"])
def test_retention_forgets_finished_events_with_all_that_hangs_on_them_but_the_newest(
    database: Database, reader: Reader, state: str
) -> None:
    events = tell(database, "a", "b", "c", hearers=("team", "mail"))
    turn(database)
    _set(database, state)
    assert database.write_now(forget, at(10**9), history=0.0, events=0.0) == (0, 2)
    assert [e.id for e in reader.events()] == [events[2].id]
    attempts = database.write_now(lambda tx: len(tx.execute(select(schema.attempts)).all()))
    assert attempts == 1


def test_retention_leaves_what_is_young(database: Database, reader: Reader) -> None:
    tell(database, "a", "b")
    _set(database, "delivered")
    assert database.write_now(forget, at(100), history=90.0, events=90.0) == (0, 0)
    assert len(reader.events()) == 2


def _set(database: Database, state: str) -> None:
    database.write_now(lambda tx: tx.execute(update(schema.deliveries).values(state=state)) and None)


# ── a lane over the real outbox ──


class Gate:
    """A channel that answers when the test says so."""

    name, kind, parallel, spacing = "team", "webhook", 8, 0.0

    def __init__(self) -> None:
        self.sent: list[Delivery] = []
        self.open = asyncio.Event()

    async def send(self, delivery: Delivery) -> Outcome:
        self.sent.append(delivery)
        await self.open.wait()
        return Accepted()

    async def probe(self) -> None: ...

    async def aclose(self) -> None: ...


class Hiccup(Gate):
    """A channel that was down for a moment: what is sent until it opens is refused then, and all later is taken."""

    async def send(self, delivery: Delivery) -> Outcome:
        up = self.open.is_set()
        self.sent.append(delivery)
        await self.open.wait()
        return Accepted() if up else Retry("HTTP 503")


@pytest.mark.anyio
async def test_eight_tries_that_fail_together_are_one_failure_of_the_channel(database: Database) -> None:
    tell(database, *"abcdefgh")
    hiccup = Hiccup()
    lane = Lane(hiccup, Ledger(database, settled), give_up_after=WEEK, chance=lambda: 0.9)  # type: ignore[arg-type]
    running = asyncio.create_task(lane.run())
    await until(lambda: len(hiccup.sent) == 8)
    hiccup.open.set()
    await until(lambda: lane.failures > 0)
    await asyncio.sleep(0.1)
    assert lane.failures == 1
    await lane.stop(1.0)
    await running


def lane_over(database: Database) -> tuple[Lane, Gate]:
    gate = Gate()
    return Lane(gate, Ledger(database, settled), give_up_after=WEEK), gate  # type: ignore[arg-type]


async def until(condition: Callable[[], object]) -> None:
    """Poll a condition, for at most five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - polls a condition of another thread's
            await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_a_lane_sends_at_most_eight_at_once_and_one_per_task(database: Database, reader: Reader) -> None:
    tell(database, *"aabcdefghij")
    lane, gate = lane_over(database)
    running = asyncio.create_task(lane.run())
    await until(lambda: len(gate.sent) == 8)
    await asyncio.sleep(0.1)
    assert tasks(gate.sent) == list("abcdefgh")
    gate.open.set()
    await until(lambda: set(states(reader)) == {"delivered"})
    await lane.stop(1.0)
    await running


@pytest.mark.anyio
async def test_a_stop_records_what_has_no_answer_as_unknown(database: Database, reader: Reader) -> None:
    tell(database, "a")
    lane, gate = lane_over(database)
    running = asyncio.create_task(lane.run())
    await until(lambda: gate.sent)
    await lane.stop(0.05)
    await running
    assert [(d.state, d.reason) for d in reader.deliveries()] == [("waiting", "stopped before the answer came")]


@pytest.mark.anyio
async def test_a_stop_while_a_claim_is_being_committed_leaves_nothing_in_sending(
    database: Database, reader: Reader
) -> None:
    tell(database, "a")
    hold = threading.Event()
    lane, gate = lane_over(database)
    busy = asyncio.create_task(database.write(lambda _tx: hold.wait(5)))
    await asyncio.sleep(0.05)
    running = asyncio.create_task(lane.run())
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(lane.stop(0.2))
    await asyncio.sleep(0.05)
    hold.set()
    await asyncio.gather(busy, stopping, running)
    assert states(reader) == ["waiting"]
    assert gate.sent == []


def test_an_event_about_a_channel_or_account_has_its_own_queue() -> None:
    queues = [event("channel.failing", channel="team").queue, event("account.rejected", account="main").queue]
    assert [*queues, event("watcher.gap").queue] == ["channel team", "account main", "watcher"]
