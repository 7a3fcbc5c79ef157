"""Keys are replaced while everything runs: what an old key, a new key and slow answers do to one another."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.builders import set_read_only
from tests.support.reloading import OTHER, SECOND, TASK, account, live
from tests.support.upstream import KEY, running_simulator
from watcher.scheduler.standing import Trial
from watcher.simulator import Simulator

pytestmark = pytest.mark.anyio

OWNED = {"keys": [KEY, SECOND], "tasks": [{"id": TASK, "owner": KEY}, {"id": OTHER, "owner": KEY}]}


async def test_a_key_that_is_replaced_while_it_is_refused_works_at_once(sim: Simulator, tmp_path: Path) -> None:
    sim.keys.discard(KEY)
    async with live(tmp_path, sim, [TASK], poll={"interval": "1h", "wait_interval": "1h"}) as one:
        await one.until(lambda: one.sweeper().watched.on_probation, "the key is refused")
        await one.until(lambda: (one.planned() or 0) > 8, "it is put off")
        await one.reload(accounts={"main": account(sim, api_key=SECOND)})
        await one.until(lambda: one.events("task.discovered"), "it is seen with the new key", 8)


async def test_a_key_file_is_read_again_before_each_probe(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("nv-wrong-key-0123456789")
    main = {**account(sim), "api_key_file": str(file)}
    del main["api_key"]
    async with live(tmp_path, sim, [TASK], accounts={"main": main}) as one:
        await one.until(lambda: one.sweeper().watched.on_probation, "the key is refused")
        file.write_text(f"{SECOND}\n")
        one.sweeper().retry()
        await one.until(lambda: one.events("task.discovered"), "the mended file is enough")
        assert one.core.redactor(SECOND) == "***"


async def test_a_key_file_is_mended_while_the_store_takes_nothing(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text("nv-wrong-key-0123456789")
    main = {**account(sim), "api_key_file": str(file)}
    del main["api_key"]
    monkeypatch.setattr("watcher.engine.reload.AGAIN", 0.2)
    async with live(tmp_path, sim, [TASK], accounts={"main": main}) as one:
        await one.until(lambda: one.sweeper().watched.on_probation, "the key is refused")
        file.write_text(f"{SECOND}\n")
        set_read_only(one.core.database, on=True)
        one.sweeper().retry()
        await one.until(lambda: one.said("config.reload_waits"), "the store is in the way")
        set_read_only(one.core.database, on=False)
        await one.until(lambda: one.events("task.discovered"), "the mended file is enough")


async def test_a_key_that_is_refreshed_doesnt_hide_that_the_configuration_is_wrong(
    sim: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("nv-wrong-key-0123456789")
    main = {**account(sim), "api_key_file": str(file)}
    del main["api_key"]
    async with live(tmp_path, sim, [TASK], accounts={"main": main}) as one:
        await one.until(lambda: one.sweeper().watched.on_probation, "the key is refused")
        await one.refused(tasks=["no task"])
        file.write_text(SECOND)
        one.sweeper().retry()
        await one.until(lambda: one.events("task.discovered"), "the mended file is enough")
        assert "tasks[0]" in one.reloader.rejected


# RULE 6: a new key is on trial.


async def test_a_new_key_that_sees_none_of_the_tasks_is_refused_and_no_task_is_gone(tmp_path: Path) -> None:
    """RULE 6."""
    async with running_simulator(OWNED) as sim, live(tmp_path, sim) as one:
        await one.until(lambda: len(one.stored()) == 2, "both are seen")
        await one.reload(accounts={"main": account(sim, api_key=SECOND)})
        await one.until(lambda: one.sweeper().watched.on_probation, "it is refused")
        await one.reload(accounts={"main": account(sim)})
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.events("task.started"), "the old key is back", 3)
        await one.until(lambda: not one.sweeper().watched.on_probation, "it is believed again", 3)
        assert one.events("task.gone") == []


async def test_an_answer_to_the_old_key_proves_nothing_for_the_new_one(tmp_path: Path) -> None:
    """RULE 6, with an answer under way while the key is replaced."""
    async with running_simulator(OWNED) as sim, live(tmp_path, sim) as one:
        await one.until(lambda: len(one.stored()) == 2, "both are seen")
        sim.fault("slow", delay=1.0, key=KEY)
        await one.until(lambda: sim.log[-1].outcome == "slow", "an answer is on its way")
        # The new key's own answers come later still.
        sim.fault("slow", delay=2.0, key=SECOND)
        await one.reload(accounts={"main": account(sim, api_key=SECOND)})
        await one.until(lambda: one.sweeper().watched.on_probation, "the new key is judged by what it sees")
        assert one.events("task.gone") == []


async def test_a_late_refusal_of_the_old_key_doesnt_put_off_the_new_one(sim: Simulator, tmp_path: Path) -> None:
    sim.keys.discard(KEY)
    async with live(tmp_path, sim, [TASK]) as one:
        await one.until(lambda: one.sweeper().watched.on_probation, "the key is refused")
        sim.fault("slow", delay=1.0)
        asked = len(sim.log)
        one.sweeper().retry()
        await one.until(lambda: len(sim.log) > asked, "a probe is on its way")
        await one.reload(accounts={"main": account(sim, api_key=SECOND)})
        sim.clear_faults()
        await one.until(lambda: one.events("task.discovered"), "the new key is tried", 5)


async def test_a_new_key_is_judged_later_when_the_store_takes_nothing(tmp_path: Path) -> None:
    async with running_simulator(OWNED) as sim, live(tmp_path, sim) as one:
        await one.until(lambda: len(one.stored()) == 2, "both are seen")
        sim.fault("slow", delay=0.5, key=SECOND)
        await one.reload(accounts={"main": account(sim, api_key=SECOND)})
        await one.until(lambda: sum(each.key == SECOND for each in sim.log) >= 2, "the new key is tried")
        set_read_only(one.core.database, on=True)
        await asyncio.sleep(2.0)
        set_read_only(one.core.database, on=False)
        await one.until(lambda: one.sweeper().watched.on_probation, "it is refused")


async def test_a_trial_that_began_while_the_last_one_was_being_ended_goes_on(tmp_path: Path) -> None:
    """RULE 6, where the store is slow to take what ends the first trial."""
    async with running_simulator(OWNED) as sim, live(tmp_path, sim) as one:
        await one.until(lambda: len(one.stored()) == 2, "both are seen")
        standing, hold, held = one.sweeper().watched.standing, threading.Event(), asyncio.Event()
        standing.trial = Trial("first")
        busy = asyncio.create_task(one.core.database.write(lambda _tx: hold.wait(5)))
        ending = asyncio.create_task(standing.good(datetime.now(tz=UTC)))
        asyncio.get_running_loop().call_soon(held.set)
        await held.wait()
        standing.trial = second = Trial("second")
        hold.set()
        await asyncio.gather(busy, ending)
        assert standing.trial is second


async def test_an_answer_that_was_still_being_written_down_when_the_key_changed_proves_nothing(tmp_path: Path) -> None:
    """RULE 6."""
    async with running_simulator(OWNED) as sim, live(tmp_path, sim) as one:
        await one.until(lambda: len(one.stored()) == 2, "both are seen")
        watched = one.sweeper().watched
        asked_by = watched.client
        await one.reload(accounts={"main": account(sim, api_key=SECOND)})
        watched.standing.trial = trial = Trial("second")
        await watched.good(tuple(watched.tracked.values()), datetime.now(tz=UTC), client=asked_by)
        assert watched.standing.trial is trial
