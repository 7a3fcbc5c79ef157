"""Chats and mail through apprise: real servers on loopback, and what they got."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import logging
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.support.channels import delivery, setting
from tests.support.http import Receiver, Reply, free_port, receiving
from tests.support.tls import needs_openssl, speak_tls
from tests.support.upstream import until
from watcher.errors import WatcherError
from watcher.models import Accepted, Event, Outcome, Refused, Retry, Unknown
from watcher.notifier.channels import apprise, build_channel
from watcher.notifier.channels.chat import AppriseChannel
from watcher.notifier.channels.outcomes import of_attempt
from watcher.notifier.channels.recorder import Attempt, Connections
from watcher.notifier.samples import sample_event
from watcher.redact import Redactor

TOKEN = "abcdefghijklmnop1234567890"
ZWSP = "\u200b"


@asynccontextmanager
async def channel(url: str, **more: Any) -> AsyncIterator[Any]:
    built = build_channel(setting(url), redactor=Redactor([TOKEN, "hunter2hunter2"]), **more)
    try:
        yield built
    finally:
        await built.aclose()


async def sent(url: str, event: Event | str = "task.failed") -> Outcome:
    async with channel(url) as built:
        outcome: Outcome = await built.send(delivery(event))
        return outcome


def mattermost(receiver: Receiver) -> str:
    return f"mmost://127.0.0.1:{receiver.port}/{TOKEN}"


def named(name: str) -> Event:
    event = sample_event("task.succeeded")
    return replace(event, subject={**(event.subject or {}), "name": name})


# Chats.


@pytest.mark.anyio
async def test_a_chat_gets_the_first_line_first() -> None:
    with receiving() as receiver:
        assert await sent(mattermost(receiver)) == Accepted("HTTP 200")
    (seen,) = receiver.seen
    text = json.loads(seen.body)["text"]
    assert seen.path == f"/hooks/{TOKEN}"
    assert text.splitlines()[0] == "✖ support-bot v3 failed: Invalid dataset: required field empty. Completion"


@pytest.mark.anyio
async def test_messages_that_follow_one_another_share_a_connection() -> None:
    with receiving() as receiver:
        async with channel(mattermost(receiver)) as built:
            for _ in range(3):
                assert await built.send(delivery("task.failed")) == Accepted("HTTP 200")
    assert (len(receiver.seen), receiver.connections) == (3, 1)


@pytest.mark.anyio
async def test_after_a_silence_no_old_connection_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connections, "IDLE", 0.0)
    with receiving() as receiver:
        async with channel(mattermost(receiver)) as built:
            for _ in range(2):
                assert await built.send(delivery("task.failed")) == Accepted("HTTP 200")
    assert receiver.connections == 2


@pytest.mark.anyio
async def test_a_server_that_hangs_up_after_its_answer_gets_the_next_message_all_the_same() -> None:
    with receiving(Reply(how="close")) as receiver:
        async with channel(mattermost(receiver)) as built:
            for number in (1, 2, 3):
                assert await built.send(delivery("task.failed")) == Accepted("HTTP 200")
                await until(lambda number=number: receiver.closed == number)
    assert (len(receiver.seen), receiver.connections) == (3, 3)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Refused) for status in (400, 410, 413, 422)),
        *((status, Retry) for status in (301, 302, 303, 307, 308, 401, 403, 404, 429, 500, 502, 503)),
    ],
)
async def test_each_status_of_a_chat_refuses_or_asks_for_another_try(status: int, kind: type) -> None:
    with receiving(Reply(status, {"Location": "/ok"} if 300 <= status < 400 else {})) as receiver:
        assert isinstance(await sent(mattermost(receiver)), kind)
    assert len(receiver.seen) == 1


@pytest.mark.anyio
async def test_a_redirect_is_never_a_success() -> None:
    with receiving(Reply(302, {"Location": "/landing"}), Reply(200)) as receiver:
        assert isinstance(await sent(f"json://127.0.0.1:{receiver.port}/hook?redirect=yes"), Retry)
    assert [seen.path for seen in receiver.seen] == ["/hook"]


@pytest.mark.anyio
async def test_retry_after_of_a_chat_is_passed_on() -> None:
    with receiving(Reply(429, {"Retry-After": "21"}, b"slow down")) as receiver:
        assert await sent(mattermost(receiver)) == Retry("HTTP 429: slow down", 21.0)


@pytest.mark.anyio
async def test_reasons_hold_no_secret() -> None:
    with receiving(Reply(500, body=f"cannot POST /hooks/{TOKEN}".encode())) as receiver:
        assert await sent(mattermost(receiver)) == Retry("HTTP 500: cannot POST /hooks/***")


@pytest.mark.anyio
async def test_where_no_chat_listens_it_is_tried_again() -> None:
    assert await sent(f"mmost://127.0.0.1:{free_port()}/{TOKEN}") == Retry("nothing listens at its address")


@pytest.mark.anyio
async def test_a_chat_that_breaks_after_the_message_is_unknown() -> None:
    with receiving(Reply(how="reset")) as receiver:
        assert isinstance(await sent(mattermost(receiver)), Unknown)


@pytest.mark.anyio
async def test_a_chat_that_hangs_is_given_up_and_the_next_message_isnt_held_up() -> None:
    with receiving(Reply(how="hang"), Reply(200)) as receiver:
        built = AppriseChannel(setting(mattermost(receiver)), kind="chat", redactor=Redactor(), timeout=0.5)
        assert await built.send(delivery()) == Unknown("not done after 0.5 s")
        assert await built.send(delivery()) == Accepted("HTTP 200")
        await built.aclose()


HOSTILE = "*b* @everyone <!channel> <users/all> <@U012> [a](http://x) `c` <b>&amp; \x1b[31m"


@pytest.mark.anyio
async def test_hostile_names_call_nobody_and_format_nothing_where_markdown_is_read() -> None:
    with receiving() as receiver:
        await sent(mattermost(receiver), named(HOSTILE))
    text = json.loads(receiver.seen[0].body)["text"].splitlines()[0]
    assert text.startswith(
        f"✔ \\*b\\* @{ZWSP}everyone <{ZWSP}!channel> <{ZWSP}users/all> <{ZWSP}@{ZWSP}U012> \\[a\\](http://x) \\`c\\`"
    )
    assert "\x1b" not in text


@pytest.mark.anyio
async def test_hostile_names_are_shown_literally_where_plain_text_is_read() -> None:
    with receiving() as receiver:
        await sent(f"json://127.0.0.1:{receiver.port}/x", named(HOSTILE))
    title = json.loads(receiver.seen[0].body)["title"]
    assert title.replace(ZWSP, "").startswith("✔ *b* @everyone <!channel> <users/all> <@U012> [a](http://x) `c` <b>")
    assert "@everyone" not in title
    assert "<!channel>" not in title


@pytest.mark.anyio
async def test_the_service_learns_how_grave_it_is() -> None:
    with receiving() as receiver:
        await sent(f"json://127.0.0.1:{receiver.port}/x", "task.requeued")
    assert json.loads(receiver.seen[0].body)["type"] == "warning"


@pytest.mark.anyio
async def test_the_options_in_an_address_cannot_hide_a_failure() -> None:
    with receiving(Reply(503)) as receiver:
        assert isinstance(await sent(f"{mattermost(receiver)}?retry=5&optional=yes&overflow=split"), Retry)
    assert len(receiver.seen) == 1


@pytest.mark.anyio
async def test_probing_a_chat_sends_nothing() -> None:
    with receiving() as receiver:
        async with channel(mattermost(receiver)) as built:
            await built.probe()
    assert receiver.seen == []


@pytest.mark.anyio
async def test_probing_a_chat_that_isnt_there_says_so() -> None:
    async with channel(f"mmost://127.0.0.1:{free_port()}/{TOKEN}") as built:
        with pytest.raises(WatcherError, match=r"^channel team: nothing listens at its address$"):
            await built.probe()


@pytest.mark.anyio
async def test_a_netrc_replaces_nothing(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login intruder password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with receiving() as receiver:
        await sent(f"json://127.0.0.1:{receiver.port}/x")
    assert "authorization" not in receiver.seen[0].headers


@pytest.mark.anyio
async def test_the_environments_proxies_are_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    with receiving() as receiver:
        assert await sent(mattermost(receiver)) == Accepted("HTTP 200")


@pytest.mark.anyio
async def test_a_message_that_was_lost_behind_the_proxy_may_have_arrived() -> None:
    with receiving(Reply(how="reset")) as proxy:
        async with channel(f"mmost://chat.invalid/{TOKEN}", proxy=proxy.url) as built:
            outcome = await built.send(delivery())
    assert isinstance(outcome, Unknown)
    assert len(proxy.seen) == 1


@pytest.mark.anyio
async def test_where_no_proxy_listens_nothing_was_sent() -> None:
    async with channel(f"mmost://chat.invalid/{TOKEN}", proxy=f"http://127.0.0.1:{free_port()}") as built:
        assert isinstance(await built.send(delivery()), Retry)


@pytest.mark.anyio
async def test_the_configured_proxy_is_used() -> None:
    with receiving() as proxy:
        async with channel(f"mmost://chat.invalid/{TOKEN}", proxy=proxy.url) as built:
            assert await built.send(delivery()) == Accepted("HTTP 200")
    assert proxy.seen[0].path == f"http://chat.invalid/hooks/{TOKEN}"


@pytest.mark.anyio
async def test_apprise_logs_nothing_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receiving(Reply(500)) as receiver:
        await sent(mattermost(receiver))
    assert TOKEN not in caplog.text


# Addresses that are wrong.


@pytest.mark.parametrize(
    ("url", "message", "hint"),
    [
        ("slakc://T/B/C", "channel team: no service has addresses that start slakc://", "did you mean slack://?"),
        ("slack://nonsense", "channel team: Slack doesn't take this address", "https://appriseit.com/services/slack/"),
        ("mailto://u:p@example.com?too=a@example.com", "E-Mail knows no argument too", "did you mean to?"),
        ("mailto://u:p@example.com/a@x.com/b@x.com", "channel team: its address has 2 recipients", "one channel per"),
        ("mailto://u:p@example.com?to=a@x.com&cc=b@x.com", "channel team: its address has 2 recipients", "one channel"),
        ("mailto://u:p@example.com?to=nobody", "channel team: its address names no recipient", "write ?to="),
    ],
)
def test_an_address_that_is_wrong_is_said_at_load_without_its_secrets(url: str, message: str, hint: str) -> None:
    with pytest.raises(WatcherError) as raised:
        build_channel(setting(url), redactor=Redactor())
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_a_token_in_a_malformed_address_is_not_repeated() -> None:
    with pytest.raises(WatcherError) as raised:
        build_channel(setting(f"discord://{TOKEN}"), redactor=Redactor())
    assert TOKEN not in f"{raised.value.message} {raised.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com/services/T0123ABCD/B0123ABCD/abcdefghijklmnopqrstuvwx",
        "https://discord.com/api/webhooks/123456789012345678/" + "a" * 68,
        "https://chat.googleapis.com/v1/spaces/AAAA/messages?key=abc&token=def",
        "mailtos://user:pass@example.com?to=a@example.com&from=me@example.com&name=Watcher&smtp=smtp.example.com&mode=ssl",
        "mailto://user:pass@example.com:2525/a@example.com?verify=no&rto=5&cto=5",
        "tgram://123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI/12345?silent=yes&preview=no",
        "ntfy://topic?priority=high&tags=warning",
        "json://127.0.0.1/x?method=put&+X-Header=1&:field=2",
    ],
)
def test_addresses_as_their_services_document_them_load(url: str) -> None:
    assert build_channel(setting(url), redactor=Redactor()).name == "team"


# Mail.


class Mailbox:
    """Takes every mail, or says no at one stage."""

    def __init__(self, **answers: str) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self._answers = answers

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if "mail" in self._answers:
            return self._answers["mail"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if "rcpt" in self._answers:
            return self._answers["rcpt"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if "data" in self._answers:
            if self._answers["data"] == "break":
                server.transport.abort()
            return self._answers["data"]
        self.recipients += envelope.rcpt_tos
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@contextmanager
def mail_server(mailbox: Mailbox) -> Iterator[str]:
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port(), ident="test")
    controller.start()
    try:
        yield f"mailto://127.0.0.1:{controller.port}?to=jiwon@example.com&from=watcher@example.com&mode=insecure"
    finally:
        controller.stop()


@pytest.mark.anyio
async def test_a_mail_arrives_with_text_html_and_the_delivery_id_as_its_message_id() -> None:
    mailbox = Mailbox()
    with mail_server(mailbox) as url:
        assert await sent(url) == Accepted("accepted")
    (mail,) = mailbox.mails
    text = mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    html = mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert mailbox.recipients == ["jiwon@example.com"]
    assert mail["Subject"] == "✖ support-bot v3 failed: Invalid dataset: required field empty. Completion"
    assert mail["Message-ID"] == "<dlv-7@example.com>"
    assert text.splitlines()[0] == mail["Subject"]
    assert "Reason: file.format" in text
    assert "<strong>✖ support-bot v3 failed" in html


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("type_", "threaded"), [("task.failed", True), ("account.rejected", True), ("watcher.started", False)]
)
async def test_mails_about_one_thing_are_a_thread_and_the_watchers_own_stand_alone(type_: str, threaded: bool) -> None:
    mailbox = Mailbox()
    with mail_server(mailbox) as url:
        assert await sent(url, type_) == Accepted("accepted")
    assert ("References" in mailbox.mails[0]) is threaded


@pytest.mark.anyio
async def test_mails_follow_each_other_at_once() -> None:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox()
    with mail_server(mailbox) as url:
        async with channel(url) as built:
            start = loop.time()
            for number in range(3):
                assert await built.send(delivery(id=f"dlv-{number}")) == Accepted("accepted")
    assert loop.time() - start < 5  # apprise on its own waits 5.5 s between two
    assert [mail["Message-ID"] for mail in mailbox.mails] == [f"<dlv-{n}@example.com>" for n in range(3)]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["지원 봇 3판 🇰🇷 미세 조정", "サポートボット第三版の学習"])
async def test_subjects_in_korean_and_japanese_arrive_whole(name: str) -> None:
    mailbox = Mailbox()
    with mail_server(mailbox) as url:
        await sent(url, named(name))
    assert mailbox.mails[0]["Subject"] == f"✔ {name} is ready · loss 0.41 · trained 3 h 05 m"


@pytest.mark.anyio
async def test_a_name_that_looks_like_headers_and_html_stays_a_name() -> None:
    mailbox = Mailbox()
    with mail_server(mailbox) as url:
        await sent(url, named("x\r\nBcc: spy@example.com\r\n\r\n<script>alert(1)</script>"))
    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("✔ x Bcc: spy@example.com <script>alert(1)</script> is ready")
    assert "<script>" not in mail.get_body(("html",)).get_content()  # type: ignore[union-attr]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ({"mail": "451 busy"}, Retry("SMTP 451 at MAIL: busy")),
        ({"mail": "530 log in first"}, Retry("SMTP 530 at MAIL: log in first")),
        ({"rcpt": "450 greylisted"}, Retry("SMTP 450 at RCPT: greylisted")),
        ({"rcpt": "550 no such user"}, Refused("SMTP 550 at RCPT: no such user")),
        ({"data": "452 disk full"}, Retry("SMTP 452 at CONTENT: disk full")),
        ({"data": "554 looks like spam"}, Refused("SMTP 554 at CONTENT: looks like spam")),
        ({"data": "break"}, Unknown("the connection broke after the mail was sent")),
    ],
)
async def test_each_no_of_a_mail_server_means_what_it_says(answers: dict[str, str], outcome: Outcome) -> None:
    with mail_server(Mailbox(**answers)) as url:
        assert await sent(url) == outcome


@pytest.mark.anyio
async def test_where_no_mail_server_listens_it_is_tried_again() -> None:
    url = f"mailto://127.0.0.1:{free_port()}?to=a@example.com&from=b@example.com&mode=insecure"
    assert await sent(url) == Retry("nothing listens at its address")


@pytest.mark.anyio
async def test_a_mail_server_without_tls_is_not_sent_a_password() -> None:
    mailbox = Mailbox()
    with mail_server(mailbox) as url:
        outcome = await sent(url.replace("mode=insecure", "mode=starttls").replace("://", "://u:hunter2hunter2@"))
    assert isinstance(outcome, Retry)
    assert "STARTTLS" in outcome.reason
    assert mailbox.mails == []


@pytest.mark.anyio
async def test_probing_mail_greets_the_server_and_sends_nothing() -> None:
    mailbox = Mailbox(mail="550 never")
    with mail_server(mailbox) as url:
        async with channel(url) as built:
            await built.probe()
            built_name = built.name
    assert (built_name, mailbox.mails) == ("team", [])


@pytest.mark.anyio
async def test_a_refused_login_is_found_by_probing_and_retried_by_sending() -> None:
    controller = Controller(
        Mailbox(), hostname="127.0.0.1", port=free_port(), auth_require_tls=False, authenticator=_nobody
    )
    controller.start()
    url = f"mailto://u:hunter2hunter2@127.0.0.1:{controller.port}?to=a@x.com&from=b@x.com&mode=insecure"
    try:
        outcome = await sent(url)
        async with channel(url) as built:
            with pytest.raises(WatcherError, match="channel team: SMTP 535 at AUTH") as raised:
                await built.probe()
    finally:
        controller.stop()
    assert isinstance(outcome, Retry)
    assert "hunter2" not in f"{outcome.reason}{raised.value.message}{raised.value.hint}"


def _nobody(*_args: Any) -> Any:
    from aiosmtpd.smtp import AuthResult

    return AuthResult(success=False, handled=False)


def test_the_hooks_leave_other_users_of_smtplib_alone() -> None:
    mailbox = Mailbox()
    with mail_server(mailbox) as url, smtplib.SMTP("127.0.0.1", int(url.split(":")[2].partition("?")[0])) as smtp:
        smtp.sendmail("a@x.com", ["b@x.com"], "Subject: hello\r\n\r\nbody")
    assert mailbox.mails[0]["Subject"] == "hello"


@pytest.mark.anyio
async def test_a_mail_server_that_never_greets_didnt_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise, "READ_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        outcome = await sent(f"mailto://127.0.0.1:{port}?to=a@x.com&from=b@x.com&mode=insecure")
    assert outcome == Retry("it didn't answer in time")


@needs_openssl
@pytest.mark.anyio
async def test_chats_over_https_are_trusted_with_the_ca_file_and_only_with_it(tmp_path: Path) -> None:
    with receiving() as receiver:
        ca_file = speak_tls(receiver, tmp_path)
        url = f"mmosts://127.0.0.1:{receiver.port}/{TOKEN}"
        async with channel(url, ca_file=ca_file) as built:
            await built.probe()
            assert await built.send(delivery()) == Accepted("HTTP 200")
        outcome = await sent(url)
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("its certificate isn't trusted")
    assert len(receiver.seen) == 1


@pytest.mark.parametrize(
    ("statuses", "done", "outcome"),
    [
        ([200], True, Accepted("HTTP 200")),
        ([200, 404], True, Accepted("HTTP 404")),  # a farewell after the message
        ([301], True, Retry("HTTP 301: the address has moved, and redirects aren't followed")),
        ([200], False, Retry("HTTP 200, but the service says no: said")),
        ([400], False, Refused("HTTP 400: said")),
        ([200, 400], False, Retry("HTTP 400: said")),  # a login, a look-up or the message: it can't be told
        ([], True, Accepted("accepted")),
        ([], False, Unknown("the service didn't confirm it")),
    ],
)
def test_apprises_yes_and_no_are_read_together_with_the_wire(statuses: list[int], done: bool, outcome: Outcome) -> None:
    attempt = Attempt(ssl.create_default_context(), statuses=statuses, body="said")
    assert of_attempt(attempt, done, str) == outcome
