"""What one sweep did."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from watcher.errors import KeyRejected, UpstreamError
from watcher.models import TaskKey
from watcher.state.record import Recorded

FORBIDDEN = 403


@dataclass(slots=True)
class Report:
    """`asked` and `failed` count queries, `seen` tasks. `stalled`: something couldn't be written; `unknown`: tasks that
    the account never knew, `looked`: those about which this sweep has learnt something, if only that it can't;
    `unwritable`: those whose facts the store wouldn't take."""

    asked: int = 0
    pages: int = 0
    seen: int = 0
    changed: int = 0
    events: int = 0
    failed: int = 0
    stalled: bool = False
    unknown: dict[TaskKey, UpstreamError] = field(default_factory=dict)
    looked: set[TaskKey] = field(default_factory=set)
    unwritable: set[TaskKey] = field(default_factory=set)
    error: UpstreamError | None = None
    started: float = field(default_factory=time.monotonic)

    @property
    def key_refused(self) -> bool:
        """No other task needs to be asked. A 403 may be about its task alone, so the others tell."""
        return isinstance(self.error, KeyRejected) and self.error.status != FORBIDDEN

    def count(self, recorded: Recorded) -> None:
        self.events += len(recorded.events)
        self.changed += sum(1 for change in (recorded.comparisons or {}).values() if change.changes)
