"""When to look at a task again, and why. Pure: time and chance are passed in; all spans are seconds."""

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


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a task when its next poll is planned.

    `ended_for` is how long it has been terminal; `missing`: the last GET said that it isn't there; `gone`: that was
    told, or the account never knew it; `failures`: failed polls in a row.
    """

    status: str | None
    ended_for: float | None = None
    missing: bool = False
    gone: bool = False
    failures: int = 0


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
    """Plan the next look. `chance` (0 to 1) spreads tasks; `first`: the task was just seen for the first time by this
    process, so its phase is chosen anew lest all tasks stay in step."""
    if known.failures:
        return Next(_backoff(known, goals, chance), f"{known.failures} failed polls in a row")
    if known.gone:
        return Next(_spread(GONE_FOR_GOOD, chance), "gone, looked for slowly")
    if known.missing:
        return Next(GONE_AGAIN, "missing, to be confirmed")
    goal = goals.interval if known.status in {RUNNING} | TERMINAL else goals.wait_interval
    if known.status in TERMINAL and known.ended_for is not None and known.ended_for >= goals.settle:
        return Next(None, "ended and settled")
    because = "settling after its end" if known.status in TERMINAL else f"{known.status or 'unseen'}"
    return Next(goal * (0.5 + 0.5 * chance) if first else _spread(goal, chance), because)


def _backoff(known: Known, goals: Goals, chance: float) -> float:
    """Interval x 2, x 4, ... with full jitter, at most 5 min."""
    goal = goals.interval if known.status in {RUNNING, None} | TERMINAL else goals.wait_interval
    return chance * min(LONGEST_BACKOFF, goal * 2.0 ** min(known.failures, 30))


def _spread(goal: float, chance: float) -> float:
    return goal * (1 - JITTER * chance)
