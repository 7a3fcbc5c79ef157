"""Who goes first when the quota doesn't suffice, and that nobody waits for ever."""

from __future__ import annotations

import itertools
from collections import deque

import pytest

from watcher.scheduler.cadence import LINGER, Goals, Known, is_near_end, urgency

GOALS = Goals(interval=30.0, wait_interval=60.0, settle=600.0)
NEAR_ITS_END = Known("RUNNING", left=10.0)
UNSEEN = Known(None)
RUNNING = Known("RUNNING")
WAITING = Known("WAIT")
ODD = Known("PAUSED")
ENDED = Known("SUCCEEDED", ended_for=20.0)
GONE = Known("RUNNING", gone=True)
FAILING = Known("RUNNING", failures=3)
UNKNOWN = Known(None, gone=True)
DOUBTFUL = Known("FAILED", ended_for=1.0, doubtful=True)
EVERYBODY = [NEAR_ITS_END, UNSEEN, RUNNING, WAITING, ODD, ENDED, GONE, FAILING, UNKNOWN, DOUBTFUL]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (NEAR_ITS_END, UNSEEN), (NEAR_ITS_END, RUNNING), (UNSEEN, RUNNING), (RUNNING, WAITING), (RUNNING, ODD),
        (WAITING, ENDED), (WAITING, GONE), (WAITING, FAILING), (WAITING, UNKNOWN), (DOUBTFUL, ENDED),
        (Known("RUNNING", left=-10.0), RUNNING),
    ],
)  # fmt: skip
def test_of_two_that_are_due_now_the_more_interesting_goes_first(first: Known, second: Known) -> None:
    assert urgency(first, GOALS, 0.0) > urgency(second, GOALS, 0.0)


@pytest.mark.parametrize(("one", "other"), [*itertools.permutations(EVERYBODY, 2)])
def test_whoever_waits_long_enough_goes_before_anybody_who_is_due_now(one: Known, other: Known) -> None:
    assert urgency(one, GOALS, 7200.0) > urgency(other, GOALS, 0.0)


@pytest.mark.parametrize("known", EVERYBODY)
def test_urgency_grows_for_as_long_as_one_waits(known: Known) -> None:
    waits = [0.0, 1.0, 30.0, 300.0, 3600.0, 86400.0]
    assert sorted({urgency(known, GOALS, late) for late in waits}) == [urgency(known, GOALS, late) for late in waits]


@pytest.mark.parametrize("known", EVERYBODY)
def test_nobody_waits_for_ever_in_an_account_that_has_ten_times_too_many_tasks(known: Known) -> None:
    """A thousand RUNNING tasks, one query a second, most urgent first: the odd one gets its turn within hours."""
    others = deque([0.0] * 1000, maxlen=1000)
    for second in range(4 * 3600):
        if urgency(known, GOALS, float(second)) > urgency(RUNNING, GOALS, second - others[0]):
            return
        others.append(second + GOALS.interval)
    pytest.fail("never")


@pytest.mark.parametrize(
    ("left", "near"),
    [(None, False), (61.0, False), (59.0, True), (0.0, True), (-LINGER + 1, True), (-LINGER - 1, False)],
)
def test_the_end_is_near_from_two_intervals_before_until_five_minutes_after(left: float | None, near: bool) -> None:
    assert is_near_end(Known("RUNNING", left=left), GOALS) is near
    assert not is_near_end(Known("WAIT", left=left), GOALS)
