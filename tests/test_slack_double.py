"""The stand-in for Slack refuses what Slack refuses: otherwise the other tests would show nothing."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.support.slack import SCOPES, TOKEN, Slack, slack_running
from tests.support.slack_blocks import called_in, problems

ML = "C012AB3CD"


def call(slack: Slack, method: str, form: bool = False, token: str = TOKEN, **arguments: Any) -> dict[str, Any]:
    """As any client calls it. Slack's answer, with the status where it isn't 200."""
    if form:
        coded = {name: json.dumps(v) if isinstance(v, list | dict) else v for name, v in arguments.items()}
        body, kind = urllib.parse.urlencode(coded).encode(), "application/x-www-form-urlencoded"
    else:
        body, kind = json.dumps(arguments).encode(), "application/json; charset=utf-8"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    request = urllib.request.Request(slack.url + method, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return dict(json.load(answer))
    except HTTPError as error:
        return {**json.load(error), "status": error.code, "after": error.headers["Retry-After"]}


def post(slack: Slack, text: str = "hello", channel: str = ML, **more: Any) -> dict[str, Any]:
    return call(slack, "chat.postMessage", channel=channel, text=text, **more)


def error(answer: dict[str, Any]) -> str:
    assert answer["ok"] is False
    return str(answer["error"])


@pytest.mark.parametrize("form", [False, True])
def test_a_message_is_posted_with_both_kinds_of_bodies_and_edited_by_its_ts(form: bool) -> None:
    blocks = [{"type": "header", "text": {"type": "plain_text", "text": "hi"}}]
    with slack_running() as slack:
        posted = call(slack, "chat.postMessage", form, channel="#ml", text="hi", blocks=blocks)
        edited = call(slack, "chat.update", form, channel=posted["channel"], ts=posted["ts"], text="ho")
        assert (posted["ok"], posted["channel"], edited["ts"]) == (True, ML, posted["ts"])
        (message,) = slack.posted()
        assert (message.text, message.blocks, message.versions) == ("ho", [], 2)
        assert error(call(slack, "chat.update", form, channel="#ml", ts=posted["ts"], text="x")) == "channel_not_found"
        assert error(call(slack, "chat.update", form, channel=ML, ts="1.000001", text="x")) == "message_not_found"


def test_each_reason_to_refuse_has_its_word() -> None:
    with slack_running() as slack:
        assert error(post(slack, token="xoxb-other")) == "invalid_auth"
        assert error(post(slack, "")) == "no_text"
        assert error(post(slack, "x" * 40_001)) == "msg_too_long"
        assert error(post(slack, channel="#nowhere")) == "channel_not_found"
        assert error(post(slack, blocks=[{"type": "header", "text": "hi"}])) == "invalid_blocks"
        assert error(call(slack, "chat.fly")) == "unknown_method"
        slack.room("ml").member = False
        assert error(post(slack)) == "not_in_channel"
        slack.room("ml").archived = True
        assert error(post(slack)) == "is_archived"
        slack.scopes = SCOPES - {"chat:write"}
        refused = post(slack)
        assert (error(refused), refused["needed"]) == ("missing_scope", "chat:write")


def test_a_second_lies_between_two_posts_after_a_short_burst() -> None:
    now = [0.0]
    with slack_running(burst=3, clock=lambda: now[0]) as slack:
        assert [post(slack)["ok"] for _ in range(3)] == [True] * 3
        limited = post(slack)
        assert (limited["status"], limited["error"], limited["after"]) == (429, "ratelimited", "1")
        now[0] += 1.0
        assert post(slack)["ok"]
        assert not post(slack)["ok"]


def test_edits_have_a_limit_of_their_own() -> None:
    now = [0.0]
    with slack_running(edits=2, clock=lambda: now[0]) as slack:
        ts = post(slack)["ts"]
        results = [call(slack, "chat.update", channel=ML, ts=ts, text=f"{n}").get("status", 200) for n in range(4)]
        assert results == [200, 200, 429, 429]


def test_threads_broadcasts_and_metadata_are_read_back_as_slack_shows_them() -> None:
    metadata = {"event_type": "watcher_card", "event_payload": {"subject": "task a/b"}}
    with slack_running(burst=10) as slack:
        parent = post(slack, "card", metadata=metadata)["ts"]
        reply = post(slack, "quiet", thread_ts=parent)
        post(slack, "loud", thread_ts=parent, reply_broadcast=True)
        assert reply["message"]["thread_ts"] == parent
        history = call(slack, "conversations.history", True, channel=ML, include_all_metadata="1")
        assert [message["text"] for message in history["messages"]] == ["loud", "card"]
        assert history["messages"][1]["metadata"] == metadata
        bare = call(slack, "conversations.history", True, channel=ML)
        assert bare["messages"][1]["metadata"] == {"event_type": "watcher_card"}
        replies = call(slack, "conversations.replies", True, channel=ML, ts=parent)
        assert [message["text"] for message in replies["messages"]] == ["card", "quiet", "loud"]
        slack.delete(parent)
        assert "thread_ts" not in post(slack, "orphan", thread_ts=parent)["message"]


def test_methods_that_read_ignore_json() -> None:
    with slack_running() as slack:
        assert error(call(slack, "conversations.info", channel=ML)) == "channel_not_found"
        assert call(slack, "conversations.info", True, channel=ML)["channel"]["is_member"] is True


PLAIN: dict[str, Any] = {"type": "plain_text", "text": "x"}


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({"type": "header", "text": PLAIN | {"text": "x" * 151}}, "must be less than 151 characters"),
        ({"type": "header", "text": PLAIN | {"text": "😀" * 76}}, "must be less than 151 characters"),
        ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "must be a text object"),
        ({"type": "section", "text": PLAIN | {"text": "x" * 3001}}, "must be less than 3001 characters"),
        ({"type": "section", "text": PLAIN | {"text": ""}}, "must be more than 0 characters"),
        ({"type": "section", "fields": [PLAIN] * 11}, "no more than 10 items allowed"),
        ({"type": "section", "fields": [PLAIN | {"text": "x" * 2001}]}, "must be less than 2001 characters"),
        ({"type": "section"}, "must have text or fields"),
        ({"type": "section", "text": PLAIN | {"colour": "red"}}, "additional property: colour"),
        ({"type": "context", "elements": [PLAIN] * 11}, "no more than 10 items allowed"),
        ({"type": "marquee"}, "unsupported type: marquee"),
        ({"type": "rich_text", "elements": [{"type": "text"}]}, "unsupported type: text"),
    ],
)
def test_blocks_beyond_the_limits_are_named(block: dict[str, Any], problem: str) -> None:
    assert problems([block]) == [f"/blocks/0: {problem}"]


def test_no_more_than_fifty_blocks() -> None:
    assert problems([{"type": "divider"}] * 50) == []
    assert problems([{"type": "divider"}] * 51) == ["no more than 50 items allowed, not 51"]


def test_it_knows_who_would_be_called() -> None:
    field = {"type": "mrkdwn", "text": "<@U1> <!channel> <!here|here> <!subteam^S1> &lt;!channel&gt; <\u200b@U2>"}
    plain = {"type": "section", "text": PLAIN | {"text": "<!channel> <@U9>"}}
    person = {"type": "rich_text_section", "elements": [{"type": "user", "user_id": "U3"}]}
    blocks = [{"type": "section", "fields": [field]}, plain, {"type": "rich_text", "elements": [person]}]
    assert called_in(blocks, "<@U4>") == {"U1", "!channel", "!here", "!subteam^S1", "U3", "U4"}
