"""Slack, where a try ended without an answer: what was posted is found again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.cards import card, card_task
from tests.support.slack import Fault, Slack, slack_running
from tests.support.slacking import ML, card_of, channel, told
from watcher.models import Accepted, Card, CardRef, Retry, Unknown
from watcher.notifier.channels import slack_desk


@pytest.fixture
def slack() -> Iterator[Slack]:
    with slack_running(rate=1000.0, burst=1000) as running:
        yield running


@pytest.mark.anyio
async def test_a_card_stays_known_though_its_reply_failed_and_a_retry_posts_only_that(slack: Slack) -> None:
    async with channel(slack) as board:
        slack.order("chat.postMessage", None, "restricted_action")
        failed = await board.send(told("task.failed", card()))
        (posted,) = slack.posted()
        assert isinstance(failed, Retry)
        assert card_of(failed).ref == CardRef(ML, posted.ts)
        assert await board.send(told("task.failed", card_of(failed), attempts=2)) == Accepted("replied")
    assert [message.thread for message in slack.posted()] == [None, posted.ts]


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["hang", "break"])
async def test_a_card_whose_posting_had_no_answer_is_found_again(slack: Slack, how: str) -> None:
    async with channel(slack, timeout=0.5) as board:
        slack.order("chat.postMessage", Fault(how=how, done=True))
        lost = await board.send(told("task.started", card(), silent=True))
        found = await board.send(told("task.started", card(), silent=True, attempts=2))
    (message,) = slack.posted()
    assert isinstance(lost, Unknown)
    assert lost.card is None
    assert found == Accepted("edited", card_of(found))
    assert card_of(found).ref == CardRef(ML, message.ts)


@pytest.mark.anyio
async def test_a_card_posted_by_a_process_that_was_killed_is_found_by_the_next(slack: Slack) -> None:
    async with channel(slack) as board:
        await board.refresh(card())
    async with channel(slack) as board:
        found = await board.send(told("task.progress", card(), silent=True))
        other = await board.refresh(card(card_task(id="oi55o2ej")))
        await board.refresh(card(card_task(id="another1")))
    assert found == Accepted("edited", card_of(found))
    assert other == Accepted("posted", card_of(other))
    assert len(slack.posted()) == 3
    assert len(slack.said("conversations.history")) == 2, "once for each process"


@pytest.mark.anyio
async def test_two_channels_of_ours_in_one_of_slacks_dont_take_each_others_cards(slack: Slack) -> None:
    async with channel(slack) as board, channel(slack, name="board-ko") as other:
        await board.refresh(card())
        assert await other.refresh(card()) != Accepted("edited")
    assert len(slack.posted()) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("shown", [None, card()])
async def test_a_message_whose_posting_had_no_answer_isnt_posted_twice(slack: Slack, shown: Card | None) -> None:
    async with channel(slack, timeout=2.0) as board:
        kept = card_of(await board.refresh(shown)) if shown else None
        slack.order("chat.postMessage", Fault(how="break", done=True))
        lost = await board.send(told("task.failed", kept))
        again = await board.send(told("task.failed", kept, attempts=2))
    assert isinstance(lost, Unknown)
    assert again == Accepted("an earlier try had arrived")
    assert [message.text[:1] for message in slack.posted()].count("✖") == 1


@pytest.mark.anyio
async def test_without_the_scope_to_look_a_message_may_come_twice(slack: Slack) -> None:
    slack.scopes = frozenset({"chat:write"})
    async with channel(slack, channel=ML) as board:
        slack.order("chat.postMessage", Fault(how="break", done=True))
        assert isinstance(await board.send(told("account.rejected")), Unknown)
        assert await board.send(told("account.rejected", attempts=2)) == Accepted("posted")
        assert await board.send(told("account.rejected", attempts=2)) == Accepted("posted")
    assert len(slack.posted()) == 3
    assert len(slack.said("conversations.history")) == 1, "it doesn't ask again"


@pytest.mark.anyio
async def test_a_hanging_edit_is_tried_again_and_nothing_is_unknown(slack: Slack) -> None:
    async with channel(slack, timeout=0.5) as board:
        kept = card_of(await board.refresh(card()))
        for how in ("hang", "break"):
            slack.order("chat.update", Fault(how=how))
            outcome = await board.refresh(replace(kept, tasks=(card_task(progress=63),)))
            assert isinstance(outcome, Retry)
        again = await board.refresh(replace(kept, tasks=(card_task(progress=63),)))
    assert again == Accepted("edited", card_of(again))
    assert card_of(again).ref == kept.ref


@pytest.mark.anyio
async def test_a_workspace_that_lists_its_channels_slowly_delays_a_message_but_doesnt_lose_it(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_desk, "LOOK_UP", 0.2)
    slack.order("conversations.list", Fault(how="hang"))
    async with channel(slack) as board:
        outcome = await board.refresh(card())
    assert outcome == Accepted("posted", card_of(outcome))


@pytest.mark.anyio
async def test_a_look_that_was_limited_is_taken_again(slack: Slack) -> None:
    async with channel(slack) as board:
        await board.refresh(card())
    async with channel(slack) as board:
        slack.order("conversations.history", "ratelimited")
        assert isinstance(await board.refresh(card()), Retry)
        outcome = await board.refresh(card())
    assert outcome == Accepted("edited", card_of(outcome))


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["hang", "break"])
async def test_a_look_without_an_answer_posted_nothing_so_nothing_is_unknown(slack: Slack, how: str) -> None:
    async with channel(slack, timeout=0.5) as board:
        slack.order("conversations.history", Fault(how=how))
        assert isinstance(await board.send(told("task.started", card(), silent=True)), Retry)
    assert slack.posted() == []


@pytest.mark.anyio
async def test_a_card_posted_while_its_next_delivery_was_on_its_way_isnt_posted_twice(slack: Slack) -> None:
    async with channel(slack) as board:
        posted, told_ = await asyncio.gather(board.refresh(card()), board.send(told("task.stalled", card())))
    assert (card_of(posted).ref, told_) == (card_of(told_).ref, Accepted("replied", card_of(told_)))
    living, reply = slack.posted()
    assert reply.thread == living.ts


@pytest.mark.anyio
async def test_a_card_whose_task_is_forgotten_is_left_as_it_is_and_replied_to(slack: Slack) -> None:
    async with channel(slack) as board:
        kept = card_of(await board.refresh(card()))
        empty = replace(kept, tasks=())
        assert await board.refresh(empty) == Accepted("nothing to show")
        assert await board.send(told("task.gone", empty)) == Accepted("replied")
        assert await board.send(told("task.gone", replace(empty, ref=None))) == Accepted("posted")
    living, reply, message = slack.posted()
    assert (living.versions, reply.thread, message.thread) == (1, living.ts, None)
