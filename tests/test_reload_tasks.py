"""Tasks, and when they are looked at, change while everything runs: what stays keeps its timers and its past."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.reloading import OTHER, QUICK, TASK, account, live
from watcher.simulator import Simulator
from watcher.simulator.receiver import Receiver

pytestmark = pytest.mark.anyio


async def test_a_listed_task_is_seen_at_once(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK], poll={"interval": "1h", "wait_interval": "1h"}) as one:
        await one.reload(tasks=[TASK, OTHER])
        await one.until(lambda: one.events("task.discovered", OTHER), "it is seen")


async def test_what_stays_keeps_its_timers_and_pages(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, poll={"interval": "1h", "wait_interval": "1h"}) as one:
        await one.until(lambda: all(one.planned(id_) for id_ in (TASK, OTHER)), "both are planned")
        before, pages = {**one.sweeper().watched.due._planned}, one.sweeper().watched.pages
        where, asked = dict(pages.where), len(sim.log)
        await one.reload(rules={"progress": [10]}, language="en", retention={"history": "1d"})
        assert one.sweeper().watched.due._planned == before
        assert dict(one.sweeper().watched.pages.where) == where
        assert len(sim.log) == asked


@pytest.mark.parametrize("how", ["GET", "list page"])
async def test_nothing_is_written_of_a_task_that_was_removed_while_it_was_asked_about(
    how: str, sim: Simulator, tmp_path: Path
) -> None:
    async with live(tmp_path, sim, [TASK, OTHER]) as one:
        await one.until(lambda: len(one.events("task.discovered")) == 2, "both are seen")
        if how == "GET":
            one.sweeper().watched.pages.failed(times=1_000_000)
        sim.fault("slow", delay=1.0)
        await one.until(lambda: [each.outcome for each in sim.log][-2:] == ["slow", "slow"], "answers are slow")
        sim.set_task(TASK, status="RUNNING")
        sim.set_task(OTHER, status="RUNNING")
        asked, path = len(sim.log), TASK if how == "GET" else "page="
        await one.until(lambda: any(path in each.path for each in list(sim.log)[asked:]), "the news are on their way")
        assert one.events("task.started") == []
        await one.reload(tasks=[OTHER])
        await one.until(lambda: one.events("task.started", OTHER), "the other one is told")
        await one.sweeps(3)
        assert one.events("task.started", TASK) == []
        assert {t.key.id: t.status for t in one.reader.tasks()}[TASK] == "WAIT"


async def test_name_and_labels_are_those_of_the_newest_configuration(
    sim: Simulator, receiver: Receiver, tmp_path: Path
) -> None:
    routes = [{"events": ["task.*"], "labels": {"team": "nlp"}, "channels": ["hook"]}]
    channels = {"hook": {"url": f"{receiver.base_url}/x"}}
    async with live(tmp_path, sim, [TASK], channels, routes=routes) as one:
        await one.until(lambda: one.events("task.discovered"), "it is seen")
        await one.reload(tasks=[{"id": TASK, "name": "mine", "labels": {"team": "nlp"}}])
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "delivered", "it is told")
        (told,) = one.events("task.started")
        assert told.subject is not None
        assert (told.subject["name"], told.subject["labels"]) == ("mine", {"team": "nlp"})
        assert list(one.deliveries("hook")) == ["task.started"]


async def test_a_task_moves_to_another_account(sim: Simulator, tmp_path: Path) -> None:
    accounts = {"main": account(sim), "second": account(sim)}
    tasks = [{"id": TASK, "account": "main"}, {"id": OTHER, "account": "main"}]
    async with live(tmp_path, sim, tasks, accounts=accounts) as one:
        await one.until(lambda: len(one.stored()) == 2, "both are seen")
        await one.reload(tasks=[{"id": TASK, "account": "second"}, {"id": OTHER, "account": "main"}])
        await one.until(lambda: f"second/{TASK}" in one.stored(), "its new account sees it")
        assert one.tracked(TASK) is None


async def test_hundreds_of_tasks_keep_their_timers_when_others_come_and_go(sim: Simulator, tmp_path: Path) -> None:
    ids = [f"many{number:04d}" for number in range(400)]
    for id_ in ids:
        sim.create({"id": id_})
    slow = {"interval": "1h", "wait_interval": "1h"}
    async with live(tmp_path, sim, ids[:300], poll=slow, discover=[{"name": "nothing like it"}]) as one:
        await one.until(lambda: len(one.stored()) == 300, "all are seen")
        await one.until(lambda: all(one.planned(id_) for id_ in ids[:300]), "all are planned")
        before = dict(one.sweeper().watched.due._planned)
        await one.reload(tasks=ids[100:], rules={"progress": [1]})
        await one.until(lambda: len(one.stored()) == 400, "the new ones are seen")
        after = one.sweeper().watched.due._planned
        assert {key: after[key] for key in before if key.id in ids[100:300]} == {
            key: due for key, due in before.items() if key.id in ids[100:300]
        }
        assert not {key.id for key in after} & set(ids[:100])


async def test_discover_rules_come_change_and_go(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK]) as one:
        sim.create({"id": "new00001", "name": "exp-a"})
        sim.create({"id": "new00002", "name": "other-b"})
        await one.reload(discover=[{"name": "exp-*", "labels": {"team": "nlp"}}])
        await one.until(lambda: "main/new00001" in one.stored(), "it is adopted")
        await one.reload(discover=[{"name": "other-*"}])
        await one.until(lambda: "main/new00002" in one.stored(), "the other is adopted")
        assert one.tracked("new00001") is None
        await one.reload(tasks=[TASK, "new00002"], discover=...)
        tracked = one.tracked("new00002")
        assert tracked is not None
        assert not tracked.adopted
        await one.reload(tasks=[TASK], discover=[{"name": "other-*"}])
        assert one.tracked("new00002") is tracked
        assert tracked.adopted
        await one.reload(discover=...)
        assert one.tracked("new00002") is None
        sim.set_task("new00002", status="RUNNING")
        await one.sweeps(4)
        assert one.events("task.started") == []


async def test_milestones_that_were_told_arent_told_again(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK], rules={"progress": [25, 50]}) as one:
        sim.set_task(TASK, status="RUNNING", statusInfo={"currStep": 10, "totalTrainSteps": 100})
        await one.until(lambda: one.events("task.started"), "it runs")
        sim.set_task(TASK, statusInfo={"currStep": 52, "totalTrainSteps": 100})
        await one.until(lambda: len(one.events("task.progress")) == 1, "half of it is done")
        await one.reload(rules={"progress": [10, 25, 50, 51, 60]})
        sim.set_task(TASK, statusInfo={"currStep": 53, "totalTrainSteps": 100})
        await one.until(lambda: [t for t in one.reader.tasks() if t.fields["statusInfo.currStep"] == 53], "it is seen")
        sim.set_task(TASK, statusInfo={"currStep": 61, "totalTrainSteps": 100})
        await one.until(lambda: len(one.events("task.progress")) >= 3, "the next one is told")
        assert [event.details["milestone"] for event in one.events("task.progress")] == [50, 51, 60]


async def test_a_shorter_interval_brings_looks_forward_and_a_longer_one_follows(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, poll={"interval": "1h", "wait_interval": "1h"}) as one:
        await one.until(lambda: (one.planned() or 0) > 60, "it is planned far away")
        await one.reload(poll={"interval": "10s", "wait_interval": "10s"})
        assert 0 < (one.planned() or 0) <= 10
        await one.reload(poll=QUICK)
        await one.sweeps(4)
        await one.reload(poll={"interval": "1h", "wait_interval": "1h"})
        await one.until(lambda: (one.planned() or 0) > 60, "it is planned far away")
