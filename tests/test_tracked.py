"""What the process remembers between polls: the heap of due tasks, and each task's own facts."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.builders import KEY, at, stored
from watcher.models import TaskKey
from watcher.scheduler.tracked import DueHeap, Tracked, tracked_from

A, B, C = (TaskKey("main", name) for name in "abc")


@dataclass
class Hand:
    """A clock whose hand a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def heap(clock: Hand) -> DueHeap:
    return DueHeap(clock)


def test_nothing_is_due_before_its_time(heap: DueHeap, clock: Hand) -> None:
    heap.plan(A, 5.0)
    assert list(heap.pop_due()) == []
    clock.now += 5.0
    assert list(heap.pop_due()) == [A]


def test_the_longest_overdue_comes_first_and_equals_in_the_order_of_their_planning(heap: DueHeap, clock: Hand) -> None:
    for key, delay in ((C, 2.0), (A, 1.0), (B, 1.0)):
        heap.plan(key, delay)
    clock.now += 9
    assert list(heap.pop_due()) == [A, B, C]


def test_what_there_was_no_time_for_is_due_since_when_it_was(heap: DueHeap, clock: Hand) -> None:
    heap.plan(A, 0.0)
    heap.plan(B, 1.0)
    clock.now += 2
    due = heap.pop_due()
    assert due == {A: clock.now - 2, B: clock.now - 1}
    heap.put_back(due)
    assert heap.late(1.5) == {A: 2.0}
    assert list(heap.pop_due()) == [A, B]


def test_tasks_planned_together_are_due_together_but_for_those_planned_otherwise_since(
    heap: DueHeap, clock: Hand
) -> None:
    heap.plan_together((A, B, C), 5.0)
    heap.plan(B, 9.0)
    heap.forget(C)
    clock.now += 5
    assert list(heap.pop_due()) == [A]
    assert heap.next_due() == clock.now + 4


def test_a_task_stands_in_it_once_however_often_it_is_planned(heap: DueHeap, clock: Hand) -> None:
    for delay in (1.0, 50.0, 2.0, 2.0):
        heap.plan(A, delay)
    clock.now += 100
    assert list(heap.pop_due()) == [A]
    assert list(heap.pop_due()) == []


def test_a_new_plan_replaces_the_old_one_earlier_and_later(heap: DueHeap, clock: Hand) -> None:
    heap.plan(A, 10.0)
    heap.plan(A, 20.0)
    assert heap.next_due() == clock.now + 20
    heap.plan(A, 5.0)
    assert (heap.next_due(), heap.planned(A)) == (clock.now + 5, 5.0)


def test_a_forgotten_task_is_never_due(heap: DueHeap, clock: Hand) -> None:
    heap.plan(A, 1.0)
    heap.forget(A)
    heap.forget(B)
    clock.now += 9
    assert (heap.pop_due(), heap.next_due(), heap.planned(A)) == ({}, None, None)


def test_a_forgotten_task_can_be_planned_again_at_the_same_moment(heap: DueHeap, clock: Hand) -> None:
    heap.plan(A, 1.0)
    heap.forget(A)
    heap.plan(A, 1.0)
    clock.now += 9
    assert (list(heap.pop_due()), list(heap.pop_due())) == ([A], [])


def test_the_heap_agrees_with_a_plain_dictionary_over_many_random_steps(heap: DueHeap, clock: Hand) -> None:
    chance, plain = random.Random(7), dict[TaskKey, float]()
    keys = [TaskKey("main", str(n)) for n in range(20)]
    for _ in range(3000):
        step, key = chance.random(), chance.choice(keys)
        if step < 0.6:
            delay = chance.choice((0.0, 1.0, 5.0))
            heap.plan(key, delay)
            plain[key] = clock.now + delay
        elif step < 0.7:
            heap.forget(key)
            plain.pop(key, None)
        else:
            clock.now += chance.choice((0.0, 1.0))
            due = set(heap.pop_due())
            assert due == {key for key, when in plain.items() if when <= clock.now}
            for key in due:
                del plain[key]
        assert heap.next_due() == min(plain.values(), default=None)


# ── one task ──


def test_a_younger_look_moves_last_seen_and_an_older_one_doesnt() -> None:
    tracked = Tracked(KEY, number=5, seen=at(0))
    for number in (4, 5):
        tracked.saw(number, at(9))
    assert (tracked.number, tracked.dirty) == (5, False)
    tracked.saw(6, at(60))
    assert (tracked.number, tracked.seen, tracked.dirty) == (6, at(60), True)


def test_what_is_committed_is_learnt_and_nothing_is_left_to_write() -> None:
    tracked = Tracked(KEY, dirty=True, missing=True, missing_at=1.0)
    tracked.learn(stored("WAIT", number=9), b"digest")
    assert (tracked.status, tracked.number, tracked.digest, tracked.dirty) == ("WAIT", 9, b"digest", False)
    assert (tracked.missing, tracked.missing_at) == (False, None)


def just_ended(status: str = "FAILED", *, ago: float = 0.0, **more: object) -> Tracked:
    tracked = Tracked(KEY)
    tracked.learn(replace(stored(status), ended=datetime.now(tz=UTC) - timedelta(seconds=ago)), b"")
    return tracked


def ended_for(tracked: Tracked) -> float:
    known = tracked.known(time.monotonic()).ended_for
    assert known is not None
    return known


def test_settling_counts_from_the_end_that_the_store_knows_over_a_restart() -> None:
    assert ended_for(just_ended(ago=500)) == pytest.approx(500, abs=5)


def test_a_later_look_doesnt_prolong_settling() -> None:
    tracked = just_ended(ago=500)
    tracked.learn(stored("FAILED", number=9, ended=datetime.now(tz=UTC) - timedelta(seconds=500), name="x"), b"")
    assert ended_for(tracked) == pytest.approx(500, abs=5)


def test_a_clock_set_back_after_the_end_doesnt_make_settling_negative() -> None:
    assert ended_for(just_ended(ago=-3600)) == pytest.approx(0, abs=5)


def test_a_task_that_goes_on_has_no_end() -> None:
    tracked = just_ended()
    tracked.learn(stored("RUNNING", number=2), b"")
    assert tracked.known(time.monotonic()).ended_for is None


@pytest.mark.parametrize("second", ["SUCCEEDED", "FAILED"])
def test_a_second_end_settles_anew(second: str) -> None:
    tracked = just_ended("FAILED", ago=590)
    tracked.learn(replace(stored(second, number=9), ended=datetime.now(tz=UTC)), b"")
    assert ended_for(tracked) == pytest.approx(0, abs=5)


def test_at_start_every_listed_task_is_tracked_with_what_the_store_knows() -> None:
    found = tracked_from([A, B], [stored("RUNNING", key=A, gone="not_found", missing_since=at(0)), stored(key=C)])
    assert list(found) == [A, B]
    assert (found[A].status, found[A].gone, found[A].digest, found[B].status) == ("RUNNING", True, b"", None)
