"""The account's share of queries: when the next request may start, over restarts and kill -9 too."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

WINDOW = 61.2
"""Seconds over which a minute's queries are spread. Exact spacing over 60 would let one too many into some minute."""

BLOCK = 5.0
"""Seconds of queries that are reserved in the store at a time; a start after a kill waits for so long at most, unless
the queries are further apart."""

LONGEST_WAIT = 60.0
LONGEST_PAUSE = 900.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Request numbers from `first` on, `count` of them."""

    first: int
    count: int


class Pacer:
    """Hands out request numbers, evenly spaced.

    `reserve(seconds, count)` writes the reservation to the store before the first of its queries is sent. `wait` is how
    long an earlier process's reservation still holds, in seconds; never more than a minute, whatever the clock says.
    """

    def __init__(
        self,
        queries_per_minute: float,
        reserve: Callable[[float, int], Awaitable[int]],
        *,
        wait: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spacing = WINDOW / queries_per_minute
        self._reserve = reserve
        self._clock = clock
        self._next = clock() + min(max(wait, 0.0), LONGEST_WAIT)
        self._reserved_until = -math.inf
        self._numbers = iter(range(0))
        self._turn = asyncio.Lock()
        self.queries = 0
        self.last_number = 0

    async def take(self) -> int:
        """Wait for the next free place and return its request number; callers are served in order."""
        async with self._turn:
            await self._until_free()
            if self._clock() >= self._reserved_until:
                await self._reserve_block()
            self._next = max(self._clock(), self._next) + self.spacing
            self.queries += 1
            self.last_number = await self._number()
            return self.last_number

    def pause(self, seconds: float) -> None:
        """Send nothing for so long, at most 15 min: the upstream asked for it."""
        self._next = max(self._next, self._clock() + min(max(seconds, 0.0), LONGEST_PAUSE))

    def ahead(self) -> float:
        """Seconds until the next query may start; 0 or less when it may start now."""
        return self._next - self._clock()

    async def _until_free(self) -> None:
        # A pause may be prolonged while we sleep.
        while (delay := self.ahead()) > 0:  # noqa: ASYNC110 - nothing but time ends this wait
            await asyncio.sleep(delay)

    async def _reserve_block(self) -> None:
        seconds = max(BLOCK, self.spacing)
        count = math.ceil(seconds / self.spacing) + 1
        started = self._clock()
        first = await self._reserve(seconds, count)
        self._numbers = iter(range(first, first + count))
        # A query at the block's very end still needs its own spacing inside the reservation.
        self._reserved_until = started + seconds - self.spacing if seconds > self.spacing else started + 0.0

    async def _number(self) -> int:
        number = next(self._numbers, None)
        if number is None:
            await self._reserve_block()
            number = next(self._numbers)
        return number
