"""Asking an account for its tasks without a daemon: for `follow` with nothing but a key, and for `init`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from watcher.cli.reading import Known, utc_now
from watcher.cli.status import Overview, rank
from watcher.clova import Client
from watcher.clova.dates import parse_instant
from watcher.clova.pace import WINDOW
from watcher.errors import UpstreamError, Verdict
from watcher.models import Fields, Snapshot, TaskKey

if TYPE_CHECKING:
    from watcher.redact import Redactor
    from watcher.settings import Account, Settings

LONGEST_PAUSE = 300.0
MOST_PAGES = 20


class Poller:
    """Goes round the pages of the first account's list, one page a look. Nothing is stored.

    `pause` is the time in seconds until the next look: the account's pace, longer after failures.
    """

    def __init__(self, settings: Settings, redactor: Redactor) -> None:
        self._account = next(iter(settings.accounts.values()))
        self._client = client_of(settings, self._account, redactor)
        self._pace = WINDOW / self._account.queries_per_minute
        self._page = 0
        self._seen: dict[TaskKey, Snapshot] = {}
        self._round: set[TaskKey] = set()
        self.pause = self._pace

    async def look(self) -> Overview:
        """The tasks as far as they are known. Raises UpstreamError only when the operator has to do something."""
        try:
            note = await self._ask()
            self.pause = self._pace
        except UpstreamError as error:
            if error.verdict is not Verdict.RETRY:
                raise
            self.pause = min(max(self.pause * 2, error.retry_after or 0.0), LONGEST_PAUSE)
            note = f"account {self._account.name}: {error.message}"
        known = sorted((Known(key, None, snapshot) for key, snapshot in self._seen.items()), key=rank)
        return Overview(tuple(known), (note,) if note else ())

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _ask(self) -> str:
        page = await self._client.list_tasks(self._page)
        now = utc_now()
        for task_id, fields in page.items:
            key = TaskKey(self._account.name, task_id)
            self._seen[key] = _snapshot(self._seen.get(key), key, fields, now)
            self._round.add(key)
        self._page += 1
        if not page.items or self._page >= (page.total_pages or 1):
            # Only a whole round shows what isn't there any more.
            self._seen = {key: snapshot for key, snapshot in self._seen.items() if key in self._round}
            self._page, self._round = 0, set()
        return f"{page.broken} tasks of the answer can't be read" if page.broken else ""


async def list_all(settings: Settings, account: Account, redactor: Redactor) -> list[tuple[str, Fields]]:
    """All tasks of an account, at its pace. Raises UpstreamError."""
    import asyncio

    client = client_of(settings, account, redactor)
    found: dict[str, Fields] = {}
    try:
        for number in range(MOST_PAGES):
            page = await client.list_tasks(number)
            found.update(page.items)
            if not page.items or number + 1 >= (page.total_pages or 1):
                break
            await asyncio.sleep(WINDOW / account.queries_per_minute)
    finally:
        await client.aclose()
    return list(found.items())


def client_of(settings: Settings, account: Account, redactor: Redactor) -> Client:
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    return Client(account, redactor=redactor, proxy=proxy, ca_file=settings.ca_file)


def _snapshot(before: Snapshot | None, key: TaskKey, fields: Fields, now: datetime) -> Snapshot:
    changed = parse_instant(fields.get("updatedDate")) or now
    if before is None:
        return Snapshot(key, fields, 0, now, now, changed)
    # A list may lack fields that an earlier page had.
    return replace(before, fields={**before.fields, **fields}, seen=now, changed=changed)
