"""An account's share of queries as the store keeps it: one budget for every process that works with that store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from watcher.clova.quota import Reservation
from watcher.state import budget
from watcher.state.database import Database


class StoredShare:
    """Reserves queries of one account for this process; made to be a pacer's `reserve`."""

    def __init__(self, database: Database, account: str) -> None:
        self._database, self._account = database, account
        self._mine: datetime | None = None

    async def __call__(self, seconds: float, count: int) -> Reservation:
        now, spacing = datetime.now(tz=UTC), seconds / count
        made = await self._database.write(budget.reserve, self._account, now, seconds, count, self._mine, spacing)
        self._mine = made.ends
        return Reservation(made.first, made.wait, made.spacing)

    async def release(self, ahead: float) -> None:
        """Give back what was reserved but for the next `ahead` seconds."""
        until = datetime.now(tz=UTC) + timedelta(seconds=max(ahead, 0.0))
        if self._mine is not None and until < self._mine:
            await self._database.write(budget.release, self._account, self._mine, until)
