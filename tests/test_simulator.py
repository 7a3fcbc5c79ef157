"""The fake upstream plays its scenario faithfully, and the receiver keeps what it got."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.upstream import (
    KEY,
    PLAIN,
    receiver_process,
    running_client,
    running_simulator,
    simulator_process,
    until,
)
from watcher import errors
from watcher.clova.dates import parse_instant
from watcher.simulator import faults, load_scenario, parse_scenario, shipped, timeline
from watcher.simulator.__main__ import main
from watcher.simulator.receiver import behaviour, receiving
from watcher.simulator.scenario import Task
from watcher.simulator.server import serve

START = datetime(2026, 3, 1, tzinfo=UTC)

STORY = Task.model_validate(
    {
        "id": "czf9fbky",
        "created": "1m",
        "timeline": [
            {"at": "10s", "status": "WAIT"},
            {"at": "40s", "status": "RUNNING", "steps": 100, "epochs": 4, "until": "240s", "loss": [2.0, 0.5]},
            {"at": "140s", "status": "FAILED", "failureReason": "file.format", "message": "column"},
            {"at": "300s", "status": "GONE"},
        ],
    }
)


def seen(now: float) -> dict[str, Any]:
    return timeline.render(STORY, now, lambda moment: START + timedelta(seconds=moment))


def test_a_task_exists_from_its_first_step_until_it_is_gone() -> None:
    assert [timeline.exists(STORY, now) for now in (0, 10, 299, 300)] == [False, True, True, False]


def test_while_a_task_waits_every_status_info_is_null() -> None:
    assert seen(20)["status"] == "WAIT"
    assert set(seen(20)["statusInfo"].values()) == {None}
    assert len(seen(20)["statusInfo"]) == 13


def test_training_counts_steps_and_epochs_and_the_loss_falls() -> None:
    early, late = seen(42)["statusInfo"], seen(138)["statusInfo"]
    assert (early["currStep"], early["currEpoch"], late["currStep"], late["currEpoch"]) == (1, 1, 49, 2)
    assert (early["totalTrainSteps"], early["totalTrainEpochs"], early["estimatedTime"]) == (100, 4, 200)
    assert early["trainLoss"] > late["trainLoss"] > 0.4
    assert seen(42) == seen(42)


def test_a_failure_keeps_how_far_it_came_and_says_why() -> None:
    info = seen(200)["statusInfo"]
    assert (seen(200)["status"], info["currStep"], info["failureReason"]) == ("FAILED", 50, "file.format")
    assert parse_instant(info["endDatetime"]) == START + timedelta(seconds=140)


def test_dates_have_the_documented_form_and_updated_date_moves_only_with_a_change() -> None:
    assert seen(20)["createdDate"] == "2026-03-01T08:59:10+0900"
    assert [seen(now)["updatedDate"][-10:-5] for now in (20, 42, 43, 44, 250)] == [
        "00:10", "00:42", "00:42", "00:44", "02:20",
    ]  # fmt: skip


def test_set_overrides_single_fields_and_reads_numbers() -> None:
    steps = [{"status": "RUNNING", "set": {"statusInfo.trainLoss": "NaN", "statusInfo.currStep": "7,", "model": "X"}}]
    shown = timeline.render(Task.model_validate({"id": "a", "timeline": steps}), 1, lambda _: START)
    assert str(shown["statusInfo"]["trainLoss"]) == "nan"
    assert (shown["statusInfo"]["currStep"], shown["model"]) == ("7,", "X")


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_scenario_loads(name: str) -> None:
    assert load_scenario(shipped()[name]).tasks


def test_ids_in_a_scenario_stay_text() -> None:
    assert {"1234e567", "01234567"} <= {task.id for task in load_scenario(shipped()["example"]).tasks}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tasks:\n  - {id: a, naem: b}\n", "play.yaml:2:13: tasks[0].naem: unknown key"),
        ("tasks:\n  - {name: b}\n", "play.yaml:2:5: tasks[0].id: is missing"),
        ("faults:\n  - {kind: boom}\n", "play.yaml:2:6: faults[0].kind: unknown kind of fault 'boom'; write http_503"),
        ("tasks: [{id: a, timeline: [{at: soon, status: WAIT}]}]", "'soon' isn't a duration; write 30s"),
        ("tasks: [{id: a, timeline: [{at: 9, status: A}, {at: 1, status: B}]}]", "sort them"),
        ("tasks: [{id: a}, {id: a}]", "the task a stands twice"),
        ("keys: [a]\nkeys: [b]\n", "play.yaml:2:1: keys: stands twice"),
        ("keys: [a\n", "play.yaml:2:1: not YAML"),
        ("queries_per_minute: many", "play.yaml:1:1: queries_per_minute: "),
        ("- a", "play.yaml:1:1: "),
        ("", "play.yaml: "),
        ("\x00", "not YAML"),
    ],
)
def test_a_wrong_scenario_names_file_place_and_mend(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "play.yaml"
    path.write_text(text)
    with pytest.raises(errors.ConfigError) as caught:
        load_scenario(path)
    assert says in caught.value.message.replace(f"{tmp_path}/", "")
    assert caught.value.exit_code == 2


def test_every_problem_of_a_scenario_is_told_at_once() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        parse_scenario({"keys": [], "speed": 3, "tasks": [{}]})
    assert len(caught.value.problems) == 3


def test_an_unreadable_scenario_is_one_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.yaml")]) == 1
    assert "Try:" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "http_", "http_99", "http_999", "code_404", "html_40400", "Hang"])
def test_an_unknown_fault_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown kind of fault"):
        faults.parse(name)


@pytest.mark.anyio
async def test_time_is_compressed() -> None:
    story = [{"status": "WAIT"}, {"at": "1h", "status": "RUNNING", "until": "100h"}]
    scenario = {"keys": [KEY], "tasks": [{"id": "a", "timeline": story}]}
    async with running_simulator(scenario, speed=36_000) as sim, running_client(sim.base_url) as client:
        await until(lambda: sim.now() > 3700)
        assert (await client.get_task("a")).fields()["status"] == "RUNNING"
        updated = parse_instant((await client.get_task("a")).fields()["updatedDate"])
    assert updated is not None
    assert abs(updated - datetime.now(UTC)) < timedelta(seconds=10)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "40100"),
        ({"Authorization": "Basic eA=="}, "40102"),
        ({"Authorization": "Bearer nv-wrong"}, "40104"),
        ({"Authorization": f"Bearer {KEY}"}, "40000"),
        ({"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}, "20000"),
    ],
)
async def test_a_request_needs_the_documented_headers(headers: dict[str, str], code: str) -> None:
    async with running_simulator() as sim, httpx2.AsyncClient() as http:
        answer = await http.get(f"{sim.base_url}/tuning/v2/tasks/czf9fbky", headers=headers)
    assert answer.json()["status"]["code"] == code


@pytest.mark.anyio
async def test_pages_have_the_documented_oddities_on_demand() -> None:
    tasks = [{"id": f"t{n}", "created": f"{n}m"} for n in range(5)]
    odd = {"text_numbers": True, "repeat": True, "order": "oldest_first"}
    async with (
        running_simulator({"keys": [KEY], "tasks": tasks, "list": odd}) as sim,
        running_client(sim.base_url) as client,
    ):
        first, second = await client.list_tasks(0, 2), await client.list_tasks(1, 2)
    assert b'"totalPages": "3,"' in first.body
    assert (second.number, second.total_pages, second.total_elements) == (1, 3, 5)
    assert [id_ for id_, _ in first.items] == ["t4", "t3"]
    assert [id_ for id_, _ in second.items] == ["t3", "t2"]
    assert "statusInfo.message" not in first.items[0][1]


@pytest.mark.anyio
@pytest.mark.parametrize("query", ["page=-1", "size=0", "size=101", "page=x"])
async def test_a_page_that_cant_be_is_a_bad_parameter(query: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    async with running_simulator() as sim, httpx2.AsyncClient(headers=headers) as http:
        answer = await http.get(f"{sim.base_url}/tuning/v2/tasks?{query}")
    assert (answer.status_code, answer.json()["status"]["code"]) == (400, "40001")


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["array", "absent-while-waiting", "null-while-waiting", "empty-while-waiting"])
async def test_status_info_takes_every_form_that_was_seen(form: str) -> None:
    async with running_simulator({**PLAIN, "status_info": form}) as sim, running_client(sim.base_url) as client:
        fields = (await client.get_task("czf9fbky")).fields()
    assert fields["status"] == "WAIT"
    assert ("statusInfo.currStep" in fields) is (form == "array")


@pytest.mark.anyio
async def test_another_keys_task_is_no_ownership_and_not_listed() -> None:
    tasks = [{"id": "mine"}, {"id": "theirs", "owner": "nv-other"}]
    async with running_simulator({"keys": [KEY], "tasks": tasks}) as sim, running_client(sim.base_url) as client:
        with pytest.raises(errors.NotOwned):
            await client.get_task("theirs")
        assert [id_ for id_, _ in (await client.list_tasks()).items] == ["mine"]


@pytest.mark.anyio
async def test_a_fault_strikes_only_what_it_names() -> None:
    tasks = [{"id": "a1"}, {"id": "b1"}]
    fault = {"kind": "http_500", "task": "a*", "times": 1}
    async with (
        running_simulator({"keys": [KEY], "tasks": tasks, "faults": [fault]}) as sim,
        running_client(sim.base_url) as client,
    ):
        await client.list_tasks()
        await client.get_task("b1")
        with pytest.raises(errors.ServerTrouble):
            await client.get_task("a1")
        await client.get_task("a1")


@pytest.mark.anyio
async def test_the_play_is_directed_at_run_time_over_http() -> None:
    async with (
        running_simulator() as sim,
        running_client(sim.base_url) as client,
        httpx2.AsyncClient(base_url=sim.base_url) as http,
    ):

        async def control(**orders: Any) -> int:
            return (await http.post("/simulator/control", json=orders)).status_code

        assert await control(create={"id": "new1", "timeline": [{"status": "RUNNING"}]}) == 200
        assert await control(task={"id": "new1", "fields": {"status": "FAILED", "statusInfo.message": "x"}}) == 200
        fields = (await client.get_task("new1")).fields()
        assert (fields["status"], fields["statusInfo.message"]) == ("FAILED", "x")
        assert await control(fault={"kind": "http_503"}) == 200
        with pytest.raises(errors.ServerTrouble):
            await client.get_task("new1")
        assert await control(clear_faults=True, delete="new1") == 200
        with pytest.raises(errors.TaskUnknown):
            await client.get_task("new1")
        assert await control(keys=["nv-next"]) == 200
        with pytest.raises(errors.KeyRejected):
            await client.list_tasks()
        for wrong in ({"boom": 1}, {"fault": {"kind": "boom"}}, {"delete": "none"}, {"task": {}}, {"create": 1}):
            assert await control(**wrong) == 400
        log = (await http.get("/simulator/log")).json()["items"]
        assert [entry["outcome"] for entry in log] == ["ok", "http_503", "40400", "40104"]
        assert (await http.get("/simulator")).json()["tasks"] == {"czf9fbky": "WAIT"}


@pytest.mark.anyio
async def test_a_port_in_use_is_one_clear_error() -> None:
    async with running_simulator() as sim:
        with pytest.raises(errors.ListenError, match="can't listen on"):
            async with serve(PLAIN, port=int(sim.base_url.rsplit(":", 1)[1])):
                pass


def test_the_simulator_runs_as_a_process_and_says_where(tmp_path: Path) -> None:
    path = tmp_path / "play.yaml"
    path.write_text(json.dumps(PLAIN))
    with simulator_process(path, speed=60) as url:
        overview = httpx2.get(f"{url}/simulator").json()
    assert (overview["speed"], overview["tasks"]) == (60.0, {"czf9fbky": "WAIT"})


def test_the_receiver_keeps_each_request_before_it_answers(tmp_path: Path) -> None:
    log = tmp_path / "received.jsonl"
    with receiver_process(log) as url:
        answer = httpx2.post(f"{url}/hook?a=1", content="학습".encode(), headers={"webhook-id": "d1"})
        entry = json.loads(log.read_text("utf-8"))
    assert answer.status_code == 200
    assert (entry["path"], entry["body"], entry["headers"]["webhook-id"], entry["status"]) == (
        "/hook?a=1", "학습", "d1", 200,
    )  # fmt: skip


@pytest.mark.anyio
async def test_the_receiver_misbehaves_as_told_and_for_as_long() -> None:
    async with receiving() as receiver, httpx2.AsyncClient(base_url=receiver.base_url, timeout=0.5) as http:
        await http.post("/receiver/control", json={"status": 503, "retry_after": 2, "times": 1})
        refused = await http.post("/hook")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert (await http.post("/hook")).status_code == 200
        for mode, error in (
            ("down", httpx2.RemoteProtocolError),
            ("reset", httpx2.ReadError),
            ("hang", httpx2.ReadTimeout),
        ):
            receiver.behave(mode=mode)
            with pytest.raises(error):
                await http.post("/hook")
        receiver.behave()
        assert (await http.post("/hook")).status_code == 200
        assert (await http.post("/receiver/control", json={"mode": "boom"})).status_code == 400
    assert [entry["status"] for entry in receiver.received] == [503, 200, None, None, None, 200]
    assert len(receiver.accepted) == 2


@pytest.mark.parametrize("orders", [{"stat": 1}, {"mode": "off"}])
def test_an_unknown_order_to_the_receiver_says_what_to_write(orders: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="write"):
        behaviour(orders)
