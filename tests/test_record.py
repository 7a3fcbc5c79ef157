"""One transaction for what was seen and what follows from it: snapshot, history, events and deliveries."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, select
from sqlalchemy import event as sqlalchemy_event

from tests.support.builders import KEY, at, draft, opened, seen, settled, written
from watcher.errors import KeyRejected, UpstreamError
from watcher.models import Event, Observation, Snapshot, TaskKey, Window
from watcher.state import schema
from watcher.state.database import Database
from watcher.state.reader import Reader
from watcher.state.record import (
    Recorded,
    record_drafts,
    record_missing,
    record_observations,
    record_poll,
    record_unknown,
    save_seen,
)


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


def test_what_was_seen_unchanged_is_written_only_with_what_changes(database: Database, reader: Reader) -> None:
    other = TaskKey("main", "other")
    saw(database, seen("WAIT", number=1, when=0), seen("WAIT", number=1, when=0, key=other))
    unchanged = [(KEY, 8, at(90)), (other, 8, at(90))]
    database.write_now(record_observations, settled(), [seen("RUNNING", number=9, when=120)], unchanged)
    assert {task.key: task.seen for task in reader.tasks()} == {KEY: at(120), other: at(0)}


def test_a_look_older_than_what_was_seen_unchanged_changes_nothing(database: Database) -> None:
    saw(database, seen(number=1, when=0, **FULL))
    for more in ({"step": 5}, {"name": "renamed"}):
        look = seen(number=7, **{**FULL, **more})
        late = database.write_now(record_observations, settled(), [look], [(KEY, 8, at(90)), (KEY, 2, at(50))])
        assert late.comparisons is not None
        assert late.comparisons[KEY].because == "older_request"


def test_a_flush_alone_writes_nothing_but_last_seen(database: Database, reader: Reader) -> None:
    saw(database, seen("WAIT", number=1, when=0))
    database.write_now(save_seen, [(KEY, 8, at(90))])
    (task,) = reader.tasks()
    assert (task.seen, task.number, task.changed) == (at(90), 8, at(0))


def test_a_flush_never_takes_last_seen_back(database: Database, reader: Reader) -> None:
    saw(database, seen("WAIT", number=5, when=50))
    database.write_now(save_seen, [(KEY, 4, at(40))])
    assert reader.tasks()[0].seen == at(50)


# ── a page of tasks at once ──

FULL = {
    "step": 1, "steps": 1000, "epoch": 0, "loss": 2.5, "updated": written(0), "statusInfo.estimatedTime": 600,
    "name": "bot", "message": None, "end": None,
}  # fmt: skip


def page(number: int, *, count: int = 100, **more: Any) -> list[Observation]:
    return [
        seen(number=number, when=number, source="list", key=TaskKey("main", f"task{n:03}"), **{**FULL, **more})
        for n in range(count)
    ]


def test_what_only_moves_is_kept_beside_the_fields_and_read_back_whole(database: Database, reader: Reader) -> None:
    saw(database, *page(1))
    recorded = saw(database, *page(2, step=9, loss=1.25, updated=written(7)))
    before = database.write_now(raw_fields)
    moved = {**FULL, "step": 9, "loss": 1.25, "updated": written(7)}
    expected = seen(**moved).fields
    assert [dict(task.fields) for task in reader.tasks()] == [expected] * 100
    assert all('"statusInfo.currStep":1,' in text for text in before)
    assert {change.because for change in (recorded.comparisons or {}).values()} == {"changed"}
    assert [(p.time, p.step, p.loss, dict(p.changes)) for p in reader.history(TaskKey("main", "task042"))][1:] == [
        (at(2), 9, 1.25, {})
    ]


def raw_fields(tx: Connection) -> list[str]:
    return [row.fields for row in tx.execute(select(schema.tasks))]


def test_steps_and_other_changes_may_follow_each_other_in_any_order(database: Database, reader: Reader) -> None:
    looks: list[dict[str, Any]] = [
        {}, {"step": 2}, {"step": 3, "name": "renamed"}, {"step": 4, "loss": "NaN"}, {"step": 5, "loss": "NaN"},
        {"step": 6, "loss": 1.0}, {"step": 7, "statusInfo.estimatedTime": 500}, {"step": None}, {"step": 8},
    ]  # fmt: skip
    shown: dict[str, Any] = dict(FULL)
    for number, more in enumerate(looks, 1):
        shown |= more
        saw(database, *page(number, count=2, **shown))
        assert [dict(task.fields) for task in reader.tasks()] == [seen(**shown).fields] * 2
    points = reader.history(TaskKey("main", "task001"))
    assert [p.step for p in points] == [1, 2, 3, 4, 5, 6, 7, None, 8]
    assert [p.loss for p in points] == [2.5, 2.5, 2.5, None, None, 1.0, 1.0, 1.0, 1.0]
    assert dict(points[6].changes) == {"statusInfo.estimatedTime": 500}


def test_a_task_that_stands_twice_is_compared_with_what_its_first_look_made(database: Database, reader: Reader) -> None:
    saw(database, seen(number=1, **FULL))
    recorded = saw(database, *(seen(number=n, when=n, **{**FULL, "step": n}) for n in (5, 4, 6)))
    assert [p.step for p in reader.history(KEY)] == [1, 5, 6]
    assert recorded.comparisons is not None
    assert recorded.comparisons[KEY].because == "changed"


def test_a_tasks_history_stands_in_its_band(database: Database) -> None:
    for number in (1, 2, 3):
        saw(database, *page(number, step=number, name="renamed" if number == 3 else "bot"))
    rows = database.write_now(lambda tx: tx.execute(select(schema.history)).all())
    assert len(rows) == 300
    assert {row.band - row.task_no // schema.BAND for row in rows} == {0}


def test_a_page_of_several_accounts_is_one_page(database: Database, reader: Reader) -> None:
    keys = [TaskKey(account, "same") for account in ("main", "other")]
    for number in (1, 2):
        saw(database, *(seen(number=number, key=key, **{**FULL, "step": number}) for key in keys))
    assert [(task.key, task.fields["statusInfo.currStep"]) for task in reader.tasks()] == [(keys[0], 2), (keys[1], 2)]


def test_a_driver_that_names_its_parameters_is_given_names(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/named.db", paramstyle="named")
    schema.metadata.create_all(engine)
    for number in (1, 2, 3):
        with engine.begin() as tx:
            record_observations(tx, settled(), page(number, count=3, step=min(number, 2)))
    with engine.begin() as tx:
        assert [(row.step, row.number) for row in tx.execute(select(schema.tasks))] == [(2, 3)] * 3
        assert everything(tx)[1] == 6
    engine.dispose()


def test_a_quiet_page_costs_a_handful_of_statements(database: Database) -> None:
    saw(database, *page(1))

    def counted(tx: Connection) -> int:
        count: list[str] = []
        listener = lambda _c, _cursor, statement, *_more: count.append(statement)  # noqa: E731
        sqlalchemy_event.listen(tx.engine, "before_cursor_execute", listener)
        record_observations(tx, settled(), page(2, step=5))
        sqlalchemy_event.remove(tx.engine, "before_cursor_execute", listener)
        return len(count)

    assert database.write_now(counted) == 3


# ── tasks that aren't watched any more, and ids that nobody knows ──


def test_a_task_that_isnt_watched_any_more_leaves_no_trace(database: Database, reader: Reader) -> None:
    other = TaskKey("main", "other")
    looks = [seen("WAIT", number=1), seen("WAIT", number=1, key=other)]
    recorded = saw(database, *looks, watched=lambda key, fields: key == other and fields["status"] == "WAIT")
    assert recorded.comparisons is not None
    assert set(recorded.comparisons) == {other}
    assert [event.task for event in reader.events()] == ["other"]
    assert [task.key for task in reader.tasks()] == [other]


def test_a_task_that_isnt_watched_any_more_cant_be_gone(database: Database) -> None:
    saw(database, seen("RUNNING", number=1, when=0))
    facts = settled(watched=lambda _key, _fields: False)
    for when in (60, 180):
        assert database.write_now(record_missing, facts, KEY, 8, at(when), "gone", confirmed=True) == Recorded()


def unknown(database: Database, key: TaskKey = KEY, **more: Any) -> list[Event]:
    near = ("czf9fbkx", "support-bot")
    return list(database.write_now(record_unknown, settled(**more), key, at(5), near, "not_found").events)


def test_an_unknown_id_is_told_once_with_near_misses_over_restarts_too(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        (event,) = unknown(store.database)
        assert event.details == {"near": ["czf9fbkx", "support-bot"], "reason": "not_found"}
        assert (event.type, event.task, event.window) == ("task.unknown", KEY.id, Window(None, at(5)))
        assert unknown(store.database) == []
        assert len(unknown(store.database, TaskKey("other", KEY.id))) == 1
    with opened(tmp_path) as store:
        assert unknown(store.database) == []


def test_other_events_of_a_task_dont_keep_it_from_being_told_as_unknown(database: Database) -> None:
    saw(database, seen("RUNNING"))
    assert types(unknown(database)) == ["task.unknown"]


def test_an_id_that_isnt_listed_any_more_isnt_told_as_unknown(database: Database) -> None:
    assert unknown(database, listed=lambda _key: False) == []


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
