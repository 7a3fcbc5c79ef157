"""MQTT through apprise, with Debian's broker: what is sent is read back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.channels import delivery, setting
from tests.support.mqtt import Broker, broker, missing
from tests.support.upstream import raw_server
from watcher.errors import WatcherError
from watcher.models import Accepted, Retry, Unknown
from watcher.notifier.channels import build_channel
from watcher.notifier.samples import sample_event
from watcher.redact import Redactor

if missing() and os.environ.get("CI") != "true":
    pytest.skip(missing(), allow_module_level=True)

TOPIC = "lab/tuning"


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    if reason := missing():
        pytest.fail(reason)
    with broker(tmp_path) as made:
        yield made


@asynccontextmanager
async def channel(url: str, ca_file: str | None = None) -> AsyncIterator[Any]:
    built = build_channel(setting(url), redactor=Redactor(["hunter2hunter2"]), ca_file=ca_file)
    try:
        yield built
    finally:
        await built.aclose()


@pytest.mark.anyio
async def test_a_message_reaches_who_listens_as_plain_text(mosquitto: Broker) -> None:
    event = sample_event("task.succeeded")
    hostile = replace(event, subject={**(event.subject or {}), "name": "지원 봇 @everyone <b>\x1b[31m*x*"})
    async with channel(mosquitto.url(TOPIC)) as built:
        with mosquitto.subscriber(TOPIC) as heard:
            assert await built.send(delivery(hostile)) == Accepted("accepted")
            lines = heard.get(timeout=10).splitlines()
    assert lines[0].replace("\u200b", "") == "✔ 지원 봇 @everyone <b>␛[31m*x* is ready · loss 0.41 · trained 3 h 05 m"
    assert len(lines) > 1


@pytest.mark.anyio
async def test_messages_come_in_order_and_once(mosquitto: Broker) -> None:
    async with channel(mosquitto.url(TOPIC)) as built:
        with mosquitto.subscriber(TOPIC) as heard:
            for event in ("task.started", "task.progress", "task.succeeded"):
                assert await built.send(delivery(event)) == Accepted("accepted")
            icons = [heard.get(timeout=10)[0] for _ in range(3)]
            assert heard.empty()
    assert icons == ["▶", "◐", "✔"]


@pytest.mark.anyio
async def test_while_the_broker_is_down_it_waits_and_then_comes_once(mosquitto: Broker) -> None:
    async with channel(mosquitto.url(TOPIC)) as built:
        mosquitto.stop()
        for _ in range(3):
            assert await built.send(delivery()) == Retry("nothing listens at its address")
        mosquitto.start()
        with mosquitto.subscriber(TOPIC) as heard:
            assert await built.send(delivery()) == Accepted("accepted")
            assert await built.send(delivery("task.started")) == Accepted("accepted")
            icons = [heard.get(timeout=10)[0] for _ in range(2)]
            assert heard.empty()
    assert icons == ["✖", "▶"]


@pytest.mark.anyio
async def test_a_wrong_password_is_told_and_costs_no_message(mosquitto: Broker) -> None:
    async with channel(mosquitto.url(TOPIC, password="wrong")) as built:
        outcome = await built.send(delivery())
        with pytest.raises(WatcherError, match="channel team: the broker refuses us: Not authorized") as raised:
            await built.probe()
    assert outcome == Retry("the broker refuses us: Not authorized")
    assert "password" in raised.value.hint
    async with channel(mosquitto.url(TOPIC)) as built:
        with mosquitto.subscriber(TOPIC) as heard:
            await built.probe()
            assert await built.send(delivery()) == Accepted("accepted")
            heard.get(timeout=10)
            assert heard.empty()  # neither the refused one nor the probe


@pytest.mark.anyio
async def test_who_comes_later_finds_a_retained_message(mosquitto: Broker) -> None:
    async with channel(mosquitto.url(TOPIC, retain="yes")) as built:
        assert await built.send(delivery()) == Accepted("accepted")
    with mosquitto.subscriber(TOPIC) as heard:
        assert heard.get(timeout=10).startswith("✖")


@pytest.mark.anyio
async def test_a_broker_with_tls_is_trusted_with_the_ca_file_and_only_with_it(mosquitto: Broker) -> None:
    async with channel(mosquitto.safe_url(TOPIC), ca_file=mosquitto.ca_file) as built:
        with mosquitto.subscriber(TOPIC) as heard:
            assert await built.send(delivery()) == Accepted("accepted")
            assert heard.get(timeout=10).startswith("✖")
    async with channel(mosquitto.safe_url(TOPIC)) as built:
        outcome = await built.send(delivery())
    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith("its certificate isn't trusted")
    async with channel(f"{mosquitto.safe_url(TOPIC)}?verify=no") as built:
        assert await built.send(delivery()) == Accepted("accepted")


def test_several_topics_are_refused_since_a_retry_would_repeat_all(mosquitto: Broker) -> None:
    with pytest.raises(WatcherError, match="channel team: its address has 2 recipients"):
        build_channel(setting(mosquitto.url("one,two")), redactor=Redactor())


@pytest.mark.anyio
async def test_without_a_receipt_nobody_knows_whether_it_arrived() -> None:
    async def welcome_and_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(bytes([0x20, 2, 0, 0]))
        await reader.read(1024)

    async with (
        raw_server(welcome_and_hang_up) as place,
        channel(f"{place.replace('http', 'mqtt', 1)}/{TOPIC}") as built,
    ):
        built._plugin.socket_read_timeout = 0.3
        assert await built.send(delivery()) == Unknown("the service didn't confirm it")
