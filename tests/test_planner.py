"""The cheapest queries for what is due: tasks and their pages in, queries out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from watcher.models import TaskKey
from watcher.scheduler.planner import ListView, Query, Wish, choose


def key(id_: str) -> TaskKey:
    return TaskKey("main", id_)


def wish(id_: str, urgency: float = 1.0, *, single: bool = False) -> Wish:
    return Wish((key(id_),), urgency, single=single)


Known = tuple[Mapping[str, int], ListView]
"""The page of each id, and the rest of what is known of the list."""


def view(
    where: Mapping[str, int] | None = None,
    *,
    unread: Sequence[int] = (),
    wanted: Mapping[int, float] | None = None,
    soon: Mapping[int, int] | None = None,
    stale: Sequence[int] = (),
    resting: Sequence[int] = (),
    usable: bool = True,
) -> Known:
    known = ListView(
        unread, wanted or {}, lambda page: (soon or {}).get(page, 0), stale, resting.__contains__, usable=usable
    )
    return where or {}, known


def chosen(wishes: Sequence[Wish], known: Known) -> list[Query]:
    where, rest = known
    return choose([replace(each, page=where.get(each.keys[0].id)) for each in wishes], rest)


def shown(queries: list[Query]) -> list[str]:
    """`p3(a b)` for a page, `a` for a GET."""
    return [
        query.keys[0].id if query.page is None else f"p{query.page}({' '.join(k.id for k in query.keys)})"
        for query in queries
    ]


@pytest.mark.parametrize(
    ("wishes", "known", "queries"),
    [
        pytest.param([], view(), [], id="nothing is due"),
        pytest.param([wish("a")], view(), ["a"], id="one task of an unknown list"),
        pytest.param([wish("a")], view({"a": 0}), ["a"], id="one task on a page"),
        pytest.param([wish("a"), wish("b")], view({"a": 3, "b": 3}), ["p3(a b)"], id="two share a page"),
        pytest.param([wish("a"), wish("b")], view({"a": 0, "b": 1}), ["a", "b"], id="two on two pages"),
        pytest.param([wish("a")], view({"a": 2}, soon={2: 1}), ["p2(a)"], id="another one is due soon"),
        pytest.param([wish("a")], view({"a": 2}, wanted={2: 0.5}), ["p2(a)"], id="discovery wants the page anyway"),
        pytest.param([wish("a", single=True), wish("b"), wish("c")], view({"a": 0, "b": 0, "c": 0}),
                     ["p0(b c)", "a"], id="only a GET can tell about one of them"),
        pytest.param([wish("a"), wish("b")], view({"a": 0, "b": 0}, usable=False), ["a", "b"], id="no list to be had"),
        pytest.param([wish("a"), wish("b")], view(unread=[0]), ["p0(a b)"], id="the first look at a list"),
        pytest.param([wish("a")], view(unread=[0]), ["a"], id="a list isn't read for one task"),
        pytest.param([wish(c) for c in "abc"], view(unread=[1, 2]), ["p1()", "p2(a b c)"], id="pages worth reading"),
        pytest.param([wish("a"), wish("b")], view(unread=[1, 2, 3]), ["a", "b", "p1()"],
                     id="too many pages for two tasks: one is read in passing"),
        pytest.param([wish("a"), wish("b")], view(unread=range(1, 50)), ["a", "b", "p1()"], id="a long list"),
        pytest.param([wish("a")], view(unread=[1, 2, 3]), ["a"], id="no page in passing for one task"),
        pytest.param([wish(c) for c in "abc"], view(stale=[4, 5]), ["p4()", "p5(a b c)"], id="lost places"),
        pytest.param([wish("a"), wish("b")], view(stale=[4, 5]), ["a", "b"], id="too few have lost their places"),
        pytest.param([wish("a"), wish("b")], view({"a": 1, "b": 1}, resting=[1]), ["a", "b"], id="the page rests"),
        pytest.param([], view(wanted={0: 0.5, 4: 0.7}), ["p4()", "p0()"], id="discovery alone"),
        pytest.param([wish("a"), wish("b")], view({"a": 0, "b": 0}, wanted={0: 0.5}), ["p0(a b)"],
                     id="discovery reads no page twice"),
    ],
)  # fmt: skip
def test_what_is_asked_for(wishes: list[Wish], known: Known, queries: list[str]) -> None:
    assert shown(chosen(wishes, known)) == queries


def test_the_most_urgent_query_goes_first_and_a_page_is_as_urgent_as_its_most_urgent_task() -> None:
    wishes = [wish("w1", 1.0), wish("w2", 1.1), wish("run", 2.0), wish("w3", 1.0), wish("end", 8.0), wish("late", 1.5)]
    known = view({"w1": 0, "w2": 0, "run": 1, "w3": 1})
    assert shown(chosen(wishes, known)) == ["end", "p1(run w3)", "late", "p0(w1 w2)"]


def test_a_page_that_is_wanted_more_than_its_tasks_goes_as_early_as_it_is_wanted() -> None:
    wishes = [wish("late", 20.0, single=True), wish("a"), wish("b"), wish("c")]
    assert shown(chosen(wishes, view(unread=[1, 2], wanted={1: 20.0}))) == ["p1()", "late", "p2(a b c)"]


def test_a_thousand_tasks_cost_ten_pages() -> None:
    where = {f"t{n}": n // 100 for n in range(1000)}
    queries = chosen([wish(id_) for id_ in where], view(where))
    assert [query.page for query in queries] == list(range(10))
    assert sum(len(query.keys) for query in queries) == 1000


def test_every_wish_is_covered_exactly_once_whatever_is_known() -> None:
    import random

    chance = random.Random(3)
    for _ in range(500):
        ids = [f"t{n}" for n in range(chance.randint(0, 30))]
        where = {id_: chance.randint(0, 5) for id_ in ids if chance.random() < 0.7}
        known = view(where, unread=range(6, chance.randint(6, 12)), usable=chance.random() < 0.8)
        wishes = [wish(id_, chance.random(), single=chance.random() < 0.1) for id_ in ids]
        covered = [k.id for query in chosen(wishes, known) for k in query.keys]
        assert sorted(covered) == sorted(ids)


def test_tasks_of_one_wish_share_its_page_or_are_asked_for_one_by_one() -> None:
    together = Wish((key("a"), key("b")), 1.0, page=4)
    _, known = view()
    assert shown(choose([together], known)) == ["p4(a b)"]
    _, resting = view(resting=[4])
    assert shown(choose([together], resting)) == ["a", "b"]
