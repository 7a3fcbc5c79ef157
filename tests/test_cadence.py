"""When a task is looked at again: what is known of it in, delay and reason out."""

from __future__ import annotations

import pytest

from watcher.scheduler.cadence import Goals, Known, Next, next_look

GOALS = Goals(interval=30.0, wait_interval=60.0, settle=600.0)
CHANCES = (0.0, 0.3, 0.999)


def planned(known: Known, chance: float = 0.0, *, first: bool = False, goals: Goals = GOALS) -> Next:
    return next_look(known, goals, chance=chance, first=first)


@pytest.mark.parametrize(
    ("known", "delay"),
    [
        pytest.param(Known("RUNNING"), 30, id="running"),
        pytest.param(Known("WAIT"), 60, id="waiting"),
        pytest.param(Known("PAUSED"), 60, id="a status that this version doesn't know"),
        pytest.param(Known("SUCCEEDED", ended_for=0), 30, id="just succeeded"),
        pytest.param(Known("FAILED", ended_for=599), 30, id="failed, not settled"),
        pytest.param(Known("SUCCEEDED", ended_for=600), None, id="settled"),
        pytest.param(Known("RUNNING", missing=True), 60, id="missing: a minute apart"),
        pytest.param(Known("RUNNING", missing=True, gone=True), 900, id="gone: every 15 min"),
        pytest.param(Known(None, gone=True), 900, id="its account never knew it"),
    ],
)
def test_how_often_a_task_is_looked_at(known: Known, delay: float | None) -> None:
    assert planned(known).delay == delay


@pytest.mark.parametrize("chance", CHANCES)
def test_jitter_only_ever_makes_a_look_earlier_and_by_little(chance: float) -> None:
    delay = planned(Known("RUNNING"), chance).delay
    assert delay is not None
    assert 28.5 <= delay <= 30


@pytest.mark.parametrize("chance", CHANCES)
def test_a_missing_task_is_never_asked_again_within_the_minute(chance: float) -> None:
    assert planned(Known("RUNNING", missing=True), chance).delay == 60


@pytest.mark.parametrize("chance", CHANCES)
def test_the_first_plan_spreads_tasks_over_half_their_interval(chance: float) -> None:
    delay = planned(Known("RUNNING"), chance, first=True).delay
    assert delay == pytest.approx(15 + 15 * chance)


# ── "A failed poll is repeated after interval x 2, x 4, ... with full jitter, at most 5 minutes" ──


@pytest.mark.parametrize(("failures", "longest"), [(1, 60), (2, 120), (3, 240), (4, 300), (5, 300), (1000, 300)])
@pytest.mark.parametrize("chance", CHANCES)
def test_a_failed_poll_is_repeated_after_longer_and_longer_with_full_jitter(
    failures: int, longest: float, chance: float
) -> None:
    assert planned(Known("RUNNING", failures=failures), chance).delay == pytest.approx(longest * chance)


def test_a_waiting_tasks_own_interval_is_what_doubles() -> None:
    assert planned(Known("WAIT", failures=1), 1.0).delay == 120


def test_the_old_pace_returns_with_the_first_good_answer() -> None:
    assert planned(Known("RUNNING", failures=0), 0.0).delay == 30


def test_a_failed_poll_of_a_settled_task_is_repeated_since_nobody_knows() -> None:
    assert planned(Known("SUCCEEDED", ended_for=9999, failures=1), 1.0).delay == 60


@pytest.mark.parametrize(
    ("known", "because"),
    [
        (Known("RUNNING", failures=2), "2 failed polls in a row"),
        (Known("WAIT"), "WAIT"),
        (Known(None), "unseen"),
        (Known("FAILED", ended_for=1), "settling after its end"),
        (Known("FAILED", ended_for=600), "ended and settled"),
        (Known("WAIT", missing=True), "missing, to be confirmed"),
        (Known("WAIT", gone=True), "gone, looked for slowly"),
    ],
)
def test_every_plan_says_why(known: Known, because: str) -> None:
    assert planned(known).because == because


def test_a_cadence_faster_than_a_second_is_kept() -> None:
    fast = Goals(interval=0.1, wait_interval=0.1, settle=1.0)
    assert planned(Known("RUNNING"), goals=fast).delay == 0.1
    assert planned(Known("RUNNING", failures=1), 1.0, goals=fast).delay == pytest.approx(0.2)
