"""Accounts come, go and change while everything runs: addresses, time-outs, shares of queries, the proxy."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.reloading import OTHER, SECOND, STORY, TASK, account, live
from tests.support.upstream import running_simulator
from watcher.simulator import Simulator

pytestmark = pytest.mark.anyio


async def test_accounts_come_and_go(sim: Simulator, tmp_path: Path) -> None:
    both = [{"id": TASK, "account": "main"}, {"id": OTHER, "account": "second"}]
    async with live(tmp_path, sim, [TASK]) as one:
        await one.reload(accounts={"main": account(sim), "second": account(sim, api_key=SECOND)}, tasks=both)
        await one.until(lambda: f"second/{OTHER}" in one.stored(), "the new account is asked")
        await one.reload(accounts={"main": account(sim)}, tasks=[TASK])
        assert one.daemon.loops.names("sweeper ") == ["sweeper main"]
        sim.set_task(OTHER, status="RUNNING")
        asked = sum(each.key == SECOND for each in sim.log)
        await one.sweeps(4)
        assert sum(each.key == SECOND for each in sim.log) == asked
        assert one.events("task.started") == []
        await one.reload(accounts={"main": account(sim), "second": account(sim, api_key=SECOND)}, tasks=both)
        await one.until(lambda: one.events("task.started", OTHER), "it is watched again")


async def test_accounts_that_go_together_are_all_left_at_once(sim: Simulator, tmp_path: Path) -> None:
    """Also while what one of them was asked is slow to end."""
    names = ("main", "second", "third")
    accounts = {name: account(sim) for name in names}
    tasks = [{"id": TASK, "account": name} for name in names]
    async with live(tmp_path, sim, tasks, accounts=accounts) as one:
        await one.until(lambda: len(one.stored()) == 3, "all are seen")
        release = asyncio.Event()
        share = one.core.shares["second"]

        async def slowly(_ahead: float) -> None:
            await release.wait()

        share.release = slowly  # type: ignore[method-assign]
        one.write(accounts={"main": account(sim)}, tasks=[TASK])
        one.reloader.ask()
        await one.until(lambda: len(one.core.sweepers) == 1, "both have left")
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.events("task.started"), "the one that stays is told")
        await one.sweeps(4)
        assert {event.account for event in one.events("task.started")} == {"main"}
        release.set()
        await one.until(lambda: one.in_force, "it is in force")


async def test_an_account_goes_while_its_list_is_read_for_an_unknown_task(sim: Simulator, tmp_path: Path) -> None:
    accounts = {"main": account(sim), "second": account(sim, api_key=SECOND)}
    tasks = [{"id": TASK, "account": "main"}, {"id": "unknown1", "account": "second"}]
    async with live(tmp_path, sim, [TASK]) as one:
        sim.fault("slow", delay=1.0)
        await one.reload(accounts=accounts, tasks=tasks)
        await one.until(lambda: one.core.sweepers["second"].polled, "it was asked")
        await one.reload(accounts={"main": account(sim)}, tasks=[TASK])
        sim.clear_faults()
        await asyncio.sleep(1.5)  # whatever was under way has ended
        await one.sweeps(2)
        assert one.events("task.unknown") == []


async def test_a_refused_account_that_goes_is_no_trouble_any_more(sim: Simulator, tmp_path: Path) -> None:
    accounts = {"main": account(sim), "second": account(sim, api_key="nv-wrong-key-0123456789")}
    tasks = [{"id": TASK, "account": "main"}, {"id": OTHER, "account": "second"}]
    async with live(tmp_path, sim, tasks, accounts=accounts) as one:
        await one.until(lambda: one.sweeper("second").watched.on_probation, "its key is refused")
        await one.reload(accounts={"main": account(sim)}, tasks=[TASK])
        await one.sweeps(3)
        assert one.daemon.status.conditions() == []
        await one.reload(accounts={**accounts, "second": account(sim, api_key=SECOND)}, tasks=tasks)
        await one.until(lambda: f"second/{OTHER}" in one.stored(), "it is back with another key", 3)


async def test_another_address_is_asked_from_then_on(sim: Simulator, tmp_path: Path) -> None:
    async with running_simulator(STORY) as other, live(tmp_path, sim, [TASK]) as one:
        await one.until(lambda: one.events("task.discovered"), "it is seen")
        await one.reload(accounts={"main": account(other)})
        other.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.events("task.started"), "it is seen there")
        asked = len(sim.log)
        await one.sweeps(3)
        assert len(sim.log) == asked


async def test_a_task_that_the_old_address_didnt_know_is_asked_for_at_the_new_one_at_once(
    sim: Simulator, tmp_path: Path
) -> None:
    async with running_simulator(STORY) as other, live(tmp_path, sim, [TASK, "late0001"]) as one:
        await one.until(lambda: one.events("task.unknown"), "it is unknown")
        other.create({"id": "late0001"})
        await one.reload(accounts={"main": account(other)})
        await one.until(lambda: "main/late0001" in one.stored(), "it is seen", 3)


async def test_a_shorter_time_out_holds_and_doesnt_cut_what_is_under_way(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK]) as one:
        await one.until(lambda: one.events("task.discovered"), "it is seen")
        sim.fault("slow", delay=1.5, seconds=0.5)
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: sim.log[-1].outcome == "slow" if sim.log else False, "a slow one is under way")
        await one.reload(accounts={"main": account(sim, timeout="300ms")})
        await one.until(lambda: one.events("task.started"), "told")
        assert one.said("poll.failed") == []
        sim.clear_faults()
        sim.fault("slow", delay=1.0)
        await one.until(lambda: one.said("poll.failed"), "the new time-out holds")


async def test_a_larger_share_of_queries_holds_at_once(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK], accounts={"main": account(sim, queries_per_minute=3)}) as one:
        before = len(sim.log)
        await one.reload(accounts={"main": account(sim, queries_per_minute=600)})
        await one.until(lambda: len(sim.log) > before + 3, "faster", 15)


async def test_a_smaller_share_of_queries_holds_at_once(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK]) as one:
        await one.sweeps(5)
        await one.reload(accounts={"main": account(sim, queries_per_minute=30)})
        slowed = len(sim.log)
        await asyncio.sleep(3.0)
        assert len(sim.log) - slowed <= 2


async def test_polls_that_failed_for_a_proxy_are_repeated_at_once_without_it(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK]) as one:
        await one.until(lambda: one.events("task.discovered"), "it is seen")
        await one.reload(proxy="http://127.0.0.1:1", poll={"interval": "1h", "wait_interval": "1h"})
        await one.until(lambda: one.said("poll.failed"), "the proxy is asked")
        await one.until(lambda: (one.planned() or 0) > 3, "it is put off")
        sim.set_task(TASK, status="RUNNING")
        await one.reload(proxy=...)
        await one.until(lambda: one.events("task.started"), "it is seen again", 3)
