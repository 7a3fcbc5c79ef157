"""The fake upstream's lists: many tasks cheaply, in every order, and lying in every way that the watcher must stand."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.upstream import KEY, running_simulator
from watcher import errors
from watcher.simulator import Simulator, load_scenario, parse_scenario

FIVE = {"count": 5, "id": "t{n}", "name": "run {n}"}
A, B = "nv-a", "nv-b"


class Asking:
    """Real requests to a simulator, as a key makes them."""

    def __init__(self, sim: Simulator, http: httpx2.AsyncClient) -> None:
        self.sim, self._http = sim, http

    async def get(self, task: str, key: str = KEY) -> httpx2.Response:
        return await self._http.get(f"{self.sim.base_url}/tuning/v2/tasks/{task}", headers=_bearer(key))

    async def page(self, number: int = 0, size: int = 100, key: str = KEY) -> httpx2.Response:
        query = f"?page={number}&size={size}"
        return await self._http.get(f"{self.sim.base_url}/tuning/v2/tasks{query}", headers=_bearer(key))

    async def result(self, number: int = 0, size: int = 100, key: str = KEY) -> dict[str, Any]:
        found: dict[str, Any] = (await self.page(number, size, key)).json()["result"]
        return found

    async def ids(self, number: int = 0, size: int = 100, key: str = KEY) -> list[str]:
        return [item["id"] for item in (await self.result(number, size, key))["content"]]

    async def control(self, **orders: Any) -> httpx2.Response:
        return await self._http.post(f"{self.sim.base_url}/simulator/control", json=orders)


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


@contextlib.asynccontextmanager
async def playing(*tasks: Mapping[str, Any], speed: float = 1.0, **more: Any) -> AsyncIterator[Asking]:
    scenario = {"keys": [KEY], "tasks": list(tasks), **more}
    async with running_simulator(scenario, speed=speed) as sim, httpx2.AsyncClient() as http:
        yield Asking(sim, http)


# Many tasks.


@pytest.mark.anyio
async def test_one_entry_stands_for_many_tasks_dealt_out_over_the_keys() -> None:
    keys = [KEY, {"count": 2, "key": "nv-{n:03d}"}]
    tasks = {"count": 7, "id": "t{n:03d}", "name": "run {n} of {key}", "owner": "{key}"}
    async with playing(tasks, keys=keys) as asking:
        assert await asking.ids(key="nv-001") == ["t002", "t005"]
        assert (await asking.get("t002", "nv-001")).json()["result"]["name"] == "run 2 of nv-001"
        assert (await asking.get("t002", "nv-000")).json()["status"]["code"] == "40301"
        assert (await asking.result(size=2))["totalPages"] == 2


@pytest.mark.anyio
async def test_tasks_appear_one_after_the_other_and_push_the_older_down() -> None:
    tasks = {**FIVE, "apart": "10h", "timeline": [{"status": "WAIT"}]}
    async with playing(tasks, speed=36_000) as asking:  # ten hours take a second
        seen = [await asking.ids(size=2)]
        while len(seen[-1]) < 2 or seen[-1][0] != "t4":
            seen.append(await asking.ids(size=2))
        assert [ids for before, ids in zip([[], *seen], seen, strict=False) if ids != before] == [
            ["t0"], ["t1", "t0"], ["t2", "t1"], ["t3", "t2"], ["t4", "t3"],
        ]  # fmt: skip


def test_spread_moves_what_follows_the_beginning_by_a_share_of_each() -> None:
    timeline = [{"status": "WAIT"}, {"at": 100, "status": "RUNNING", "until": 200}]
    tasks = list(parse_scenario({"tasks": [{**FIVE, "spread": 1000, "timeline": timeline}]}).all_tasks())
    begins = [task.timeline[1].at for task in tasks]
    assert {task.timeline[0].at for task in tasks} == {0.0}
    assert len(set(begins)) == 5
    assert all(100 <= at < 1100 for at in begins)
    assert [task.timeline[1].until for task in tasks] == [at + 100 for at in begins]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tasks:\n  - {count: 2, id: same}\n", "play.yaml:2:16: tasks[0].id: 'same' is the same for each; write {n}"),
        ("tasks:\n  - count: 2\n    id: 't{m}'\n", "play.yaml:3:5: tasks[0].id: 't{m}' can't be filled in"),
        ("tasks:\n  - {count: 2, id: 't{n}', owner: '{'}\n", "play.yaml:2:28: tasks[0].owner: '{' can't be filled in"),
        ("tasks:\n  - {id: t, spread: 3}\n", "play.yaml:2:13: tasks[0].spread: belongs to a task with `count`"),
        ("tasks:\n  - {count: 0, id: 't{n}'}\n", "play.yaml:2:6: tasks[0].count: "),
        ("tasks: [{count: 2, id: 't{n}'}, {id: t1}]", "the task t1 stands twice"),
        ("keys:\n  - {count: 2, key: same}\n", "play.yaml:2:16: keys[0].key: 'same' is the same for each"),
        ("keys:\n  - {cuont: 2, key: 'k{n}'}\n", "play.yaml:2:6: keys[0].cuont: unknown key"),
        ("list:\n  order: random\n", "play.yaml:2:3: list.order: "),
        ("limits: {headers: all}", "play.yaml:1:10: limits.headers: "),
        ("faults:\n  - {kind: list_lags, on: get}\n", "faults[0].on: list_lags is a list's; leave `on` out"),
        ("faults:\n  - {kind: list_pages, pages: [1, many]}\n", "faults[0].pages[1]: "),
        ("faults:\n  - {kind: list_broken_item, item: odd}\n", "faults[0].item: "),
        ("faults:\n  - {kind: list_boom}\n", "unknown kind of fault 'list_boom'"),
    ],
)
def test_a_wrong_template_names_file_place_and_mend(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "play.yaml"
    path.write_text(text)
    with pytest.raises(errors.ConfigError) as caught:
        load_scenario(path)
    assert says in caught.value.message.replace(f"{tmp_path}/", "")


def test_a_page_out_of_a_hundred_thousand_tasks_costs_little() -> None:
    timeline = [{"status": "RUNNING", "steps": 1_000_000, "until": "1h"}]
    tasks = {"count": 100_000, "id": "t{n:07d}", "owner": "{key}", "timeline": timeline}
    sim = Simulator(parse_scenario({"keys": [{"count": 100, "key": "k{n}"}], "tasks": [tasks]}))
    sim.page("k7", 3, 100)
    spent = []
    for _ in range(20):
        before = time.process_time()
        page = sim.page("k7", 3, 100)
        spent.append(time.process_time() - before)
    assert len(json.loads(page)["result"]["content"]) == 100
    assert min(spent) < 0.01  # every step moved; 2 ms on an idle machine


def test_a_list_item_moves_exactly_as_the_task_alone() -> None:
    story = [
        {"status": "WAIT"},
        {"at": 10, "status": "RUNNING", "steps": 7, "epochs": 3, "until": 20},
        {"at": 30, "status": "FAILED", "message": "100 % wrong"},
    ]
    plain = {"id": "a", "name": "50 %", "timeline": story}
    odd = {"id": "b", "timeline": [story[0], {**story[1], "set": {"statusInfo.trainLoss": "NaN"}}, story[2]]}
    sim = Simulator(parse_scenario({"tasks": [plain, odd], "list": {"sparse": False}}))
    began = time.monotonic()
    for tenths in range(400):
        sim._started = time.monotonic() - tenths / 10
        if tenths == 150:
            sim.set_task("a", **{"name": "renamed", "statusInfo.currStep": 1})
            sim.set_task("b", name="renamed")
        items = json.loads(sim.page("nv-test", 0, 100))["result"]["content"]
        alone = json.loads(json.dumps([sim.render(task) for task in sim.tasks()]))
        assert str(items) == str(alone), (tenths, time.monotonic() - began)


# Order and form.


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("order", "expected"),
    [("newest_first", ["b", "c", "a"]), ("oldest_first", ["a", "c", "b"]), ("by_id", ["a", "b", "c"])],
)
async def test_a_list_has_the_order_that_is_asked_for(order: str, expected: list[str]) -> None:
    tasks = [{"id": "a", "created": "3h"}, {"id": "b", "created": "1h"}, {"id": "c", "created": "2h"}]
    async with playing(*tasks, list={"order": order}) as asking:
        assert await asking.ids() == expected


@pytest.mark.anyio
async def test_a_shuffled_list_is_another_at_each_read() -> None:
    async with playing({**FIVE, "count": 30}, list={"order": "shuffled"}) as asking:
        reads = [await asking.ids() for _ in range(3)]
    assert len({tuple(ids) for ids in reads}) == 3
    assert len({frozenset(ids) for ids in reads}) == 1


@pytest.mark.anyio
async def test_items_lack_message_and_end_unless_told_otherwise_at_run_time() -> None:
    async with playing({"id": "a", "timeline": [{"status": "FAILED", "message": "m"}]}) as asking:
        sparse = (await asking.result())["content"][0]["statusInfo"]
        assert (await asking.control(list={"sparse": False})).status_code == 200
        full = (await asking.result())["content"][0]["statusInfo"]
        assert (await asking.control(list={"sprase": False})).status_code == 400
    assert set(full) - set(sparse) == {"message", "endDatetime"}
    assert full["message"] == "m"


# Lies.


@pytest.mark.anyio
async def test_a_list_shrinks_to_nothing_from_a_time_on_while_single_tasks_are_there() -> None:
    fault = {"kind": "list_empty", "from": "1h"}
    async with playing(FIVE, speed=7200, faults=[fault]) as asking:
        assert len(await asking.ids()) == 5
        while await asking.ids():
            pass
        assert asking.sim.now() >= 3600
        assert (await asking.result())["totalElements"] == 0
        assert (await asking.get("t1")).status_code == 200


@pytest.mark.anyio
async def test_a_page_is_repeated_for_ever_among_a_million_claimed() -> None:
    faults = [{"kind": "list_stuck", "page": 1}, {"kind": "list_pages"}]
    async with playing(FIVE, faults=faults) as asking:
        pages = [await asking.result(number, 2) for number in (0, 1, 2, 999_999)]
    assert [[item["id"] for item in page["content"]] for page in pages] == [["t2", "t3"]] * 4
    assert {page["totalPages"] for page in pages} == {1_000_000}


@pytest.mark.anyio
async def test_the_claimed_pages_change_between_reads_and_hold_nothing() -> None:
    async with playing(FIVE, faults=[{"kind": "list_pages", "pages": [3, 7]}]) as asking:
        assert [(await asking.result())["totalPages"] for _ in range(3)] == [3, 7, 3]
        assert await asking.ids(number=2) == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("how", "shown"),
    [
        ("nothing", "null"),
        ("text", '"a task"'),
        ("number", "7"),
        ("list", "[]"),
        ("no_id", '{"name": "run 1", '),
        ("no_status", '"learningRate": 0.0001, "statusInfo": {'),
        ("null_status", '"status": null, "statusInfo": {'),
        ("twice", '"status": "FAILED", "status": "WAIT"'),
    ],
)
async def test_a_broken_item_stands_among_good_ones(how: str, shown: str) -> None:
    tasks = {**FIVE, "count": 3}
    async with playing(tasks, faults=[{"kind": "list_broken_item", "item": how}]) as asking:
        page = await asking.page()
        assert shown in page.text
        assert len(page.json()["result"]["content"]) == 4
        asking.sim.clear_faults()
        asking.sim.fault("list_broken_item", item=how, task="t1")
        page = await asking.page()
        assert shown in page.text
        good = page.json()["result"]["content"]
        assert [good[0]["id"], len(good), good[2]["id"]] == ["t0", 3, "t2"]
        assert (await asking.get("t1")).json()["result"]["status"] == "WAIT"


@pytest.mark.anyio
async def test_an_item_stands_twice_on_one_page_or_across_two() -> None:
    async with playing(FIVE, faults=[{"kind": "list_twice", "task": "t[23]", "times": 1}]) as asking:
        assert Counter(await asking.ids())["t2"] == 2
        assert Counter(await asking.ids())["t2"] == 1
        asking.sim.fault("list_twice", times=1)
        assert await asking.ids(1, 2) == ["t2", "t3", "t2"]
        await asking.control(list={"repeat": True})
        assert (await asking.ids(0, 2), await asking.ids(1, 2)) == (["t0", "t1"], ["t1", "t2"])


@pytest.mark.anyio
async def test_a_task_is_missing_from_every_page_and_the_others_move_up() -> None:
    async with playing(FIVE, faults=[{"kind": "list_hides", "task": "t0"}]) as asking:
        assert [await asking.ids(number, 2) for number in range(3)] == [["t1", "t2"], ["t3", "t4"], []]
        assert (await asking.result())["totalElements"] == 4
        assert (await asking.get("t0")).status_code == 200


@pytest.mark.anyio
async def test_a_list_lags_behind_the_single_tasks() -> None:
    story = [{"status": "WAIT"}, {"at": "1h", "status": "RUNNING", "until": "999h"}]
    async with playing({"id": "a", "timeline": story}, speed=36_000) as asking:  # an hour takes a tenth of a second
        asking.sim.fault("list_lags", by="20h")
        while (await asking.get("a")).json()["result"]["status"] == "WAIT":
            pass
        old, new = (await asking.result())["content"][0], (await asking.get("a")).json()["result"]
        assert (old["status"], new["status"]) == ("WAIT", "RUNNING")
        assert old["updatedDate"] <= new["updatedDate"]
        asking.sim.create({"id": "b"})
        asking.sim.set_task("a", status="FAILED")
        asking.sim.delete("a")
        assert [item["status"] for item in (await asking.result())["content"]] in (["WAIT"], ["RUNNING"])
        assert [(await asking.get(id_)).status_code for id_ in ("a", "b")] == [404, 200]
        while await asking.ids() != ["b"]:
            assert (await asking.result())["content"][-1]["status"] in ("WAIT", "RUNNING", "FAILED")
        assert asking.sim.now() > 20 * 3600


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("no_ownership", 403, "40301"), ("not_found", 404, "40400"), ("http_500", 500, "50000"), ("html_502", 502, "")],
)
@pytest.mark.parametrize("on", ["list", "get"])
async def test_one_endpoint_is_refused_while_the_other_works(kind: str, status: int, code: str, on: str) -> None:
    async with playing(FIVE, faults=[{"kind": kind, "on": on}]) as asking:
        answers = {"list": await asking.page(), "get": await asking.get("t1")}
    refused = answers.pop(on)
    assert (refused.status_code, next(iter(answers.values())).status_code) == (status, 200)
    assert f'"code": "{code}"' in refused.text if code else refused.text.startswith("<!DOCTYPE html>")


@pytest.mark.anyio
async def test_tasks_come_and_go_while_it_runs() -> None:
    async with playing(FIVE) as asking:
        await asking.control(create={"count": 2, "id": "new{n}", "apart": "1ms"})
        while len(await asking.ids()) < 7:
            pass
        assert await asking.ids(0, 3) == ["new1", "new0", "t0"]
        assert (await asking.control(delete="t0")).status_code == 200
        assert await asking.ids(0, 3) == ["new1", "new0", "t1"]
        assert (await asking.get("t0")).status_code == 404
        assert (await asking.control(delete="t0")).status_code == 400
        await asking.control(create={"id": "t0"})
        assert await asking.ids(0, 1) == ["t0"]


# Keys.


@pytest.mark.anyio
async def test_one_key_is_in_trouble_while_the_others_are_well() -> None:
    tasks = [{"id": "a", "owner": A}, {"id": "b", "owner": B}]
    faults = [{"kind": "invalid_key", "key": "nv-a*"}, {"kind": "list_empty", "key": B}]
    async with playing(*tasks, keys=[A, B], faults=faults) as asking:
        assert [(await asking.page(key=key)).status_code for key in (A, B)] == [401, 200]
        assert (await asking.ids(key=B), (await asking.get("b", B)).status_code) == ([], 200)
        asking.sim.clear_faults()
        asking.sim.fault("hang", key=A)
        assert await asking.ids(key=B) == ["b"]
        with pytest.raises(httpx2.ReadTimeout):
            async with httpx2.AsyncClient(timeout=0.2) as http:
                await Asking(asking.sim, http).page(key=A)


@pytest.mark.anyio
async def test_a_key_is_replaced_and_another_is_shown_its_tasks() -> None:
    tasks = [{"id": "a", "owner": A}, {"id": "b", "owner": B}]
    async with playing(*tasks, keys=[A, B]) as asking:
        assert (await asking.ids(key=B), (await asking.get("a", B)).status_code) == (["b"], 403)
        await asking.control(keys=[B], sees={B: [A]})
        assert (await asking.page(key=A)).status_code == 401
        assert sorted(await asking.ids(key=B)) == ["a", "b"]
        assert (await asking.get("a", B)).status_code == 200


def test_a_scenario_says_which_keys_see_more() -> None:
    tasks = [{"id": "a", "owner": A}, {"id": "b", "owner": B}]
    sim = Simulator(parse_scenario({"keys": [A, B], "tasks": tasks, "sees": {B: [A]}}))
    assert [[task.id for task in sim.tasks(key)] for key in (A, B)] == [["a"], ["b", "a"]]
