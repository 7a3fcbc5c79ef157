"""What this process remembers of each task between polls; all of it can be made anew from the store."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from watcher.models import FAILED, TERMINAL, Snapshot, TaskKey
from watcher.scheduler.cadence import Known
from watcher.scheduler.steps import Steps


@dataclass(slots=True)
class Tracked:
    """One task.

    `adopted`: a discover rule brought it, so it leaves once it is settled. `refused`: its last answer was a 403;
    `forbidden`: so it was while the key saw another task, so it's this task's own trouble. `digest` stands for the last
    answer to a GET whose content is committed; `number` and `seen` for the last look that found it unchanged or
    committed. `ended` is when its end was seen, `ended_at` the same by the monotonic clock. `incomplete`: only a list
    has shown its end, without all facts; `completing`: a GET for them is under way, and the end isn't written yet;
    `stale`: a list has shown it older than it was.
    """

    key: TaskKey
    adopted: bool = False
    status: str | None = None
    number: int = 0
    seen: datetime | None = None
    digest: bytes = b""
    dirty: bool = False
    created: object = None
    ended: datetime | None = None
    ended_at: float | None = None
    steps: Steps = field(default_factory=Steps)
    incomplete: bool = False
    completing: bool = False
    stale: bool = False
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
    def doubtful(self) -> bool:
        """Only a GET can tell."""
        return self.incomplete or self.stale

    @property
    def single(self) -> bool:
        """A list page can't answer what is to be known about it."""
        return self.missing or self.gone or self.doubtful

    @property
    def unfinished(self) -> bool:
        """It was seen, and neither ended nor went."""
        return self.status is not None and self.status not in TERMINAL and not self.gone

    def plain(self, horizon: float) -> bool:
        """Nothing about it but its status decides when it is looked at next; its end isn't due before `horizon`."""
        if self.failures or self.gone or self.missing or self.stale or self.ended_at is not None:
            return False
        return self.steps.end_at is None or self.steps.end_at > horizon

    def known(self, now: float) -> Known:
        ended_for = None if self.ended_at is None else now - self.ended_at
        left = None if self.steps.end_at is None else self.steps.end_at - now
        return Known(self.status, ended_for, self.missing, self.gone, self.failures, left, self.doubtful)

    def saw(self, number: int, moment: datetime) -> None:
        """The task was seen as stored."""
        if number > self.number:
            self.number, self.seen, self.dirty = number, moment, True

    def moved(self, step: int, number: int, moment: datetime, at: float) -> None:
        """The store holds another step of the same training, learnt `at` (monotonic); all else is as before."""
        self.number, self.seen, self.digest, self.dirty = number, moment, b"", False
        self.steps.advance(step, moment, at)

    def learn(self, snapshot: Snapshot, digest: bytes, *, age: float = 0.0) -> None:
        """The store holds this now, since `age` seconds. An end keeps its monotonic time, so a step of the clock can't
        prolong settling."""
        status = snapshot.status
        if status not in TERMINAL:
            self.ended_at, self.incomplete = None, False
        elif self.ended_at is None or self.ended != snapshot.ended:
            self.ended_at = time.monotonic() - _ago(snapshot.ended)
        self.ended = snapshot.ended
        self.status, self.number, self.seen = status, snapshot.number, snapshot.seen
        self.created = snapshot.fields.get("createdDate")
        self.digest, self.dirty = digest, False
        self.missing = snapshot.missing_since is not None
        self.gone = bool(snapshot.gone)
        if not self.missing:
            self.missing_at = None
        elif self.missing_at is None:
            self.missing_at = time.monotonic() - _ago(snapshot.missing_since)
        self.steps.learn(snapshot, time.monotonic() - age)


@dataclass(slots=True)
class DueHeap:
    """Which task is due when, by the monotonic clock. Each task is planned at most once."""

    clock: Callable[[], float] = time.monotonic
    _heap: list[tuple[float, int, tuple[TaskKey, ...]]] = field(default_factory=list)
    _planned: dict[TaskKey, float] = field(default_factory=dict)
    _count: int = 0

    def plan(self, key: TaskKey, delay: float) -> None:
        """Make the task due in `delay` seconds, instead of when it was planned before."""
        self.plan_together((key,), delay)

    def plan_together(self, keys: tuple[TaskKey, ...], delay: float) -> None:
        """The same for tasks that a list page shows together: they stay in step, at the cost of one."""
        due = self.clock() + delay
        self._count += 1
        for key in keys:
            self._planned[key] = due
        heapq.heappush(self._heap, (due, self._count, keys))

    def __contains__(self, key: TaskKey) -> bool:
        """Whether the task is planned."""
        return key in self._planned

    def forget(self, key: TaskKey) -> None:
        self._planned.pop(key, None)

    def pop_due(self, ahead: float = 0.0) -> dict[TaskKey, float]:
        """The tasks that are due, or will be within `ahead` seconds if any is, each with the time since when, the
        longest overdue first."""
        due: dict[TaskKey, float] = {}
        while (next_ := self.next_due()) is not None and next_ <= self.clock() + (ahead if due else 0.0):
            at, _, keys = heapq.heappop(self._heap)
            for key in keys:
                if self._planned.get(key) == at:
                    due[key] = self._planned.pop(key)
        return due

    def put_back(self, due: Mapping[TaskKey, float]) -> None:
        """Tasks that there was no time for are due since when they were."""
        for key, at in due.items():
            self._count += 1
            self._planned[key] = at
            heapq.heappush(self._heap, (at, self._count, (key,)))

    def late(self, seconds: float) -> dict[TaskKey, float]:
        """The tasks that have been due for longer than that, each with for how long."""
        now = self.clock()
        entries = ((at, keys) for at, _, keys in self._heap if at < now - seconds)
        return {key: now - at for at, keys in entries for key in keys if self._planned.get(key) == at}

    def next_due(self) -> float | None:
        """When the next task is due; None when none is planned."""
        while self._heap and not any(self._planned.get(key) == self._heap[0][0] for key in self._heap[0][2]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def planned(self, key: TaskKey) -> float | None:
        """Seconds until the task is due; None when nobody looks again."""
        due = self._planned.get(key)
        return None if due is None else due - self.clock()


def tracked_from(
    keys: Iterable[TaskKey], snapshots: Iterable[Snapshot], adopted: Iterable[TaskKey] = ()
) -> dict[TaskKey, Tracked]:
    """The tasks to watch with what the store knows of them."""
    found = {key: Tracked(key) for key in keys}
    for key in adopted:
        found.setdefault(key, Tracked(key, adopted=True))
    for snapshot in snapshots:
        if snapshot.key in found:
            tracked = found[snapshot.key]
            tracked.learn(snapshot, b"", age=_ago(snapshot.changed))
            # The process may have died between what a list showed and the GET that would have completed it.
            ended_here = snapshot.ended is not None and snapshot.ended > snapshot.first_seen
            unsaid = snapshot.status == FAILED and not snapshot.fields.get("statusInfo.message")
            tracked.incomplete = ended_here and unsaid
    return found


def _ago(moment: datetime | None) -> float:
    return 0.0 if moment is None else max(0.0, (datetime.now(tz=UTC) - moment).total_seconds())
