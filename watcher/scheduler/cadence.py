"""When to look at a task again, why, and who goes first when there isn't time for all.

Pure: time and chance are passed in; all spans are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from watcher.models import RUNNING, TERMINAL

LONGEST_BACKOFF = 300.0
GONE_AGAIN = 60.0
GONE_FOR_GOOD = 900.0
REJECTED_AGAIN = 10.0
REJECTED_FOR_GOOD = 300.0
IDLE = 300.0
JITTER = 0.05

NEAR = 2.0
"""Intervals before the expected end from which a task is looked at more often."""

FASTEST = 0.25
"""The share of the interval that looks near the end come down to."""

AMENDED_WITHIN = 60.0
"""Seconds within which the facts about an end that was told without them should follow, if there is time."""

LINGER = 300.0
"""Seconds after which an end that was expected and didn't come isn't waited for so closely any more."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a task when its next poll is planned.

    `ended_for` is how long it has been terminal; `missing`: the last GET said that it isn't there; `gone`: that was
    told, or the account never knew it; `failures`: failed polls in a row; `left`: seconds until its expected end,
    negative when that has passed; `doubtful`: a list page has said something that a GET must complete.
    """

    status: str | None
    ended_for: float | None = None
    missing: bool = False
    gone: bool = False
    failures: int = 0
    left: float | None = None
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Goals:
    """The configured cadence."""

    interval: float
    wait_interval: float
    settle: float


@dataclass(frozen=True, slots=True)
class Next:
    """The delay before the next look and its reason; a delay of None means that nobody looks again."""

    delay: float | None
    because: str


def next_look(known: Known, goals: Goals, *, chance: float, first: bool = False) -> Next:
    """Plan the next look. `chance` (0 to 1) spreads queries; `first`: the task was just seen for the first time by this
    process, so its phase is chosen anew lest all tasks stay in step."""
    if known.failures:
        return Next(_backoff(known, goals, chance), _failed_polls(known.failures))
    if known.gone:
        what = "unknown to its account" if known.status is None else "gone"
        return Next(_spread(GONE_FOR_GOOD, chance), f"{what}, looked for slowly")
    if known.missing:
        return Next(GONE_AGAIN, "missing, to be confirmed")
    if known.doubtful:
        return Next(0.0, "a list page left a doubt")
    if known.status in TERMINAL:
        return _after_the_end(known, goals, chance)
    if is_near_end(known, goals):
        left = max(known.left or 0.0, 0.0)
        return Next(_spread(max(left / NEAR, goals.interval * FASTEST), chance), f"{known.status}, its end is near")
    goal = goal_of(known.status, goals)
    return Next(goal * (0.5 + 0.5 * chance) if first else _spread(goal, chance), known.status or "unseen")


def goal_of(status: str | None, goals: Goals) -> float:
    """How often a task of that status should be looked at."""
    return goals.interval if status == RUNNING or status in TERMINAL else goals.wait_interval


def is_near_end(known: Known, goals: Goals) -> bool:
    """Whether the training is about to end, or should just have ended."""
    return known.status == RUNNING and known.left is not None and -LINGER <= known.left < NEAR * goals.interval


def urgency(known: Known, goals: Goals, late: float) -> float:
    """How much it matters to look at a task that has been due for `late` seconds: RUNNING ones before those that wait,
    those about to end before all others; whoever waits for long gets its turn all the same."""
    waited = 1.0 + late / goal_of(known.status, goals)
    if known.doubtful and known.status in TERMINAL:
        return 0.6 + 0.5 * late / AMENDED_WITHIN
    if known.status in TERMINAL or known.failures or known.gone:
        return 0.5 * waited
    if is_near_end(known, goals):
        return 8.0 * waited
    return {RUNNING: 2.0, None: 4.0}.get(known.status, 1.0) * waited


def _failed_polls(count: int) -> str:
    return f"{count} failed polls in a row" if count > 1 else "its last poll failed"


def _after_the_end(known: Known, goals: Goals, chance: float) -> Next:
    if known.ended_for is not None and known.ended_for >= goals.settle:
        return Next(None, "ended and settled")
    return Next(_spread(goals.interval, chance), "settling after its end")


def _backoff(known: Known, goals: Goals, chance: float) -> float:
    """Interval x 2, x 4, ... with full jitter, at most 5 min."""
    goal = goals.interval if known.status is None else goal_of(known.status, goals)
    return chance * min(LONGEST_BACKOFF, goal * 2.0 ** min(known.failures, 30))


def _spread(goal: float, chance: float) -> float:
    return goal * (1 - JITTER * chance)
