"""What becomes of a delivery after a try: outcome, age and number of tries in, state and delay out."""

from __future__ import annotations

import pytest

from watcher.models import Accepted, Outcome, Refused, Retry, Unknown
from watcher.notifier.decide import Decision, decide, retry_delay

WEEK = 7 * 86400.0


def decided(outcome: Outcome, *, attempts: int = 1, age: float = 0.0, chance: float = 1.0) -> Decision:
    return decide(outcome, attempts=attempts, age=age, give_up_after=WEEK, chance=chance)


@pytest.mark.parametrize(
    ("outcome", "age", "state", "result", "answered"),
    [
        (Accepted("200"), 0, "delivered", "accepted", True),
        (Accepted("200"), WEEK * 2, "delivered", "accepted", True),
        (Refused("413"), 0, "refused", "refused", True),
        (Refused("413"), WEEK * 2, "refused", "refused", True),
        (Retry("503"), 0, "waiting", "retry", False),
        (Retry("503"), WEEK - 1, "waiting", "retry", False),
        (Retry("503"), WEEK, "expired", "retry", False),
        (Unknown("no answer"), 0, "waiting", "unknown", False),
        (Unknown("no answer"), WEEK, "expired", "unknown", False),
    ],
)
def test_what_becomes_of_a_delivery(outcome: Outcome, age: float, state: str, result: str, answered: bool) -> None:
    decision = decided(outcome, age=age)
    assert (decision.state, decision.result, decision.answered) == (state, result, answered)


def test_a_reason_stays_with_the_delivery_also_when_it_is_given_up() -> None:
    assert decided(Retry("503 busy")).reason == "503 busy"
    assert decided(Retry("503 busy"), age=WEEK).reason == "given up: 503 busy"


@pytest.mark.parametrize(
    ("attempts", "ceiling"),
    [(1, 1), (2, 2), (3, 4), (4, 8), (8, 128), (9, 256), (10, 300), (50, 300), (100_000, 300)],
)
def test_tries_are_repeated_after_a_second_doubling_to_five_minutes(attempts: int, ceiling: float) -> None:
    assert decided(Retry("x"), attempts=attempts, chance=1.0).delay == ceiling


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.5, 0.999])
def test_the_delay_has_full_jitter(chance: float) -> None:
    assert retry_delay(4, chance) == pytest.approx(8 * chance)


@pytest.mark.parametrize(("after", "delay"), [(1, 1), (7, 7), (3600, 3600), (3601, 3600), (1e12, 3600)])
def test_a_channel_that_says_when_to_come_back_is_believed_up_to_an_hour(after: float, delay: float) -> None:
    assert decided(Retry("429", after), attempts=9, chance=0.1).delay == delay


@pytest.mark.parametrize("after", [0.0, 0.5, -5.0])
def test_a_channel_that_says_at_once_gets_the_usual_delay_and_no_storm(after: float) -> None:
    assert decided(Retry("503", after), attempts=4, chance=0.5).delay == 4


def test_an_end_has_no_delay() -> None:
    assert decided(Accepted()).delay == decided(Refused("x")).delay == decided(Retry("x", 9), age=WEEK).delay == 0
