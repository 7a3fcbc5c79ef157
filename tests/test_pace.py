"""How far apart queries are: pure, in tables. `now` counts seconds from an arbitrary moment."""

from __future__ import annotations

import pytest

from watcher.clova.pace import RECOVERS_EVERY, SLOWEST, WINDOW, Pace
from watcher.clova.wire import RateHint


def test_the_share_is_spread_over_a_little_more_than_a_minute() -> None:
    assert Pace(60).spacing(0.0) == pytest.approx(1.02)
    assert Pace(30).spacing(0.0) == pytest.approx(2.04)
    assert not Pace(30).slowed(0.0)


def test_each_rate_limit_doubles_the_distance_but_not_beyond_a_minute() -> None:
    pace, seen = Pace(60), []
    for second in range(10):
        pace.limited(started=second, now=second + 0.5)
        seen.append(round(pace.spacing(second + 0.5), 2))
    assert seen[:5] == [2.04, 4.08, 8.16, 16.32, 32.64]
    assert seen[5:] == [SLOWEST] * 5
    assert pace.slowed(10.0)


def test_queries_that_were_under_way_together_slow_down_once() -> None:
    pace = Pace(60)
    for started in (1.0, 1.2, 1.4):
        pace.limited(started, now=2.0)
    assert pace.spacing(2.0) == pytest.approx(2.04)
    pace.limited(started=2.1, now=3.0)
    assert pace.spacing(3.0) == pytest.approx(4.08)


def test_it_recovers_by_a_fifth_every_half_minute_and_to_the_share_in_the_end() -> None:
    pace = Pace(60)
    for second in (0.0, 1.0, 2.0):
        pace.limited(second, second + 0.5)
    slowest = pace.spacing(3.0)
    pace.answered(2.5 + RECOVERS_EVERY - 1)
    assert pace.spacing(40.0) == slowest
    spacings = []
    for second in range(33, 1200):
        pace.answered(float(second))
        spacings.append(pace.spacing(float(second)))
    assert spacings == sorted(spacings, reverse=True)
    assert spacings[0] == pytest.approx(slowest / 1.25)
    assert spacings[-1] == pytest.approx(1.02)
    assert not pace.slowed(1200.0)


def test_a_rate_limit_during_the_recovery_slows_down_again() -> None:
    pace = Pace(60)
    pace.limited(0.0, 0.5)
    pace.answered(31.0)
    before = pace.spacing(31.0)
    pace.limited(40.0, 40.5)
    assert pace.spacing(41.0) == pytest.approx(2 * before)


def test_one_that_never_gets_a_good_answer_stays_slow() -> None:
    pace = Pace(60)
    pace.limited(0.0, 0.5)
    assert pace.spacing(86400.0) == pytest.approx(2.04)


def test_a_share_slower_than_the_slowest_isnt_made_faster_by_a_rate_limit() -> None:
    pace = Pace(0.5)
    pace.limited(0.0, 0.5)
    assert pace.spacing(1.0) == pytest.approx(122.4)


def test_a_changed_share_holds_at_once_and_keeps_what_the_upstream_asked_for() -> None:
    pace = Pace(60)
    pace.limited(0.0, 0.5)
    pace.share(30)
    assert pace.spacing(1.0) == pytest.approx(4.08)
    pace.share(120)
    assert pace.spacing(1.0) == pytest.approx(1.02)


def test_what_is_left_of_the_limit_is_spread_until_it_is_renewed() -> None:
    pace = Pace(60)
    assert pace.hint(RateHint(limit=60, remaining=4, reset=40.0), 100.0) == 0.0
    assert pace.spacing(101.0) == pytest.approx(10.0)
    assert pace.slowed(101.0)
    assert pace.spacing(140.0) == pytest.approx(1.02)


def test_nothing_left_is_a_pause_until_the_renewal() -> None:
    assert Pace(60).hint(RateHint(limit=60, remaining=0, reset=17.0), 0.0) == 17.0
    assert Pace(60).hint(RateHint(limit=60, remaining=-3, reset=17.0), 0.0) == 17.0
    assert Pace(60).hint(RateHint(limit=60, remaining=0, reset=None), 0.0) == 0.0
    assert Pace(60).hint(RateHint(limit=60, remaining=0, reset=0.0), 0.0) == 0.0


@pytest.mark.parametrize("limit", [None, 0, -5, 60, 200])
def test_a_limit_that_says_nothing_or_leaves_room_slows_nothing(limit: int | None) -> None:
    pace = Pace(60)
    pace.hint(RateHint(limit=limit), 0.0)
    assert pace.spacing(1.0) == pytest.approx(1.02)


def test_a_limit_below_the_share_holds_until_another_is_said() -> None:
    pace = Pace(60)
    pace.hint(RateHint(limit=20), 0.0)
    assert pace.spacing(1.0) == pytest.approx(WINDOW / 20)
    pace.hint(RateHint(limit=100), 2.0)
    assert pace.spacing(3.0) == pytest.approx(1.02)


def test_a_limit_that_nobody_speaks_of_any_more_is_forgotten() -> None:
    pace = Pace(60)
    pace.hint(RateHint(limit=1), 0.0)
    assert pace.spacing(1.0) > 60.0
    for second in range(60, 7200, 60):
        pace.answered(float(second))
    assert pace.spacing(7200.0) == pytest.approx(1.02)
