"""Which queries to send for what is due: a list page where several tasks share one, a single GET otherwise.

    due tasks ─▶ by page ─▶ a page for two or more, a GET for one ─▶ the most urgent first

Pure. A query's urgency is that of its most urgent task, so that a page of a hundred tasks which wait doesn't hold up
the one that is about to end; among equals a page that serves many goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from watcher.models import TaskKey

DISCOVERY, UNREAD = 1.0, 2.0
"""How urgent it is to look for new tasks on a page that was read before, and on one that nobody has read yet: as much
as a task that waits, and as one that runs."""

EXPLORE = 0.001

FULL = 100
"""The tasks of a full page."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Tasks to be looked at: one, or several of the same page for which the same holds. `page` shows them, None where
    nobody knows; `single`: only a GET answers what is to be known about them."""

    keys: tuple[TaskKey, ...]
    urgency: float
    page: int | None = None
    single: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """One query: a list page, or a GET of one task if `page` is None. `keys` are the due tasks that it is for."""

    page: int | None
    keys: tuple[TaskKey, ...]
    urgency: float


@dataclass(frozen=True, slots=True)
class ListView:
    """What the planner needs to know of the list; all empty where it isn't to be asked for.

    `unread`: pages that nobody has looked at yet; `stale`: those last read before some
    task lost its place. `wanted`: pages to be read for their own sake, each with its urgency. `soon` counts the tasks
    of a page that aren't due yet, but will be soon. `rests` tells that a page isn't to be asked for.
    """

    unread: Sequence[int]
    wanted: Mapping[int, float]
    soon: Callable[[int], int]
    stale: Sequence[int] = ()
    rests: Callable[[int], bool] = lambda _page: False
    usable: bool = True


def choose(wishes: Iterable[Wish], view: ListView) -> list[Query]:
    """The cheapest queries that cover all wishes, the most urgent first."""
    shared: dict[int, list[Wish]] = {}
    singles: list[Wish] = []
    lost: list[Wish] = []
    for wish in wishes:
        if wish.single or not view.usable or (wish.page is not None and view.rests(wish.page)):
            singles.append(wish)
        elif wish.page is None:
            lost.append(wish)
        else:
            shared.setdefault(wish.page, []).append(wish)
    pages = {}
    for page, sharing in shared.items():
        if _count(sharing) > 1 or page in view.wanted or view.soon(page):
            pages[page] = sharing
        else:
            singles += sharing
    queries = [_page(page, sharing) for page, sharing in pages.items()]
    queries += [query for query in _explore(lost, singles, view) if query.page not in pages or query.keys]
    queries += [Query(None, (key,), wish.urgency) for wish in singles for key in wish.keys]
    taken = {query.page for query in queries}
    queries += [Query(page, (), urgency) for page, urgency in view.wanted.items() if page not in taken]
    # A page that is wanted for its own sake is at least as urgent as that, whoever else it serves.
    queries = [
        replace(q, urgency=max(q.urgency, view.wanted.get(q.page, 0.0))) if q.page is not None else q for q in queries
    ]
    return sorted(queries, key=lambda query: (-query.urgency, query.page is None, query.page or 0))


def _explore(lost: list[Wish], singles: list[Wish], view: ListView) -> list[Query]:
    """Pages that may show tasks whose place isn't known; tasks that aren't worth that go to the singles.

    Such pages are read at once if each should show more than one of them. Otherwise one unread page a sweep is looked
    at in passing, since tasks that turn out to share one are cheaper from then on.
    """
    promising = [*view.unread, *view.stale]
    count = _count(lost)
    if promising and count > max(1, len(promising)):
        *first, last = promising
        whole = _page(last, lost)
        return [*(Query(page, (), whole.urgency) for page in first), whole]
    singles += lost
    return [Query(view.unread[0], (), EXPLORE)] if count > 1 and view.unread else []


def _page(page: int, sharing: Sequence[Wish]) -> Query:
    """As urgent as its most urgent task, and up to twice that for all the others that it serves too."""
    keys = tuple(key for wish in sharing for key in wish.keys)
    return Query(page, keys, max(wish.urgency for wish in sharing) * (1.0 + min(len(keys) - 1, FULL) / FULL))


def _count(wishes: Sequence[Wish]) -> int:
    return sum(len(wish.keys) for wish in wishes)
