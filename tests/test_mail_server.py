"""Mails through a real server: sent by the channel, read back over IMAP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.channels import delivery, setting
from tests.support.mailserver import MailServer, mail_server, missing
from watcher.errors import WatcherError
from watcher.models import Accepted, Delivery, Event, Outcome, Refused, Retry
from watcher.notifier.channels import build_channel
from watcher.notifier.samples import sample_event
from watcher.redact import Redactor
from watcher.settings import Channel, load_settings
from watcher.settings.recipients import expand

if missing() and os.environ.get("CI") != "true":
    pytest.skip(missing(), allow_module_level=True)


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    if reason := missing():
        pytest.fail(reason)
    with mail_server() as made:
        yield made


async def sent(channel: Channel, *deliveries: Delivery, ca_file: str | None = None) -> list[Outcome]:
    built = build_channel(channel, redactor=Redactor(["hunter2hunter2"]), ca_file=ca_file)
    try:
        return [await built.send(each) for each in deliveries]
    finally:
        await built.aclose()


def named(name: str, type_: str = "task.succeeded") -> Event:
    event = sample_event(type_)
    return replace(event, subject={**(event.subject or {}), "name": name})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("who", "name"),
    [
        ("korean", "지원 봇 3판 🇰🇷 미세 조정"),
        ("japanese", "サポートボット第三版の学習とその評価と再学習とその評価"),
        ("emoji", "👨‍👩‍👧‍👦 bot 🏴󠁧󠁢󠁳󠁣󠁴󠁿"),
        ("hostile", "=?utf-8?q?x?= <script>alert(1)</script>"),
    ],
)
async def test_a_name_is_read_back_as_it_was(server: MailServer, who: str, name: str) -> None:
    address = f"{who}@example.com"
    url = server.url(address)
    assert await sent(setting(url), delivery(named(name)), ca_file=server.ca_file) == [Accepted("accepted")]
    (mail,) = server.arrived(address, 1)
    said = f"✔ {name} is ready · loss 0.41 · trained 3 h 05 m"
    assert mail["Subject"].replace("\u200b", "") == said
    assert mail.get_body(("plain",)).get_content().splitlines()[0].replace("\u200b", "") == said  # type: ignore[union-attr]
    assert "<script>" not in mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert mail.defects == []


@pytest.mark.anyio
async def test_a_mail_client_sees_one_thread_per_task_and_the_delivery_ids(server: MailServer) -> None:
    url = server.open_url("thread@example.com")
    other = replace(sample_event("task.started"), task="abcd1234")
    story = [delivery("task.started", id="dlv-1"), delivery("task.failed", id="dlv-2"), delivery(other, id="dlv-3")]
    assert await sent(setting(url), *story) == [Accepted("accepted")] * 3
    mails = {mail["Message-ID"]: mail for mail in server.arrived("thread@example.com", 3)}
    threads = {name: mail["References"] for name, mail in mails.items()}
    assert set(mails) == {f"<dlv-{number}@example.com>" for number in (1, 2, 3)}
    assert threads["<dlv-1@example.com>"] == threads["<dlv-2@example.com>"] != threads["<dlv-3@example.com>"]
    assert all(mail["In-Reply-To"] == mail["References"] for mail in mails.values())


@pytest.mark.anyio
async def test_each_of_two_recipients_gets_a_mail_of_their_own(server: MailServer, tmp_path: Path) -> None:
    file = tmp_path / "watcher.yaml"
    written = {"tasks": ["czf9fbky"], "channels": {"mail": server.open_url("one@example.com", "two@example.com")}}
    file.write_text(yaml.safe_dump(written))
    settings = expand(load_settings([str(file)], env={"CLOVA_API_KEY": "nv-key"}))
    for number, channel in enumerate(settings.channels.values()):
        assert await sent(channel, delivery(id=f"dlv-{number}")) == [Accepted("accepted")]
    found = [server.arrived(f"{who}@example.com", 1) for who in ("one", "two")]
    assert list(settings.channels) == ["mail.one", "mail.two"]
    assert [[(mail["To"], mail["Message-ID"]) for mail in mails] for mails in found] == [
        [("one@example.com", "<dlv-0@example.com>")],
        [("two@example.com", "<dlv-1@example.com>")],
    ]


@pytest.mark.anyio
async def test_probing_names_what_helps_where_the_certificate_isnt_trusted(server: MailServer) -> None:
    built = build_channel(setting(server.url("nobody@example.com")), redactor=Redactor())
    with pytest.raises(WatcherError, match="its certificate isn't trusted") as raised:
        await built.probe()
    await built.aclose()
    assert raised.value.hint == "renew the certificate, or name its authority with ca_file"


@pytest.mark.anyio
async def test_a_wrong_password_is_tried_again_and_found_by_probing(server: MailServer) -> None:
    channel = setting(server.url("nobody@example.com", password="wrong"))
    (outcome,) = await sent(channel, delivery(), ca_file=server.ca_file)
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("SMTP 535 at AUTH")
    built = build_channel(channel, redactor=Redactor(), ca_file=server.ca_file)
    with pytest.raises(WatcherError, match="channel team: SMTP 535 at AUTH"):
        await built.probe()
    await built.aclose()
    assert server.inbox("nobody@example.com") == []


@pytest.mark.anyio
async def test_a_recipient_whom_the_server_refuses_is_refused(server: MailServer) -> None:
    (outcome,) = await sent(setting(server.open_url("jiwon@elsewhere.example")), delivery())
    assert isinstance(outcome, Refused)
    assert outcome.reason.startswith("SMTP 550 at RCPT")


@pytest.mark.anyio
async def test_a_certificate_of_nobody_known_is_no_place_for_a_password(server: MailServer) -> None:
    (outcome,) = await sent(setting(server.url("nobody@example.com")), delivery())
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("its certificate isn't trusted")


@pytest.mark.anyio
async def test_probing_logs_in_and_sends_nothing(server: MailServer) -> None:
    built: Any = build_channel(setting(server.url("probe@example.com")), redactor=Redactor(), ca_file=server.ca_file)
    await built.probe()
    await built.aclose()
    assert server.inbox("probe@example.com") == []


@pytest.mark.anyio
async def test_mail_goes_straight_to_its_server_since_a_proxy_carries_none(server: MailServer) -> None:
    built = build_channel(
        setting(server.open_url("direct@example.com")), redactor=Redactor(), proxy="http://127.0.0.1:9"
    )
    assert await built.send(delivery()) == Accepted("accepted")
    await built.aclose()
    assert len(server.arrived("direct@example.com", 1)) == 1
