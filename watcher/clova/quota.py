"""The account's share of queries: when the next request may start, over restarts and kill -9 too.

Sweeps, discovery, checks and retries of one account all ask the same pacer, and every process the same row of the
store, so that no minute has more queries than the share.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from watcher.clova.pace import WINDOW, Pace
from watcher.clova.wire import RateHint

BLOCK = 5.0
"""Seconds of queries that are reserved in the store at a time; a start after a kill waits for so long at most, unless
the queries are further apart."""

SLACK = 0.5
"""Seconds that a reservation is longer than its queries: writing it takes time, which runs already."""

LONGEST_PAUSE = 900.0
EARLY = 1e-6


@dataclass(frozen=True, slots=True)
class Reservation:
    """Request numbers from `first` on, usable after `wait` seconds: another process may have reserved that time.
    `spacing` is the distance that it kept lately: if the upstream has slowed it down, that holds for this one too."""

    first: int
    wait: float = 0.0
    spacing: float | None = None


Reserve = Callable[[float, int], Awaitable[Reservation]]


class Pacer:
    """Hands out request numbers, evenly spaced.

    `reserve(seconds, count)` writes the reservation to the store before the first of its queries is sent. `queries`
    counts what was handed out, `last_number` is the newest number.
    """

    def __init__(
        self, queries_per_minute: float, reserve: Reserve, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.queries = 0
        self.last_number = 0
        self._pace = Pace(queries_per_minute)
        self._reserve = reserve
        self._clock = clock
        self._taken_at = -math.inf
        self._paused_until = -math.inf
        self._changed = asyncio.Event()
        self._reserved_until = -math.inf
        self._slack = SLACK
        self._numbers = iter(range(0))
        self._turn = asyncio.Lock()
        self._line, self._urgent_line = asyncio.Lock(), asyncio.Lock()
        self._urgent = 0
        self._last_was_urgent = False

    @property
    def spacing(self) -> float:
        """Seconds from one query to the next, as things are now."""
        return self._pace.spacing(self._clock())

    @property
    def rate(self) -> float:
        """Queries a minute, as things are now."""
        return round(WINDOW / self.spacing, 2)

    @property
    def slowed(self) -> bool:
        """The upstream has made it slower than configured."""
        return self._pace.slowed(self._clock())

    async def take(self, *, urgent: bool = False) -> int:
        """Wait for the next free place and return its request number. Callers are served in order; urgent ones have a
        line of their own, and the next place, but never two in a row while others wait."""
        self._urgent += urgent
        try:
            async with self._urgent_line if urgent else self._line:
                number = await self._take(urgent=urgent, polite=not urgent)
                if number is None:
                    # Somebody urgent came while we waited for this place; the one after it is ours.
                    number = await self._take(urgent=urgent, polite=False)
                assert number is not None  # noqa: S101 - only a polite caller gets none
                return number
        finally:
            self._urgent -= urgent

    def pause(self, seconds: float) -> None:
        """Send nothing for so long, at most 15 min: the upstream asked for it."""
        until = self._clock() + min(max(seconds, 0.0), LONGEST_PAUSE)
        self._paused_until = max(self._paused_until, until)

    def limited(self, started: float, retry_after: float | None) -> None:
        """A query sent at `started` (monotonic) was answered with 429: slower from now on, after what was asked for."""
        self._pace.limited(started, self._clock())
        self.pause(max(retry_after or 0.0, self.spacing))

    def answered(self, hint: RateHint | None) -> None:
        """A query was answered; `hint` is what its headers said of the limit."""
        now = self._clock()
        self._pace.answered(now)
        if hint is not None and (pause := self._pace.hint(hint, now, self.queries)):
            self.pause(pause)

    def share(self, queries_per_minute: float) -> None:
        """The configured share has changed: who waits for its turn hears of it."""
        self._pace.share(queries_per_minute)
        self._changed.set()

    def ahead(self) -> float:
        """Seconds until the next query may start; 0 or less when it may start now."""
        return max(self._taken_at + self.spacing, self._paused_until) - self._clock()

    async def _take(self, *, urgent: bool, polite: bool) -> int | None:
        """The next number; None for a polite caller while somebody urgent waits for this place."""
        async with self._turn:
            while True:
                await self._until_free()
                if polite and self._urgent and not self._last_was_urgent:
                    return None
                number = next(self._numbers, None) if self._covered() else None
                if number is not None:
                    break
                await self._reserve_block()
            self._taken_at, self._last_was_urgent = self._clock(), urgent
            self.queries += 1
            self.last_number = number
            return number

    async def _until_free(self) -> None:
        # A pause may be prolonged while we sleep, and the share may change.
        while (delay := self.ahead()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._changed.wait()

    def _covered(self) -> bool:
        """A query at the block's very end still needs its own spacing inside the reservation."""
        return self._clock() + self.spacing <= self._reserved_until + EARLY

    async def _reserve_block(self) -> None:
        spacing, started = self.spacing, self._clock()
        count = max(1, int(BLOCK / spacing + EARLY))
        seconds = count * spacing + self._slack
        reserved = await self._reserve(seconds, count)
        self._numbers = iter(range(reserved.first, reserved.first + count))
        self._paused_until = max(self._paused_until, started + reserved.wait)
        self._reserved_until = started + reserved.wait + seconds
        self._slack = max(SLACK, 2 * (self._clock() - started))
        if reserved.spacing is not None:
            self._pace.inherit(reserved.spacing, self._clock())
