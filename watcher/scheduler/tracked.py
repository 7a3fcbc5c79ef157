"""What this process remembers of each task between polls; all of it can be made anew from the store."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from watcher.models import TERMINAL, Snapshot, TaskKey
from watcher.scheduler.cadence import Known


@dataclass(slots=True)
class Tracked:
    """One task.

    `refused`: its last answer was a 403; `forbidden`: so it was while the key saw another task, so it's this task's own
    trouble. `digest` stands for the last answer whose content is committed; `number` and `seen` for the last look
    that found it unchanged or committed. `ended` is when its
    end was seen, `ended_at` the same by the monotonic clock."""

    key: TaskKey
    status: str | None = None
    number: int = 0
    seen: datetime | None = None
    digest: bytes = b""
    dirty: bool = False
    ended: datetime | None = None
    ended_at: float | None = None
    missing: bool = False
    missing_at: float | None = None
    gone: bool = False
    failures: int = 0
    refused: bool = False
    forbidden: bool = False
    asked: bool = False
    because: str = "not asked yet"

    @property
    def unknown(self) -> bool:
        """Its account answered, but never knew it."""
        return self.gone and self.status is None

    @property
    def unfinished(self) -> bool:
        """It was seen, and neither ended nor went."""
        return self.status is not None and self.status not in TERMINAL and not self.gone

    def known(self, now: float) -> Known:
        ended_for = None if self.ended_at is None else now - self.ended_at
        return Known(self.status, ended_for, self.missing, self.gone, self.failures)

    def saw(self, number: int, moment: datetime) -> None:
        """The task was seen as stored."""
        if number > self.number:
            self.number, self.seen, self.dirty = number, moment, True

    def learn(self, snapshot: Snapshot, digest: bytes) -> None:
        """The store holds this now. An end keeps its monotonic time, so a step of the clock can't prolong settling."""
        if snapshot.status not in TERMINAL:
            self.ended_at = None
        elif self.ended_at is None or self.ended != snapshot.ended:
            self.ended_at = time.monotonic() - _ago(snapshot.ended)
        self.ended = snapshot.ended
        self.status, self.number, self.seen = snapshot.status, snapshot.number, snapshot.seen
        self.digest, self.dirty = digest, False
        self.missing = snapshot.missing_since is not None
        self.gone = bool(snapshot.gone)
        if not self.missing:
            self.missing_at = None


@dataclass(slots=True)
class DueHeap:
    """Which task is due when, by the monotonic clock. Each task stands in it at most once."""

    clock: Callable[[], float] = time.monotonic
    _heap: list[tuple[float, int, TaskKey]] = field(default_factory=list)
    _planned: dict[TaskKey, float] = field(default_factory=dict)
    _count: int = 0

    def plan(self, key: TaskKey, delay: float) -> None:
        """Make the task due in `delay` seconds, instead of when it was planned before."""
        due = self.clock() + delay
        self._count += 1
        self._planned[key] = due
        heapq.heappush(self._heap, (due, self._count, key))

    def forget(self, key: TaskKey) -> None:
        self._planned.pop(key, None)

    def pop_due(self, most: int) -> list[TaskKey]:
        """At most so many tasks that are due, the longest overdue first."""
        due: list[TaskKey] = []
        while len(due) < most and (next_ := self.next_due()) is not None and next_ <= self.clock():
            _, _, key = heapq.heappop(self._heap)
            del self._planned[key]
            due.append(key)
        return due

    def next_due(self) -> float | None:
        """When the next task is due; None when none is planned."""
        while self._heap and self._planned.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def planned(self, key: TaskKey) -> float | None:
        """Seconds until the task is due; None when nobody looks again."""
        due = self._planned.get(key)
        return None if due is None else due - self.clock()


def tracked_from(keys: Iterable[TaskKey], snapshots: Iterable[Snapshot]) -> dict[TaskKey, Tracked]:
    """The tasks to watch with what the store knows of them."""
    stored = {snapshot.key: snapshot for snapshot in snapshots}
    found = {}
    for key in keys:
        tracked = found[key] = Tracked(key)
        if key in stored:
            tracked.learn(stored[key], b"")
    return found


def _ago(moment: datetime | None) -> float:
    return 0.0 if moment is None else max(0.0, (datetime.now(tz=UTC) - moment).total_seconds())
