"""Asking an account's list where a single GET left a doubt."""

from __future__ import annotations

import time
from collections.abc import Collection

from watcher.clova import Client, Page
from watcher.clova.quota import Pacer
from watcher.errors import UpstreamError
from watcher.models import Fields

MOST_PAGES = 50
"""Pages that are read for somebody who waits for it."""

KNOWN_FOR = 300.0
"""Seconds for which what the list has shown is good enough to find near misses in."""


class Census:
    """One account's list, paced by its quota. Everything raises UpstreamError when the list can't be had."""

    def __init__(self, client: Client, pacer: Pacer) -> None:
        self._client, self._pacer = client, pacer
        self._known: list[str] = []
        self._known_at = -KNOWN_FOR

    async def answers(self) -> None:
        """One list item: the cheapest question that proves the key."""
        await self._pacer.take()
        await self._client.list_tasks(0, 1)

    async def known_ids(self) -> list[str]:
        """The ids that the list shows, as far as it can be had; read anew if that was a while ago."""
        if time.monotonic() - self._known_at > KNOWN_FOR:
            try:
                self._known = await self.all_ids()
            except UpstreamError:
                return self._known
            self._known_at = time.monotonic()
        return self._known

    async def all_ids(self, wanted: Collection[str] = ()) -> list[str]:
        """Every id that the list shows, page by page; once all that are `wanted` were shown, no further."""
        return [id_ for id_, _ in await self.all_items(wanted)]

    async def all_items(self, wanted: Collection[str] = ()) -> list[tuple[str, Fields]]:
        """Every task that the list shows, page by page; an id may stand in it twice."""
        found: list[tuple[str, Fields]] = []
        for page in range(MOST_PAGES):
            await self._pacer.take()
            answer = await self._client.list_tasks(page, 100)
            known = {id_ for id_, _ in found}
            found += answer.items
            if known.issuperset(id_ for id_, _ in answer.items) or _ends(answer, page):
                break
            if wanted and {id_ for id_, _ in found}.issuperset(wanted):
                break
        return found


def _ends(answer: Page, page: int) -> bool:
    return not answer.items or (answer.total_pages is not None and page + 1 >= answer.total_pages)
