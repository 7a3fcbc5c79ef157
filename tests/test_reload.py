"""A changed configuration while everything runs: noticed, taken over as a difference, or refused and told."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import pytest

from tests.support.builders import set_read_only
from tests.support.daemon import ask, hook_settings, until
from tests.support.reloading import OTHER, QUICK, SECOND, STORY, TASK, account, hook, live
from tests.support.stage import staged
from tests.support.upstream import KEY, running_simulator
from watcher.simulator import Simulator
from watcher.simulator.receiver import Receiver

pytestmark = pytest.mark.anyio


# A wrong configuration.


async def test_a_wrong_configuration_changes_nothing_and_is_told_once(
    sim: Simulator, receiver: Receiver, tmp_path: Path
) -> None:
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        before, tasks = one.core.settings, one.written["tasks"]
        problems = await one.refused(tasks=["no task"], poll={"interval": "soon"})
        assert len(problems) == 2
        assert all(problem.startswith("watcher.yaml:") for problem in problems)
        assert one.core.settings is before
        await one.until(lambda: one.deliveries("hook").get("watcher.config_rejected") == "delivered", "it is told")
        (told,) = one.events("watcher.config_rejected")
        assert [text.replace(f"{tmp_path}/", "") for text in told.details["problems"]] == problems
        assert [c.name for c in one.daemon.status.conditions()] == ["config-rejected"]
        await one.refused()
        assert len(one.events("watcher.config_rejected")) == 1
        await one.reload(tasks=tasks, poll=QUICK)
        assert one.daemon.status.conditions() == []
        await one.refused(tasks=["no task"])
        await one.until(lambda: len(one.events("watcher.config_rejected")) == 2, "a new mistake is told again")


async def test_an_address_that_no_channel_takes_is_refused_with_its_line(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK], {"console": "console://"}) as one:
        lane = one.core.lanes["console"]
        (problem,) = await one.refused(channels={"console": "console://", "team": "slakc://abc/def/ghi"})
        assert problem.startswith("watcher.yaml:")
        assert "channels.team.url: " in problem
        assert one.core.lanes == {"console": lane}


async def test_a_wrong_configuration_is_told_when_the_store_takes_it(
    sim: Simulator, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcher.engine.reload.AGAIN", 0.2)
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        set_read_only(one.core.database, on=True)
        await one.refused(tasks=["no task"])
        await one.until(lambda: one.said("config.reload_waits"), "nothing can be written")
        set_read_only(one.core.database, on=False)
        await one.until(lambda: one.events("watcher.config_rejected"), "it is told")
        assert len(one.said("config.rejected")) == 1


# A good one.


async def test_a_good_configuration_is_applied_when_the_store_takes_it(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcher.engine.reload.AGAIN", 0.2)
    async with live(tmp_path, sim, [TASK]) as one:
        await one.until(lambda: one.events("task.discovered"), "it is seen")
        set_read_only(one.core.database, on=True)
        one.write(tasks=[TASK, OTHER])
        one.reloader.ask()
        await one.until(lambda: one.said("config.reload_waits"), "nothing can be written")
        set_read_only(one.core.database, on=False)
        await one.until(lambda: one.events("task.discovered", OTHER), "it is applied")


async def test_changes_in_quick_succession_end_with_the_last_one(
    sim: Simulator, receiver: Receiver, tmp_path: Path
) -> None:
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        receiver.behave(delay=0.05)
        for turn in range(20):
            channels = {
                f"hook{turn % 3}": hook(receiver),
                "hook": hook(receiver, language="en", timezone=f"Etc/GMT-{turn % 9}"),
            }
            one.write(channels=channels, tasks=[TASK, OTHER] if turn % 2 else [TASK], rules={"progress": [turn + 1]})
            one.reloader.ask()
            sim.set_task(TASK, status="WAIT" if turn % 2 else "RUNNING")
            await asyncio.sleep(0.1)
        await one.until(lambda: one.in_force and one.in_force[-1].rules.progress == (20,), "the last one holds")
        await one.sweeps(4)
        left = ("waiting", "sending")
        await one.until(lambda: not one.reader.deliveries(channels=["hook"], states=left), "all is told")
        assert sorted(one.daemon.loops.names("lane ")) == ["lane hook", "lane hook1"]
        told = [each["headers"]["webhook-id"] for each in receiver.accepted]
        assert {d.id for d in one.reader.deliveries(channels=["hook"])} <= set(told)
        assert len(told) == len(set(told))
        assert one.said("config.rejected") == []


async def test_what_only_a_restart_can_change_is_said_as_long_as_it_is_so(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim) as one:
        store = one.written["store"]
        await one.reload(store=f"sqlite:///{tmp_path}/elsewhere.db", delivery={"give_up_after": "1d"})
        assert [line["key"] for line in one.said("config.needs_restart")] == ["store"]
        assert one.core.settings.delivery.give_up_after == 86400.0
        await one.reload(delivery={"give_up_after": "2d"})
        assert [line["key"] for line in one.said("config.needs_restart")] == ["store", "store"]
        await one.reload(store=store)
        assert len(one.said("config.needs_restart")) == 2


async def test_the_heartbeat_and_the_token_are_the_newest(sim: Simulator, receiver: Receiver, tmp_path: Path) -> None:
    token, other = "a-token-0123456789", "another-token-0123456789"
    async with (
        running_simulator(STORY) as monitor,
        live(tmp_path, sim, [TASK], http={"port": 0, "token": token}) as one,
    ):
        api = f"http://127.0.0.1:{one.daemon.port}/metrics"
        assert await _status(api, token) == 200
        await one.reload(
            http={"port": 0, "token": other}, heartbeat={"url": f"{monitor.base_url}/ping", "every": "100ms"}
        )
        assert (await _status(api, token), await _status(api, other)) == (401, 200)
        assert one.said("config.needs_restart") == []
        chores = one.daemon._chores
        assert chores._heartbeat is not None
        await one.reload(heartbeat=...)
        assert chores._heartbeat is None


async def _status(address: str, token: str) -> int:
    status, _ = await asyncio.to_thread(ask, address, Authorization=f"Bearer {token}")
    return status


def _stored_text(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("watcher.db*") if path.is_file())


async def test_no_secret_old_or_new_is_ever_shown(sim: Simulator, receiver: Receiver, tmp_path: Path) -> None:
    secrets = {"old": "nv-old-canary-1122334455", "new": "nv-new-canary-6677889900"}
    sim.keys |= set(secrets.values())
    hooks = {name: f"{receiver.base_url}/hooks/{name}-canary-5566778899" for name in ("old", "new")}
    main = account(sim, api_key=secrets["old"])
    async with live(tmp_path, sim, [TASK], {"hook": {"url": hooks["old"]}}, accounts={"main": main}) as one:
        await one.refused(channels={"hook": {"url": hooks["new"]}, "team": f"slakc://{secrets['new']}/def"})
        sim.keys.discard(secrets["new"])
        await one.reload(
            accounts={"main": account(sim, api_key=secrets["new"])}, channels={"hook": {"url": hooks["new"]}}
        )
        await one.until(lambda: one.sweeper().watched.on_probation, "the key is refused")
        shown = repr(one.lines) + repr(one.events()) + "".join(each["body"] for each in receiver.received)
    assert "canary" not in shown + _stored_text(tmp_path)


# Looking by itself.


async def test_a_changed_file_is_noticed_by_itself_at_the_second_look(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcher.engine.reload.EVERY", 0.1)
    file = tmp_path / "key"
    file.write_text(KEY)
    main = {**account(sim), "api_key_file": str(file)}
    del main["api_key"]
    async with live(tmp_path, sim, [TASK], accounts={"main": main}) as one:
        one.write(tasks=[TASK, OTHER])
        await one.until(lambda: one.events("task.discovered", OTHER), "the file is taken over")
        file.write_text(SECOND)
        await one.until(lambda: sim.log[-1].key == SECOND, "the key file is taken over")
        one.write(tasks=["no task"])
        await one.until(lambda: one.events("watcher.config_rejected"), "the mistake is told")
        await asyncio.sleep(0.5)
        assert len(one.said("config.rejected")) == 1
        one.write(tasks=[TASK, OTHER])
        await one.until(lambda: not one.reloader.rejected, "the mistake is over")
        assert one.events("task.gone") == []


async def test_a_folder_of_files_is_one_configuration(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcher.engine.reload.EVERY", 0.1)
    folder = tmp_path / "conf.d"
    folder.mkdir()
    async with live(tmp_path, sim, [TASK], config=folder) as one:
        (folder / "20-more.yaml").write_text(f"tasks: [{OTHER}]\n")
        await one.until(lambda: one.events("task.discovered", OTHER), "the new file is taken over")
        (folder / "20-more.yaml").unlink()
        await one.until(lambda: one.tracked(OTHER) is None, "its end, too")


# The real process.


def test_signals_at_any_time(tmp_path: Path) -> None:
    with staged(tmp_path, http={"port": 0, "token": "a-token-0123456789"}) as stage:
        process = stage.watcher.start()
        handling = Path(f"/proc/{process.pid}/status")
        until(lambda: _catches_hangups(handling.read_text()), "it has begun")
        for _ in range(20):
            process.send_signal(signal.SIGHUP)
        stage.until_told("watcher.started")
        stage.watcher.write(
            tasks=[TASK],
            http={"port": 0, "token": "another-token-0123456789"},
            log={"level": "debug", "format": "json"},
        )
        process.send_signal(signal.SIGHUP)
        stage.watcher.until_said('"level": "debug"')
        assert ask(f"{stage.watcher.url}/metrics", Authorization="Bearer another-token-0123456789")[0] == 200
        assert ask(f"{stage.watcher.url}/metrics", Authorization="Bearer a-token-0123456789")[0] == 401
        stage.watcher.write(http={"port": 1, "token": "another-token-0123456789"}, channels={})
        process.send_signal(signal.SIGHUP)
        stage.watcher.until_said("config.needs_restart")
        assert [line["key"] for line in stage.watcher.lines("config.needs_restart")] == ["http.port"]

        stage.watcher.write(channels={"hook": hook_settings(stage.hook)}, tasks=["no task"])
        process.send_signal(signal.SIGHUP)
        stage.watcher.until_said("config.rejected")
        assert re.match(r"watcher.yaml:\d+:\d+: tasks\[0\]", stage.watcher.lines("config.rejected")[0]["problem"])
        process.send_signal(signal.SIGTERM)
        for _ in range(20):
            process.send_signal(signal.SIGHUP)
        assert stage.watcher.ended(8) == 0
        assert "Traceback" not in stage.watcher.said()
        assert "-token-0123456789" not in stage.watcher.said()


def _catches_hangups(status: str) -> bool:
    """Whether the process has a handler of its own for SIGHUP, or ignores it."""
    masks = {name: int(mask, 16) for name, mask in re.findall(r"(SigCgt|SigIgn):\s*(\w+)", status)}
    return any(mask >> (signal.SIGHUP - 1) & 1 for mask in masks.values())


@pytest.mark.long
def test_a_wrong_file_is_noticed_without_a_signal_told_and_mended(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        stage.first_sight()
        stage.watcher.write(tasks=["no task"])
        told = stage.until_told("watcher.config_rejected", seconds=30)
        assert "tasks[0]" in told.data["problems"][0] if "problems" in told.data else told.data
        stage.watcher.write(tasks=[TASK])
        assert stage.watcher.process is not None
        stage.watcher.process.send_signal(signal.SIGHUP)
        stage.watcher.until_said("config.reloaded")
        stage.upstream.set(TASK, status="RUNNING")
        stage.until_told("task.started", TASK)
        assert len(stage.hook.got("watcher.config_rejected")) == 1
