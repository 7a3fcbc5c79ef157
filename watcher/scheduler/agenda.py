"""What an account is to be asked now: its due tasks, and the pages that are due for their own sake.

due tasks, where the list shows them, how urgent they are ─▶ planner ─▶ queries, until there is no time for more
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from watcher.models import TaskKey
from watcher.scheduler import cadence
from watcher.scheduler.pages import LOOK_AROUND
from watcher.scheduler.planner import DISCOVERY, UNREAD, ListView, Query, Wish, choose
from watcher.scheduler.tracked import Tracked
from watcher.scheduler.watched import Watched

AROUND_SHARE = 4.0
"""A look at the whole list for discovery takes no more than a quarter of the quota."""

TOGETHER = 0.25
"""Seconds by which a task may be looked at early, since others are due."""

MANY = 10
"""Tasks without a place for which it is as urgent to look for it as to look at them."""

LOST = 2.0
"""Cadences after which a task whose page isn't known is no longer looked for on pages."""


class Agenda:
    """Chooses the queries of one account's sweeps, and remembers which pages are being asked for."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._asking: set[int] = set()
        self._aside: dict[int, dict[TaskKey, float]] = {}

    def take(self, most: int) -> tuple[dict[TaskKey, float], list[Query]]:
        """The due tasks, with the time since when, and the most urgent queries for them. What there is no time for
        stays due."""
        due = self._pop_due()
        wishes = list(self._wishes(due))
        view = self._view()
        queries = choose(
            wishes, replace(view, wanted={**view.wanted, **self._searched(wishes)}) if view.usable else view
        )
        queries, left = queries[:most], queries[most:]
        self._watched.due.put_back({key: due.pop(key) for query in left for key in query.keys})
        self._asking.update(query.page for query in queries if query.page is not None)
        return due, queries

    def asked(self, query: Query) -> None:
        """The query is over: whoever waited for its answer and isn't in it is due as before."""
        if query.page is not None:
            self._asking.discard(query.page)
            waiting = self._aside.pop(query.page, {})
            due = self._watched.due
            due.put_back({k: at for k, at in waiting.items() if k in self._watched.tracked and k not in due})

    def query_for(self, tracked: Tracked) -> str:
        """The query that would ask about the task if it were due now."""
        pages = self._watched.pages
        page = pages.where.get(tracked.key.id) if pages.usable() and not tracked.single else None
        if page is None or pages.rests(page) or (len(pages.shown_by(page)) < 2 and not self._watched.discovers):
            return "get"
        return f"page {page}"

    # ── what is due ──

    def _pop_due(self) -> dict[TaskKey, float]:
        """What is due, but for tasks whose page is being asked for already: its answer tells about them."""
        ahead = min(TOGETHER, self._watched.goals.interval / 50)
        due, where = self._watched.due.pop_due(ahead), self._watched.pages.where
        for key in list(due) if self._asking else ():
            page = where.get(key.id, -1)
            tracked = self._watched.tracked.get(key)
            if page in self._asking and tracked is not None and not tracked.single:
                self._aside.setdefault(page, {})[key] = due.pop(key)
        return due

    def _wishes(self, due: Mapping[TaskKey, float]) -> Iterable[Wish]:
        """What is due, as the planner takes it. Tasks of a page that are alike make one wish: there are many. One that
        has waited for long while its place wasn't found is asked for by itself."""
        at, goals, where = time.monotonic(), self._watched.goals, self._watched.pages.where
        horizon = at + cadence.NEAR * goals.interval
        alike: dict[tuple[int | None, str | None, float], list[TaskKey]] = {}
        for key, since in due.items():
            tracked = self._watched.tracked.get(key)
            if tracked is None:
                continue
            if tracked.plain(horizon):
                alike.setdefault((where.get(key.id), tracked.status, since), []).append(key)
            else:
                urgency = cadence.urgency(tracked.known(at), goals, max(at - since, 0.0))
                yield Wish((key,), urgency, where.get(key.id), tracked.single)
        for (page, status, since), keys in alike.items():
            late = max(at - since, 0.0)
            patience = LOST * cadence.goal_of(status, goals)
            urgency = cadence.urgency(cadence.Known(status), goals, late)
            yield Wish(tuple(keys), urgency, page, single=page is None and late > patience)

    def _searched(self, wishes: Iterable[Wish]) -> dict[int, float]:
        """A page that is read once more since tasks aren't where they were: a list that was wrong for a while mustn't
        cost a query for each of them from then on."""
        lost = [wish for wish in wishes if wish.page is None and not self._watched.tracked[wish.keys[0]].single]
        count = sum(len(wish.keys) for wish in lost)
        unread = [page for page in self._watched.pages.unread() if page not in self._asking]
        oldest = self._watched.pages.oldest(time.monotonic() - self._watched.goals.interval)
        page = unread[0] if unread else oldest
        if count < 2 or page is None or page in self._asking:
            return {}
        return {page: max(wish.urgency for wish in lost) * min(1.0, count / max(MANY, len(unread)))}

    def _view(self) -> ListView:
        """The account's list as the planner needs it."""
        pages = self._watched.pages
        if not pages.usable():
            return ListView((), {}, lambda _page: 0, usable=False)
        unread = [page for page in pages.unread() if page not in self._asking]
        stale = [page for page in pages.stale() if page not in self._asking]
        return ListView(unread, self.pages_wanted(), partial(self._soon, self.pages_due()), stale, pages.rests)

    def pages_wanted(self) -> dict[int, float]:
        """Pages to be read for their own sake, with their urgency."""
        if not self._watched.pages.usable():
            return {}
        at, pages = time.monotonic(), self._watched.pages
        late = {page: at - since if since else 0.0 for page, since in self.pages_due().items() if since <= at}
        goal = self._watched.goals.interval
        return {
            page: (DISCOVERY if page in pages.seen else UNREAD) * (1.0 + seconds / goal)
            for page, seconds in late.items()
        }

    def pages_due(self) -> dict[int, float]:
        """When each page that isn't just being asked for is to be read for its own sake: to discover tasks, or because
        one is missing, about which the whole list has the last word."""
        watched = self._watched
        around = max(LOOK_AROUND, AROUND_SHARE * (watched.pages.total or 1) * watched.pacer.spacing)
        due = watched.pages.discovery(watched.goals.wait_interval, around) if watched.discovers else {}
        if (since := watched.missing_since) is not None:
            due = {**due, **watched.pages.census(since)}
        return {page: at for page, at in due.items() if page not in self._asking}

    def _soon(self, pages_due: Mapping[int, float], page: int) -> int:
        """How many tasks of the page will be due within half their cadence; that it is wanted itself counts as well."""
        seen = self._watched.pages.seen.get(page)
        count = int(pages_due.get(page, math.inf) <= time.monotonic() + self._watched.goals.interval / 2)
        for tracked in seen.watched if seen is not None else ():
            planned = self._watched.due.planned(tracked.key)
            if planned is not None and planned <= cadence.goal_of(tracked.status, self._watched.goals) / 2:
                count += 1
        return count
