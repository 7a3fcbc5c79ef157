"""Asking an account's list where a single GET left a doubt."""

from __future__ import annotations

from watcher.clova import Client
from watcher.clova.quota import Pacer

MOST_PAGES = 50
"""A list that claims more pages is read no further: nothing may be concluded from what it doesn't show then."""


class Census:
    """One account's list, paced by its quota. Everything raises UpstreamError when the list can't be had."""

    def __init__(self, client: Client, pacer: Pacer) -> None:
        self._client, self._pacer = client, pacer

    async def answers(self) -> None:
        """One list item: the cheapest question that proves the key."""
        await self._pacer.take()
        await self._client.list_tasks(0, 1)

    async def shows(self, task_id: str) -> bool:
        """Whether some page lists the task; True also when the list is too long or broken to tell."""
        page = 0
        while page < MOST_PAGES:
            await self._pacer.take()
            answer = await self._client.list_tasks(page, 100)
            if answer.broken or any(id_ == task_id for id_, _ in answer.items):
                return True
            page += 1
            if not answer.items or (answer.total_pages is not None and page >= answer.total_pages):
                return False
        return True

    async def all_ids(self) -> list[str]:
        """Every id that the list shows, page by page."""
        found: list[str] = []
        for page in range(MOST_PAGES):
            await self._pacer.take()
            answer = await self._client.list_tasks(page, 100)
            found += [id_ for id_, _ in answer.items]
            if not answer.items or (answer.total_pages is not None and page + 1 >= answer.total_pages):
                break
        return found

    async def ids(self) -> list[str]:
        """The ids on the first page, for near misses."""
        await self._pacer.take()
        return [id_ for id_, _ in (await self._client.list_tasks(0, 100)).items]
