"""The account's share of queries: never more in any minute, over restarts and kills too. Time is virtual here."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.builders import at, opened, prepare
from tests.support.virtual import now, run_virtually
from watcher.clova.quota import Pacer, Reservation, Reserve
from watcher.clova.wire import RateHint
from watcher.errors import StoreStalled
from watcher.state import budget
from watcher.state.database import Database

RATES = [0.5, 1, 2, 7, 30, 59, 60, 61, 200, 600]


@dataclass
class Reservations:
    """What a pacer asked the store for, and when."""

    made: list[tuple[float, float, int]] = field(default_factory=list)

    async def __call__(self, seconds: float, count: int) -> Reservation:
        first = 1 + sum(made[2] for made in self.made)
        self.made.append((now(), seconds, count))
        return Reservation(first)


def pacer(queries_per_minute: float, reserve: Reserve) -> Pacer:
    return Pacer(queries_per_minute, reserve, clock=now)


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
    assert max(length for _, length, _ in reserved.made) <= 5.5


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

        async def reserve(seconds: float, count: int) -> Reservation:
            if failures:
                raise failures.pop()
            return Reservation(1)

        one = pacer(60, reserve)
        for _ in range(2):
            with pytest.raises(StoreStalled):
                await one.take()
        assert one.queries == 0
        return await one.take()

    assert run_virtually(work()) == 1


# ── over kill -9 and restart ──

Wall = Callable[[], datetime]


class Stored:
    """What a process reserves in the store: its first reservation waits for the last process's, the rest for none."""

    def __init__(self, database: Database, wall: Wall, account: str = "main") -> None:
        self._database, self._wall, self._account = database, wall, account
        self._mine: datetime | None = None

    async def __call__(self, seconds: float, count: int) -> Reservation:
        made = self._database.write_now(
            budget.reserve, self._account, self._wall(), seconds, count, self._mine, seconds / count
        )
        self._mine = made.ends
        return Reservation(made.first, made.wait, made.spacing)


@pytest.mark.parametrize("rate", [1, 2, 7, 30, 60, 200])
def test_no_minute_has_more_even_when_the_process_is_killed_again_and_again(tmp_path: Path, rate: float) -> None:
    chance = random.Random(rate)

    async def work(database: Database) -> tuple[list[float], list[int]]:
        def wall() -> datetime:
            return at(now())

        moments, numbers = list[float](), list[int]()
        for _ in range(25):
            one = pacer(rate, Stored(database, wall))
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
    async def work(database: Database) -> float:
        await pacer(30, Stored(database, lambda: at(now() - 1000))).take()
        return now() - 1000

    prepare(tmp_path)
    with opened(tmp_path) as store:
        store.database.write_now(budget.reserve, "main", at(0), left, 1)
        took = run_virtually(work(store.database))
    assert took == pytest.approx(waited, abs=0.002)


def test_an_account_that_never_asked_waits_for_nothing(tmp_path: Path) -> None:
    prepare(tmp_path)
    with opened(tmp_path) as store:
        assert store.database.write_now(budget.reserve, "new", at(0), 5.0, 1).wait == 0.0


def test_an_orderly_stop_gives_back_what_it_didnt_use(tmp_path: Path) -> None:
    prepare(tmp_path)
    with opened(tmp_path) as store:
        write = store.database.write_now
        made = write(budget.reserve, "main", at(0), 10.0, 6)
        write(budget.release, "main", made.ends, at(2))
        assert write(budget.reserve, "main", at(1), 10.0, 6).wait == 1.0


def test_a_stop_gives_back_nothing_that_another_process_has_reserved_since(tmp_path: Path) -> None:
    prepare(tmp_path)
    with opened(tmp_path) as store:
        write = store.database.write_now
        ours = write(budget.reserve, "main", at(0), 10.0, 6)
        write(budget.reserve, "main", at(1), 10.0, 6)
        write(budget.release, "main", ours.ends, at(2))
        assert write(budget.reserve, "main", at(2), 1.0, 1).wait == pytest.approx(18.0)


def test_two_accounts_share_request_numbers_but_not_their_quota(tmp_path: Path) -> None:
    prepare(tmp_path)
    with opened(tmp_path) as store:
        first = store.database.write_now(budget.reserve, "main", at(0), 10.0, 6)
        other = store.database.write_now(budget.reserve, "other", at(0), 20.0, 6)
        assert (first.first, other.first, other.wait) == (1, 7, 0.0)


@pytest.mark.parametrize("rate", [7, 30, 60, 200])
def test_processes_side_by_side_share_one_budget(tmp_path: Path, rate: float) -> None:
    """A daemon, and checks beside it that come and go."""

    async def work(database: Database) -> list[float]:
        def wall() -> datetime:
            return at(now())

        async def check() -> list[float]:
            found = list[float]()
            for _ in range(5):
                await asyncio.sleep(random.Random(len(found)).uniform(5, 40))
                found += await takes(pacer(rate, Stored(database, wall)), 3)
            return found

        daemon, *others = await asyncio.gather(
            takes(pacer(rate, Stored(database, wall)), int(rate * 3)), check(), check()
        )
        return daemon + [moment for found in others for moment in found]

    prepare(tmp_path)
    with opened(tmp_path) as store:
        assert busiest_minute(run_virtually(work(store.database))) <= rate


def test_a_pace_that_the_upstream_has_lowered_holds_for_the_next_process_too(tmp_path: Path) -> None:
    async def work(database: Database) -> float:
        def wall() -> datetime:
            return at(now())

        first, second = pacer(60, Stored(database, wall)), pacer(60, Stored(database, wall))
        for _ in range(3):
            await first.take()
            first.limited(now(), None)
        await first.take()
        await second.take()
        return second.spacing

    prepare(tmp_path)
    with opened(tmp_path) as store:
        assert run_virtually(work(store.database)) == pytest.approx(8.16, rel=0.1)


# ── urgent queries ──


def test_an_urgent_query_goes_before_all_that_wait() -> None:
    async def work() -> list[str]:
        one, order = pacer(60, Reservations()), list[str]()

        async def ask(who: str, *, urgent: bool = False) -> None:
            await one.take(urgent=urgent)
            order.append(who)

        waiting = [asyncio.create_task(ask(f"page {n}")) for n in range(5)]
        await asyncio.sleep(0.5)
        await asyncio.gather(ask("completing", urgent=True), *waiting)
        return order

    assert run_virtually(work()) == ["page 0", "completing", "page 1", "page 2", "page 3", "page 4"]


def test_urgent_queries_take_every_second_place_at_most() -> None:
    async def work() -> str:
        one, order = pacer(60, Reservations()), list[str]()

        async def ask(who: str, *, urgent: bool) -> None:
            await one.take(urgent=urgent)
            order.append(who)

        waiting = [asyncio.create_task(ask("o", urgent=False)) for _ in range(6)]
        await asyncio.sleep(0.5)
        await asyncio.gather(*(ask("u", urgent=True) for _ in range(4)), *waiting)
        return "".join(order)

    assert run_virtually(work()) == "ououououoo"


# ── a slower pace that the upstream asks for ──


async def _after_limits(count: int, *, retry_after: float | None = None) -> list[float]:
    one = pacer(60, Reservations())
    gaps = []
    for _ in range(count):
        await one.take()
        started = now()
        one.limited(started, retry_after)
    before = now()
    await one.take()
    gaps.append(now() - before)
    return [round(gap, 2) for gap in gaps]


@pytest.mark.parametrize(("limits", "gap"), [(1, 2.04), (2, 4.08), (3, 8.16), (5, 32.64), (6, 60.0), (20, 60.0)])
def test_each_429_doubles_the_distance_up_to_a_minute(limits: int, gap: float) -> None:
    assert run_virtually(_after_limits(limits)) == [gap]


def test_a_longer_retry_after_is_kept() -> None:
    assert run_virtually(_after_limits(1, retry_after=30.0)) == [30.0]


def test_a_changed_share_holds_at_once_even_for_who_waits() -> None:
    async def work() -> float:
        one = pacer(1, Reservations())
        await one.take()
        waiting = asyncio.create_task(one.take())
        await asyncio.sleep(5)
        one.share(60)
        await waiting
        return now() - 1000

    assert run_virtually(work()) == pytest.approx(5.0)


def test_queries_that_were_under_way_together_slow_down_once() -> None:
    async def work() -> float:
        one = pacer(60, Reservations())
        started = [now() for _ in range(4) if await one.take()]
        for moment in started:
            one.limited(moment, None)
        return round(one.spacing, 2)

    assert run_virtually(work()) == 2.04


def test_the_pace_recovers_by_a_fifth_every_half_minute_without_another_429() -> None:
    async def work() -> list[float]:
        one = pacer(60, Reservations())
        await one.take()
        one.limited(now(), None)
        await one.take()
        one.limited(now(), None)
        paces = []
        for _ in range(8):
            await asyncio.sleep(30)
            one.answered(None)
            paces.append(round(one.spacing, 2))
        return paces

    assert run_virtually(work()) == [3.26, 2.61, 2.09, 1.67, 1.34, 1.07, 1.02, 1.02]


@pytest.mark.parametrize(
    ("hint", "gap"),
    [
        pytest.param(RateHint(limit=60, remaining=59, reset=59.0), 1.02, id="enough is left"),
        pytest.param(RateHint(limit=60, remaining=10, reset=30.0), 3.0, id="what is left is spread until the reset"),
        pytest.param(RateHint(remaining=10, reset=30.0), 3.0, id="the same without a limit"),
        pytest.param(RateHint(limit=60, remaining=0, reset=30.0), 30.0, id="nothing is left: wait for the reset"),
        pytest.param(RateHint(limit=60, remaining=1, reset=0.0), 1.02, id="a window that slides says nothing"),
        pytest.param(RateHint(limit=60, remaining=5), 1.02, id="no reset is said"),
        pytest.param(RateHint(limit=20), 3.06, id="the limit is smaller than the share"),
        pytest.param(RateHint(limit=0, remaining=None, reset=10.0), 1.02, id="nonsense"),
        pytest.param(RateHint(limit=-5, remaining=-5, reset=2.0), 2.0, id="more was used than there was"),
    ],
)
def test_headers_that_speak_of_the_limit_lower_the_pace_at_once(hint: RateHint, gap: float) -> None:
    async def work() -> float:
        one = pacer(60, Reservations())
        await one.take()
        one.answered(hint)
        await one.take()
        before = 1000.0
        return round(now() - before, 2) if hint.remaining is not None and hint.remaining <= 0 else round(one.spacing, 2)

    assert run_virtually(work()) == gap


def test_what_our_own_share_has_used_is_no_reason_to_slow_down() -> None:
    async def work() -> float:
        one = pacer(60, Reservations())
        for left in range(59, 0, -1):
            await one.take()
            one.answered(RateHint(limit=60, remaining=left, reset=60.0))
        return round(one.spacing, 2)

    assert run_virtually(work()) == 1.02


def test_what_others_use_of_the_limit_is() -> None:
    async def work() -> float:
        one = pacer(60, Reservations())
        for left in range(29, 10, -1):
            await one.take()
            one.answered(RateHint(limit=60, remaining=left, reset=30.0))
        return round(one.spacing, 2)

    assert run_virtually(work()) == 2.73


def test_what_headers_asked_for_ends_with_their_window() -> None:
    async def work() -> float:
        one = pacer(60, Reservations())
        await one.take()
        one.answered(RateHint(limit=60, remaining=2, reset=30.0))
        await asyncio.sleep(31)
        return round(one.spacing, 2)

    assert run_virtually(work()) == 1.02
