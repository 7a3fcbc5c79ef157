"""APScheduler as an alarm clock with a monotonic face; the only module that imports it.

APScheduler waits by the wall clock: set back an hour, it would sleep for an hour. So every alarm is kept as a monotonic
due time here, a guard compares the two clocks every second, and re-sets the alarms when the wall clock jumped. An alarm
only wakes somebody; nothing runs inside the scheduler.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

TICK = 1.0
STEP = 0.5
"""Seconds by which the wall clock may stray from the monotonic one in a tick before alarms are re-set."""

JUMP = 60.0
"""Seconds from which a stray counts as a jump that windows must speak of."""

LONGEST_TICK = 5.0
"""A tick that took longer means that the process was stopped or suspended; the rest isn't running time."""

Wake = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Tick:
    """What the guard noticed: `slept` seconds that the process stood still beyond a tick, `jumped` seconds that the
    wall clock moved against the monotonic one (0.0 for what is usual)."""

    slept: float = 0.0
    jumped: float = 0.0


@dataclass(frozen=True, slots=True)
class _Now:
    """The three clocks at one moment: while the machine is suspended `monotonic` stands still and `boot` goes on."""

    monotonic: float
    boot: float
    wall: float


def _now() -> _Now:
    return _Now(time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


@dataclass(slots=True)
class _Alarm:
    due: float
    wake: Wake
    every: float | None


class Clock:
    """Alarms by name. `uptime` counts the seconds that the watcher has been running, over all its lives."""

    def __init__(self, before: float = 0.0) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 8}
        )
        self._alarms: dict[str, _Alarm] = {}
        self._uptime = before
        self._on_tick: Callable[[Tick], None] = lambda _tick: None
        self._last = _now()

    @property
    def uptime(self) -> float:
        return self._uptime + min(time.monotonic() - self._last.monotonic, LONGEST_TICK)

    def listen(self, on_tick: Callable[[Tick], None]) -> None:
        """Call `on_tick` every second with what the guard noticed."""
        self._on_tick = on_tick

    def after(self, name: str, delay: float, wake: Wake) -> None:
        """Call `wake` once in `delay` seconds; an earlier alarm of that name is forgotten."""
        self._set(name, _Alarm(time.monotonic() + max(delay, 0.0), wake, None))

    def every(self, name: str, seconds: float, wake: Wake) -> None:
        """Call `wake` every so many seconds, for the first time after that long."""
        self._set(name, _Alarm(time.monotonic() + seconds, wake, seconds))

    def forget(self, name: str) -> None:
        """There is no alarm of that name any more."""
        if self._alarms.pop(name, None) is not None and self._scheduler.get_job(name) is not None:
            self._scheduler.remove_job(name)

    async def run(self) -> None:
        """The guard: runs until cancelled."""
        self._last = _now()
        self._scheduler.start()
        try:
            while True:
                await asyncio.sleep(TICK)
                self._on_tick(self._look())
        finally:
            self._scheduler.shutdown(wait=False)

    def _look(self) -> Tick:
        now, last = _now(), self._last
        self._uptime += min(now.monotonic - last.monotonic, LONGEST_TICK)
        self._last = now
        if abs((now.wall - last.wall) - (now.monotonic - last.monotonic)) > STEP:
            for name, alarm in self._alarms.items():
                self._arm(name, alarm)
        slept = now.boot - last.boot - TICK
        jumped = (now.wall - last.wall) - (now.boot - last.boot)
        return Tick(slept if slept > LONGEST_TICK else 0.0, jumped if abs(jumped) > JUMP else 0.0)

    def _set(self, name: str, alarm: _Alarm) -> None:
        self._alarms[name] = alarm
        self._arm(name, alarm)

    def _arm(self, name: str, alarm: _Alarm) -> None:
        due = datetime.now(tz=UTC) + timedelta(seconds=max(alarm.due - time.monotonic(), 0.0))
        self._scheduler.add_job(self._ring, DateTrigger(due), args=[name], id=name, replace_existing=True)

    async def _ring(self, name: str) -> None:
        alarm = self._alarms.get(name)
        if alarm is None:
            return None
        if time.monotonic() < alarm.due - STEP:
            return self._arm(name, alarm)
        if alarm.every is None:
            del self._alarms[name]
        else:
            self._set(name, _Alarm(time.monotonic() + alarm.every, alarm.wake, alarm.every))
        alarm.wake()
        return None
