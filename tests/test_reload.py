"""Changes of the configuration while everything runs: taken over as a difference, or refused and told."""

from __future__ import annotations

import asyncio
import base64
import re
import signal
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.support.builders import set_read_only
from tests.support.daemon import ask, hook_settings, until
from tests.support.http import receiving as http_receiving
from tests.support.reloading import OTHER, QUICK, TASK, account, hook, live
from tests.support.stage import staged
from tests.support.tls import needs_openssl, speak_tls
from tests.support.upstream import KEY, running_simulator
from watcher.scheduler.standing import Trial
from watcher.simulator import Simulator
from watcher.simulator.receiver import Receiver, receiving

pytestmark = pytest.mark.anyio
SECOND = "nv-another-key-0123456789"
STORY: dict[str, Any] = {"keys": [KEY, SECOND], "tasks": [{"id": TASK, "name": "support-bot v3"}, {"id": OTHER}]}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with running_simulator(STORY) as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


# Tasks.


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


# Accounts.


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


async def test_a_key_that_is_replaced_while_it_is_refused_works_at_once(sim: Simulator, tmp_path: Path) -> None:
    sim.keys.discard(KEY)
    async with live(tmp_path, sim, [TASK], poll={"interval": "1h", "wait_interval": "1h"}) as one:
        await one.until(lambda: one.sweeper().watched.on_probation, "the key is refused")
        assert (one.planned() or 0) > 3
        await one.reload(accounts={"main": account(sim, api_key=SECOND)})
        await one.until(lambda: one.events("task.discovered"), "it is seen with the new key", 3)


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
        await one.until(lambda: len(sim.log) > before + 3, "faster", 3)


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


# Channels.


async def test_a_channel_that_goes_leaves_its_backlog_which_goes_on_when_it_returns(
    sim: Simulator, receiver: Receiver, tmp_path: Path
) -> None:
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
        receiver.behave(status=503)
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "waiting", "it waits")
        await one.reload(channels={"console": "console://"})
        assert one.deliveries("hook")["task.started"] == "parked"
        assert one.daemon.loops.names("lane ") == ["lane console"]
        receiver.behave()
        await one.reload(channels={"hook": hook(receiver)})
        await one.until(lambda: one.deliveries("hook")["task.started"] == "delivered", "it goes on")
        assert len({each["headers"]["webhook-id"] for each in receiver.received[-2:]}) == 1


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
        waiting = [d.id for d in one.reader.deliveries(channel="hook", states=("waiting",)) if d.event.task]
        assert receiver.received[told]["headers"]["webhook-id"] in waiting
        await one.reload(channels={"hook": hook(new)})
        await one.until(lambda: len(new.accepted) >= len(waiting), "all of it goes to the new address", 4)
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
        await one.until(lambda: one.in_force, "the rest is done when there is space again", 15)
        await one.until(lambda: one.deliveries("hook")["task.started"] == "delivered", "it isn't sent again")
        sim.set_task(OTHER, status="RUNNING")
        await one.until(lambda: len(new.accepted) == 1, "the new address hears the rest")


# Everything else that can change.


async def test_a_shorter_interval_brings_looks_forward_and_a_longer_one_follows(sim: Simulator, tmp_path: Path) -> None:
    async with live(tmp_path, sim, poll={"interval": "1h", "wait_interval": "1h"}) as one:
        await one.until(lambda: (one.planned() or 0) > 60, "it is planned far away")
        await one.reload(poll={"interval": "10s", "wait_interval": "10s"})
        assert 0 < (one.planned() or 0) <= 10
        await one.reload(poll=QUICK)
        await one.sweeps(4)
        await one.reload(poll={"interval": "1h", "wait_interval": "1h"})
        await one.until(lambda: (one.planned() or 0) > 60, "it is planned far away")


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


async def test_lanes_give_up_by_the_newest_configuration(sim: Simulator, receiver: Receiver, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        await one.until(lambda: one.deliveries("hook").get("watcher.started") == "delivered", "all is told")
        receiver.behave(status=503)
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "waiting", "it waits")
        await one.reload(delivery={"give_up_after": "100ms"})
        assert one.core.lanes["hook"].give_up_after == 0.1
        await one.until(lambda: one.deliveries("hook")["task.started"] == "expired", "it is given up")


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
        assert "channels.team" in problem
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
        await one.until(lambda: not one.reader.deliveries(channel="hook", states=("waiting", "sending")), "all is told")
        assert sorted(one.daemon.loops.names("lane ")) == ["lane hook", "lane hook1"]
        told = [each["headers"]["webhook-id"] for each in receiver.accepted]
        assert {d.id for d in one.reader.deliveries(channel="hook")} <= set(told)
        assert len(told) == len(set(told))
        assert one.said("config.rejected") == []


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


# What an old key, a new key and slow answers do to one another.


OWNED = {"keys": [KEY, SECOND], "tasks": [{"id": TASK, "owner": KEY}, {"id": OTHER, "owner": KEY}]}


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
        await one.until(lambda: one.sweeper().watched.on_probation, "the new key is judged by what it sees", 15)
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


# The rest of the daemon.


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
            await one.until(lambda: not one.reader.deliveries(channel="hook", states=left), "nothing is left")


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
