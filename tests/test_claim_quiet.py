"""What quiet hours hold, and what passes them, over the real outbox."""

from __future__ import annotations

from tests.support.builders import settled
from tests.support.claiming import WEEK, ended, soon, started, states, tasks_of, tell, turn
from watcher.models import (
    Accepted,
    Retry,
)
from watcher.state import outbox
from watcher.state.claim import Terms
from watcher.state.database import Database
from watcher.state.reader import Reader


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
