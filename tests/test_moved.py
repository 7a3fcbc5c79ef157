"""Pages whose trainings have only gone on are stored just as the long way would have stored them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, select, update

from tests.support.builders import at, opened, prepare, seen, settled, written
from tests.support.seeds import seeds
from watcher.models import Observation, TaskKey
from watcher.state import schema
from watcher.state.database import Database
from watcher.state.moved import Doubt, Known, Moved, know, record_moved
from watcher.state.record import Settled, record_missing, record_observations, save_seen
from watcher.state.rows import MOVING, milliseconds

KEYS = [TaskKey("main", f"task{n}") for n in range(5)]
FULL: dict[str, Any] = {
    "name": "bot", "step": 1, "steps": 100, "epoch": 0, "loss": 2.5, "updated": written(0),
    "statusInfo.estimatedTime": 600, "message": None, "end": None,
}  # fmt: skip
STEP, LOSS, ESTIMATED = "statusInfo.currStep", "statusInfo.trainLoss", "statusInfo.estimatedTime"


def page(number: int, *steps: int, **more: Any) -> list[Observation]:
    """A page that shows so many tasks, each at its step."""
    return [
        seen(number=number, when=number, source="list", key=KEYS[n], **{**FULL, "step": step, **more})
        for n, step in enumerate(steps)
    ]


def moving(looks: Sequence[Observation]) -> list[tuple[Any, ...]]:
    return [moving_of(look.fields) for look in looks]


def moving_of(fields: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(fields.get(name) for name in MOVING)


def lane(
    tx: Connection, facts: Settled, known: Known | None, before: Sequence[Observation], now: Sequence[Observation]
) -> Known:
    """Write what has moved from one page to the next; `known` is None for the first time."""
    number, moment = now[0].number, now[0].time
    known = known or know(tx, facts, [replace(look, number=number, time=moment) for look in before], [])
    return record_moved(tx, facts, known, Moved(number, milliseconds(moment), moving(before), moving(now)))[0]


def everything(tx: Connection) -> tuple[list[Any], list[Any], list[str]]:
    """The store's tasks and histories, and the types of its events, whose ids are times."""
    told = [row.type for row in tx.execute(select(schema.events).order_by(schema.events.c.id))]
    tables = [list(map(tuple, tx.execute(select(table)))) for table in (schema.tasks, schema.history)]
    return tables[0], tables[1], told


def hidden(rows: list[Any]) -> list[Any]:
    """The rows of tasks without the ids of events."""
    place = list(schema.tasks.c.keys()).index("ending")
    return [(*row[:place], bool(row[place]), *row[place + 1 :]) for row in rows]


def test_a_page_that_has_moved_is_stored_as_the_long_way_stores_it(tmp_path: Path) -> None:
    stored = []
    for folder, quick in ((tmp_path / "a", True), (tmp_path / "b", False)):
        folder.mkdir()
        prepare(folder)
        with opened(folder) as store:
            first, second, third = page(1, 1, 2, 3), page(2, 4, 5, 6, loss=1.5), page(3, 7, 8, 9, updated=written(60))
            third[1] = replace(third[1], fields={**third[1].fields, ESTIMATED: 30})
            store.database.write_now(record_observations, settled(), first)
            if quick:
                known = store.database.write_now(lane, settled(), None, first, second)
                store.database.write_now(lane, settled(), known, second, third)
            else:
                store.database.write_now(record_observations, settled(), second)
                store.database.write_now(record_observations, settled(), third)
            stored.append(store.database.write_now(everything))
    assert stored[0] == stored[1]
    assert len(stored[0][1]) == 9


def test_a_page_costs_two_statements(database: Database) -> None:
    first, second, third = page(1, 1, 2), page(2, 3, 4), page(3, 5, 6)
    database.write_now(record_observations, settled(), first)
    known = database.write_now(lane, settled(), None, first, second)

    def counted(tx: Connection) -> int:
        before = tx.connection.total_changes
        lane(tx, settled(), known, second, third)
        return int(tx.connection.total_changes - before)

    assert database.write_now(counted) == 4


# ── what leaves a doubt, and nothing behind ──


def _missing(tx: Connection) -> None:
    record_missing(tx, settled(), KEYS[1], 50, at(50), "not_found", confirmed=True)


def _gone(tx: Connection) -> None:
    record_missing(tx, settled(), KEYS[1], 50, at(50), "not_found", confirmed=True, at_once=True)


def _another_look(tx: Connection) -> None:
    record_observations(tx, settled(), [seen(number=3, when=3, key=KEYS[1], **{**FULL, "step": 9})])


def _a_later_look(tx: Connection) -> None:
    save_seen(tx, [(KEYS[1], 99, at(99))])


def _nobody(tx: Connection) -> None:
    tx.execute(schema.tasks.delete().where(schema.tasks.c.id == KEYS[1].id))


@pytest.mark.parametrize("meanwhile", [_missing, _gone, _another_look, _a_later_look, _nobody])
@pytest.mark.parametrize("first_time", [True, False])
def test_a_row_that_isnt_as_remembered_is_looked_at_closely(
    database: Database, meanwhile: Callable[[Connection], None], *, first_time: bool
) -> None:
    first, second, third = page(1, 1, 2), page(2, 3, 4), page(5, 5, 6)
    database.write_now(record_observations, settled(), first)
    known, before = None, first
    if not first_time:
        known, before = database.write_now(lane, settled(), None, first, second), second
    database.write_now(meanwhile)
    stored = database.write_now(everything)
    with pytest.raises(Doubt):
        database.write_now(lane, settled(), known, before, third)
    assert database.write_now(everything) == stored


def test_being_seen_unchanged_meanwhile_is_no_doubt(database: Database) -> None:
    first, second, third = page(1, 1, 2), page(2, 3, 4), page(9, 5, 6)
    database.write_now(record_observations, settled(), first)
    known = database.write_now(lane, settled(), None, first, second)
    database.write_now(save_seen, [(KEYS[1], 8, at(8))])
    database.write_now(lane, settled(), known, second, third)
    assert [row[TASK_STEP] for row in database.write_now(everything)[0]] == [5, 6]


TASK_STEP = list(schema.tasks.c.keys()).index("step")


@pytest.mark.parametrize(
    "facts",
    [settled(milestones=(10, 25, 50, 75)), settled(watched=lambda key, _fields: key != KEYS[1])],
    ids=["other milestones", "not watched any more"],
)
def test_a_changed_configuration_leaves_a_doubt(database: Database, facts: Settled) -> None:
    first, second, third = page(1, 1, 2), page(2, 3, 4), page(3, 5, 6)
    database.write_now(record_observations, settled(), first)
    known = database.write_now(lane, settled(), None, first, second)
    with pytest.raises(Doubt):
        database.write_now(lane, facts, known, second, third)


@pytest.mark.parametrize(
    ("step", "moves"), [(24, True), (25, False), (60, False), (100, False), (101, False), (2, False)]
)
def test_a_milestone_or_a_step_back_leaves_a_doubt(database: Database, step: int, *, moves: bool) -> None:
    first, second = page(1, 3), page(2, step)
    database.write_now(record_observations, settled(), first)
    if moves:
        database.write_now(lane, settled(), None, first, second)
    else:
        with pytest.raises(Doubt):
            database.write_now(lane, settled(), None, first, second)


@pytest.mark.parametrize("total", [1, 3, 7, 99, 100, 101, 1234])
def test_the_limit_is_the_first_step_that_tells_a_milestone(database: Database, total: int) -> None:
    first = page(1, 0, steps=total)
    database.write_now(record_observations, settled(), first)
    known = database.write_now(know, settled(), [replace(first[0], number=2)], [])
    assert known.courses[0].limit == next(step for step in range(total + 1) if step * 100 // total >= 25)


@pytest.mark.parametrize(
    "more", [{"status": "WAIT"}, {"steps": None}, {"steps": 0}, {"status": "SUCCEEDED", "weights": False}]
)
def test_only_a_training_that_is_under_way_has_a_course(database: Database, more: dict[str, Any]) -> None:
    shown = [seen(number=1, key=KEYS[0], source="list", **{**FULL, **more})]
    database.write_now(record_observations, settled(), shown)
    with pytest.raises(Doubt):
        database.write_now(know, settled(), [replace(shown[0], number=2)], [])


def test_a_driver_that_names_its_parameters_is_given_names(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/named.db", paramstyle="named")
    schema.metadata.create_all(engine)
    first, second, third = page(1, 1, 2), page(2, 3, 4), page(3, 5, 6)
    with engine.begin() as tx:
        record_observations(tx, settled(), first)
        known = lane(tx, settled(), None, first, second)
        lane(tx, settled(), known, second, third)
        assert [row[TASK_STEP] for row in everything(tx)[0]] == [5, 6]
        tx.execute(update(schema.tasks).values(changed=at(77)))
        with pytest.raises(Doubt):
            lane(tx, settled(), known, second, page(4, 7, 8))
    engine.dispose()


# ── whatever happens, in whatever order ──


def _next(chance: random.Random, fields: dict[str, Any], number: int) -> dict[str, Any]:
    """What a task shows next: mostly a few more steps."""
    step = fields[STEP]
    changes: list[dict[str, Any]] = [
        {STEP: step + chance.randrange(1, 4)} if isinstance(step, int) else {STEP: 1},
        {LOSS: chance.choice([2.5, 1.25, 0.0, 1.0])},
        {ESTIMATED: chance.choice([600, 0, 7])},
        {"updatedDate": written(number)},
        {"statusInfo.currEpoch": chance.randrange(3)},
    ]
    more = {name: value for change in changes if chance.random() < 0.6 for name, value in change.items()}
    if chance.random() < 0.03:
        more |= chance.choice([
            {STEP: 0}, {STEP: None}, {LOSS: "NaN"}, {"name": f"bot{number}"}, {"status": "WAIT"}, {"status": "RUNNING"},
            {"status": "FAILED", "statusInfo.message": "no"}, {"updatedDate": written(-number)}, {"updatedDate": None},
            {"createdDate": written(number)}, {"statusInfo.totalTrainSteps": 500},
        ])  # fmt: skip
    if fields["status"] != "RUNNING" or moving_of(fields).count(None) or fields[LOSS] == "NaN":
        more |= chance.choice([{}, {"status": "RUNNING", LOSS: 1.0, "updatedDate": written(number), STEP: 3}])
    return {**fields, **more}


def _is_eligible(before: Sequence[Observation], now: Sequence[Observation]) -> bool:
    """As the lane's caller judges: nothing but RUNNING tasks' plain values has moved, and no date goes back."""
    for old, new in zip(before, now, strict=True):
        rest = [{n: v for n, v in look.fields.items() if n not in MOVING} for look in (old, new)]
        (*numbers, day, left), (*_, earlier, _) = moving([new])[0], moving([old])[0]
        if rest[0] != rest[1] or None in (*numbers, day, left, earlier) or "NaN" in numbers or day < earlier:
            return False
    return all(look.fields["status"] == "RUNNING" and None not in moving([look])[0] for look in before)


@pytest.mark.parametrize("seed", seeds(4))
def test_both_ways_store_the_same_whatever_happens(tmp_path: Path, seed: int) -> None:
    chance, used = random.Random(seed), 0
    folders = [tmp_path / "quick", tmp_path / "long"]
    for folder in folders:
        folder.mkdir()
        prepare(folder)
    with opened(folders[0]) as one, opened(folders[1]) as two:
        quick, slow = one.database, two.database
        shown = {key: {**seen(**{**FULL, "steps": 2000}).fields} for key in KEYS}
        before: list[Observation] | None = None
        known: Known | None = None
        for number in range(1, 300):
            facts = settled(milestones=(10, 50) if number > 200 else (25, 50, 75))
            shown = {key: _next(chance, fields, number) for key, fields in shown.items()}
            looks = [Observation(key, number, at(number), "list", fields) for key, fields in shown.items()]
            if chance.random() < 0.05:  # a GET, or its 404, comes in between
                other = chance.choice(KEYS)
                get = replace(looks[KEYS.index(other)], source="get")
                missing = chance.random() < 0.5
                for each in (quick, slow):
                    if missing:
                        each.write_now(record_missing, facts, other, number, at(number), "not_found", confirmed=True)
                    else:
                        each.write_now(record_observations, facts, [get])
            try:
                if before is None or not _is_eligible(before, looks):
                    raise Doubt
                known = quick.write_now(lane, facts, known, before, looks)
                still = [
                    (o.key, o.number, o.time) for b, o in zip(before, looks, strict=True) if moving([b]) == moving([o])
                ]
                quick.write_now(save_seen, still)
                used += 1
            except Doubt:
                known = None
                quick.write_now(record_observations, facts, looks)
            slow.write_now(record_observations, facts, looks)
            before = looks
            mine, theirs = quick.write_now(everything), slow.write_now(everything)
            assert (hidden(mine[0]), *mine[1:]) == (hidden(theirs[0]), *theirs[1:]), number
    assert used > 60
