"""Who asked what: the log of requests, from which a test counts any window of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

LOG_LENGTH = 200_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was answered. `at` is the monotonic clock in seconds, `time` the wall clock, `key` what stood
    behind Bearer, `status` the HTTP status (0: none was sent), `outcome` ok, the envelope's code, or the fault."""

    at: float
    time: datetime
    path: str
    key: str
    status: int
    outcome: str
    request_id: str


def busiest(log: Iterable[Request], key: str | None = None, seconds: float = 60.0) -> int:
    """The most requests of a key (None: of all together) in any window of so many seconds; refused ones count."""
    return most_within((entry.at for entry in log if key in (None, entry.key)), seconds)


def most_within(moments: Iterable[float], seconds: float = 60.0) -> int:
    """The most moments, which come in order, in any window of so many seconds."""
    window: deque[float] = deque()
    most = 0
    for moment in moments:
        window.append(moment)
        while window[0] <= moment - seconds:
            window.popleft()
        most = max(most, len(window))
    return most


def by_key(log: Iterable[Request]) -> dict[str, dict[str, int]]:
    """For each key how often it asked, and how often in its busiest minute."""
    moments: dict[str, list[float]] = {}
    for entry in log:
        moments.setdefault(entry.key, []).append(entry.at)
    return {key: {"requests": len(at), "busiest_minute": most_within(at)} for key, at in moments.items()}
