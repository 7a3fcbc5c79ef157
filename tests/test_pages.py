"""What is believed of a list: where its tasks stand, which pages are to be read and when. Time is the test's."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from watcher.models import TaskKey
from watcher.scheduler import pages as module
from watcher.scheduler.pages import LONGEST_REST, LOOK_AROUND, SHORTEST_REST, STRIDE, Pages
from watcher.scheduler.tracked import Tracked

GOAL = 60.0


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The monotonic time that the list goes by."""
    face = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: face.now))
    return face


def show(pages: Pages, number: int, ids: str, at: float = 1000.0, total: int | None = 3, elements: Any = 9) -> None:
    """A page with these one-letter ids, all of them watched."""
    watched = [Tracked(TaskKey("main", id_)) for id_ in ids]
    pages.learn(number, at, list(ids), watched, total=total, elements=elements)


def known(at: float = 1000.0) -> Pages:
    """A list of nine tasks on three pages that was read wholly."""
    pages = Pages()
    for number, ids in enumerate(("abc", "def", "ghi")):
        show(pages, number, ids, at)
    return pages


# ── where ──


def test_a_page_tells_where_its_tasks_stand() -> None:
    assert known().where == {id_: n // 3 for n, id_ in enumerate("abcdefghi")}


def test_a_task_that_its_page_doesnt_show_any_more_isnt_believed_to_stand_there() -> None:
    pages = known()
    show(pages, 0, "xab", 1010.0, elements=10, total=4)
    assert pages.where["x"] == pages.where["a"] == 0
    assert pages.where.get("c") != 0


def test_a_task_that_moved_to_a_page_read_since_stands_there() -> None:
    pages = known()
    show(pages, 1, "cde", 1010.0)
    show(pages, 0, "xab", 1011.0)
    assert pages.where["c"] == 1


def test_a_list_that_shrinks_forgets_the_pages_behind_its_end() -> None:
    pages = known()
    show(pages, 0, "abc", 1010.0, total=1, elements=3)
    assert sorted(pages.seen) == [0]
    assert sorted(pages.where) == ["a", "b", "c"]
    assert pages.unread() == []


def test_a_list_that_shrinks_to_nothing_keeps_its_first_page() -> None:
    pages = known()
    show(pages, 0, "", 1010.0, total=0, elements=0)
    assert sorted(pages.seen) == [0]
    assert pages.where == {}
    assert pages.unread() == []


# ── what to read ──


def test_nothing_is_known_before_the_first_page() -> None:
    assert Pages().unread() == [0]
    assert not Pages().whole_since(-1.0)
    assert Pages().discovery(GOAL)[0] <= 1000.0


def test_the_first_page_tells_how_many_there_are() -> None:
    pages = Pages()
    show(pages, 0, "abc")
    assert pages.unread() == [1, 2]


@pytest.mark.parametrize("claimed", [10**6, 2**62])
def test_of_a_million_pages_some_are_read_beyond_those_that_are_known(claimed: int) -> None:
    pages = Pages()
    show(pages, 0, "abc", total=claimed)
    assert pages.unread() == list(range(1, 1 + STRIDE))


def test_a_page_that_repeats_another_ends_the_list() -> None:
    pages = Pages()
    show(pages, 0, "abc", total=10**6)
    show(pages, 1, "abc", total=10**6)
    assert pages.unread() == []
    assert pages.where == {"a": 0, "b": 0, "c": 0}


def test_an_empty_page_ends_the_list() -> None:
    pages = Pages()
    show(pages, 0, "abc", total=10**6)
    show(pages, 1, "", total=10**6)
    assert pages.unread() == []


def test_without_any_totals_it_is_read_until_a_page_is_empty() -> None:
    pages = Pages()
    for number, ids in enumerate(("abc", "def", "")):
        assert pages.unread() == [number]
        show(pages, number, ids, total=None, elements=None)
    assert pages.unread() == []


def test_an_end_that_was_found_once_isnt_believed_for_ever(clock: SimpleNamespace) -> None:
    """Without totals nothing tells that the list has grown, so behind its end is looked now and then."""
    pages = Pages()
    show(pages, 0, "abc", total=None, elements=None)
    show(pages, 1, "", total=None, elements=None)
    clock.now += 2 * LOOK_AROUND
    show(pages, 0, "abc", clock.now, total=None, elements=None)
    due = pages.discovery(GOAL)
    assert due.get(1, clock.now + 1) <= clock.now


def test_a_list_that_grows_is_read_behind_its_former_end() -> None:
    pages = Pages()
    show(pages, 0, "abc", total=2, elements=3)
    show(pages, 1, "abc", total=2, elements=3)
    show(pages, 0, "abc", 1060.0, total=2, elements=5)
    assert 1 in pages.unread()


# ── discovery ──


def test_the_first_page_is_read_every_minute_and_the_others_now_and_then() -> None:
    assert known(at=1000.0).discovery(GOAL) == {0: 1060.0, 1: 1000.0 + LOOK_AROUND, 2: 1000.0 + LOOK_AROUND}


def test_what_nobody_has_read_is_due_at_once() -> None:
    pages = Pages()
    show(pages, 0, "abc")
    due = pages.discovery(GOAL)
    assert due[0] == 1060.0
    assert max(due[1], due[2]) <= 1000.0


def test_growth_that_no_page_has_shown_is_looked_for_everywhere_and_once() -> None:
    pages = known(at=1000.0)
    show(pages, 0, "abc", 1060.0, total=4, elements=10)
    due = pages.discovery(GOAL)
    assert max(due[1], due[2], due[3]) <= 1060.0
    show(pages, 1, "def", 1061.0, total=4, elements=10)
    show(pages, 2, "ghi", 1062.0, total=4, elements=10)
    show(pages, 3, "x", 1063.0, total=4, elements=10)
    assert min(pages.discovery(GOAL).values()) > 1063.0


def test_growth_that_the_first_page_shows_by_itself_costs_no_other_page() -> None:
    pages = known(at=1000.0)
    show(pages, 0, "xab", 1060.0, total=3, elements=10)
    due = pages.discovery(GOAL)
    assert due == {0: 1120.0, 1: 1000.0 + LOOK_AROUND, 2: 1000.0 + LOOK_AROUND}


def test_a_total_that_changes_at_each_read_isnt_looked_for_without_end() -> None:
    """Bounded: no more reads in ten minutes than every page for every look at the first."""
    pages, reads, now = known(at=1000.0), 0, 1000.0
    while now < 1600.0:
        due = pages.discovery(GOAL)
        number = min(due, key=lambda page: due[page])
        now = max(now + 1.0, due[number])
        show(pages, number, ("abc", "def", "ghi")[number], now, elements=9 + int(now) % 7)
        reads += 1
    assert reads <= 3 * 10 + 12


# ── the whole list ──


def test_it_is_whole_since_its_oldest_page_was_read() -> None:
    pages = known(at=1000.0)
    show(pages, 0, "abc", 1010.0)
    assert pages.whole_since(999.0)
    assert pages.whole_since(1000.0)
    assert not pages.whole_since(1005.0)


def test_a_list_of_which_a_page_wasnt_read_isnt_whole() -> None:
    pages = Pages()
    show(pages, 0, "abc")
    show(pages, 2, "ghi")
    assert not pages.whole_since(0.0)


def test_a_page_that_looks_as_before_counts_as_read() -> None:
    pages = known(at=1000.0)
    for number in range(3):
        pages.commit(number, 1000.0, b"digest")
        assert pages.unchanged(number, 1100.0, b"digest") is pages.seen[number]
    assert pages.whole_since(1100.0)
    assert pages.unchanged(0, 1200.0, b"another") is None
    assert pages.unchanged(7, 1200.0, b"digest") is None


# ── digests ──


def test_a_page_is_remembered_only_by_the_read_that_was_committed() -> None:
    pages = known(at=1000.0)
    pages.commit(0, 990.0, b"older")
    assert pages.unchanged(0, 1001.0, b"older") is None
    pages.commit(0, 1000.0, b"digest")
    assert pages.unchanged(0, 1001.0, b"digest") is not None


def test_a_page_that_was_never_committed_is_unchanged_to_nobody() -> None:
    assert known().unchanged(0, 1001.0, b"digest") is None


def test_distrust_drops_one_page_or_all() -> None:
    pages = known(at=1000.0)
    for number in range(3):
        pages.commit(number, 1000.0, b"d")
    pages.distrust("e")
    assert [number for number in range(3) if pages.unchanged(number, 1001.0, b"d")] == [0, 2]
    pages.distrust("nobody")
    assert pages.unchanged(0, 1002.0, b"d") is not None
    pages.distrust()
    assert not any(pages.unchanged(number, 1003.0, b"d") for number in range(3))


# ── trouble ──


def test_one_failure_is_tried_again_and_from_the_second_on_the_list_rests(clock: SimpleNamespace) -> None:
    pages, rests = known(), []
    pages.failed()
    assert pages.usable()
    for _ in range(6):
        pages.failed()
        started = clock.now
        while not pages.usable():
            clock.now += 1.0
        rests.append(clock.now - started)
    assert rests == [SHORTEST_REST, 120.0, 240.0, LONGEST_REST, LONGEST_REST, LONGEST_REST]


def test_what_is_no_use_trying_again_rests_at_once() -> None:
    pages = known()
    pages.failed(times=2)
    assert not pages.usable()
    assert min(pages.discovery(GOAL).values()) >= 1000.0 + SHORTEST_REST


def test_a_million_failures_rest_no_longer_than_a_few(clock: SimpleNamespace) -> None:
    pages = known()
    pages.failed(times=1_000_000)
    pages.failed()
    clock.now += LONGEST_REST
    assert pages.usable()


def test_a_list_that_may_be_another_one_is_forgotten() -> None:
    pages = known()
    pages.failed(times=2)
    pages.forget()
    assert pages == Pages()
    assert pages.usable()


def test_a_page_that_was_distrusted_while_it_was_being_written_must_be_read_again() -> None:
    pages = Pages()
    show(pages, 0, "abc")
    at = pages.seen[0].at
    pages.distrust("b")  # a GET has shown it otherwise meanwhile
    pages.commit(0, at, b"digest")
    assert pages.unchanged(0, at + 1, b"digest") is None
    show(pages, 0, "abc")
    pages.commit(0, pages.seen[0].at, b"digest")
    assert pages.unchanged(0, at + 2, b"digest") is not None
