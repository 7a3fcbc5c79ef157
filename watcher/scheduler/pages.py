"""What is known of an account's list: which page shows which task, and what each page looked like when last read.

Nothing is assumed about its order, and nothing is believed for long: new tasks push others down, pages may repeat, the
number of pages may be nonsense. A wrong idea costs a query, never an observation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from watcher.scheduler.tracked import Tracked

SIZE = 100
MOST_PAGES = 500
"""A list that claims more pages is read no further by itself: 50,000 tasks."""

STRIDE = 10
"""Pages that are read at once beyond those that are known: a claim of a million may be nonsense."""

LOOK_AROUND = 300.0
"""Seconds after which every page is read again where tasks are to be discovered, whatever the first page says."""

SHORTEST_REST, LONGEST_REST = 60.0, 300.0
"""Seconds for which a list, or a page of it, that failed twice in a row isn't asked for."""


@dataclass(slots=True)
class PageSeen:
    """A page as last read: `watched` are the watched tasks that it showed, `digest` stands for its body once all that
    it showed is committed, `at` is when it was asked for (monotonic). `whole`: every item of it could be read;
    `doubted`: there is a reason to read it again, however it looks."""

    at: float
    ids: tuple[str, ...] = ()
    watched: tuple[Tracked, ...] = ()
    whole: bool = True
    doubted: bool = False
    digest: bytes = b""


@dataclass(slots=True)
class Rest:
    """How often in a row something couldn't be had, and until when it isn't asked for (monotonic)."""

    failures: int = 0
    until: float = 0.0

    def failed(self, times: int = 1) -> None:
        self.failures += times
        if self.failures >= 2:
            rest = min(SHORTEST_REST * 2.0 ** min(self.failures - 2, 10), LONGEST_REST)
            self.until = time.monotonic() + rest


@dataclass(slots=True)
class Pages:
    """One account's list. `total` is the number of pages that it claims, None before the first read."""

    total: int | None = None
    seen: dict[int, PageSeen] = field(default_factory=dict)
    where: dict[str, int] = field(default_factory=dict)
    _heard: dict[int, float] = field(default_factory=dict)
    _ever: set[str] = field(default_factory=set)
    _elements: int = 0
    _counted_at: float = -math.inf
    _owed: int = 0
    _grown_at: float = 0.0
    _lost_at: float = 0.0
    _end: int = MOST_PAGES
    _claimed: int = 0
    _rest: Rest = field(default_factory=Rest)
    _resting: dict[int, Rest] = field(default_factory=dict)

    # ── what a page showed ──

    def learn(
        self,
        number: int,
        at: float,
        ids: Sequence[str],
        watched: Iterable[Tracked],
        *,
        total: int | None,
        elements: int | None,
        whole: bool = True,
    ) -> None:
        """Page `number`, asked for at `at`, showed these tasks."""
        self.total = max(total, 1) if total is not None else max(self.total or 1, number + 1 + bool(ids))
        if number == 0:
            self._count_growth(elements or 0, at)
            if self.total > self._claimed:
                # More than was claimed when the list seemed to end: perhaps it goes on after all.
                self._end = MOST_PAGES
            self._claimed = self.total
        if number and number not in self.seen and self._repeats(set(ids)):
            # Nothing new behind what is known: an empty page, or one that is repeated for ever.
            self._end = min(self._end, number)
            return
        self._owed = max(0, self._owed - sum(id_ not in self._ever for id_ in ids))
        self._ever.update(ids)
        self._forget_moved(number, set(ids), at)
        self.where.update(dict.fromkeys(ids, number))
        self.seen[number] = PageSeen(at, tuple(ids), tuple(watched), whole)
        self._heard = {page: self._heard.get(page, at) for page in self._known_pages() if page not in self.seen}
        for beyond in [page for page in self.seen if page >= self.total and page]:
            self._drop(beyond)

    def unchanged(self, number: int, at: float, digest: bytes) -> PageSeen | None:
        """The page as seen before, if it looks the same; it counts as read at `at` then."""
        page = self.seen.get(number)
        if page is None or page.digest != digest:
            return None
        page.at = at
        return page

    def commit(self, number: int, at: float, digest: bytes) -> None:
        """All that the page showed, when it was asked for at `at`, is written. What was distrusted while it was being
        written stays so."""
        page = self.seen.get(number)
        if page is not None and page.at == at and not page.doubted:
            page.digest = digest

    def shown_by(self, number: int) -> tuple[Tracked, ...]:
        """The watched tasks that the page showed."""
        page = self.seen.get(number)
        return page.watched if page is not None else ()

    def shows(self, id_: str) -> bool:
        """Whether a page showed the task when it was last read."""
        return any(id_ in page.ids for page in self.seen.values())

    def distrust(self, id_: str | None = None) -> None:
        """What the page of this task (or every page) showed isn't what is stored, so the same must be read again."""
        numbers = list(self.seen) if id_ is None else [self.where.get(id_, -1)]
        for number in numbers:
            if number in self.seen:
                self.seen[number].digest, self.seen[number].doubted = b"", True

    def lose(self, id_: str, asked_since: float) -> None:
        """A due task wasn't shown. Its page isn't believed any more, if it was really read since then."""
        number = self.where.get(id_)
        page = self.seen.get(number) if number is not None else None
        if number is not None and (page is None or page.at >= asked_since):
            del self.where[id_]
            self._lost_at = time.monotonic()

    def forget(self) -> None:
        """The list may be another one now."""
        self.__init__()  # type: ignore[misc]

    # ── what is worth reading ──

    def unread(self) -> list[int]:
        """The pages that nobody has looked at, as far as the list is worth reading."""
        return [page for page in self._known_pages() if page not in self.seen and not self.rests(page)]

    def stale(self) -> list[int]:
        """The pages that were last read before a task lost its place, the longest unread first: it may stand on any of
        them now."""
        pages = [page for page, seen in self.seen.items() if seen.at < self._lost_at and not self.rests(page)]
        return sorted(pages, key=lambda page: self.seen[page].at)

    def oldest(self, before: float) -> int | None:
        """The page that was read longest ago, if that was before this time; None if it rests, too."""
        page = min(self.seen, key=lambda number: self.seen[number].at, default=None)
        return page if page is not None and self.seen[page].at < before and not self.rests(page) else None

    def discovery(self, goal: float, around: float = LOOK_AROUND) -> dict[int, float]:
        """When each page is to be read for discovery: the first one every `goal` seconds, the others every `around`,
        and at once when the list has grown by something that no page has shown."""
        due = {page: self._heard.get(page, 0.0) for page in self._known_pages() if page not in self.seen}
        for number, page in self.seen.items():
            hidden = self._owed > 0 and page.at < self._grown_at
            due[number] = self._grown_at if hidden else page.at + (around if number else goal)
        return self._rested(due)

    def census(self, since: float) -> dict[int, float]:
        """The pages that must still be read to know what the whole list has shown since then, all due at once."""
        due = {page: since for page in self._known_pages() if page not in self.seen or self.seen[page].at < since}
        return self._rested(due)

    def whole_since(self, moment: float) -> bool:
        """Every page was read after that moment, wholly, and there is none but those: only then what isn't shown isn't
        in the list."""
        if self.total is None or self.total > MOST_PAGES or self._end < self.total:
            return False
        pages = [self.seen.get(number) for number in range(self.total)]
        return all(page is not None and page.at >= moment and page.whole for page in pages)

    # ── trouble ──

    def usable(self) -> bool:
        """Whether the list is worth asking for: it rests after it has failed twice in a row."""
        return time.monotonic() >= self._rest.until

    def rests(self, page: int) -> bool:
        """Whether this page isn't to be asked for, since it has failed twice in a row."""
        rest = self._resting.get(page)
        return rest is not None and time.monotonic() < rest.until

    def failed(self, page: int | None = None, times: int = 1) -> None:
        """A page couldn't be had. `times` 2: there is no use in trying again soon."""
        self._rest.failed(times)
        if page is not None:
            self._resting.setdefault(page, Rest()).failed(times)

    def failures(self, page: int) -> int:
        """How often in a row the page couldn't be had."""
        rest = self._resting.get(page)
        return rest.failures if rest is not None else 0

    def answered(self, page: int) -> None:
        """The page could be had."""
        self._rest = Rest()
        self._resting.pop(page, None)

    # ── bookkeeping ──

    def _known_pages(self) -> range:
        """Those that are believed to exist: some more than were read, however many the list claims."""
        frontier = max(self.seen, default=-1) + 1 + STRIDE
        return range(min(self.total or 1, self._end, frontier))

    def _repeats(self, ids: set[str]) -> bool:
        return not ids or any(ids.issubset(page.ids) for page in self.seen.values())

    def _rested(self, due: dict[int, float]) -> dict[int, float]:
        rests = {page: rest.until for page, rest in self._resting.items()}
        return {number: max(at, self._rest.until, rests.get(number, -math.inf)) for number, at in due.items()}

    def _count_growth(self, elements: int, at: float) -> None:
        """More tasks than the first page ever spoke of: what no page shows as new is hidden somewhere. A total that
        only goes up and down says nothing; it is forgotten now and then."""
        if at - self._counted_at > LOOK_AROUND:
            self._elements, self._counted_at, self._end = 0, at, MOST_PAGES
        if elements > self._elements:
            if self._elements:
                self._owed, self._grown_at = elements - self._elements, at
                self._end = MOST_PAGES
            self._elements = elements

    def _forget_moved(self, number: int, shown: set[str], at: float) -> None:
        """Whatever a page doesn't show any more was pushed to the next one, most of the time: it is looked for
        there, unless that page was read already."""
        after = self.seen.get(number + 1)
        for id_ in self.seen[number].ids if number in self.seen else ():
            if id_ in shown or self.where.get(id_) != number:
                continue
            if number + 1 < (self.total or 0) and (after is None or after.at < at):
                self.where[id_] = number + 1
            else:
                del self.where[id_]
                self._lost_at = time.monotonic()

    def _drop(self, number: int) -> None:
        for id_ in self.seen.pop(number).ids:
            if self.where.get(id_) == number:
                del self.where[id_]
