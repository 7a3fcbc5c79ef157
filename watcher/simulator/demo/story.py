"""What happens in the demo, and when: plain values. Times are story seconds from nine in the morning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from watcher.models import FAILED, RUNNING, SUCCEEDED, WAIT

KEY = "nv-demo-0000"
CHANNEL = "team"
ZONE = "Asia/Seoul"
OPENS = 9
"""The hour at which the story's day begins."""

MINUTE, HOUR = 60.0, 3600.0
END = 10.4 * HOUR
"""How long the day is."""

CHANNEL_FALLS, CHANNEL_RETURNS = 1.6 * HOUR, 3.6 * HOUR
KILLED, STARTED_AGAIN = 5.0 * HOUR, 6.5 * HOUR
LATE_AFTER = 36 * MINUTE
"""A change that is told later than this counts as late."""

MILESTONE = 50


@dataclass(frozen=True, slots=True)
class Step:
    """From `at` on the task has this status; a RUNNING one would be done at `until`."""

    at: float
    status: str
    until: float | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Tuning:
    """One task. `waited` is how long before the story it was created."""

    id: str
    name: str
    model: str
    epochs: int
    steps: int
    loss: tuple[float, float]
    waited: float
    timeline: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """A change that the simulator made at `at`: the event that a watcher should tell of it."""

    at: float
    task: str
    event: str


TUNINGS = (
    Tuning(
        "czf9fbky", "support-bot v3", "HCX-003", 8, 2000, (2.1, 0.41), 40 * MINUTE,
        (
            Step(0, WAIT),
            Step(0.4 * HOUR, RUNNING, until=4.4 * HOUR),
            Step(4.4 * HOUR, SUCCEEDED),
        ),
    ),
    Tuning(
        "oi55o2ej", "refund-classifier", "HCX-DASH-002", 4, 800, (1.4, 0.3), 3 * HOUR,
        (
            Step(0, WAIT),
            Step(4.0 * HOUR, RUNNING, until=9.0 * HOUR),
            Step(5.4 * HOUR, FAILED, reason="file.format", message="Invalid dataset: required field empty. Completion"),
        ),
    ),
    Tuning(
        "01234567", "🎉 요약봇 · 要約ボット", "HCX-003", 6, 1200, (1.9, 0.52), 25 * MINUTE,
        (
            Step(0, WAIT),
            Step(0.8 * HOUR, RUNNING, until=6.0 * HOUR),
            Step(1.9 * HOUR, WAIT),
            Step(2.6 * HOUR, RUNNING, until=9.2 * HOUR),
            Step(9.2 * HOUR, SUCCEEDED),
        ),
    ),
    Tuning(
        "1234e567", "exp-lr-3e-4", "HCX-003", 10, 3000, (2.4, 0.6), 6 * HOUR,
        (
            Step(0, WAIT),
            Step(8.0 * HOUR, RUNNING, until=11.4 * HOUR),
        ),
    ),
)  # fmt: skip

NAMES = {tuning.id: tuning.name for tuning in TUNINGS}

_EVENTS = {RUNNING: "task.started", WAIT: "task.requeued", SUCCEEDED: "task.succeeded", FAILED: "task.failed"}


def played(until: float) -> tuple[Played, ...]:
    """Every change up to that moment, in order."""
    found = [change for tuning in TUNINGS for change in _changes(tuning) if change.at <= until]
    return tuple(sorted(found, key=lambda change: change.at))


def _changes(tuning: Tuning) -> Iterator[Played]:
    ends = [*(step.at for step in tuning.timeline[1:]), END * 2]
    for step, end in zip(tuning.timeline[1:], ends[1:], strict=True):
        yield Played(step.at, tuning.id, _EVENTS[step.status])
        if step.status == RUNNING and step.until is not None:
            half = step.at + (step.until - step.at) * MILESTONE / 100
            if half < end:
                yield Played(half, tuning.id, "task.progress")


def scenario(created: datetime) -> dict[str, Any]:
    """What the simulator plays before the story: everything waits. `created` is when its clock starts, about."""
    return {
        "keys": [KEY],
        "queries_per_minute": None,
        "dates": "scenario",
        "tasks": [_task(tuning, created, tuning.timeline[:1]) for tuning in TUNINGS],
    }


def orders(created: datetime) -> Iterator[dict[str, Any]]:
    """What sets the simulator going: each task gets its whole timeline, from now on."""
    for tuning in TUNINGS:
        yield {"create": _task(tuning, created, tuning.timeline)}


def _task(tuning: Tuning, created: datetime, timeline: tuple[Step, ...]) -> dict[str, Any]:
    born = (created - timedelta(seconds=tuning.waited)).strftime("%Y-%m-%dT%H:%M:%S%z")
    steps = [_step(tuning, step) | {"set": {"createdDate": born}} for step in timeline]
    return {"id": tuning.id, "name": tuning.name, "model": tuning.model, "timeline": steps}


def _step(tuning: Tuning, step: Step) -> dict[str, Any]:
    made = {"at": step.at, "status": step.status, "epochs": tuning.epochs, "steps": tuning.steps}
    made |= {"until": step.until, "loss": list(tuning.loss)}
    return made | {"failureReason": step.reason or None, "message": step.message or None}


@dataclass(frozen=True, slots=True)
class Clock:
    """From real time to the story's: `opened` is the real moment of nine o'clock, `speed` how many times as fast.

    `simulated` is the date that the simulator wrote at that moment.
    """

    opened: datetime
    speed: float
    simulated: datetime

    def story(self, moment: datetime) -> float:
        """Story seconds since nine o'clock."""
        return (moment - self.opened).total_seconds() * self.speed

    def face(self, moment: datetime) -> datetime:
        """What a clock on the story's wall shows."""
        return self.hand(self.story(moment))

    def hand(self, seconds: float) -> datetime:
        """The wall clock so many story seconds after nine."""
        return self._nine() + timedelta(seconds=seconds)

    def rewritten(self, date: object) -> object:
        """A date of the simulator's, such as createdDate, on the story's wall; anything else as it is."""
        if not isinstance(date, str):
            return date
        try:
            moment = datetime.fromisoformat(date)
        except ValueError:
            return date
        return (self._nine() + (moment - self.simulated)).strftime("%Y-%m-%dT%H:%M:%S%z")

    def _nine(self) -> datetime:
        return self.opened.astimezone(ZoneInfo(ZONE)).replace(hour=OPENS, minute=0, second=0, microsecond=0)


def configuration(base_url: str, receiver: str, secret: str, store: str, port: int, pace: float) -> Mapping[str, Any]:
    """The watcher's: an ordinary one, but for its fast pace (`pace` seconds between two looks)."""
    return {
        "accounts": {"default": {"api_key": KEY, "base_url": base_url, "queries_per_minute": 6000}},
        "tasks": [tuning.id for tuning in TUNINGS],
        "poll": {"interval": pace, "wait_interval": pace},
        "rules": {"progress": [MILESTONE]},
        "channels": {CHANNEL: {"url": receiver, "secret": secret, "events": ["notable", "task.progress"]}},
        "store": f"sqlite:///{store}",
        "http": {"port": port},
        "log": {"format": "json"},
    }
