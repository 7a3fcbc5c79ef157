"""The way to Slack: pace, probe, TLS and proxies."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.cards import card, card_task
from tests.support.slack import TOKEN, Fault, Slack, slack_running
from tests.support.slacking import ML, card_of, channel, setting, told
from tests.support.tls import needs_openssl, speak_tls
from watcher.errors import WatcherError
from watcher.models import Accepted, Retry, Unknown
from watcher.notifier.channels import slack_desk
from watcher.notifier.channels.slack import SlackChannel
from watcher.redact import Redactor


@pytest.fixture
def slack() -> Iterator[Slack]:
    with slack_running(rate=1000.0, burst=1000) as running:
        yield running


@pytest.mark.anyio
async def test_posts_keep_slacks_pace_so_that_it_never_has_to_refuse() -> None:
    with slack_running(rate=10.0, burst=2) as strict:
        async with channel(strict, paced=True, mode="messages") as team:
            team._desk.post_spacing = 0.1
            began = time.monotonic()
            outcomes = [await team.send(told("account.rejected", id=f"d{n}")) for n in range(8)]
            took = time.monotonic() - began
    assert outcomes == [Accepted("posted")] * 8
    assert strict.limited == 0
    assert 0.7 <= took < 3.0


@pytest.mark.anyio
async def test_edits_have_a_pace_of_their_own() -> None:
    with slack_running(rate=1000.0, burst=1000) as running:
        async with channel(running, paced=True) as board:
            board._desk.edit_spacing = 0.1
            shown = card_of(await board.refresh(card()))
            began = time.monotonic()
            for percent in (63, 64, 65, 66):
                shown = card_of(await board.refresh(replace(shown, tasks=(card_task(progress=percent),))))
            took = time.monotonic() - began
    assert 0.3 <= took < 2.0


@pytest.mark.anyio
async def test_the_pace_is_the_one_that_slack_documents(slack: Slack) -> None:
    async with channel(slack, paced=True) as board:
        assert (board.spacing, board.parallel) == (0.0, 1), "the lane needs to keep none"
        assert (board._desk.post_spacing, 60 / board._desk.edit_spacing) == (1.0, 50.0)


@pytest.mark.anyio
async def test_several_at_once_go_one_after_the_other(slack: Slack) -> None:
    async with channel(slack, mode="messages") as team:
        outcomes = await asyncio.gather(*(team.send(told("account.rejected", id=f"d{n}")) for n in range(5)))
    assert outcomes == [Accepted("posted")] * 5
    ids = [message.metadata["event_payload"]["id"] for message in slack.posted() if message.metadata]
    assert ids == [f"d{n}" for n in range(5)]


@pytest.mark.anyio
async def test_whoever_waits_behind_a_hang_has_all_its_time_left(slack: Slack) -> None:
    async with channel(slack, mode="messages", timeout=0.6) as team:
        slack.order("chat.postMessage", Fault(how="hang"), Fault(how="hang"))
        outcomes = await asyncio.gather(*(team.send(told("account.rejected", id=f"d{n}")) for n in range(3)))
    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown, Accepted]


@pytest.mark.anyio
async def test_what_only_waited_for_its_turn_was_surely_not_sent(slack: Slack) -> None:
    async with channel(slack, mode="messages", timeout=2.0) as team:
        assert await team.send(told("account.rejected")) == Accepted("posted")
        team._desk.post_spacing = 60.0
        assert await team.send(told("account.rejected")) == Retry("no answer within 2 s")


# ── the probe ──


@pytest.mark.anyio
@pytest.mark.parametrize("where", ["#ml", ML, "U012AB3CD"])
async def test_a_probe_looks_and_sends_nothing(slack: Slack, where: str) -> None:
    async with channel(slack, channel=where) as board:
        await board.probe()
    assert slack.posted() == []
    assert not slack.said("chat.postMessage")


@pytest.mark.anyio
async def test_a_probe_finds_a_channel_on_a_later_page(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slack_desk, "CHANNELS_A_PAGE", 1)
    async with channel(slack, channel="#secret") as board:
        await board.probe()
    assert len(slack.said("conversations.list")) == 2


async def _refused(slack: Slack, **more: Any) -> tuple[str, str]:
    async with channel(slack, **more) as board:
        with pytest.raises(WatcherError) as refused:
            await board.probe()
    assert TOKEN not in refused.value.message + refused.value.hint
    return refused.value.message, refused.value.hint


@pytest.mark.anyio
async def test_a_probe_says_what_is_wrong_with_the_channel(slack: Slack) -> None:
    message, hint = await _refused(slack, channel="#mll")
    assert message.startswith("channel board: Slack: channel_not_found: there is no #mll")
    assert hint == "mend channel, or invite the app there with /invite @watcher"
    slack.room("ml").member = False
    assert (await _refused(slack))[0] == "channel board: Slack: not_in_channel: the app isn't in #ml"
    slack.scopes |= {"chat:write.public"}
    async with channel(slack) as board:
        await board.probe()
    slack.room("ml").archived = True
    assert (await _refused(slack, channel=ML))[0].startswith("channel board: Slack: is_archived")


@pytest.mark.anyio
async def test_a_probe_says_what_is_wrong_with_the_token(slack: Slack) -> None:
    slack.order("auth.test", "token_revoked")
    message, hint = await _refused(slack)
    assert message == "channel board: Slack: token_revoked: the token was revoked, or the app was removed"
    assert hint.startswith("install the app in the workspace again")
    slack.scopes = frozenset({"channels:read"})
    assert "lacks the scope chat:write" in (await _refused(slack))[0]


@pytest.mark.anyio
async def test_a_probe_contents_itself_with_what_it_may_see(slack: Slack) -> None:
    slack.scopes = frozenset({"chat:write"})
    async with channel(slack) as board:
        await board.probe()
    slack.scopes = frozenset({"chat:write", "channels:read"})
    async with channel(slack, channel="#secret") as board:
        await board.probe()


@pytest.mark.anyio
async def test_a_probe_that_hangs_ends(slack: Slack) -> None:
    slack.order("auth.test", Fault(how="hang"))
    message, _ = await _refused(slack, timeout=0.3)
    assert "no answer" in message or "didn't answer" in message


# ── the way there ──


@needs_openssl
@pytest.mark.anyio
async def test_tls_is_verified_and_an_own_authority_can_be_named(tmp_path: Path) -> None:
    with slack_running() as slack:
        trusted = speak_tls(slack, tmp_path)  # type: ignore[arg-type]
        url = slack.url.replace("http://", "https://")
        async with channel(slack, url=url, ca_file=trusted, mode="messages") as team:
            assert await team.send(told("account.rejected")) == Accepted("posted")
        async with channel(slack, url=url, mode="messages") as team:
            outcome = await team.send(told("account.rejected"))
    assert isinstance(outcome, Retry)
    assert "certificate isn't trusted" in outcome.reason


@needs_openssl
@pytest.mark.anyio
async def test_https_goes_through_a_proxy_with_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with slack_running() as slack, tunnel() as (port, asked):
        trusted = speak_tls(slack, tmp_path)  # type: ignore[arg-type]
        url = slack.url.replace("http://", "https://")
        proxy = f"http://me:p%40ss@127.0.0.1:{port}"
        async with channel(slack, url=url, ca_file=trusted, proxy=proxy, mode="messages") as team:
            assert await team.send(told("account.rejected")) == Accepted("posted")
    (request,) = asked
    assert request.startswith(f"CONNECT 127.0.0.1:{slack.port} HTTP/1.")
    assert "Proxy-Authorization: Basic " + base64.b64encode(b"me:p@ss").decode() in request
    assert TOKEN not in request


@pytest.mark.anyio
async def test_a_proxy_of_the_environment_isnt_used(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with channel(slack, mode="messages") as team:
        assert await team.send(told("account.rejected")) == Accepted("posted")


@pytest.mark.parametrize("proxy", ["https://proxy.example:3128", "socks5://proxy:1080", "proxy:3128", "http://[::1"])
def test_a_proxy_that_cant_be_used_is_said_when_the_channel_is_made(slack: Slack, proxy: str) -> None:
    with pytest.raises(WatcherError) as refused:
        SlackChannel(setting(slack.url), redactor=Redactor(), proxy=proxy)
    assert refused.value.hint == "write http://HOST:PORT"


@contextmanager
def tunnel() -> Iterator[tuple[int, list[str]]]:
    """A proxy that connects whoever asks, and the heads of the requests that it got."""
    asked: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536)
            asked.append(head.decode())
            host, _, port = head.split(b" ")[1].decode().rpartition(":")
            upstream = socket.create_connection((host, int(port)))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for ends in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
