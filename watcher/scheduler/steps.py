"""How fast a training's steps follow one another, so that its end is looked for when it is due.

Only for the cadence: it needs to be right within some minutes, and costs little when it isn't.
"""

from __future__ import annotations

from datetime import datetime

from watcher.models import RUNNING, Snapshot


class Steps:
    """The pace of one training, from the first step that was seen of it (or its start) to the newest."""

    __slots__ = ("_first", "_first_at", "_life", "_newest", "_total", "end_at")

    def __init__(self) -> None:
        self._life = -1
        self._first = self._newest = self._total = 0
        self._first_at: datetime | None = None
        self.end_at: float | None = None

    def learn(self, snapshot: Snapshot, changed_at: float) -> None:
        """Note what the snapshot shows; `changed_at` is its time of change by the monotonic clock.

        `end_at` is when the training should end, by the same clock; None while nobody knows.
        """
        fields = snapshot.fields
        step, total = fields.get("statusInfo.currStep"), fields.get("statusInfo.totalTrainSteps")
        if fields["status"] != RUNNING or type(step) is not int or type(total) is not int or not 0 <= step <= total:
            self._life, self.end_at = -1, None
            return
        if self._life != snapshot.life or step < self._first:
            self._begin(snapshot, step)
        elif step == self._newest and total == self._total:
            return
        self._newest, self._total = step, total
        self.end_at = self._expected_end(snapshot.changed, changed_at)

    def advance(self, step: int, changed: datetime, changed_at: float) -> None:
        """The same training, of as many steps as before, has come to this one."""
        if step != self._newest:
            self._newest = step
            self.end_at = self._expected_end(changed, changed_at)

    def _begin(self, snapshot: Snapshot, step: int) -> None:
        """Whoever saw it start knows its pace at once; otherwise the second step that is seen tells."""
        self._life = snapshot.life
        started = snapshot.status_since
        self._first, self._first_at = (step, snapshot.changed) if started is None else (0, started)

    def _expected_end(self, changed: datetime, changed_at: float) -> float | None:
        done = self._newest - self._first
        took = (changed - self._first_at).total_seconds() if self._first_at is not None else 0.0
        if done <= 0 or took <= 0:
            return self.end_at
        return changed_at + (self._total - self._newest) * took / done
