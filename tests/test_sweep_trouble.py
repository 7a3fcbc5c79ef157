"""Single troubles in virtual time: what each costs in queries, and for how long a task goes unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.imagined import Imagined, Upstream, imagined, wall
from tests.support.virtual import now, run_virtually
from watcher.errors import KeyRejected, ServerTrouble, UpstreamError
from watcher.models import TaskKey
from watcher.scheduler.cadence import Goals
from watcher.settings import Discover

FACTS = {"statusInfo.message": None, "statusInfo.endDatetime": None}
OTHERS = (Discover(name=("nothing-like-it",)),)

Story = Callable[[Imagined], Awaitable[None]]


def ids(count: int, letter: str = "t") -> list[str]:
    return [f"{letter}{n:04}" for n in range(count)]


def play(folder: Path, watched: list[str], story: Story, others: int = 0, **more: Any) -> None:
    async def work() -> None:
        upstream = Upstream()
        for id_ in [*ids(others, "o"), *watched]:
            upstream.create(id_)
        with imagined(folder, upstream, watched, **more) as seen:
            async with seen.running():
                await story(seen)
        assert upstream.busiest() <= more.get("queries_per_minute", 60)

    run_virtually(work())


def stalest(seen: Imagined) -> float:
    """The longest that a task which is there hasn't been seen."""
    return max(
        now() if tracked.seen is None else (wall() - tracked.seen).total_seconds()
        for key, tracked in seen.sweeper.tracked.items()
        if key.id in seen.upstream.tasks
    )


def end_all(seen: Imagined) -> None:
    for key in list(seen.sweeper.tracked):
        seen.upstream.change(key.id, "SUCCEEDED", **FACTS)


def on(asked: Callable[[str], bool], error: UpstreamError) -> Callable[[str], UpstreamError | None]:
    return lambda what: error if asked(what) else None


def test_an_undisturbed_account_costs_one_query_for_each_page_and_interval(tmp_path: Path) -> None:
    async def story(seen: Imagined) -> None:
        await asyncio.sleep(300)
        begin = now()
        await asyncio.sleep(600)
        assert len(seen.upstream.asked(begin)) <= 3 * 22
        assert seen.sweeps(begin) <= 3 * 22
        assert stalest(seen) < 35

    play(tmp_path, ids(250), story)


@pytest.mark.parametrize("latency", [0.05, 2.0, 9.0])
def test_settling_tasks_stay_in_step_and_slow_pages_cost_no_other_query(tmp_path: Path, latency: float) -> None:
    async def story(seen: Imagined) -> None:
        await asyncio.sleep(200)
        end_all(seen)
        seen.upstream.latency = lambda: latency
        begin = now()
        await asyncio.sleep(300)
        assert len(seen.upstream.asked(begin)) <= 3 * 13
        assert "one" not in seen.upstream.asked(begin)

    play(tmp_path, ids(250), story)


def test_when_all_has_settled_one_list_item_is_asked_for_every_five_minutes(tmp_path: Path) -> None:
    async def story(seen: Imagined) -> None:
        await asyncio.sleep(60)
        end_all(seen)
        await asyncio.sleep(1200)
        begin = now()
        await asyncio.sleep(3600)
        assert seen.upstream.asked(begin) == ["one"] * 12
        assert seen.sweeps(begin) <= 13

    play(tmp_path, ids(250), story)


@pytest.mark.parametrize("watched", [0, 5])
def test_discovery_costs_one_page_a_minute_and_few_others(tmp_path: Path, watched: int) -> None:
    async def story(seen: Imagined) -> None:
        if watched:
            await asyncio.sleep(60)
            end_all(seen)
        await asyncio.sleep(1200)
        begin = now()
        for n in range(60):
            seen.upstream.create(f"n{n}")
            await asyncio.sleep(60)
        assert len(seen.upstream.asked(begin)) <= 60 + 13 * 10 + 11

    play(tmp_path, ids(watched), story, others=1000, discover=OTHERS)


def test_a_page_that_always_fails_hides_no_task_that_a_get_shows(tmp_path: Path) -> None:
    async def story(seen: Imagined) -> None:
        seen.upstream.fails = on("p1".__eq__, ServerTrouble("no", status=500))
        await asyncio.sleep(600)
        for _ in range(30):
            await asyncio.sleep(60)
            assert stalest(seen) < 200
        assert seen.told("account.unreachable") == []

    play(tmp_path, ids(250), story)


def test_tasks_that_are_pushed_down_are_found_again_and_share_their_page(tmp_path: Path) -> None:
    async def story(seen: Imagined) -> None:
        for _ in range(4):
            for id_ in ids(100, f"n{now()}"):
                seen.upstream.create(id_)
            await asyncio.sleep(300)
            begin = now()
            await asyncio.sleep(300)
            assert len(seen.upstream.asked(begin)) <= 30
            assert stalest(seen) < 45

    play(tmp_path, ids(100), story, others=250)


def test_many_deletions_are_told_within_minutes_and_hold_up_nobody(tmp_path: Path) -> None:
    async def story(seen: Imagined) -> None:
        await asyncio.sleep(300)
        begin, worst = now(), 0.0
        for id_ in ids(450)[400:]:
            seen.upstream.delete(id_)
        for _ in range(30):
            await asyncio.sleep(10)
            worst = max(worst, stalest(seen))
        assert {event.task for event in seen.told("task.gone")} == set(ids(450)[400:])
        assert worst < 120
        assert len(seen.upstream.asked(begin)) < 50 * 2 + 10 * 20 + 60

    play(tmp_path, ids(600), story)


@pytest.mark.long
def test_a_task_that_failed_once_gets_its_turn_where_the_quota_doesnt_suffice(tmp_path: Path) -> None:
    async def story(seen: Imagined) -> None:
        start = now()
        seen.upstream.fails = lambda what: (
            ServerTrouble("no", status=500)
            if what.startswith("p") or (what == "t0007" and now() < start + 600)
            else None
        )
        await asyncio.sleep(3600)
        assert stalest(seen) < 1500

    play(tmp_path, ids(100), story, goals=Goals(10.0, 20.0, 600.0))


def test_an_account_whose_every_get_says_not_found_loses_no_task(tmp_path: Path) -> None:
    """One task has settled, so nobody asks about it; it says nothing about the others."""

    async def story(seen: Imagined) -> None:
        await asyncio.sleep(60)
        seen.upstream.change("t0000", "SUCCEEDED", **FACTS)
        await asyncio.sleep(1200)
        kept, seen.upstream.tasks = seen.upstream.tasks, {}
        await asyncio.sleep(1200)
        seen.upstream.tasks = kept
        await asyncio.sleep(1200)
        assert seen.told("task.gone", "task.returned") == []
        assert sum(tracked.missing for tracked in seen.sweeper.tracked.values()) == 0

    play(tmp_path, ids(4), story)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("watched", [0, 4])
@pytest.mark.parametrize("discover", [(), OTHERS])
def test_a_refused_key_is_told_within_minutes_and_probed_slowly(
    tmp_path: Path, status: int, watched: int, discover: tuple[Discover, ...]
) -> None:
    async def story(seen: Imagined) -> None:
        await asyncio.sleep(60)
        end_all(seen)
        await asyncio.sleep(1200)
        seen.upstream.fails = on(lambda _what: True, KeyRejected("no", status=status))
        await asyncio.sleep(900)
        assert len(seen.told("account.rejected")) == 1
        begin = now()
        await asyncio.sleep(3600)
        assert 10 <= len(seen.upstream.asked(begin)) <= 13
        seen.upstream.fails = on(lambda _what: False, KeyRejected("no", status=status))
        await asyncio.sleep(400)
        assert len(seen.told("account.rejected")) == len(seen.told("account.recovered")) == 1

    play(tmp_path, ids(watched), story, others=10, discover=discover)


def test_a_key_that_is_refused_is_probed_after_ten_seconds_and_then_every_five_minutes(tmp_path: Path) -> None:
    async def story(seen: Imagined) -> None:
        await asyncio.sleep(300)
        seen.upstream.fails = on(lambda _what: True, KeyRejected("no", status=401))
        await asyncio.sleep(60)
        begin = now() - 60
        await asyncio.sleep(1800)
        refused = [query.at for query in seen.upstream.log if query.at >= begin]
        gaps = [later - earlier for earlier, later in pairwise(refused)]
        probes = [gap for gap in gaps if gap > 5]
        assert probes[0] == pytest.approx(10, abs=2)
        assert probes[1:] == pytest.approx([300] * len(probes[1:]), abs=2)
        assert len(refused) <= 15
        seen.upstream.fails = on(lambda _what: False, KeyRejected("no", status=401))
        await asyncio.sleep(400)
        assert stalest(seen) < 70
        assert [event.type for event in seen.events if event.account and not event.task] == [
            "account.rejected",
            "account.recovered",
        ]

    play(tmp_path, ids(250), story)


def test_an_upstream_that_is_gone_for_an_hour_is_asked_seldom_and_watched_as_before_soon_after(tmp_path: Path) -> None:
    async def story(seen: Imagined) -> None:
        await asyncio.sleep(300)
        seen.upstream.fails = on(lambda _what: True, ServerTrouble("no", status=500))
        await asyncio.sleep(1800)
        begin = now()
        await asyncio.sleep(1800)
        assert len(seen.upstream.asked(begin)) < 60
        seen.upstream.fails = on(lambda _what: False, ServerTrouble("no", status=500))
        await asyncio.sleep(300 + 60)
        assert stalest(seen) < 70
        assert [event.type for event in seen.events if event.account and not event.task] == [
            "account.unreachable",
            "account.recovered",
        ]
        assert all(tracked.failures == 0 for tracked in seen.sweeper.tracked.values())

    play(tmp_path, ids(250), story)


def test_a_deleted_task_costs_few_queries_where_the_list_cant_prove_it(tmp_path: Path) -> None:
    async def story(seen: Imagined) -> None:
        await asyncio.sleep(300)
        seen.upstream.claims = lambda _pages, elements: (1_000_000, elements)
        seen.upstream.delete("t0001")
        await asyncio.sleep(600)
        begin = now()
        await asyncio.sleep(1800)
        assert len(seen.upstream.asked(begin)) < 30 * 8
        assert TaskKey("main", "t0001") in seen.sweeper.tracked

    play(tmp_path, ids(50), story, others=300)
