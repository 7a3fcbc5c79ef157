"""How far apart an account's queries are: the configured share, and slower while the upstream asks for it. Pure.

A 429 doubles the distance at once; without another one it shrinks by a fifth every half minute. Headers that speak of
the limit spread what is left of it until it is renewed, since the account's own traffic uses the same limit.
"""

from __future__ import annotations

from watcher.clova.wire import RateHint

WINDOW = 61.2
"""Seconds over which a minute's queries are spread. Exact spacing over 60 would let one too many into some minute."""

SLOWEST = 60.0
"""Seconds between queries beyond which no 429 slows down."""

LIMIT_HOLDS = 300.0
"""Seconds for which a limit that an answer named is believed without being named again."""

SLOWER = 1.2
"""How much slower another process must have been to be taken for slowed down: reservations are a little longer than
their queries."""

RECOVERS_EVERY = 30.0
RECOVERS_BY = 1.25


class Pace:
    """The distance between queries in seconds; `now` is monotonic throughout."""

    def __init__(self, queries_per_minute: float) -> None:
        self._share = WINDOW / queries_per_minute
        self._slowed = 1.0
        self._slowed_at: float | None = None
        self._limit = 0.0
        self._limit_until = 0.0
        self._spread = 0.0
        self._spread_until = 0.0

    def share(self, queries_per_minute: float) -> None:
        """The configured share has changed."""
        self._share = WINDOW / queries_per_minute

    def spacing(self, now: float) -> float:
        """Seconds from one query to the next."""
        spread = self._spread if now < self._spread_until else 0.0
        limit = self._limit if now < self._limit_until else 0.0
        return max(self._share * self._slowed, limit, spread)

    def slowed(self, now: float) -> bool:
        """Whether the upstream has made it slower than configured."""
        return self.spacing(now) > self._share

    def limited(self, started: float, now: float) -> None:
        """A query that was sent at `started` was answered with 429. Those under way together slow down once."""
        if self._slowed_at is not None and started <= self._slowed_at:
            return
        self._slowed = min(self._slowed * 2, max(1.0, SLOWEST / self._share))
        self._slowed_at = now

    def inherit(self, spacing: float, now: float) -> None:
        """Another process has kept that distance lately: if it was slowed down, so is this one."""
        slowed = min(spacing / self._share, max(1.0, SLOWEST / self._share))
        if slowed > self._slowed * SLOWER:
            self._slowed, self._slowed_at = slowed, now

    def answered(self, now: float) -> None:
        """A query was answered as it should be."""
        if self._slowed_at is not None and now - self._slowed_at >= RECOVERS_EVERY:
            self._slowed = max(1.0, self._slowed / RECOVERS_BY)
            self._slowed_at = now if self._slowed > 1.0 else None

    def hint(self, hint: RateHint, now: float, own: int = 0) -> float:
        """What an answer's headers say; `own` counts our own queries so far. Returns for how many seconds nothing may
        be sent (0.0 for most)."""
        if hint.limit is not None and hint.limit > 0:
            self._limit, self._limit_until = WINDOW / hint.limit, now + LIMIT_HOLDS
        if hint.remaining is None or not hint.reset:
            return 0.0
        if hint.remaining <= 0:
            return hint.reset
        if not self._is_our_own_use(hint, own):
            self._spread, self._spread_until = hint.reset / hint.remaining, now + hint.reset
        return 0.0

    def _is_our_own_use(self, hint: RateHint, own: int) -> bool:
        """Whether what is left is as little as it is because of our share alone, which we were given."""
        if hint.limit is None or hint.remaining is None:
            return False
        share = WINDOW / self._share
        others = hint.limit - hint.remaining - min(own, share)
        return hint.limit - max(others, 0.0) >= share
