"""Native webhooks: what is sent, and what each answer means."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.support.channels import delivery, setting
from tests.support.http import Receiver, Reply, free_port, receiving
from tests.support.tls import needs_openssl, speak_tls
from watcher.errors import WatcherError
from watcher.models import Accepted, Outcome, Refused, Retry, Unknown
from watcher.notifier.channels import build_channel, channel_kind
from watcher.notifier.channels.outcomes import parse_retry_after
from watcher.notifier.channels.webhook import WebhookChannel
from watcher.redact import Redactor

SECRETS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@asynccontextmanager
async def webhook(url: str, *, name: str = "team", secret: Any = (), **more: Any) -> AsyncIterator[Any]:
    options = {"redactor": Redactor(), "timeout": more.pop("patience", 5.0)} | more
    channel = WebhookChannel(setting(url, name=name, secret=secret), **options)
    try:
        yield channel
    finally:
        await channel.aclose()


async def sent_to(receiver: Receiver, **more: Any) -> Outcome:
    async with webhook(f"{receiver.url}/hook", **more) as channel:
        outcome: Outcome = await channel.send(delivery())
        return outcome


@pytest.mark.anyio
async def test_the_event_arrives_as_a_cloud_event_with_the_delivery_id_and_a_valid_signature_for_each_secret() -> None:
    with receiving() as receiver:
        assert await sent_to(receiver, secret=SECRETS) == Accepted("HTTP 200")
    (seen,) = receiver.seen
    body = json.loads(seen.body)
    assert (seen.method, seen.path, seen.headers["content-type"]) == ("POST", "/hook", "application/cloudevents+json")
    assert (body["specversion"], body["type"], body["subject"]) == ("1.0", "task.failed", "czf9fbky")
    assert body["data"]["task"]["name"] == "support-bot v3"
    assert seen.headers["webhook-id"] == "dlv-7"
    assert len(seen.headers["webhook-signature"].split(" ")) == 2
    for secret in SECRETS:
        assert Webhook(secret).verify(seen.body, seen.headers)["id"] == "sample"


@pytest.mark.anyio
async def test_without_a_secret_there_is_an_id_and_a_time_but_no_signature() -> None:
    with receiving() as receiver:
        await sent_to(receiver)
    headers = receiver.seen[0].headers
    assert headers["webhook-id"] == "dlv-7"
    assert headers["webhook-timestamp"].isdigit()
    assert "webhook-signature" not in headers


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Accepted) for status in (200, 201, 202, 204, 299)),
        *((status, Refused) for status in (400, 410, 413, 422)),
        *((status, Retry) for status in (301, 302, 307, 401, 403, 404, 405, 408, 409, 425, 429, 500, 502, 503, 504)),
    ],
)
async def test_each_status_accepts_refuses_or_asks_for_another_try(status: int, kind: type) -> None:
    with receiving(Reply(status, {"Location": "/elsewhere"} if 300 <= status < 400 else {})) as receiver:
        assert isinstance(await sent_to(receiver), kind)
    assert [seen.path for seen in receiver.seen] == ["/hook"]


@pytest.mark.anyio
async def test_the_reason_of_a_no_quotes_the_answer_without_secrets_and_control_characters() -> None:
    with receiving(Reply(503, body=b"no \x1b[31msecret-token-1\n" + b"x" * 100_000)) as receiver:
        outcome = await sent_to(receiver, redactor=Redactor(["secret-token-1"]))
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("HTTP 503: no ␛[31m*** xxx")
    assert len(outcome.reason) < 230


@pytest.mark.anyio
async def test_retry_after_is_passed_on() -> None:
    with receiving(Reply(429, {"Retry-After": "17"})) as receiver:
        outcome = await sent_to(receiver)
    assert isinstance(outcome, Retry)
    assert outcome.after == 17.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("86400", 3600.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW + timedelta(days=2), usegmt=True), 3600.0),
        (format_datetime(NOW - timedelta(days=2), usegmt=True), 0.0),
        ("1e400", 3600.0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("Wed, 99 Foo 2026", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_an_hour(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["hang", "reset"])
async def test_silence_or_a_break_after_the_request_went_out_is_unknown(how: str) -> None:
    with receiving(Reply(how=how)) as receiver:
        assert isinstance(await sent_to(receiver, patience=0.5), Unknown)
    assert len(receiver.seen) == 1


@pytest.mark.anyio
async def test_where_nobody_listens_it_is_tried_again() -> None:
    async with webhook(f"http://127.0.0.1:{free_port()}/hook") as channel:
        assert await channel.send(delivery()) == Retry("nothing listens at its address")


@pytest.mark.anyio
async def test_a_connection_that_never_comes_about_is_tried_again() -> None:
    with socket.socket() as silent:  # accepts into the backlog, but never speaks TLS
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        async with webhook(f"https://127.0.0.1:{silent.getsockname()[1]}/hook", patience=0.3) as channel:
            assert await channel.send(delivery()) == Retry("no answer within 0.3 s")


@pytest.mark.anyio
async def test_a_status_counts_even_when_the_body_never_ends() -> None:
    with receiving(Reply(200, how="stall")) as receiver:
        async with webhook(receiver.url, patience=20) as channel:
            assert await channel.send(delivery()) == Accepted("HTTP 200")


@pytest.mark.anyio
async def test_only_the_configured_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with receiving() as receiver, receiving() as proxy:
        assert await sent_to(receiver) == Accepted("HTTP 200")
        async with webhook("http://ci.invalid/hook", proxy=proxy.url) as channel:
            await channel.probe()
            assert await channel.send(delivery()) == Accepted("HTTP 200")
    assert [seen.path for seen in proxy.seen] == ["http://ci.invalid/hook"]


@pytest.mark.anyio
async def test_eight_deliveries_share_the_client_at_once() -> None:
    with receiving() as receiver:
        async with webhook(receiver.url) as channel:
            outcomes = await asyncio.gather(*(channel.send(delivery(id=f"dlv-{n}")) for n in range(channel.parallel)))
    assert outcomes == [Accepted("HTTP 200")] * 8
    assert len({seen.headers["webhook-id"] for seen in receiver.seen}) == 8


@pytest.mark.anyio
async def test_probing_reaches_the_server_and_sends_nothing() -> None:
    with receiving() as receiver:
        async with webhook(receiver.url) as channel:
            await channel.probe()
    assert receiver.seen == []


@pytest.mark.anyio
async def test_probing_says_what_is_wrong_and_never_the_address() -> None:
    async with webhook(f"http://127.0.0.1:{free_port()}/hook/token-123", name="ci") as channel:
        with pytest.raises(WatcherError) as raised:
            await channel.probe()
    assert str(raised.value) == "channel ci: nothing listens at its address"
    assert "127.0.0.1" not in raised.value.hint


@pytest.mark.parametrize(
    ("url", "more", "kind"),
    [
        ("http://hooks.slack.com/services/T0123ABCD/B0123ABCD/abcdefghijklmnopqrstuvwx", {}, "webhook"),
        ("https://hooks.slack.com/services/T0123ABCD/B0123ABCD/abcdefghijklmnopqrstuvwx", {}, "chat"),
        ("https://discord.com/api/webhooks/123456789012345678/" + "a" * 60, {}, "chat"),
        ("https://chat.googleapis.com/v1/spaces/AAA/messages?key=k&token=t", {}, "chat"),
        ("https://ci.example.com/hooks/clova", {}, "webhook"),
        ("https://ci.example.com/notify/abc", {"secret": SECRETS[0]}, "webhook"),
        ("https://127.0.0.1:8443/notify/abc", {}, "webhook"),
        ("https://[::1]/notify/abc", {}, "webhook"),
        ("mailtos://u:p@example.com", {}, "mail"),
        ("mailto://u:p@example.com", {}, "mail"),
        ("json://127.0.0.1/x", {}, "chat"),
        ("console://", {}, "console"),
    ],
)
def test_the_address_says_what_kind_of_channel_it_is(url: str, more: dict[str, Any], kind: str) -> None:
    assert channel_kind(setting(url, **more)) == kind


@pytest.mark.anyio
async def test_a_webhook_needs_no_apprise() -> None:
    code = (
        "import sys\n"
        "from tests.support.channels import setting\n"
        "from watcher.redact import Redactor\n"
        "from watcher.notifier.channels import build_channel\n"
        "build_channel(setting('https://127.0.0.1/x'), redactor=Redactor())\n"
        "sys.exit('apprise' in sys.modules or 'requests' in sys.modules)\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


def test_a_ca_file_that_cannot_be_read_is_said_at_load() -> None:
    with pytest.raises(WatcherError, match="channel team: ca_file can't be used: No such file"):
        build_channel(setting("https://127.0.0.1/x"), redactor=Redactor(), ca_file="/nowhere/ca.pem")


@needs_openssl
@pytest.mark.anyio
async def test_https_is_trusted_with_the_ca_file_and_only_with_it(tmp_path: Path) -> None:
    with receiving() as receiver:
        ca_file = speak_tls(receiver, tmp_path)
        url = f"https://127.0.0.1:{receiver.port}/hook"
        async with webhook(url, ca_file=ca_file) as channel:
            await channel.probe()
            assert await channel.send(delivery()) == Accepted("HTTP 200")
        async with webhook(url) as channel:
            outcome = await channel.send(delivery())
            with pytest.raises(WatcherError, match="channel team: its certificate isn't trusted"):
                await channel.probe()
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("its certificate isn't trusted")
    assert len(receiver.seen) == 1
