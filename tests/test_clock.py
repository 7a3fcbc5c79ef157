"""Alarms and running time while the wall clock jumps, the machine sleeps or the process is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from watcher.scheduler import clock as module
from watcher.scheduler.clock import Clock, Tick

pytestmark = pytest.mark.anyio


@dataclass
class Hands:
    """The three clocks as the guard reads them, moved on by what a test adds; `wall_moved` moves the real one, too."""

    monotonic: float = 0.0
    boot: float = 0.0
    wall: float = 0.0
    wall_moved: float = 0.0
    ticks: list[Tick] = field(default_factory=list)

    def read(self) -> module._Now:
        now = time.monotonic()
        return module._Now(now + self.monotonic, now + self.boot, now + self.wall + self.wall_moved)

    def tick(self, *, monotonic: float = 0.0, boot: float = 0.0, wall: float = 0.0) -> None:
        self.monotonic += monotonic
        self.boot += boot
        self.wall += wall


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Hands:
    hands = Hands()

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz=tz) + timedelta(seconds=hands.wall_moved)

    monkeypatch.setattr(module, "_now", hands.read)
    monkeypatch.setattr(module, "datetime", Shifted)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + hands.monotonic))
    monkeypatch.setattr(module, "TICK", 0.02)
    return hands


@contextlib.asynccontextmanager
async def running(clock: Clock, hands: Hands | None = None) -> AsyncIterator[Clock]:
    if hands is not None:
        clock.listen(hands.ticks.append)
    guard = asyncio.create_task(clock.run())
    await asyncio.sleep(0.05)
    try:
        yield clock
    finally:
        guard.cancel()
        await asyncio.wait([guard])


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - an alarm has nothing else to wait for
            await asyncio.sleep(0.01)


def noticed(hands: Hands, what: str) -> list[float]:
    return [round(getattr(tick, what)) for tick in hands.ticks if getattr(tick, what)]


# ── what the guard notices ──


@pytest.mark.parametrize("seconds", [61, 3600, 365 * 86400, -61, -3600, -365 * 86400])
async def test_a_jump_of_the_wall_clock_is_noticed_once_and_isnt_running_time(hands: Hands, seconds: float) -> None:
    async with running(Clock(before=100.0), hands) as clock:
        hands.tick(wall=seconds)
        await until(lambda: noticed(hands, "jumped"))
        await asyncio.sleep(0.1)
        assert noticed(hands, "jumped") == [seconds]
        assert noticed(hands, "slept") == []
        assert 100.0 <= clock.uptime < 103.0


@pytest.mark.parametrize("seconds", [0.3, 30, 59, -30, -59])
async def test_a_small_correction_of_the_clock_is_no_jump(hands: Hands, seconds: float) -> None:
    async with running(Clock(), hands):
        hands.tick(wall=seconds)
        before = len(hands.ticks)
        await until(lambda: len(hands.ticks) > before + 2)
        assert set(hands.ticks) == {Tick()}


async def test_a_suspended_machine_stood_still_and_its_clock_didnt_jump(hands: Hands) -> None:
    async with running(Clock(), hands) as clock:
        hands.tick(boot=3600, wall=3600)
        await until(lambda: noticed(hands, "slept"))
        assert (noticed(hands, "slept"), noticed(hands, "jumped")) == ([3600], [])
        assert clock.uptime < 3.0


async def test_a_stopped_process_stood_still_and_most_of_it_isnt_running_time(hands: Hands) -> None:
    async with running(Clock(), hands) as clock:
        hands.tick(monotonic=3600, boot=3600, wall=3600)
        await until(lambda: noticed(hands, "slept"))
        assert (noticed(hands, "slept"), noticed(hands, "jumped")) == ([3600], [])
        assert 5.0 <= clock.uptime < 9.0


async def test_a_clock_set_while_the_machine_slept_is_both(hands: Hands) -> None:
    async with running(Clock(), hands):
        hands.tick(boot=3600, wall=7200)
        await until(lambda: noticed(hands, "slept"))
        assert (noticed(hands, "slept"), noticed(hands, "jumped")) == ([3600], [3600])


async def test_running_time_goes_on_from_where_the_last_process_left_it() -> None:
    async with running(Clock(before=1000.0)) as clock:
        before = clock.uptime
        await asyncio.sleep(0.1)
        assert 1000.0 < before < clock.uptime < 1003.0


# ── alarms ──


async def test_an_alarm_rings_once_and_not_before_its_time() -> None:
    rung: list[float] = []
    async with running(Clock()) as clock:
        started = time.monotonic()
        clock.after("one", 0.2, lambda: rung.append(time.monotonic() - started))
        await until(lambda: rung)
        await asyncio.sleep(0.3)
    assert len(rung) == 1
    assert rung[0] >= 0.19


async def test_a_later_alarm_of_the_same_name_replaces_the_earlier_one() -> None:
    rung: list[str] = []
    async with running(Clock()) as clock:
        clock.after("one", 0.05, lambda: rung.append("first"))
        clock.after("one", 0.15, lambda: rung.append("second"))
        await until(lambda: rung)
        await asyncio.sleep(0.1)
    assert rung == ["second"]


async def test_a_repeated_alarm_goes_on_ringing() -> None:
    rung: list[float] = []
    async with running(Clock()) as clock:
        clock.every("beat", 0.05, lambda: rung.append(time.monotonic()))
        await until(lambda: len(rung) >= 5)
    assert min(b - a for a, b in pairwise(rung)) >= 0.04


async def test_a_loop_that_sets_its_alarm_again_at_once_is_never_left_asleep() -> None:
    rung, wake = 0, asyncio.Event()
    async with running(Clock()) as clock:
        async with asyncio.timeout(5):
            while rung < 100:
                wake.clear()
                clock.after("poll", 0.0, wake.set)
                await wake.wait()
                rung += 1


async def test_a_wall_clock_set_back_an_hour_delays_no_alarm(hands: Hands) -> None:
    rung: list[float] = []
    async with running(Clock(), hands) as clock:
        hands.wall_moved = 3600.0
        await asyncio.sleep(0.1)
        clock.after("poll", 0.3, lambda: rung.append(1.0))
        hands.wall_moved = 0.0
        await until(lambda: rung, 2.0)


async def test_a_wall_clock_set_ahead_an_hour_rings_no_alarm_early(hands: Hands) -> None:
    rung: list[float] = []
    async with running(Clock(), hands) as clock:
        hands.wall_moved = -3600.0
        await asyncio.sleep(0.1)
        started = time.monotonic()
        clock.after("poll", 1.0, lambda: rung.append(time.monotonic() - started))
        hands.wall_moved = 0.0
        await until(lambda: rung, 3.0)
    assert len(rung) == 1
    assert rung[0] >= 0.5
