"""What Slack says instead of yes, and what it means for a delivery."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.cards import card, card_task
from tests.support.slack import SCOPES, TOKEN, Fault, Slack, slack_running
from tests.support.slacking import card_of, channel, told
from watcher.models import Accepted, Refused, Retry, Unknown


@pytest.fixture
def slack() -> Iterator[Slack]:
    with slack_running(rate=1000.0, burst=1000) as running:
        yield running


MENDED = [
    ("not_in_channel", "not_in_channel: the app isn't in #ml; invite it there with /invite @watcher"),
    ("channel_not_found", "channel_not_found: there is no #ml, or it is private and the app isn't in it; mend channel"),
    ("is_archived", "is_archived: #ml is archived; unarchive it, or name another channel"),
    ("token_revoked", "token_revoked: the token was revoked, or the app was removed; install the app"),
    ("invalid_auth", "invalid_auth: Slack doesn't know the token; put the app's Bot User OAuth Token"),
    ("account_inactive", "account_inactive: the app or its workspace was switched off; install the app"),
    ("token_expired", "token_expired: the token has expired; switch token rotation off"),
    ("restricted_action", "restricted_action: the workspace doesn't let the app post; ask an administrator"),
    ("ekm_access_denied", "ekm_access_denied: administrators have suspended posting"),
    ("service_unavailable", "service_unavailable: Slack is temporarily unavailable"),
    ("something_new", "Slack says something_new"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("error", "reason"), MENDED)
async def test_what_a_person_can_mend_is_tried_again_and_says_how(slack: Slack, error: str, reason: str) -> None:
    async with channel(slack) as board:
        slack.order("chat.postMessage", error)
        outcome = await board.send(told("account.rejected"))
        assert isinstance(outcome, Retry)
        assert outcome.reason.startswith(reason)
        assert outcome.after is None
        assert await board.send(told("account.rejected")) == Accepted("posted")


@pytest.mark.anyio
@pytest.mark.parametrize("error", ["msg_too_long", "invalid_blocks", "no_text", "invalid_arguments"])
async def test_what_is_about_the_message_itself_is_refused_after_bare_text_was_tried(slack: Slack, error: str) -> None:
    async with channel(slack) as board:
        slack.order("chat.postMessage", error, error)
        outcome = await board.send(told("account.rejected"))
    assert isinstance(outcome, Refused)
    assert outcome.reason.startswith(f"{error}:") or outcome.reason == f"Slack says {error}"
    assert [bool(call.get("blocks")) for call in slack.said("chat.postMessage")] == [True, False]


@pytest.mark.anyio
@pytest.mark.parametrize("error", ["fatal_error", "internal_error"])
async def test_a_failure_of_slacks_own_may_have_posted_the_message(slack: Slack, error: str) -> None:
    async with channel(slack) as board:
        slack.order("chat.postMessage", error)
        assert isinstance(await board.send(told("account.rejected")), Unknown)


@pytest.mark.anyio
async def test_a_missing_scope_is_named(slack: Slack) -> None:
    slack.scopes = SCOPES - {"chat:write"}
    async with channel(slack) as board:
        outcome = await board.send(told("account.rejected"))
        assert outcome == Retry(
            "missing_scope: the token lacks the scope chat:write; "
            "add it under OAuth & Permissions, and install the app again"
        )


@pytest.mark.anyio
@pytest.mark.parametrize("answered", [429, 200])
async def test_slack_says_how_long_it_wants_to_be_left_alone(slack: Slack, answered: int) -> None:
    limited = Fault("ratelimited", status=answered, headers={"Retry-After": "30"})
    async with channel(slack) as board:
        slack.order("chat.postMessage", limited)
        outcome = await board.send(told("account.rejected"))
        slack.order("chat.update", limited)
        kept = card_of(await board.refresh(card()))
        edited = await board.refresh(replace(kept, tasks=(card_task(progress=63),)))
    reason = "ratelimited: Slack asks for fewer messages, to wait 30 s; nothing to do: it is tried again"
    assert outcome == edited == Retry(reason, 30.0)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(status=503, body=b"<html>"), "HTTP 503 from Slack"),
        (Fault(status=404, body=b"no"), "HTTP 404: the address isn't Slack's API; check url"),
        (Fault(status=302, headers={"Location": "http://127.0.0.1:1/"}), "HTTP 302: the address has moved"),
        (Fault(body=b"<html>hotel wifi</html>"), "the answer isn't Slack's; check url and proxy"),
        (Fault(body=b"[1]"), "the answer isn't Slack's; check url and proxy"),
        (Fault(body=b""), "the answer isn't Slack's; check url and proxy"),
        (Fault(body=b'{"ok": false}'), "the answer isn't Slack's; check url and proxy"),
        (Fault(body=b'{"ok": false, "error": "xoxb-test-canary-0123456789 <x>"}'), "the answer isn't Slack's"),
        (Fault(body=b"[" * 100_000), "the answer isn't Slack's; check url and proxy"),
        (Fault(body=b"\xff\xfe"), "the answer isn't Slack's; check url and proxy"),
    ],
)
async def test_an_answer_that_isnt_slacks_is_tried_again(slack: Slack, fault: Fault, reason: str) -> None:
    async with channel(slack) as board:
        slack.order("chat.postMessage", fault)
        outcome = await board.send(told("account.rejected"))
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith(reason)
    assert TOKEN not in outcome.reason


@pytest.mark.anyio
async def test_nothing_listens_so_nothing_was_sent(slack: Slack) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api"
    async with channel(slack, url=url) as board:
        assert await board.send(told("account.rejected")) == Retry("nothing listens at its address")


@pytest.mark.anyio
async def test_a_channel_works_on_after_a_hang(slack: Slack) -> None:
    async with channel(slack, timeout=2.0) as board:
        slack.order("chat.postMessage", Fault(how="hang"))
        assert isinstance(await board.send(told("account.rejected")), Unknown)
        assert await board.send(told("account.rejected")) == Accepted("posted")


@pytest.mark.anyio
async def test_the_token_travels_in_a_header_and_is_printed_nowhere(
    slack: Slack, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    async with channel(slack) as board:
        await board.send(told("account.rejected"))
        slack.order("chat.postMessage", "invalid_auth", Fault(how="break"))
        await board.send(told("account.rejected"))
        await board.send(told("account.rejected"))
        assert TOKEN not in repr(vars(board))
    assert {call.token for call in slack.calls} == {TOKEN}
    assert all("token" not in call.arguments for call in slack.calls)
    assert TOKEN not in caplog.text + "".join(capsys.readouterr())
