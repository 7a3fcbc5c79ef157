"""The running daemon with what keeps its readers calm: cards, digests, quiet hours, silences, languages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import url
from tests.support.reloading import OTHER, TASK, Live, hook, live
from tests.support.slack import Slack, slack_running
from tests.support.slack_workspace import Posted
from tests.support.upstream import KEY
from watcher.engine.core import Core
from watcher.notifier import keeper
from watcher.simulator import Simulator, parse_scenario, serve
from watcher.simulator.receiver import Receiver, receiving
from watcher.state.outbox import redeliver
from watcher.state.silences import add
from watcher.state.store import open_beside

pytestmark = pytest.mark.anyio


@pytest.fixture
def slack() -> Iterator[Slack]:
    with slack_running(rate=1000.0, burst=1000) as running:
        yield running


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    tasks = [
        {"id": id_, "name": name, "timeline": [{"at": "0s", "status": "WAIT"}]}
        for id_, name in ((TASK, "support-bot v3"), (OTHER, "support-bot v4"))
    ]
    async with serve(parse_scenario({"keys": [KEY], "tasks": tasks})) as running:
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


def board(slack: Slack, **more: Any) -> dict[str, Any]:
    return {"url": slack.url, "slack_token": slack.token, "channel": "#ml", "mode": "card", "pace": "100ms", **more}


def cards(slack: Slack) -> list[Posted]:
    return [m for m in slack.posted() if (m.metadata or {}).get("event_type") == "watcher_card"]


async def settled(one: Live, channel: str = "board") -> None:
    await one.until(lambda: not one.reader.deliveries(channels=[channel], states=("waiting", "sending")), "all is told")


# ── cards ──


async def test_a_task_is_one_message_from_its_wait_to_its_end(sim: Simulator, slack: Slack, tmp_path: Path) -> None:
    channels = {"board": board(slack, events=["*"])}
    async with live(
        tmp_path, sim, [{"id": TASK, "labels": {"owner": "jiwon"}}], channels, mentions={"jiwon": "U012AB3CD"}
    ) as one:
        await settled(one)
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.events("task.started"), "it trains")
        await settled(one)
        (card,) = cards(slack)
        assert "training" in card.shown
        sim.set_task(TASK, status="FAILED", failureReason="file.format", message="Invalid dataset")
        await one.until(lambda: one.events("task.failed"), "it fails")
        await settled(one)
    (reply,) = [m for m in slack.posted() if m.thread is not None]
    assert [m.ts for m in cards(slack)] == [card.ts]
    assert "failed" in cards(slack)[0].shown
    assert (reply.thread, reply.broadcast, reply.calls) == (card.ts, True, {"U012AB3CD"})


async def test_a_card_survives_a_restart(sim: Simulator, slack: Slack, tmp_path: Path) -> None:
    channels = {"board": board(slack, events=["task.*"])}
    async with live(tmp_path, sim, [TASK], channels) as one:
        await one.until(lambda: cards(slack), "the card is there")
        await settled(one)
    sim.set_task(TASK, status="RUNNING")
    async with live(tmp_path, sim, [TASK], channels) as one:
        await one.until(lambda: one.events("task.started"), "it trains")
        await settled(one)
        await one.until(lambda: "training" in cards(slack)[0].shown, "the card says so")
    assert len(cards(slack)) == 1


async def test_a_step_edits_the_card_although_it_is_no_event(
    sim: Simulator, slack: Slack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _impatient(monkeypatch)
    sim.set_task(TASK, status="RUNNING", statusInfo={"currStep": 100, "totalTrainSteps": 1000})
    async with live(tmp_path, sim, [TASK], {"board": board(slack, events=["task.*"])}) as one:
        await one.until(lambda: cards(slack) and "100/" in cards(slack)[0].shown, "the card is there")
        sim.set_task(TASK, statusInfo={"currStep": 123, "totalTrainSteps": 1000})
        await one.until(lambda: "123/" in cards(slack)[0].shown, "the card goes on")
        assert len(cards(slack)) == 1


async def test_a_redelivered_message_is_posted_once_more(sim: Simulator, slack: Slack, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK], {"board": board(slack, mode="messages")}) as one:
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("board").get("task.started") == "delivered", "it is told")
        (told,) = [d for d in one.reader.deliveries() if d.event.type == "task.started"]
        before = len(slack.posted())
        await one.core.database.write(redeliver, [told.id], datetime.now(tz=UTC))
        one.core.wake_all()
        await one.until(lambda: len(slack.posted()) == before + 1, "it comes again")


async def test_a_group_has_one_card_with_all_its_tasks(sim: Simulator, slack: Slack, tmp_path: Path) -> None:
    groups = [{"name": "bots", "match": "support-bot*"}]
    async with live(tmp_path, sim, [TASK, OTHER], {"board": board(slack)}, groups=groups) as one:
        for task in (TASK, OTHER):
            sim.set_task(task, status="RUNNING")
        await one.until(lambda: len(one.events("task.started")) == 2, "both train")
        await settled(one)
        sim.set_task(OTHER, status="FAILED", failureReason="file.format")
        await one.until(lambda: one.events("task.failed"), "one fails")
        await settled(one)
    (card,) = cards(slack)
    assert all(name in card.shown for name in ("bots", "support-bot v3", "support-bot v4"))
    assert [m.thread for m in slack.posted() if m.thread] == [card.ts]


# ── much at once ──


async def test_many_failures_at_once_come_together_and_each_card_follows(
    slack: Slack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _impatient(monkeypatch)
    ids = [f"t{number:02}" for number in range(30)]
    tasks = [{"id": id_, "name": f"run {id_}", "timeline": [{"at": "0s", "status": "RUNNING"}]} for id_ in ids]
    scenario = parse_scenario({"keys": [KEY], "tasks": tasks})
    async with serve(scenario) as sim, live(tmp_path, sim, ids, {"board": board(slack)}) as one:
        await one.until(lambda: len(one.stored()) == 30, "all are seen")
        for id_ in ids:
            sim.set_task(id_, status="FAILED", failureReason="file.format")
        await one.until(lambda: len(one.events("task.failed")) == 30, "all have failed")
        await settled(one)
        together = [m for m in slack.posted() if sum(f"run {id_}" in m.shown for id_ in ids) > 10]
        assert together
        assert len(slack.posted()) - len(cards(slack)) < 20
        await one.until(lambda: len(cards(slack)) == 30, "each card follows", 30)
        assert all("failed" in card.shown for card in cards(slack))


@pytest.mark.long
async def test_500_failures_at_once_are_all_told_within_slacks_limits(tmp_path: Path) -> None:
    ids = [f"t{number:03}" for number in range(500)]
    tasks = [{"id": id_, "name": f"run {id_}", "timeline": [{"at": "0s", "status": "RUNNING"}]} for id_ in ids]
    scenario = parse_scenario({"keys": [KEY], "tasks": tasks})
    with slack_running() as slack:
        channels = {"board": {**board(slack, mode="messages"), "pace": "1s"}}
        async with serve(scenario) as sim, live(tmp_path, sim, ids, channels) as one:
            await one.until(lambda: len(one.stored()) == 500, "all are seen", 30)
            for id_ in ids:
                sim.set_task(id_, status="FAILED", failureReason="file.format")
            await one.until(lambda: len(one.events("task.failed")) == 500, "all have failed", 60)
            await one.until(lambda: not one.reader.deliveries(states=("waiting", "sending")), "all is told", 60)
            assert {d.state for d in one.reader.deliveries()} == {"delivered"}
        said = "\n".join(message.shown for message in slack.posted())
        assert [id_ for id_ in ids if f"run {id_}" not in said] == []
        assert slack.limited == 0
        assert len(slack.posted()) < 40


async def test_a_pace_of_ones_own_holds_for_every_kind_of_channel(
    sim: Simulator, receiver: Receiver, slack: Slack, tmp_path: Path
) -> None:
    channels = {"board": board(slack, mode="messages"), "hook": hook(receiver, pace="300ms")}
    async with live(tmp_path, sim, [TASK], channels) as one:
        assert {name: lane.pace.spacing for name, lane in one.core.lanes.items()} == {"board": 0.1, "hook": 0.3}


# ── silences ──


def _silence(folder: Path, **what: Any) -> None:
    database = open_beside(url(folder))
    now = datetime.now(tz=UTC)
    database.write_now(lambda tx: add(tx, now=now, ends=now + timedelta(hours=2), reason="known", **what))
    database.close()


async def test_what_is_silenced_is_recorded_and_nobody_hears_of_it(
    sim: Simulator, receiver: Receiver, tmp_path: Path
) -> None:
    tasks = [TASK, {"id": OTHER, "labels": {"team": "nlp"}}]
    async with live(tmp_path, sim, tasks, {"hook": hook(receiver)}) as one:
        await settled(one, "hook")
        before = len(receiver.accepted)
        _silence(tmp_path, task=TASK)
        _silence(tmp_path, label="team", value="nlp")
        for task in (TASK, OTHER):
            sim.set_task(task, status="RUNNING")
        await one.until(lambda: len(one.events("task.started")) == 2, "both train")
        await settled(one, "hook")
        assert len(receiver.accepted) == before
        silenced = one.reader.deliveries(states=("silenced",))
        assert {(d.event.task, d.reason) for d in silenced} == {(TASK, "silence 1: known"), (OTHER, "silence 2: known")}


async def test_a_silence_that_is_over_silences_nothing(sim: Simulator, receiver: Receiver, tmp_path: Path) -> None:
    async with live(tmp_path, sim, [TASK], {"hook": hook(receiver)}) as one:
        database = open_beside(url(tmp_path))
        now = datetime.now(tz=UTC)
        database.write_now(lambda tx: add(tx, now=now - timedelta(hours=2), ends=now - timedelta(seconds=1), task=TASK))
        database.close()
        sim.set_task(TASK, status="RUNNING")
        await one.until(lambda: one.deliveries("hook").get("task.started") == "delivered", "it is told")


# ── quiet hours ──


def _hours(now: datetime) -> str:
    start, end = now - timedelta(hours=1), now + timedelta(hours=2)
    return f"{start:%H:%M}-{end:%H:%M}"


async def test_quiet_hours_hold_all_but_urgent_failures_until_they_are_taken_out(
    sim: Simulator, slack: Slack, tmp_path: Path
) -> None:
    quiet = {"quiet": _hours(datetime.now(tz=UTC)), "timezone": "UTC", "urgent": True}
    one_channel = board(slack, mode="messages")
    async with live(tmp_path, sim, [TASK, OTHER], {"board": {**one_channel, **quiet}}) as one:
        sim.set_task(TASK, status="RUNNING")
        sim.set_task(OTHER, status="FAILED", failureReason="file.format")
        await one.until(lambda: one.deliveries("board").get("task.failed") == "delivered", "the failure comes")
        await one.until(lambda: one.deliveries("board").get("task.started") == "held", "the start is held")
        assert len(slack.posted()) == 1
        await one.reload(channels={"board": one_channel})
        await one.until(lambda: one.deliveries("board").get("task.started") == "delivered", "the start comes")


# ── languages ──


async def test_each_channel_reads_its_own_language(sim: Simulator, slack: Slack, tmp_path: Path) -> None:
    channels = {
        "seoul": board(slack, mode="messages", language="ko"),
        "tokyo": board(slack, mode="messages", language="ja", timezone="Asia/Tokyo"),
    }
    async with live(tmp_path, sim, [TASK], channels) as one:
        sim.set_task(TASK, status="RUNNING")
        for channel in channels:
            await one.until(
                lambda channel=channel: one.deliveries(channel).get("task.started") == "delivered", "it has heard"
            )
    said = "\n".join(m.shown for m in slack.posted())
    assert "학습" in said
    assert "学習" in said


def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards are brought up to date at once rather than every half minute, and Slack takes as much as it gets."""
    monkeypatch.setattr(keeper, "LOOK", 0.05)
    made = Core.add_channel

    def add_channel(core: Core, channel: Any) -> Any:
        lane = made(core, channel)
        for each in core.keepers.values():
            each._rest = 0.0
        channel._desk.post_spacing = channel._desk.edit_spacing = 0.0
        return lane

    monkeypatch.setattr(Core, "add_channel", add_channel)
