"""Pages on which trainings only go on, over real HTTP: read without parsing, stored without reading, told as ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import written
from tests.support.sweeping import Play, Watch, watching
from tests.support.upstream import KEY as API_KEY
from watcher.clova import wire
from watcher.errors import StoreError, StoreStalled
from watcher.models import TaskKey
from watcher.scheduler import moving, watched
from watcher.scheduler.tracked import Tracked
from watcher.simulator import Simulator

pytestmark = pytest.mark.anyio

FEW = ("a", "b", "c")
RUNNING = [{"status": "RUNNING", "steps": 100, "until": 1_000_000}]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the pages that were parsed."""
    pages: list[int] = []
    really = wire.parse_page

    def parse(body: bytes, number: int, *more: Any) -> wire.Page:
        pages.append(number)
        return really(body, number, *more)

    monkeypatch.setattr(wire, "parse_page", parse)
    return pages


def tasks(*ids: str, **more: Any) -> dict[str, Any]:
    return {"keys": [API_KEY], "tasks": [{"id": id_, "timeline": RUNNING} for id_ in ids], **more}


def go_on(sim: Simulator, step: int, *ids: str, **info: Any) -> None:
    """The trainings come to that step."""
    moves = {"currStep": step, "currEpoch": 0, "trainLoss": 1.0 + 1 / (step + 1), "estimatedTime": 900 - step, **info}
    for id_ in ids or FEW:
        sim.set_task(id_, statusInfo={"totalTrainSteps": 1000, **moves}, updatedDate=written(step))


async def get_going(watch: Watch, *ids: str) -> None:
    """Three sweeps, after which the page has its lane."""
    for step in (1, 2, 3):
        go_on(watch.sim, step, *ids)
        await watch.settle()


def shown(watch: Watch, name: str = "statusInfo.currStep") -> list[Any]:
    return [task.fields[name] for task in sorted(watch.reader.tasks(), key=lambda task: task.key)]


async def test_a_page_on_which_trainings_only_go_on_isnt_parsed(play: Play, tmp_path: Path, parsed: list[int]) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await get_going(watch)
        parsed.clear()
        for step in range(4, 9):
            go_on(sim, step)
            writes = watch.writes
            report = await watch.look()
            assert (watch.writes - writes, report.changed, report.seen, report.asked) == (1, 3, 3, 1)
            assert shown(watch) == [step] * 3
        assert parsed == []
        history = watch.reader.history(TaskKey("main", "b"))
        assert [(point.step, dict(point.changes)) for point in history][-2:] == [
            (step, {"statusInfo.estimatedTime": 900 - step}) for step in (7, 8)
        ]
        assert shown(watch, "updatedDate") == [written(8)] * 3
        assert watch.told() == []


async def test_those_that_stand_still_are_remembered_as_seen(play: Play, tmp_path: Path, parsed: list[int]) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        sim.set_task("c", status="WAIT", statusInfo={})
        await get_going(watch, "a", "b")
        parsed.clear()
        go_on(sim, 4, "a")
        await watch.settle()
        assert parsed == []
        seen = {key.id: (tracked.number, tracked.dirty) for key, tracked in watch.sweeper.tracked.items()}
        assert {number for number, _ in seen.values()} == {seen["a"][0]}
        assert [seen[id_][1] for id_ in FEW] == [False, True, True]
        go_on(sim, 5, "a", "b")
        await watch.settle()
        assert (parsed, shown(watch)[:2]) == ([], [5, 5])


async def test_what_nobody_watches_may_move_as_it_likes(play: Play, tmp_path: Path, parsed: list[int]) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, "a", "b", lists=True) as watch:
        await get_going(watch)
        parsed.clear()
        go_on(sim, 2, "c", trainLoss=9)
        writes = watch.writes
        await watch.settle()
        assert (parsed, watch.writes - writes, shown(watch)) == ([], 0, [3, 3])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": "WAIT"}, ["task.requeued"]),
        ({"statusInfo": {"currStep": 250, "totalTrainSteps": 1000}}, ["task.progress"]),
        ({"status": "FAILED", "statusInfo": {"message": "no", "endDatetime": written(5)}}, ["task.failed"]),
    ],
)
async def test_whatever_means_more_is_told(play: Play, tmp_path: Path, change: dict[str, Any], told: list[str]) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await get_going(watch)
        last = watch.sweeper.tracked[TaskKey("main", "b")].seen
        go_on(sim, 4)
        sim.set_task("b", **change)
        await watch.settle()
        assert watch.told() == told
        window = watch.reader.events()[-1].window
        assert last is not None
        assert window.after is not None
        assert abs((window.after - last).total_seconds()) < 0.002
        assert shown(watch)[0] == shown(watch)[2] == 4


async def test_a_page_older_than_what_is_stored_is_settled_by_gets(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await get_going(watch)
        go_on(sim, 4, "a", "c")
        sim.set_task("b", updatedDate=written(-60))
        before = len(watch.asked())
        await watch.settle()
        assert [path for path in watch.asked()[before:] if path.startswith("/")] == ["/b"]


async def test_a_get_in_between_isnt_undone(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await get_going(watch)
        go_on(sim, 4)
        watch.sweeper.watched.pages.failed(times=2)  # the list rests, so GETs follow
        await watch.settle()
        watch.sweeper.watched.pages.answered(0)
        go_on(sim, 5)
        await watch.settle()
        assert shown(watch) == [5, 5, 5]
        assert [point.step for point in watch.reader.history(TaskKey("main", "b"))][-3:] == [3, 4, 5]


async def test_nothing_is_believed_that_isnt_written(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "STALLED_PAUSE", 0.0)
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await get_going(watch)
        for error, reports in ((StoreStalled("full", "wait"), True), (StoreError("too large", "see"), False)):
            with monkeypatch.context() as patch:
                patch.setattr(moving, "record_moved", _raising(error))
                go_on(sim, 4 if reports else 5)
                report = await watch.look()
            assert report.stalled == reports
            assert shown(watch) == ([3] * 3 if reports else [5] * 3)
            for _ in range(3):
                await watch.settle()
            assert shown(watch) == ([4] * 3 if reports else [5] * 3)
            await get_going_again(watch)


async def get_going_again(watch: Watch) -> None:
    for _ in range(2):
        await watch.settle()


def _raising(error: Exception) -> Any:
    def raises(*_: object) -> None:
        raise error

    return raises


async def test_a_task_that_comes_later_is_found_on_the_page(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, "a", "b", lists=True) as watch:
        await get_going(watch)
        watch.sweeper.watched.watch(Tracked(TaskKey("main", "c")))
        go_on(sim, 4)
        before = len(watch.asked())
        await watch.settle()
        assert shown(watch) == [4, 4, 4]
        assert len(watch.asked()) == before + 1


async def test_a_page_on_which_more_happens_each_time_is_seldom_tried() -> None:
    sight, tries = moving._Sight(), 0
    for _ in range(1000):
        if sight.again(b"same"):
            sight.gave_up(useless=True)
            tries += 1
    assert tries < 30
    sight.gave_up(useless=False)
    assert sight.again(b"same")
