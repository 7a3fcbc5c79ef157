"""When a training should end, from the steps that were seen of it.

Times are seconds after noon, and so is the monotonic clock of these tests.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import at, stored
from watcher.models import Snapshot
from watcher.scheduler.steps import Steps


def looked(when: float, step: Any, steps: Any = 1000, status: str = "RUNNING", **more: Any) -> Snapshot:
    """The task as stored after a change that was seen then."""
    return stored(status, when=when, changed=at(when), step=step, steps=steps, **more)


def end_of(*shown: Snapshot) -> float | None:
    steps = Steps()
    for snapshot in shown:
        steps.learn(snapshot, (snapshot.changed - at(0)).total_seconds())
    return steps.end_at


def test_one_look_at_a_training_that_ran_before_tells_nothing() -> None:
    assert end_of(looked(0, 100)) is None


def test_two_steps_tell_the_pace() -> None:
    assert end_of(looked(0, 100), looked(60, 200)) == pytest.approx(60 + 800 * 0.6)


def test_whoever_saw_it_start_knows_the_pace_with_the_first_step() -> None:
    started = stored("RUNNING", when=0, changed=at(0), status_since=at(0), step=0, steps=1000)
    first = stored("RUNNING", when=100, changed=at(100), status_since=at(0), step=50, steps=1000)
    steps = Steps()
    steps.learn(started, 0.0)
    assert steps.end_at is None
    steps.learn(first, 100.0)
    assert steps.end_at == pytest.approx(2000.0)


def test_the_newest_pace_counts_from_the_first_look_on() -> None:
    assert end_of(looked(0, 0), looked(100, 100), looked(300, 200)) == pytest.approx(300 + 800 * 1.5)


def test_a_look_without_a_new_step_moves_nothing() -> None:
    assert end_of(looked(0, 100), looked(60, 200), looked(600, 200)) == pytest.approx(540.0)


def test_a_step_back_begins_anew() -> None:
    assert end_of(looked(0, 500), looked(60, 600), looked(120, 100)) == pytest.approx(300.0)
    assert end_of(looked(0, 500), looked(60, 600), looked(120, 100), looked(180, 200)) == pytest.approx(180 + 480)


def test_another_life_begins_anew() -> None:
    assert end_of(looked(0, 500), looked(60, 600), looked(120, 700, life=2), looked(180, 800, life=2)) == 180 + 120


def test_a_total_that_changes_moves_the_end() -> None:
    assert end_of(looked(0, 0), looked(100, 100), looked(200, 100, steps=2000)) == pytest.approx(200 + 1900 * 2.0)


@pytest.mark.parametrize("status", ["WAIT", "SUCCEEDED", "FAILED", "PAUSED"])
def test_only_a_running_training_has_an_expected_end(status: str) -> None:
    assert end_of(looked(0, 100), looked(60, 200), looked(90, 300, status=status)) is None
    assert end_of(looked(0, 100), looked(60, 200), looked(90, 300, status=status), looked(99, 400)) is None


@pytest.mark.parametrize(
    ("step", "steps"), [(None, 1000), (5, None), (-1, 1000), (2000, 1000), ("7", 1000), (True, 1000), (5.0, 1000)]
)
def test_steps_that_make_no_sense_are_no_steps(step: Any, steps: Any) -> None:
    assert end_of(looked(0, 100), looked(60, 200), looked(90, step, steps)) is None


def test_a_finished_count_ends_at_once() -> None:
    assert end_of(looked(0, 0), looked(100, 1000)) == pytest.approx(100.0)
    assert end_of(looked(0, 0, 0), looked(100, 0, 0)) is None


@pytest.mark.parametrize("jump", [-86400.0 * 365, -3600.0])
def test_a_wall_clock_that_was_set_back_leaves_the_end_where_it_was(jump: float) -> None:
    steps = Steps()
    steps.learn(looked(0, 100), 0.0)
    steps.learn(looked(60, 200), 60.0)
    before = steps.end_at
    steps.learn(looked(120 + jump, 300), 120.0)
    assert steps.end_at == before
