"""A lane over the real outbox: its channel's pace, its backlog, its pauses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.builders import settled
from tests.support.claiming import WEEK, Chat, ended, lane_to, soon, started, states, turn
from tests.support.upstream import until
from watcher.models import (
    Accepted,
    Digest,
    Retry,
)
from watcher.notifier.deliver import Lane
from watcher.state.database import Database
from watcher.state.ledger import Ledger
from watcher.state.reader import Reader
from watcher.state.record import load_channel


@pytest.mark.anyio
async def test_a_lane_keeps_the_pace_of_its_channel(database: Database, reader: Reader) -> None:
    started(database, ["a", "b", "c", "d"])
    chat = Chat(spacing=0.2)
    lane = lane_to(chat, database)
    running = asyncio.create_task(lane.run())
    await until(lambda: len(chat.sent) == 4)
    await until(lambda: set(states(reader)) == {"delivered"})
    gaps = [after - before for (before, _), (after, _) in zip(chat.sent, chat.sent[1:], strict=False)]
    assert min(gaps) >= 0.19
    await lane.stop(1.0)
    await running


@pytest.mark.anyio
async def test_a_backlog_drains_in_few_messages_each_told_once(database: Database, reader: Reader) -> None:
    started(database, [f"t{number:03}" for number in range(500)])
    chat = Chat()
    lane = lane_to(chat, database, digest_after=10)
    running = asyncio.create_task(lane.run())
    await until(lambda: set(states(reader)) == {"delivered"}, 30)
    told = [each.event.task for _, s in chat.sent for each in (s.members if isinstance(s, Digest) else (s,))]
    assert sorted(told) == [f"t{number:03}" for number in range(500)]
    assert len(chat.sent) == 10
    await lane.stop(1.0)
    await running


@pytest.mark.anyio
async def test_webhooks_get_no_digests(database: Database, reader: Reader) -> None:
    started(database, [f"t{number}" for number in range(20)])
    hook = Chat()
    hook.kind = "webhook"
    lane = lane_to(hook, database, digest_after=10)
    running = asyncio.create_task(lane.run())
    await until(lambda: set(states(reader)) == {"delivered"})
    assert len(hook.sent) == 20
    await lane.stop(1.0)
    await running


@pytest.mark.anyio
async def test_a_channel_that_asked_to_stay_away_is_believed_over_a_restart(database: Database, reader: Reader) -> None:
    started(database, ["a"])
    chat = Chat(outcome=Retry("429", 600))
    lane = lane_to(chat, database)
    running = asyncio.create_task(lane.run())
    await until(lambda: reader.channels() and reader.channels()[0].paused_until)
    await lane.stop(1.0)
    await running
    started(database, ["b"])
    chat = Chat()
    lane = lane_to(chat, database)
    running = asyncio.create_task(lane.run())
    await until(lambda: lane.failures == 1)
    await database.write(lambda _tx: None)
    assert chat.sent == []
    await lane.stop(1.0)
    await running


def test_the_first_good_answer_ends_the_pause(database: Database) -> None:
    started(database, ["a"])
    (first,) = turn(database).claimed
    (again,) = turn(database, *ended(first, Retry("429", 600)), now=soon(601)).claimed
    assert database.write_now(load_channel, "team").paused_until is not None
    turn(database, *ended(again, Accepted()), room=0)
    assert database.write_now(load_channel, "team").paused_until is None


class SlowLedger(Ledger):
    """A store that takes as long as the channel's pace."""

    async def take(self, *args: Any, **kwargs: Any) -> Any:
        result = await super().take(*args, **kwargs)
        await asyncio.sleep(0.1)
        return result


@pytest.mark.anyio
async def test_a_pause_that_ends_while_an_answer_is_written_down_holds_up_nothing(
    database: Database, reader: Reader
) -> None:
    started(database, ["a", "b", "c"])
    lane = Lane(Chat(spacing=0.1), SlowLedger(database, settled), give_up_after=WEEK)
    running = asyncio.create_task(lane.run())
    await until(lambda: set(states(reader)) == {"delivered"})
    await lane.stop(1.0)
    await running


@pytest.mark.anyio
async def test_a_channel_that_is_down_is_said_once_also_for_a_digest(database: Database) -> None:
    started(database, [f"t{number}" for number in range(12)])
    lane = lane_to(Chat(outcome=Retry("HTTP 503")), database, digest_after=10)
    with capture_logs() as said:
        await lane.drain()
    (warning,) = [line for line in said if line["log_level"] == "warning"]
    assert (warning["event"], warning["members"], warning["reason"]) == ("delivery.retried", 12, "HTTP 503")
