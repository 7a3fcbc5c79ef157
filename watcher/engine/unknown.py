"""Listed ids that their account doesn't know: told once, with ids of its list that look alike."""

from __future__ import annotations

import asyncio
import difflib
from datetime import UTC, datetime

import structlog

from watcher.errors import NotOwned, StoreStalled, UpstreamError
from watcher.models import TaskKey
from watcher.scheduler.sweep import Report, Sweeper
from watcher.state.ledger import Ledger
from watcher.state.record import record_unknown

log = structlog.get_logger()

NEAR = 3
ALIKE = 0.6
STALLED_PAUSE = 5.0


class UnknownTasks:
    """Hears of each sweep, and tells in a loop of its own, since reading a long list takes quota and so time.

    What this process has told isn't told again; the store remembers it for the next one.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._told: set[TaskKey] = set()
        self._waiting: dict[TaskKey, tuple[Sweeper, UpstreamError]] = {}
        self._wake = asyncio.Event()

    def heard(self, sweeper: Sweeper, report: Report) -> None:
        for key, error in report.unknown.items():
            if key not in self._told:
                self._waiting[key] = (sweeper, error)
                self._wake.set()

    async def run(self) -> None:
        """Tell whatever was heard, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                key, (sweeper, error) = next(iter(self._waiting.items()))
                try:
                    await self._tell(key, sweeper, error)
                except StoreStalled as stalled:
                    sweeper.watched.standing.say_once("store.stalled", stalled)
                    await asyncio.sleep(STALLED_PAUSE)
                else:
                    self._waiting.pop(key, None)

    async def _tell(self, key: TaskKey, sweeper: Sweeper, error: UpstreamError) -> None:
        known = await sweeper.watched.known_ids()
        tracked = sweeper.tracked.get(key)
        if tracked is None or not tracked.unknown:
            return
        if key.id in known:
            # GET and list contradict each other: that is no reason to tell anything, but to ask again.
            tracked.gone = False
            sweeper.watched.due.plan(key, sweeper.watched.goals.wait_interval)
            return
        near = difflib.get_close_matches(key.id, known, n=NEAR, cutoff=ALIKE)
        reason = "no_ownership" if isinstance(error, NotOwned) else "not_found"
        recorded = await self._ledger.record(record_unknown, key, datetime.now(tz=UTC), near, reason)
        self._told.add(key)
        if recorded.events:
            log.warning("task.unknown", account=key.account, task=key.id, near=near, reason=reason)
