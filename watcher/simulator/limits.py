"""The rate limit: who has spent how much, and how an answer tells it."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from watcher.simulator.values import Limits

WINDOW = 60.0


@dataclass(frozen=True, slots=True)
class Quota:
    """A budget after one more query: `wait` seconds until it would be answered (0: it is), `reset` until all of the
    limit is there again if nobody asks."""

    limit: int
    remaining: int
    wait: float
    reset: float


class _Budget:
    """The queries of the last minute; somebody else's come evenly, and are refused like ours."""

    def __init__(self, since: float) -> None:
        self._asked: deque[float] = deque()
        self._next_other = since

    def others_from(self, moment: float) -> None:
        """Somebody else's next query comes then."""
        self._next_other = moment

    def spend(self, now: float, limit: int, others: float) -> Quota:
        self._let_others(now, limit, others)
        self._forget(now)
        if len(self._asked) >= limit:
            wait = self._asked[-limit] + WINDOW - now
            return Quota(limit, 0, wait, wait)
        self._asked.append(now)
        return Quota(limit, limit - len(self._asked), 0.0, WINDOW)

    def _let_others(self, now: float, limit: int, others: float) -> None:
        if not others:
            self._next_other = now
            return
        self._next_other = max(self._next_other, now - WINDOW)
        while self._next_other <= now:
            self._forget(self._next_other)
            if len(self._asked) < limit:
                self._asked.append(self._next_other)
            self._next_other += WINDOW / others

    def _forget(self, now: float) -> None:
        while self._asked and self._asked[0] <= now - WINDOW:
            self._asked.popleft()


class Budgets:
    """One budget for all keys together, or one for each; in real time."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_key: dict[str, _Budget] = {}
        self.change(limits)

    def change(self, limits: Limits) -> None:
        """Counts and tells like this from now on; what was spent stays spent."""
        self.limits, self._since = limits, self._clock()
        for budget in self._by_key.values():
            budget.others_from(self._since)

    def spend(self, key: str, limit: int | None) -> Quota | None:
        """Counts one query; None when there is no limit."""
        if limit is None:
            return None
        whose = key if self.limits.per_key else ""
        if whose not in self._by_key:
            self._by_key[whose] = _Budget(self._since)
        return self._by_key[whose].spend(self._clock(), limit, self.limits.other_queries_per_minute)

    def headers(self, quota: Quota) -> dict[str, str]:
        """What an answer's headers say of the budget."""
        values = {"limit": quota.limit, "remaining": quota.remaining, "reset": math.ceil(quota.reset)}
        spelling = self.limits.headers
        if spelling == "none":
            return {}
        if spelling == "x-ratelimit-requests":
            return {f"x-ratelimit-{name}-requests": _span(name, value) for name, value in values.items()}
        return {f"{spelling}-{name}": str(value) for name, value in values.items()}

    def refusal(self, quota: Quota) -> dict[str, str]:
        """What a refusal's headers say besides."""
        return {"Retry-After": str(math.ceil(quota.wait))} if self.limits.retry_after else {}


def _span(name: str, value: int) -> str:
    return f"{value}s" if name == "reset" else str(value)
