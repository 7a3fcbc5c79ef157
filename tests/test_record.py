"""One transaction for what was seen and what follows from it: snapshot, history, events and deliveries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from tests.support.builders import KEY, at, draft, opened, prepare, seen, settled, url
from watcher.errors import KeyRejected, UpstreamError
from watcher.models import Event, Observation, Snapshot, TaskKey, Window
from watcher.state import schema
from watcher.state.database import Database
from watcher.state.reader import Reader
from watcher.state.record import Recorded, record_drafts, record_missing, record_observations, record_poll
from watcher.state.store import open_reader


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


def saw(database: Database, *looks: Observation, **more: Any) -> Recorded:
    return database.write_now(record_observations, settled(**more), looks)


def types(events: tuple[Event, ...] | list[Event]) -> list[str]:
    return [event.type for event in events]


# ── what is written ──


def test_a_look_writes_the_snapshot_its_events_and_their_deliveries(database: Database, reader: Reader) -> None:
    recorded = saw(database, seen("WAIT", number=1, when=0), hearers=("team", "mail"))
    assert types(recorded.events) == types(reader.events()) == ["task.discovered"]
    assert [(d.channel, d.state, d.event.id) for d in reader.deliveries()] == [
        ("mail", "waiting", recorded.events[0].id),
        ("team", "waiting", recorded.events[0].id),
    ]
    assert [task.status for task in reader.tasks()] == ["WAIT"]


def test_whom_to_wake_and_why_comes_with_the_record(database: Database) -> None:
    recorded = saw(database, seen("WAIT"), hearers=("team",))
    assert recorded.channels == {"team"}
    assert recorded.comparisons is not None
    assert recorded.comparisons[KEY].because == "first_sight"


def test_each_delivery_keeps_the_rule_that_made_it(database: Database, reader: Reader) -> None:
    saw(database, seen("WAIT"), hearers={"team": "routes[2]", "mail": "notable, the default"})
    (trail,) = reader.trail(KEY)
    assert {d.channel: because for d, because, _ in trail.deliveries} == {
        "team": "routes[2]",
        "mail": "notable, the default",
    }


def test_an_event_that_nobody_hears_is_written_all_the_same(database: Database, reader: Reader) -> None:
    saw(database, seen("WAIT"), hearers=())
    assert (types(reader.events()), reader.deliveries()) == (["task.discovered"], [])


def test_an_event_comes_back_as_it_was_committed(database: Database, reader: Reader) -> None:
    saw(database, seen("RUNNING", number=1, when=0, name="봇\u202e", loss="NaN"))
    recorded = saw(database, seen("FAILED", when=60, reason="file.format", message="<!channel>"))
    assert reader.events()[1:] == list(recorded.events)
    assert recorded.events[0].window == Window(at(0), at(60))


def test_a_snapshot_comes_back_as_it_was_stored(database: Database, reader: Reader) -> None:
    saw(database, seen("RUNNING", number=1, when=0, step=60, steps=100))
    recorded = saw(database, seen("FAILED", when=60, end="2026-13-99"))
    (task,) = reader.tasks()
    assert isinstance(task, Snapshot)
    assert (task.number, task.seen, task.ended, task.ending) == (2, at(60), at(60), recorded.events[0].id)


def test_the_event_shows_the_task_as_it_was_at_that_moment(database: Database, reader: Reader) -> None:
    saw(database, seen("WAIT", number=1))
    saw(database, seen("RUNNING", number=2))
    assert [event.subject["status"] for event in reader.events() if event.subject] == ["WAIT", "RUNNING"]


# ── all or nothing ──


def everything(tx: Connection) -> list[int]:
    tables = (schema.tasks, schema.history, schema.events, schema.deliveries)
    return [len(tx.execute(select(table)).all()) for table in tables]


def test_a_transaction_that_fails_late_leaves_no_trace_of_its_first_task(database: Database) -> None:
    def hearers(event: Event) -> dict[str, str]:
        if event.task == "second":
            raise RuntimeError("routing broke")
        return {"team": "x"}

    looks = seen("WAIT", number=1), seen("WAIT", number=2, key=TaskKey("main", "second"))
    with pytest.raises(RuntimeError, match="routing broke"):
        database.write_now(record_observations, replace(settled(), hearers=hearers), looks)
    assert database.write_now(everything) == [0, 0, 0, 0]


def test_the_same_look_written_twice_makes_nothing_twice(database: Database) -> None:
    for _ in range(2):
        saw(database, seen("WAIT", number=1))
    assert database.write_now(everything) == [1, 1, 1, 1]


def test_of_two_copies_of_a_task_in_one_sweep_the_later_request_wins(database: Database, reader: Reader) -> None:
    saw(database, seen("RUNNING", number=5), seen("WAIT", number=4))
    assert [task.status for task in reader.tasks()] == ["RUNNING"]
    assert types(reader.events()) == ["task.discovered"]


def test_equal_ids_in_two_accounts_are_two_tasks(database: Database, reader: Reader) -> None:
    other = TaskKey("other", KEY.id)
    saw(database, seen("WAIT", number=1), seen("RUNNING", number=2, key=other))
    saw(database, seen("FAILED", number=3, key=other))
    assert {task.key: task.status for task in reader.tasks()} == {KEY: "WAIT", other: "FAILED"}
    assert types(reader.events(task=KEY)) == ["task.discovered"]


# ── ids ──


def tell(database: Database, *names: str) -> list[str]:
    recorded = database.write_now(record_drafts, settled(), [draft(name) for name in names])
    return [event.id for event in recorded.events]


def test_ids_are_text_and_grow_within_a_transaction_and_over_many(database: Database, reader: Reader) -> None:
    ids = [id_ for _ in range(20) for id_ in tell(database, "task.started", "task.failed")]
    assert all(isinstance(id_, str) for id_ in ids)
    assert [int(id_) for id_ in ids] == sorted({int(id_) for id_ in ids})
    assert [event.id for event in reader.events()] == ids


@pytest.mark.parametrize("step", [-1, -3600, -365 * 86400, 365 * 86400])
def test_ids_grow_even_when_the_clock_is_set_back_or_forward(
    database: Database, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    now = time.time_ns()
    before = tell(database, "task.started")
    monkeypatch.setattr(time, "time_ns", lambda: now + step * 10**9)
    during = tell(database, "task.failed", "task.reopened")
    monkeypatch.undo()
    assert int(before[0]) < int(during[0]) < int(during[1]) < int(tell(database, "task.started")[0])


def test_events_after_an_id_have_no_hole(database: Database, reader: Reader) -> None:
    ids = tell(database, *["task.started"] * 5)
    assert [event.id for event in reader.events(after=ids[1], limit=2)] == ids[2:4]


# ── history ──


def test_history_has_a_row_per_change_with_only_what_changed(database: Database, reader: Reader) -> None:
    for number, (step, loss) in enumerate([(1, 2.0), (2, 1.5), (2, 1.5), (3, "NaN")], 1):
        saw(database, seen(number=number, when=number, step=step, steps=9, loss=loss, name="bot"))
    points = reader.history(KEY)
    assert [(p.time, p.step, p.loss) for p in points] == [(at(1), 1, 2.0), (at(2), 2, 1.5), (at(4), 3, None)]
    assert [dict(p.changes) for p in points[1:]] == [{}, {"statusInfo.trainLoss": "NaN"}]


def test_a_new_life_is_told_apart_in_the_history(database: Database, reader: Reader) -> None:
    saw(database, seen(number=1, created="2026-03-01T00:00:00Z"))
    saw(database, seen(number=2, created="2026-03-02T00:00:00Z"))
    assert [point.life for point in reader.history(KEY)] == [1, 2]


# ── last seen ──


def test_an_unchanged_flush_moves_last_seen_and_makes_the_next_window_narrow(
    database: Database, reader: Reader
) -> None:
    saw(database, seen("WAIT", number=1, when=0))
    database.write_now(record_observations, settled(), [seen("RUNNING", number=9, when=120)], [(KEY, 8, at(90))])
    assert reader.events()[-1].window == Window(at(90), at(120))
    assert len(reader.history(KEY)) == 2


def test_a_flush_alone_writes_nothing_but_last_seen(database: Database, reader: Reader) -> None:
    saw(database, seen("WAIT", number=1, when=0))
    database.write_now(record_observations, settled(), [], [(KEY, 8, at(90))])
    (task,) = reader.tasks()
    assert (task.seen, task.number, task.changed) == (at(90), 8, at(0))


def test_a_flush_never_takes_last_seen_back(database: Database, reader: Reader) -> None:
    saw(database, seen("WAIT", number=5, when=50))
    database.write_now(record_observations, settled(), [], [(KEY, 4, at(40))])
    assert reader.tasks()[0].seen == at(50)


# ── missing tasks and accounts ──


def missing(database: Database, when: float, *, number: int = 8, confirmed: bool = True) -> Recorded:
    return database.write_now(record_missing, settled(), KEY, number, at(when), "not_found", confirmed=confirmed)


def test_a_late_404_counts_nothing_against_a_younger_answer(database: Database) -> None:
    saw(database, seen("RUNNING", number=5, when=0))
    for when in (60, 180):
        missing(database, when, number=4)
    assert missing(database, 300, number=6).events == ()


def test_a_task_is_gone_over_a_restart_in_between(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        saw(store.database, seen("RUNNING", number=1, when=0))
        assert missing(store.database, 60, confirmed=False).events == ()
    with opened(tmp_path) as store:
        assert types(missing(store.database, 120).events) == ["task.gone"]
        assert types(missing(store.database, 1020).events) == []
        assert types(saw(store.database, seen("RUNNING", number=9, when=2000)).events) == ["task.returned"]


def test_a_task_that_was_never_seen_cant_be_gone(database: Database) -> None:
    assert missing(database, 60) == Recorded()


def refused(database: Database, uptime: float, when: float, error: UpstreamError | None = None) -> list[Event]:
    error = error or KeyRejected("the key is refused", "issue a new key", status=401, code="40104")
    _, recorded = database.write_now(record_poll, settled(uptime=uptime), "main", "rejected", error, at(when), at(0))
    return list(recorded.events)


def test_a_refused_key_is_told_once_over_restarts_with_what_to_do(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert refused(store.database, 0, 10) == []
    with opened(tmp_path) as store:
        (event,) = refused(store.database, 10, 20)
        assert event.details == {"reason": "the key is refused (401, 40104)", "hint": "issue a new key"}
        assert event.window == Window(at(0), at(20))
    with opened(tmp_path) as store:
        assert refused(store.database, 310, 320) == []


def test_a_poll_makes_no_task_event(database: Database, reader: Reader) -> None:
    saw(database, seen("RUNNING", number=1, when=0))
    for uptime in range(0, 1000, 100):
        refused(database, uptime, uptime)
    assert types(reader.events()) == ["task.discovered", "account.rejected"]
    assert reader.tasks()[0].status == "RUNNING"


def test_event_times_are_kept_to_the_millisecond(database: Database, reader: Reader) -> None:
    saw(database, seen("WAIT", when=0.0015))
    assert reader.events()[0].time == at(0) + timedelta(milliseconds=1)
