"""Channels come, go and change while everything runs: their backlog, what is under way, and what they hear next."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.support.builders import set_read_only
from tests.support.http import receiving as http_receiving
from tests.support.reloading import OTHER, TASK, account, hook, live
from tests.support.tls import needs_openssl, speak_tls
from watcher.simulator import Simulator
from watcher.simulator.receiver import Receiver, receiving

pytestmark = pytest.mark.anyio


async def test_a_channel_that_goes_leaves_its_backlog_which_goes_on_when_it_returns(
    sim: Simulator, receiver: Receiver, tmp_path: Path
) -> None:
    def started() -> list[str]:
        received = [each for each in receiver.received if json.loads(each["body"])["type"] == "task.started"]
        return [each["headers"]["webhook-id"] for each in received]

    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
        receiver.behave(status=503)
        sim.set_task(TASK, status="RUNNING")
        await one.until(started, "it is tried")
        await one.until(lambda: one.deliveries("hook")["task.started"] == "waiting", "it waits")
        await one.reload(channels={"console": "console://"})
        assert one.deliveries("hook")["task.started"] == "parked"
        assert one.daemon.loops.names("lane ") == ["lane console"]
        receiver.behave()
        await one.reload(channels={"hook": hook(receiver)})
        await one.until(lambda: one.deliveries("hook")["task.started"] == "delivered", "it goes on")
        assert len(started()) >= 2
        assert len(set(started())) == 1


async def test_a_backlog_goes_to_the_new_address_at_once_in_order_and_under_the_same_ids(
    sim: Simulator, receiver: Receiver, tmp_path: Path
) -> None:
    async with receiving() as new, live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
        receiver.behave(status=503, retry_after="600")
        told = len(receiver.received)
        for status in ("RUNNING", "WAIT", "RUNNING"):
            sim.set_task(TASK, status=status)
            await one.sweeps(4)
        await one.until(lambda: len(one.reader.deliveries(states=("waiting",))) >= 3, "there is a backlog")
        waiting = [d.id for d in one.reader.deliveries(channels=["hook"], states=("waiting",)) if d.event.task]
        assert receiver.received[told]["headers"]["webhook-id"] in waiting
        await one.reload(channels={"hook": hook(new)})
        await one.until(lambda: len(new.accepted) >= len(waiting), "all of it goes to the new address", 30)
        arrived = [each["headers"]["webhook-id"] for each in new.accepted if each["headers"]["webhook-id"] in waiting]
        assert arrived == sorted(
            waiting, key=lambda id_: next(d.event.id for d in one.reader.deliveries() if d.id == id_)
        )


async def test_a_send_that_hangs_while_its_channel_changes_is_repeated_under_its_id(
    sim: Simulator, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcher.engine.reload.GRACE", 0.3)
    async with receiving() as new, live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
        receiver.behave(mode="hang")
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "sending", "it is on its way")
        await one.until(lambda: receiver.received[-1]["status"] is None, "it hangs")
        await one.reload(channels={"hook": hook(new)})
        await one.until(lambda: new.accepted, "it is repeated")
        assert new.accepted[0]["headers"]["webhook-id"] == receiver.received[-1]["headers"]["webhook-id"]
        assert len(new.accepted) == 1


async def test_a_send_under_way_ends_in_peace_when_only_the_routing_of_its_channel_changes(
    sim: Simulator, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watcher.engine.reload.GRACE", 0.1)
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
        receiver.behave(delay=1.0)
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "sending", "it is on its way")
        lane = one.core.lanes["hook"]
        await one.reload(channels={"hook": hook(receiver, events=["task.failed"])})
        assert one.core.lanes["hook"] is lane
        await one.until(lambda: one.deliveries("hook")["task.started"] == "delivered", "it arrives")
        assert [each["headers"]["webhook-id"] for each in receiver.received].count(
            receiver.received[-1]["headers"]["webhook-id"]
        ) == 1
        sim.set_task(TASK, status="WAIT")
        await one.until(lambda: one.events("task.requeued"), "it is seen")
        assert "task.requeued" not in one.deliveries("hook")


async def test_a_store_that_takes_nothing_in_the_midst_of_a_change_of_channels_loses_nothing(
    sim: Simulator, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A send is under way when its channel changes, its answer comes, and nothing of it can be written."""
    monkeypatch.setattr("watcher.engine.reload.AGAIN", 0.2)
    async with receiving() as new, live(tmp_path, sim, [TASK, OTHER], {"hook": hook(receiver)}) as one:
        await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
        receiver.behave(delay=1.0)
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "sending", "it is on its way")
        one.write(channels={"hook": hook(new)})
        one.reloader.ask()
        await one.until(lambda: one.core.settings.channels["hook"].url.get_secret_value().startswith(new.base_url), "")
        set_read_only(one.core.database, on=True)
        await one.until(lambda: receiver.received[-1]["status"] == 200, "the old address has taken it")
        await one.until(lambda: len(one.said("store.stalled")) > 1, "nothing can be written")
        await asyncio.sleep(1.0)
        set_read_only(one.core.database, on=False)
        await one.until(lambda: one.in_force, "the rest is done when there is space again")
        await one.until(lambda: one.deliveries("hook")["task.started"] == "delivered", "it isn't sent again")
        sim.set_task(OTHER, status="RUNNING")
        await one.until(lambda: len(new.accepted) == 1, "the new address hears the rest")


async def test_a_stop_in_the_midst_of_a_change_loses_nothing(
    sim: Simulator, receiver: Receiver, tmp_path: Path
) -> None:
    async with receiving() as new:
        async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
            await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
            receiver.behave(mode="hang")
            sim.set_task(TASK, status="RUNNING")
            await one.until(lambda: one.deliveries("hook").get("task.started") == "sending", "it is on its way")
            one.write(channels={"hook": hook(new)}, accounts={"main": account(sim, timeout="1s")})
            one.reloader.ask()
            await one.until(lambda: one.in_force, "the change is under way")
        async with live(tmp_path, sim, [TASK], {"hook": hook(new)}) as one:
            await one.until(lambda: one.deliveries("hook").get("task.started") == "delivered", "it is told")
            left = ("sending", "waiting")
            await one.until(lambda: not one.reader.deliveries(channels=["hook"], states=left), "nothing is left")


async def test_routes_and_events_hold_for_the_next_event(sim: Simulator, receiver: Receiver, tmp_path: Path) -> None:
    channels = {"a": {"url": f"{receiver.base_url}/a"}, "b": {"url": f"{receiver.base_url}/b"}}
    async with live(tmp_path, sim, [TASK], channels, routes=[{"events": ["task.*"], "channels": ["a"]}]) as one:
        await one.until(lambda: one.events("task.discovered"), "it is seen")
        await one.reload(
            routes=[{"events": ["task.started"], "channels": ["b"]}],
            channels={**channels, "a": {"url": f"{receiver.base_url}/a", "events": ["task.failed"]}},
        )
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("b").get("task.started"), "it is told to b")
        assert "task.started" not in one.deliveries("a")


async def test_lanes_give_up_by_the_newest_configuration(sim: Simulator, receiver: Receiver, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
        receiver.behave(status=503)
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "waiting", "it waits")
        await one.reload(delivery={"give_up_after": "100ms"})
        assert one.core.lanes["hook"].give_up_after == 0.1
        await one.until(lambda: one.deliveries("hook")["task.started"] == "expired", "it is given up")


async def test_a_first_channel_hears_what_comes_from_then_on(
    sim: Simulator, receiver: Receiver, tmp_path: Path
) -> None:
    async with live(tmp_path, sim, [TASK]) as one:
        await one.until(lambda: one.events("task.discovered"), "it is seen")
        await one.reload(channels={"hook": hook(receiver)})
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "delivered", "it is told")


async def test_a_rotated_secret_signs_the_next_message(sim: Simulator, receiver: Receiver, tmp_path: Path) -> None:
    old, new = (f"whsec_{base64.b64encode(letter * 32).decode()}" for letter in (b"a", b"b"))
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver, secret=old)}) as one:
        await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
        await one.reload(channels={"hook": hook(receiver, secret=new)})
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "delivered", "it is told")
        first, last = receiver.accepted[0], receiver.accepted[-1]
        Webhook(old).verify(first["body"], first["headers"])
        Webhook(new).verify(last["body"], last["headers"])


async def test_a_renamed_channel_starts_empty(sim: Simulator, receiver: Receiver, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
        receiver.behave(status=503)
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "waiting", "it waits")
        await one.reload(channels={"renamed": hook(receiver)})
        assert one.deliveries("hook")["task.started"] == "parked"
        assert one.deliveries("renamed") == {}


async def test_a_change_of_the_language_remakes_messages_not_the_backlogs_ids(
    sim: Simulator, receiver: Receiver, tmp_path: Path
) -> None:
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        await one.reload(timezone="Asia/Tokyo")
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "delivered", "it is told")
        assert len({each["headers"]["webhook-id"] for each in receiver.accepted}) == len(receiver.accepted)


@needs_openssl
async def test_mended_certificates_in_the_same_file_are_trusted_by_channels_and_heartbeat(
    sim: Simulator, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("wrong", "right")]
    for folder in folders:
        folder.mkdir()
    bundle = tmp_path / "ca.pem"
    with http_receiving() as elsewhere, http_receiving() as secure:
        wrong, right = (Path(speak_tls(*each)) for each in zip((elsewhere, secure), folders, strict=True))
        bundle.write_bytes(wrong.read_bytes())
        address = secure.url.replace("http:", "https:")
        channels = {"hook": {"url": f"{address}/hook", "events": ["*"]}}
        heartbeat = {"url": f"{address}/ping", "every": "100ms"}
        async with live(tmp_path, sim, [TASK], channels, ca_file=str(bundle), heartbeat=heartbeat) as one:
            await one.until(lambda: one.said("heartbeat.failed"), "it isn't trusted")
            assert secure.seen == []
            bundle.write_bytes(right.read_bytes())
            await one.reload()
            await one.until(lambda: any(each.path == "/hook" for each in secure.seen), "the channel trusts it")
            await one.until(lambda: any(each.path == "/ping" for each in secure.seen), "so does the heartbeat")
