"""Slack through its Web API: what is posted, edited and replied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.cards import FAILURE, HOSTILE, card, card_task, group_card, sweep
from tests.support.slack import Slack, slack_running
from tests.support.slacking import ML, card_of, channel, told
from watcher.models import Accepted, CardRef, Delivery, Digest, Refused
from watcher.notifier.samples import sample_event
from watcher.notifier.text import clean


@pytest.fixture
def slack() -> Iterator[Slack]:
    with slack_running(rate=1000.0, burst=1000) as running:
        yield running


# ── messages ──


@pytest.mark.anyio
async def test_a_message_has_its_title_in_bold_the_rest_below_and_a_text_for_notifications(slack: Slack) -> None:
    async with channel(slack, mode="messages") as team:
        assert not team.keeps_cards
        assert await team.send(told()) == Accepted("posted")
    (message,) = slack.posted()
    first, *rest = message.shown.split("\n")
    assert first == "✖ support-bot v3 failed: dataset column Completion is empty"
    assert "Fix: fill Completion in every row" in message.shown
    assert message.text == first
    assert message.blocks[0]["elements"][0]["elements"][0]["style"] == {"bold": True}
    assert message.thread is None
    assert rest


@pytest.mark.anyio
async def test_slack_interprets_nothing_and_unfurls_nothing(slack: Slack) -> None:
    async with channel(slack, mode="messages") as team:
        await team.send(told())
    (arguments,) = slack.said("chat.postMessage")
    options = {name: arguments[name] for name in ("parse", "link_names", "unfurl_links", "unfurl_media")}
    assert options == {"parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False}


@pytest.mark.anyio
@pytest.mark.parametrize(("call", "called"), [("U012AB3CD", "U012AB3CD"), ("S012AB3CD", "S012AB3CD")])
async def test_a_failure_calls_its_owner_and_nothing_else_does(slack: Slack, call: str, called: str) -> None:
    async with channel(slack, mode="messages", mentions={"jiwon": call}) as team:
        await team.send(told())
        await team.send(told("task.succeeded"))
    failed, succeeded = slack.posted()
    assert called in failed.calls
    assert failed.shown.split("\n")[0].endswith(f"is empty  @{called}")
    assert succeeded.calls == set()


@pytest.mark.anyio
async def test_an_owner_whom_slack_cant_know_is_only_named(slack: Slack) -> None:
    async with channel(slack, mode="messages", mentions={"jiwon": "everyone"}) as team:
        await team.send(told())
    (message,) = slack.posted()
    assert message.calls == set()
    assert "@\u200bjiwon" in message.shown


@pytest.mark.anyio
@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_shown_in_message_card_and_notification_and_calls_nobody(
    slack: Slack, name: str
) -> None:
    event = sample_event("task.failed")
    hostile = replace(event, subject={**(event.subject or {}), "name": name, "labels": {"owner": name}})
    task = card_task("FAILED", name=name, model=name)
    async with channel(slack) as board:
        outcome = await board.send(replace(told(shown=card(task)), event=hostile))
    assert isinstance(outcome, Accepted)
    assert [message.calls for message in slack.posted()] == [set(), set()]
    assert not slack.said("chat.postMessage")[0].get("mrkdwn", False)
    assert all(clean(name)[:12] in message.shown.replace("\u200b", "") for message in slack.posted())


def failing(owner: str) -> Delivery:
    event = replace(sample_event("task.failed"), task=f"task-{owner}")
    event = replace(event, subject={**(event.subject or {}), "name": "긴 이름 " * 30, "labels": {"owner": owner}})
    return replace(told(), id=f"dlv-{owner}", event=event)


@pytest.mark.anyio
async def test_a_digest_calls_each_owner_of_a_failure_once(slack: Slack) -> None:
    people = {"jiwon": "U012AB3CD", "nlp": "S045EF6GH", "Jiwon": "U012AB3CD", "sora": "everyone"}
    members = (told("task.started"), *map(failing, people))
    async with channel(slack, mentions=people) as board:
        assert await board.send_digest(Digest("dig-1", "board", members)) == Accepted("posted")
    (message,) = slack.posted()
    assert message.calls == {"U012AB3CD", "S045EF6GH", "!subteam^S045EF6GH"}
    assert message.shown.split("\n")[0].endswith("started  @U012AB3CD @S045EF6GH @\u200bsora")
    assert message.text.endswith("started  <@U012AB3CD> <!subteam^S045EF6GH> @\u200bsora")


@pytest.mark.anyio
@pytest.mark.parametrize(("form", "least"), [("U012AB3C{n:02}", 50), ("nobody {n}", 20)])
async def test_a_digest_of_50_with_as_many_owners_is_within_slacks_limits(slack: Slack, form: str, least: int) -> None:
    people = {f"{'소유자' * 30}{n}": form.format(n=n) for n in range(50)}
    async with channel(slack, mentions=people) as board:
        assert await board.send_digest(Digest("dig-1", "board", tuple(map(failing, people)))) == Accepted("posted")
    (message,) = slack.posted()
    first = message.shown.split("\n")[0]
    more = first.rpartition(" +")[2]
    assert [bool(call.get("blocks")) for call in slack.said("chat.postMessage")] == [True]
    assert len(message.text) <= 4000
    assert len(json.dumps(message.blocks, ensure_ascii=False)) < 13_000
    assert first.count("@") >= least
    assert first.count("@") + int(more if more.isdigit() else 0) == 50
    assert message.shown.count("✖") == 51


@pytest.mark.anyio
async def test_a_digest_is_one_message_with_a_table(slack: Slack) -> None:
    members = tuple(replace(told(type_), id=f"dlv-{n}") for n, type_ in enumerate(["task.started", "task.failed"] * 6))
    async with channel(slack) as board:
        assert await board.send_digest(Digest("dig-1", "board", members)) == Accepted("posted")
    (message,) = slack.posted()
    assert message.blocks[-1]["elements"][0]["type"] == "rich_text_preformatted"
    assert "12 changes" in message.text
    assert message.metadata == {"event_type": "watcher_message", "event_payload": {"channel": "board", "id": "dig-1"}}


# ── cards ──


@pytest.mark.anyio
async def test_a_card_is_posted_once_edited_silently_and_its_end_is_a_reply_seen_in_the_channel(slack: Slack) -> None:
    async with channel(slack, mentions={"jiwon": "U012AB3CD"}) as board:
        assert board.keeps_cards
        posted = await board.send(told("task.discovered", card(card_task("WAIT")), silent=True))
        kept = card_of(posted)
        further = replace(card(card_task()), ref=kept.ref, shown=kept.shown)
        edited = await board.refresh(further)
        ended = replace(card(card_task("FAILED", failure=FAILURE)), ref=kept.ref, shown=card_of(edited).shown)
        last = await board.send(told(shown=ended))
    living, reply = slack.posted()
    assert [posted.__class__, edited, last] == [
        Accepted,
        Accepted("edited", edited.card),
        Accepted("replied", last.card),
    ]
    assert kept.ref == CardRef(ML, living.ts) == card_of(last).ref
    assert living.versions == 3
    assert living.shown.startswith("✖ support-bot v3 failed\n")
    assert living.calls == set()
    assert (reply.thread, reply.broadcast) == (living.ts, True)
    assert reply.calls == {"U012AB3CD"}


@pytest.mark.anyio
async def test_a_card_that_shows_all_that_already_isnt_sent_again(slack: Slack) -> None:
    async with channel(slack) as board:
        kept = card_of(await board.refresh(card()))
        assert await board.refresh(kept) == Accepted("unchanged")
        assert await board.send(told("task.progress", kept, silent=True)) == Accepted("unchanged")
    assert [message.versions for message in slack.posted()] == [1]
    assert slack.said("chat.update") == []


@pytest.mark.anyio
async def test_editing_keeps_names_from_being_linked(slack: Slack) -> None:
    async with channel(slack) as board:
        kept = card_of(await board.refresh(card()))
        await board.refresh(replace(kept, tasks=(card_task(progress=63),)))
    (arguments,) = slack.said("chat.update")
    assert (arguments["parse"], arguments["link_names"], arguments["channel"]) == ("none", False, ML)


@pytest.mark.anyio
@pytest.mark.parametrize("error", ["message_not_found", "cant_update_message", "edit_window_closed"])
async def test_a_card_that_cant_be_edited_is_posted_anew(slack: Slack, error: str) -> None:
    async with channel(slack) as board:
        kept = card_of(await board.refresh(card()))
        slack.order("chat.update", error)
        again = await board.refresh(replace(kept, tasks=(card_task(progress=63),)))
    first, second = slack.posted()
    assert again == Accepted("posted", replace(card_of(again), ref=CardRef(ML, second.ts)))
    assert first.versions == second.versions == 1


@pytest.mark.anyio
async def test_a_deleted_card_whose_reply_slack_posts_on_its_own_is_posted_anew(slack: Slack) -> None:
    async with channel(slack) as board:
        kept = card_of(await board.refresh(card()))
        assert kept.ref is not None
        slack.delete(kept.ref.ts)
        outcome = await board.send(told("task.stalled", kept))
    reply, anew = slack.posted()
    assert outcome == Accepted("replied", card_of(outcome))
    assert card_of(outcome).ref == CardRef(ML, anew.ts)
    assert (reply.thread, anew.thread) == (None, None)


@pytest.mark.anyio
async def test_a_card_that_takes_no_replies_is_posted_anew_and_replied_to(slack: Slack) -> None:
    async with channel(slack) as board:
        kept = card_of(await board.refresh(card()))
        slack.order("chat.postMessage", "cannot_reply_to_message")
        outcome = await board.send(told("task.stalled", kept))
    _, anew, reply = slack.posted()
    assert card_of(outcome).ref == CardRef(ML, anew.ts)
    assert reply.thread == anew.ts


@pytest.mark.anyio
async def test_a_groups_tasks_share_its_card_and_reply_to_it(slack: Slack) -> None:
    async with channel(slack) as board:
        kept = card_of(await board.refresh(group_card(*sweep())))
        await board.send(told("task.failed", kept))
    shared, reply = slack.posted()
    assert "exp-lr-2  0.41" in shared.shown
    assert reply.thread == shared.ts


@pytest.mark.anyio
async def test_a_channel_that_was_changed_gets_cards_of_its_own(slack: Slack) -> None:
    elsewhere = replace(card(), ref=CardRef("COLD12345", "1.0"), shown="x")
    async with channel(slack, channel=ML) as board:
        outcome = await board.refresh(elsewhere)
    (message,) = slack.posted()
    assert card_of(outcome).ref == CardRef(ML, message.ts)


@pytest.mark.anyio
async def test_events_without_a_card_are_ordinary_messages(slack: Slack) -> None:
    async with channel(slack) as board:
        assert await board.send(told("account.rejected")) == Accepted("posted")
    (message,) = slack.posted()
    assert message.thread is None
    assert not message.broadcast


@pytest.mark.anyio
async def test_without_card_mode_a_card_is_left_alone(slack: Slack) -> None:
    async with channel(slack, mode="messages") as team:
        assert await team.send(told("task.failed", card())) == Accepted("posted")
    assert len(slack.posted()) == 1


@pytest.mark.anyio
async def test_what_slack_wont_lay_out_goes_out_as_bare_text(slack: Slack) -> None:
    async with channel(slack) as board:
        slack.order("chat.postMessage", "invalid_blocks")
        kept = card_of(await board.refresh(card()))
        slack.order("chat.update", "msg_too_long")
        await board.refresh(replace(kept, tasks=(card_task(progress=63),)))
        slack.order("chat.postMessage", "invalid_blocks")
        await board.send(told("account.rejected"))
    bare, message = slack.posted()
    assert bare.blocks == message.blocks == []
    assert bare.text.startswith("◐ support-bot v3 · 63 %")
    assert "Watching goes on by itself" in message.text


@pytest.mark.anyio
async def test_a_card_that_slack_wont_take_at_all_doesnt_keep_back_what_happened(slack: Slack) -> None:
    async with channel(slack) as board:
        slack.order("chat.postMessage", "msg_too_long", "msg_too_long")
        assert await board.send(told("task.failed", card())) == Accepted("posted")
        slack.order("chat.postMessage", "msg_too_long", "msg_too_long")
        silent = await board.send(told("task.failed", card(), silent=True))
    assert silent == Refused("msg_too_long: the message is too long for Slack")
    (message,) = slack.posted()
    assert message.text.startswith("✖")


@pytest.mark.anyio
async def test_a_card_that_cant_be_drawn_costs_its_looks_and_not_the_message(slack: Slack) -> None:
    broken = card(card_task("FAILED", losses=("no", "numbers")))
    async with channel(slack) as board:
        outcome = await board.send(told("task.failed", broken))
        again = await board.send(told("task.failed", replace(card_of(outcome)), silent=True))
    assert (outcome, again) == (Accepted("replied", card_of(outcome)), Accepted("unchanged"))
    shown, reply = slack.posted()
    assert (shown.blocks, shown.text) == ([], "task default/czf9fbky")
    assert reply.thread == shown.ts


@pytest.mark.anyio
async def test_after_two_deaths_of_the_process_a_card_isnt_drawn_any_more(slack: Slack) -> None:
    async with channel(slack) as board:
        await board.send(told("task.failed", card(), plain=True))
    assert [message.text for message in slack.posted()] == ["task default/czf9fbky", slack.posted()[1].text]
    assert slack.posted()[1].text.startswith("task.failed czf9fbky")
