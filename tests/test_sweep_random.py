"""Random accounts in virtual time: whatever the list does, every task is looked at in time, and told once.

The upstream is a model in memory, so an hour of watching takes about a second; the planner, the store and the rules
are the real ones.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.imagined import Imagined, Upstream, imagined, wall
from tests.support.seeds import seeds
from tests.support.virtual import now, run_virtually
from watcher.clova.pace import WINDOW
from watcher.errors import RateLimited, ServerTrouble, Unreachable, UpstreamError
from watcher.models import TERMINAL, TaskKey
from watcher.scheduler.cadence import Goals

GOALS = Goals(30.0, 60.0, 600.0)
MOST = 400
SIZE = 20
FACTS = {"statusInfo.message": None, "statusInfo.endDatetime": "2026-03-02T21:00:00+0900"}
STATUS_EVENTS = (
    "task.discovered", "task.started", "task.succeeded", "task.failed", "task.reopened", "task.requeued",
    "task.status_changed",
)  # fmt: skip


@dataclass
class Play:
    """One random account. `ids` are watched; `deleted` says since when a task isn't there any more."""

    seed: int
    chance: random.Random = field(init=False)
    upstream: Upstream = field(default_factory=lambda: Upstream(size=SIZE))
    ids: list[str] = field(default_factory=list)
    deleted: dict[str, float] = field(default_factory=dict)
    made: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.queries_per_minute = self.chance.choice([30, 60, 60, 120])

    # ── what happens in the account ──

    def fill(self) -> None:
        share = self.chance.choice([1.0, 1.0, 0.5, 0.03])
        for _ in range(self.chance.choice([1, 2, 7, 19, 20, 21, 50, 140, 300])):
            self.create(watched=self.chance.random() < share)
        if not self.ids:
            self.create(watched=True)

    def create(self, *, watched: bool = False) -> None:
        self.made += 1
        id_ = f"{'t' if watched else 'o'}{self.made:05}"
        self.upstream.create(id_, self.chance.choice(["WAIT", "RUNNING", "RUNNING"]))
        if watched:
            self.ids.append(id_)

    def happen(self) -> None:
        """One thing that an account does."""
        kind = self.chance.choices(["change", "push", "burst", "delete", "hide", "ends"], [60, 20, 1, 2, 4, 1])[0]
        getattr(self, f"_{kind}")()

    def _alive(self) -> list[str]:
        ids = [id_ for id_ in self.ids if id_ in self.upstream.tasks]
        return [id_ for id_ in ids if self.upstream.tasks[id_]["status"] not in TERMINAL]

    def _change(self) -> None:
        if alive := self._alive():
            id_ = self.chance.choice(alive)
            new = {"WAIT": "RUNNING"}.get(str(self.upstream.tasks[id_]["status"]), "WAIT")
            if self.chance.random() < 0.2:
                new = self.chance.choice(["SUCCEEDED", "FAILED"])
            self._set(id_, new)

    def _set(self, id_: str, status: str) -> None:
        complete = status in TERMINAL and self.chance.random() < 0.5
        self.upstream.change(id_, status, **(FACTS if complete else {}))

    def _push(self) -> None:
        self.create()
        if len(self.upstream.tasks) > MOST:
            self.upstream.delete(next(id_ for id_ in reversed(self.upstream.tasks) if id_[0] == "o"))

    def _burst(self) -> None:
        for _ in range(self.chance.choice([2, 19, 40]) if len(self.upstream.tasks) < MOST else 0):
            self.create()

    def _delete(self) -> None:
        if id_ := self.chance.choice(list(self.upstream.tasks)):
            self.upstream.delete(id_)
            self.deleted[id_] = now()

    def _hide(self) -> None:
        self.upstream.hidden = set(self.chance.sample(self.ids, min(2, len(self.ids))))

    def _ends(self) -> None:
        for id_ in self._alive()[: self.chance.choice([2, 15])]:
            self._set(id_, self.chance.choice(["SUCCEEDED", "FAILED"]))

    # ── what may be expected of it ──

    @property
    def spacing(self) -> float:
        return WINDOW / self.queries_per_minute

    @property
    def queries(self) -> float:
        """How many queries a round over everything takes at least."""
        pages = -(-len(self.upstream.tasks) // self.upstream.size)
        return min(pages + len(self.upstream.hidden), len(self.ids))

    @property
    def bound(self) -> float:
        """Seconds in which every task of an honest list is looked at."""
        return GOALS.wait_interval + 3 * self.queries * self.spacing + 60.0

    def age(self, play: Imagined, id_: str) -> float:
        tracked = play.sweeper.tracked[TaskKey("main", id_)]
        return now() if tracked.seen is None else (wall() - tracked.seen).total_seconds()

    def asked_for(self, id_: str) -> bool:
        """It is there, and hasn't settled."""
        last = self.upstream.told[id_][-1]
        return id_ in self.upstream.tasks and not (last[1] in TERMINAL and now() - last[0] > GOALS.settle - 90)

    async def live(self, play: Imagined, seconds: float, *, busy: float = 5.0, timely: bool = True) -> None:
        """Let things happen, one every `busy` seconds or so, and look whether the watcher keeps up."""
        until, looked = now() + seconds, now()
        while now() < until:
            await asyncio.sleep(self.chance.expovariate(1 / busy))
            self.happen()
            if timely and now() - looked > 10.0:
                looked = now()
                late = {id_: self.age(play, id_) for id_ in self.ids if self.asked_for(id_)}
                worst = max(late, key=lambda id_: late[id_], default=None)
                assert worst is None or late[worst] < self.bound, (worst, late[worst], self.bound, self.seed)


def told_once(play: Play, seen: Imagined, lasting: float) -> None:
    """Every status that lasted is told, none twice, in their order; only what is gone is told as gone."""
    told: dict[str, list[str]] = {}
    for event in seen.events:
        if event.type in STATUS_EVENTS and not event.details.get("first_sight") and "amends" not in event.details:
            told.setdefault(event.task or "", []).append(event.to or "")
    for id_ in play.ids:
        happened = play.upstream.told[id_]
        ends = [at for at, _ in happened[1:]] + [play.deleted.get(id_, now())]
        wanted = [status for (at, status), end in zip(happened, ends, strict=True) if end - at > lasting]
        statuses, chain = [status for _, status in happened], told.get(id_, [])
        assert all(a != b for a, b in pairwise(chain)), (id_, chain)
        assert _within([status for status, _ in groupby(wanted)], chain), (id_, happened, chain)
        assert _within(chain, statuses), (id_, happened, chain)
    gone = [event.task or "" for event in seen.told("task.gone")]
    assert len(gone) == len(set(gone))
    assert all(id_ in play.deleted for id_ in gone)


def _within(some: Sequence[str], all_: Sequence[str]) -> bool:
    rest = iter(all_)
    return all(each in rest for each in some)


def kept_the_quota(play: Play) -> None:
    assert play.upstream.busiest() <= play.queries_per_minute
    assert play.upstream.most_at_once <= 2, "a GET and the one that completes an end"


def played(folder: Path, play: Play, story: Callable[[Imagined], Awaitable[None]], **more: Any) -> None:
    async def work() -> None:
        random.seed(play.seed)  # the sweeper's own dice
        play.fill()
        with imagined(
            folder, play.upstream, play.ids, queries_per_minute=play.queries_per_minute, goals=GOALS, **more
        ) as seen:
            async with seen.running():
                await story(seen)
            kept_the_quota(play)

    run_virtually(work())


@pytest.mark.parametrize("order", ["newest_first", "oldest_first", "by_id", "mixed"])
@pytest.mark.parametrize("seed", seeds(2))
def test_an_honest_list_shows_every_task_in_time_and_every_lasting_status_is_told_once(
    tmp_path: Path, order: str, seed: int
) -> None:
    play = Play(seed * 10 + len(order))
    play.upstream.order = ORDERS[order]

    async def story(seen: Imagined) -> None:
        await asyncio.sleep(2 * play.bound)
        await play.live(seen, 1800, busy=play.chance.choice([1.0, 5.0, 30.0]))
        await asyncio.sleep(play.bound)
        told_once(play, seen, play.bound + 30)

    played(tmp_path, play, story)


ORDERS: dict[str, Callable[[list[str]], Sequence[str]]] = {
    "newest_first": lambda ids: ids,
    "oldest_first": lambda ids: ids[::-1],
    "by_id": sorted,
    "mixed": lambda ids: sorted(ids, key=lambda id_: id_[::-1]),
}


@pytest.mark.parametrize("seed", seeds(2))
def test_a_list_in_another_order_at_each_read_hides_no_task_for_long(tmp_path: Path, seed: int) -> None:
    play = Play(100 + seed)
    play.upstream.order = lambda ids: play.chance.sample(ids, len(ids))

    async def story(seen: Imagined) -> None:
        bound = GOALS.wait_interval + 2 * len(play.ids) * play.spacing + 60
        await asyncio.sleep(2 * bound)
        assert all(play.age(seen, id_) < bound for id_ in play.ids)
        await play.live(seen, 1800, timely=False)
        await asyncio.sleep(bound)
        told_once(play, seen, bound + 60)

    played(tmp_path, play, story)


def _trouble(play: Play) -> Callable[[str], UpstreamError | None]:
    """Some of the ways in which queries fail for a while."""
    what = play.chance.choice(["all", "list", "get", "some", "page", "limit"])
    error: UpstreamError = play.chance.choice([ServerTrouble("500", status=500), Unreachable("no answer")])
    hits: dict[str, Callable[[str], bool]] = {
        "all": lambda _what: True,
        "list": lambda asked: asked.startswith("p"),
        "get": lambda asked: asked[0] in "to",
        "some": lambda _what: play.chance.random() < 0.3,
        "page": lambda asked: asked == "p0",
        "limit": lambda _what: play.chance.random() < 0.2,
    }
    if what == "limit":
        error = RateLimited("429", status=429, retry_after=play.chance.choice([None, 5.0]))
    return lambda asked: error if hits[what](asked) else None


@pytest.mark.parametrize("seed", seeds(5))
def test_bursts_of_failures_lose_nothing_and_are_over_within_minutes(tmp_path: Path, seed: int) -> None:
    play = Play(200 + seed)

    async def story(seen: Imagined) -> None:
        await asyncio.sleep(2 * play.bound)
        for _ in range(3):
            play.upstream.fails = _trouble(play)
            play.upstream.latency = lambda: play.chance.choice([0.05, 0.5, 9.0])
            await play.live(seen, play.chance.choice([60, 400, 1800]), timely=False)
            play.upstream.fails, play.upstream.latency = lambda _what: None, lambda: 0.05
            await asyncio.sleep(300 + 4 * play.bound)
            await play.live(seen, 300)
        told_once(play, seen, 1800 + 600 + 4 * play.bound)

    played(tmp_path, play, story)


LIES: dict[str, Callable[[random.Random], Callable[[int, int], tuple[int | None, int | None]]]] = {
    "a_million": lambda _: lambda _p, elements: (1_000_000, elements),
    "nothing": lambda _: lambda _p, _e: (None, None),
    "one": lambda _: lambda _p, elements: (1, elements),
    "none": lambda _: lambda _p, _e: (0, 0),
    "dice": lambda chance: lambda _p, _e: (chance.randrange(20), chance.randrange(2000)),
    "few": lambda _: lambda pages, _e: (pages, 3),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("seed", [1])
def test_a_list_that_lies_about_its_length_loses_no_task(tmp_path: Path, seed: int, lie: str) -> None:
    play = Play(300 + seed)
    play.upstream.claims = LIES[lie](play.chance)

    async def story(seen: Imagined) -> None:
        bound = GOALS.wait_interval + 2 * len(play.ids) * play.spacing + 60
        await asyncio.sleep(2 * bound)
        late = {id_: play.age(seen, id_) for id_ in play.ids}
        assert max(late.values()) < bound
        await play.live(seen, 900, timely=False)
        await asyncio.sleep(bound)
        told_once(play, seen, bound + 60)

    played(tmp_path, play, story)
