"""The fake upstream's rate limit: how it is counted, shared and told, and what its log lets a test count."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from tests.support.upstream import KEY, running_simulator
from watcher.clova.headers import rate_hint, retry_after
from watcher.simulator import Request, Simulator, traffic
from watcher.simulator.limits import Budgets, Quota
from watcher.simulator.values import Limits

PLAY: dict[str, Any] = {"keys": [KEY, "nv-b"], "tasks": [{"id": "a"}]}


async def _ask(http: httpx2.AsyncClient, sim: Simulator, key: str = KEY) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return await http.get(f"{sim.base_url}/tuning/v2/tasks/a", headers=headers)


class Paced:
    """Budgets in a time of their own, which starts at 1000 s."""

    def __init__(self, limit: int, **more: Any) -> None:
        self.now, self._limit = 1000.0, limit
        self.budgets = Budgets(Limits.model_validate(more), clock=lambda: self.now)

    def spend(self) -> Quota:
        quota = self.budgets.spend(KEY, self._limit)
        assert quota is not None
        return quota


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("spelling", "names"),
    [
        ("x-ratelimit-requests", "x-ratelimit-{}-requests"),
        ("x-ratelimit", "x-ratelimit-{}"),
        ("ratelimit", "ratelimit-{}"),
    ],
)
async def test_the_limit_is_told_in_the_spellings_that_the_watcher_reads(spelling: str, names: str) -> None:
    play = {**PLAY, "queries_per_minute": 2, "limits": {"headers": spelling}}
    async with running_simulator(play) as sim, httpx2.AsyncClient() as http:
        answers = [await _ask(http, sim) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers[names.format("remaining")] for answer in answers] == ["1", "0", "0"]
    hints = [rate_hint(answer.headers.raw) for answer in answers]
    assert [(hint.limit, hint.remaining, hint.reset) for hint in hints if hint] == [(2, 1, 60), (2, 0, 60), (2, 0, 60)]
    assert retry_after(answers[2].headers.raw, datetime.now(UTC)) == 60


@pytest.mark.anyio
async def test_the_limit_can_be_silent_and_be_changed_at_run_time() -> None:
    play = {**PLAY, "queries_per_minute": 1, "limits": {"headers": "none", "retry_after": False}}
    async with running_simulator(play) as sim, httpx2.AsyncClient() as http:
        answers = [await _ask(http, sim) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        assert not [name for name in answers[1].headers if "rate" in name or "retry" in name]
        orders = {"limits": {"retry_after": True}}
        assert (await http.post(f"{sim.base_url}/simulator/control", json=orders)).status_code == 200
        assert "retry-after" in (await _ask(http, sim)).headers
        await http.post(f"{sim.base_url}/simulator/control", json={"queries_per_minute": None})
        assert (await _ask(http, sim)).status_code == 200


@pytest.mark.anyio
@pytest.mark.parametrize(("per_key", "second"), [(False, 429), (True, 200)])
async def test_keys_share_one_budget_unless_each_has_its_own(per_key: bool, second: int) -> None:
    play = {**PLAY, "queries_per_minute": 1, "limits": {"per_key": per_key}}
    async with running_simulator(play) as sim, httpx2.AsyncClient() as http:
        assert [(await _ask(http, sim, key)).status_code for key in (KEY, "nv-b", KEY)] == [200, second, 429]


@pytest.mark.anyio
@pytest.mark.parametrize(("option", "header"), [({}, "1"), ({"retry_after": 7}, "7"), ({"retry_after": "none"}, None)])
async def test_a_burst_of_refusals_comes_with_or_without_retry_after(option: dict[str, Any], header: str) -> None:
    burst = {"kind": "rate_exceeded", "times": 2, **option}
    async with running_simulator({**PLAY, "faults": [burst]}) as sim, httpx2.AsyncClient() as http:
        answers = [await _ask(http, sim) for _ in range(3)]
    assert [(answer.status_code, answer.headers.get("retry-after")) for answer in answers] == [
        (429, header), (429, header), (200, None),
    ]  # fmt: skip


def test_somebody_elses_queries_come_out_of_the_same_budget() -> None:
    paced, remaining = Paced(60, other_queries_per_minute=30), []
    for _ in range(120):
        remaining.append(paced.spend().remaining)
        paced.now += 2.0
    # Thirty of ours and thirty of theirs in each minute: just all of it.
    assert remaining[0] >= 58
    assert set(remaining[40:]) <= {0, 1, 2}


def test_somebody_else_can_take_everything_that_is_left() -> None:
    paced = Paced(10)
    assert paced.spend().remaining == 9
    paced.now += 59.0
    paced.budgets.change(Limits(other_queries_per_minute=600))
    assert paced.spend().remaining == 7
    paced.now += 0.9
    assert paced.spend().wait == pytest.approx(0.1)


def test_the_budget_comes_back_after_a_minute_to_the_second() -> None:
    paced, waits = Paced(2), []
    for at in (0.0, 10.0, 20.0, 59.9, 60.0, 69.9, 70.0):
        paced.now = 1000.0 + at
        waits.append(round(paced.spend().wait, 1))
    assert waits == [0, 0, 40.0, 0.1, 0, 0.1, 0]


@pytest.mark.anyio
async def test_the_log_tells_every_window_of_each_key() -> None:
    async with running_simulator(PLAY) as sim, httpx2.AsyncClient() as http:
        for key in (KEY, KEY, "nv-b", "nv-wrong"):
            await _ask(http, sim, key)
        told = (await http.get(f"{sim.base_url}/simulator/traffic")).json()
        log = (await http.get(f"{sim.base_url}/simulator/log?key=nv-b")).json()["items"]
    assert told == {
        "busiest_minute": 4,
        "keys": {key: {"requests": n, "busiest_minute": n} for key, n in ((KEY, 2), ("nv-b", 1), ("nv-wrong", 1))},
    }
    assert [entry["key"] for entry in log] == ["nv-b"]
    assert (sim.busiest(), sim.busiest(KEY), sim.busiest("nobody")) == (4, 2, 0)


@pytest.mark.parametrize(
    ("moments", "most"),
    [([], 0), ([1.0], 1), ([0, 59.9], 2), ([0, 60.0], 1), ([0, 30, 60, 90], 2), ([0, 50, 59, 61, 62, 130], 4)],
)
def test_a_window_of_a_minute_is_open_at_its_end(moments: list[float], most: int) -> None:
    entries = [Request(at, datetime.now(UTC), "/", KEY, 200, "ok", "") for at in moments]
    assert traffic.busiest(entries) == most
