"""What becomes of a delivery after a try. Pure: time and chance are passed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from watcher.models import Accepted, DeliveryState, Outcome, Refused, Retry, Unknown

FIRST_DELAY = 1.0
LONGEST_DELAY = 300.0
LONGEST_RETRY_AFTER = 3600.0

Result = Literal["accepted", "refused", "retry", "unknown"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The delivery's next state and why; `delay` seconds before the next try, where there is one.

    `answered`: the channel itself spoke, so it isn't failing. `pause`: seconds that it asked us to stay away.
    """

    state: DeliveryState
    result: Result
    reason: str
    delay: float = 0.0
    answered: bool = False
    pause: float = 0.0


def decide(outcome: Outcome, *, attempts: int, age: float, give_up_after: float, chance: float) -> Decision:
    """Decide after try number `attempts` of a delivery that has been due for `age` seconds of running time.

    `chance` (0 to 1) spreads the retries (full jitter).
    """
    match outcome:
        case Accepted(detail):
            return Decision("delivered", "accepted", detail, answered=True)
        case Refused(reason):
            return Decision("refused", "refused", reason, answered=True)
        case Retry(reason, after):
            result: Result = "retry"
        case Unknown(reason):
            after, result = None, "unknown"
    if age >= give_up_after:
        return Decision("expired", result, f"given up: {reason}")
    pause = min(after or 0.0, LONGEST_RETRY_AFTER)
    return Decision("waiting", result, reason, delay=retry_delay(attempts, chance, after), pause=pause)


def retry_delay(failures: int, chance: float, after: float | None = None) -> float:
    """Seconds to wait after `failures` failures in a row: 1 s doubling to 5 min, with full jitter.

    A channel that said when to come back (`after`) is believed up to an hour. "At once" or a time that is past isn't
    an answer to how long it needs, so then the usual delay holds.
    """
    if after is not None and after >= FIRST_DELAY:
        return min(after, LONGEST_RETRY_AFTER)
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(max(failures - 1, 0), 20))
    return float(chance * ceiling)
