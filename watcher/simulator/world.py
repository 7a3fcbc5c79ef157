"""The simulator's state: what exists now, which faults hold, who asked what; tests and /simulator/control change it."""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Literal

from watcher.simulator import timeline
from watcher.simulator.scenario import Fault, Scenario, Task, validate

LOG_LENGTH = 200_000
_WINDOW = 60.0

Endpoint = Literal["get", "list", "other"]


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


@dataclass
class _Live:
    """A fault in force, and how often it may still strike."""

    fault: Fault
    left: float


@dataclass(frozen=True, slots=True)
class Quota:
    """The account's limit after one more query: `wait` seconds until it would be answered (0: now)."""

    limit: int
    remaining: int
    wait: float


@dataclass
class Simulator:
    """A running fake. `base_url` is what an account's base_url should be; `log` has every request to the API."""

    scenario: Scenario
    speed: float = 1.0
    base_url: str = ""
    log: deque[Request] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))
    keys: set[str] = field(init=False)
    queries_per_minute: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.keys = set(self.scenario.keys)
        self.queries_per_minute = self.scenario.queries_per_minute
        self._tasks: dict[str, Task] = {task.id: task for task in self.scenario.tasks}
        self._fields: dict[str, dict[str, Any]] = {}
        self._faults = [_Live(fault, fault.times or math.inf) for fault in self.scenario.faults]
        self._queries: deque[float] = deque()
        self._random = random.Random(1)  # noqa: S311
        self._started = time.monotonic()
        self._began = datetime.now(UTC)

    # What a test or the control endpoint changes.

    def fault(self, kind: str, *, seconds: float | None = None, **options: Any) -> None:
        """Answers wrongly from now on, for `seconds` of real time if given; options as in the scenario file."""
        until = None if seconds is None else self.now() + seconds * self.speed
        self.add_fault({"kind": kind, "from": self.now(), "until": until, **options})

    def add_fault(self, data: Mapping[str, Any]) -> None:
        """A fault as a scenario file writes it."""
        fault = validate(Fault, {"from": self.now(), **data}, "fault", {})
        self._faults.append(_Live(fault, fault.times or math.inf))

    def clear_faults(self) -> None:
        """Answers well again."""
        self._faults.clear()

    def create(self, task: Mapping[str, Any]) -> None:
        """A new task, as a scenario file writes it; its timeline counts from now."""
        made = validate(Task, task, "task", {})
        now = self.now()
        steps = tuple(
            step.model_copy(update={"at": step.at + now, "until": None if step.until is None else step.until + now})
            for step in made.timeline
        )
        self._tasks[made.id] = made.model_copy(update={"timeline": steps})
        self._fields.pop(made.id, None)

    def set_task(self, task_id: str, /, **fields: Any) -> None:
        """Replaces fields for good (`status`, `name`, `statusInfo={...}`, or **{"statusInfo.currStep": 5})."""
        if task_id not in self._tasks:
            raise KeyError(task_id)
        known = self._fields.setdefault(task_id, {})
        known["updatedDate"] = timeline.written(self.date(self.now()))
        info = fields.pop("statusInfo", None)
        if isinstance(info, dict):
            fields |= {f"statusInfo.{key}": value for key, value in info.items()}
        elif info is not None:
            fields["statusInfo"] = info
        known |= fields

    def delete(self, task_id: str) -> None:
        """From now on 404 with code 40400."""
        del self._tasks[task_id]
        self._fields.pop(task_id, None)

    # What the endpoints ask.

    def now(self) -> float:
        """Scenario seconds since the start."""
        return (time.monotonic() - self._started) * self.speed

    def date(self, moment: float) -> datetime:
        """The date that the upstream writes for a moment of the scenario."""
        shown = moment if self.scenario.dates == "scenario" else moment / self.speed
        return self._began + timedelta(seconds=shown)

    def tasks(self) -> list[Task]:
        """The tasks that exist now, in the list's order."""
        now = self.now()
        found = [task for task in self._tasks.values() if timeline.exists(task, now)]
        newest = self.scenario.list.newest_first
        return sorted(found, key=lambda task: task.timeline[0].at - task.created, reverse=newest)

    def task(self, task_id: str) -> Task | None:
        """The task, if it exists now."""
        task = self._tasks.get(task_id)
        return task if task is not None and timeline.exists(task, self.now()) else None

    def render(self, task: Task) -> dict[str, Any]:
        """The task as it is now, with statusInfo as an object that has every key."""
        shown = timeline.render(task, self.now(), self.date)
        fields = self._fields.get(task.id)
        return timeline.overlay(shown, fields) if fields else shown

    def strike(self, endpoint: Endpoint, task_id: str) -> Fault | None:
        """The first fault that holds for this request, and takes one of its `times`."""
        now = self.now()
        for live in self._faults:
            if (
                live.left >= 1
                and _holds(live.fault, now, endpoint, task_id)
                and self._random.random() < live.fault.rate
            ):
                live.left -= 1
                return live.fault
        return None

    def spend(self) -> Quota | None:
        """Counts one query against the limit, which holds for all keys together; None when there is no limit."""
        limit = self.queries_per_minute
        if limit is None:
            return None
        now = time.monotonic()
        while self._queries and self._queries[0] <= now - _WINDOW:
            self._queries.popleft()
        if len(self._queries) >= limit:
            return Quota(limit, 0, self._queries[-limit] + _WINDOW - now)
        self._queries.append(now)
        return Quota(limit, limit - len(self._queries), 0.0)


def _holds(fault: Fault, now: float, endpoint: Endpoint, task_id: str) -> bool:
    in_time = fault.start <= now and (fault.until is None or now < fault.until)
    if not in_time or (fault.on is not None and fault.on != endpoint):
        return False
    return fault.task is None or (endpoint == "get" and fnmatchcase(task_id, fault.task))
