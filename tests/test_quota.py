"""The account's share of queries: never more in any minute, over restarts and kills too. Time is virtual here."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.builders import at, opened, prepare
from tests.support.virtual import now, run_virtually
from watcher.clova.quota import Pacer
from watcher.errors import StoreStalled
from watcher.state import budget
from watcher.state.database import Database

RATES = [0.5, 1, 2, 7, 30, 59, 60, 61, 200, 600]


@dataclass
class Reservations:
    """What a pacer asked the store for, and when."""

    made: list[tuple[float, float, int]] = field(default_factory=list)

    async def __call__(self, seconds: float, count: int) -> int:
        first = 1 + sum(made[2] for made in self.made)
        self.made.append((now(), seconds, count))
        return first


def pacer(queries_per_minute: float, reserve: Callable[[float, int], Awaitable[int]], wait: float = 0.0) -> Pacer:
    return Pacer(queries_per_minute, reserve, wait=wait, clock=now)


def busiest_minute(moments: list[float]) -> int:
    """The most queries in any 60 s, of which one beginning with a query is always the worst."""
    moments = sorted(moments)
    return max(sum(1 for m in moments if start <= m < start + 60) for start in moments)


async def takes(one: Pacer, count: int) -> list[float]:
    moments = []
    for _ in range(count):
        await one.take()
        moments.append(now())
    return moments


# ── within one process ──


@pytest.mark.parametrize("rate", RATES)
def test_no_minute_has_more_queries_than_the_share(rate: float) -> None:
    moments = run_virtually(_many(rate, 3 * math.ceil(rate) + 5))
    assert busiest_minute(moments) <= max(rate, 1)


async def _many(rate: float, count: int) -> list[float]:
    return await takes(pacer(rate, Reservations()), count)


@pytest.mark.parametrize("rate", RATES)
def test_queries_are_evenly_spaced_by_a_little_more_than_their_share(rate: float) -> None:
    moments = run_virtually(_many(rate, 50))
    gaps = {round(b - a, 6) for a, b in pairwise(moments)}
    assert gaps == {round(61.2 / rate, 6)}


def test_the_first_query_starts_at_once_and_a_pause_saves_nothing_up() -> None:
    async def work() -> list[float]:
        one = pacer(60, Reservations())
        first = await takes(one, 1)
        await asyncio.sleep(3600)
        return first + await takes(one, 100)

    moments = run_virtually(work())
    assert moments[0] == 1000.0
    assert busiest_minute(moments) <= 60


def test_many_callers_at_once_are_served_in_order_with_numbers_that_grow() -> None:
    async def work() -> tuple[list[int], list[float]]:
        one, order, moments = pacer(60, Reservations()), list[int](), list[float]()

        async def ask(who: int) -> int:
            number = await one.take()
            order.append(who)
            moments.append(now())
            return number

        numbers = await asyncio.gather(*(ask(who) for who in range(100)))
        assert order == list(range(100))
        return list(numbers), moments

    numbers, moments = run_virtually(work())
    assert numbers == sorted(set(numbers))
    assert busiest_minute(moments) <= 60


def test_a_caller_that_is_cancelled_while_it_waits_costs_no_place() -> None:
    async def work() -> float:
        one = pacer(1, Reservations())
        await one.take()
        waiting = asyncio.create_task(one.take())
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        await one.take()
        return now()

    assert run_virtually(work()) == pytest.approx(1000 + 61.2)


# ── pauses that the upstream asked for ──


@pytest.mark.parametrize(("asked", "paused"), [(7, 7), (900, 900), (901, 900), (1e9, 900), (0, 2.04), (-5, 2.04)])
def test_a_rate_limit_is_honoured_up_to_a_quarter_of_an_hour(asked: float, paused: float) -> None:
    async def work() -> float:
        one = pacer(30, Reservations())
        await one.take()
        one.pause(asked)
        await one.take()
        return now() - 1000

    assert run_virtually(work()) == pytest.approx(paused)


def test_a_pause_holds_back_who_waits_already_and_is_never_shortened() -> None:
    async def work() -> float:
        one = pacer(30, Reservations())
        await one.take()
        waiting = asyncio.create_task(one.take())
        await asyncio.sleep(1)
        one.pause(100)
        one.pause(10)
        await waiting
        return now() - 1000

    assert run_virtually(work()) == pytest.approx(101)


# ── reservations in the store ──


@pytest.mark.parametrize("rate", RATES)
def test_every_query_lies_with_its_spacing_inside_a_reservation_made_before_it(rate: float) -> None:
    async def work() -> tuple[Reservations, list[float]]:
        reserved = Reservations()
        return reserved, await takes(pacer(rate, reserved), 3 * math.ceil(rate) + 5)

    reserved, moments = run_virtually(work())
    spacing = 61.2 / rate
    for moment in moments:
        assert any(start <= moment and moment + spacing <= start + length + 1e-6 for start, length, _ in reserved.made)


@pytest.mark.parametrize("rate", [30, 60, 600])
def test_the_store_is_asked_about_every_five_seconds_not_for_every_query(rate: float) -> None:
    async def work() -> Reservations:
        reserved = Reservations()
        await takes(pacer(rate, reserved), int(rate))
        return reserved

    reserved = run_virtually(work())
    assert len(reserved.made) <= 16
    assert max(length for _, length, _ in reserved.made) == 5.0


def test_numbers_never_repeat_over_reservations() -> None:
    async def work() -> list[int]:
        one = pacer(60, Reservations())
        return [await one.take() for _ in range(200)]

    numbers = run_virtually(work())
    assert numbers == sorted(set(numbers))


def test_without_a_reservation_no_query_is_handed_out() -> None:
    full = StoreStalled("disk full")

    async def work() -> int:
        failures = [full, full]

        async def reserve(seconds: float, count: int) -> int:
            if failures:
                raise failures.pop()
            return 1

        one = pacer(60, reserve)
        for _ in range(2):
            with pytest.raises(StoreStalled):
                await one.take()
        assert one.queries == 0
        return await one.take()

    assert run_virtually(work()) == 1


# ── over kill -9 and restart ──

Wall = Callable[[], datetime]


def reserver(database: Database, wall: Wall) -> Callable[[float, int], Awaitable[int]]:
    async def reserve(seconds: float, count: int) -> int:
        return database.write_now(budget.reserve, "main", wall(), seconds, count)

    return reserve


@pytest.mark.parametrize("rate", [1, 2, 7, 30, 60, 200])
def test_no_minute_has_more_even_when_the_process_is_killed_again_and_again(tmp_path: Path, rate: float) -> None:
    chance = random.Random(rate)

    async def work(database: Database) -> tuple[list[float], list[int]]:
        def wall() -> datetime:
            return at(now())

        moments, numbers = list[float](), list[int]()
        for _ in range(25):
            wait = database.write_now(budget.reserved_for, "main", wall())
            one = pacer(rate, reserver(database, wall), wait)
            for _ in range(chance.randint(0, 12)):
                numbers.append(await one.take())
                moments.append(now())
            await asyncio.sleep(chance.choice((0.0, 0.01, 1.0, 15.0)))  # and here it is killed
        return moments, numbers

    prepare(tmp_path)
    with opened(tmp_path) as store:
        moments, numbers = run_virtually(work(store.database))
    # A start waits a minute at most, so at one query a minute two may stand exactly 60 s apart.
    assert busiest_minute(moments) <= rate
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("left", "waited"),
    [(0.0, 0.0), (9.5, 9.5), (60.0, 60.0), (3600.0, 60.0), (365 * 86400.0, 60.0), (-3600.0, 0.0)],
)
def test_a_start_waits_for_the_end_of_the_block_at_most_a_minute_whatever_the_clock_says(
    tmp_path: Path, left: float, waited: float
) -> None:
    async def work(wait: float) -> float:
        await pacer(30, Reservations(), wait).take()
        return now() - 1000

    prepare(tmp_path)
    with opened(tmp_path) as store:
        store.database.write_now(budget.reserve, "main", at(0), left, 1)
        wait = store.database.write_now(budget.reserved_for, "main", at(0))
    assert run_virtually(work(wait)) == pytest.approx(waited)


def test_an_account_that_never_asked_waits_for_nothing(tmp_path: Path) -> None:
    prepare(tmp_path)
    with opened(tmp_path) as store:
        assert store.database.write_now(budget.reserved_for, "new", at(0)) == 0.0


def test_an_orderly_stop_gives_back_what_it_didnt_use(tmp_path: Path) -> None:
    prepare(tmp_path)
    with opened(tmp_path) as store:
        store.database.write_now(budget.reserve, "main", at(0), 10.0, 6)
        store.database.write_now(budget.release, "main", at(2))
        assert store.database.write_now(budget.reserved_for, "main", at(1)) == 1.0


def test_two_accounts_share_request_numbers_but_not_their_quota(tmp_path: Path) -> None:
    prepare(tmp_path)
    with opened(tmp_path) as store:
        first = store.database.write_now(budget.reserve, "main", at(0), 10.0, 6)
        other = store.database.write_now(budget.reserve, "other", at(0), 20.0, 6)
        assert (first, other) == (1, 7)
        waits = [store.database.write_now(budget.reserved_for, name, at(0)) for name in ("main", "other")]
    assert waits == [10.0, 20.0]
