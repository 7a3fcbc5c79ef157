"""Lines on the terminal."""

from __future__ import annotations

import asyncio
import io
import threading
from dataclasses import replace

import pytest

from tests.support.channels import delivery, setting
from watcher.models import Accepted, Digest, Retry
from watcher.notifier.channels import build_channel
from watcher.notifier.channels.console import ConsoleChannel
from watcher.notifier.samples import sample_event
from watcher.redact import Redactor


@pytest.mark.anyio
async def test_a_message_is_its_first_line_and_the_rest_indented(capsys: pytest.CaptureFixture[str]) -> None:
    channel = build_channel(setting("console://"), redactor=Redactor())
    assert await channel.send(delivery()) == Accepted("printed")
    await channel.probe()
    await channel.aclose()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✖ support-bot v3 failed: Invalid dataset: required field empty. Completion"
    assert all(line.startswith("  ") for line in lines[1:])


@pytest.mark.anyio
async def test_terminal_escapes_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    event = sample_event("task.started")
    event = replace(event, subject={**(event.subject or {}), "name": "\x1b]0;owned\x07\x1b[2J\u202ebot"})
    await build_channel(setting("console://"), redactor=Redactor()).send(delivery(event))
    out = capsys.readouterr().out
    assert out.startswith("▶ ␛]0;owned␇␛[2Jbot is training")
    assert "\x1b" not in out


@pytest.mark.anyio
async def test_a_terminal_without_unicode_still_shows_the_message() -> None:
    raw = io.BytesIO()
    channel = ConsoleChannel(setting("console://"), stream=io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    assert await channel.send(delivery()) == Accepted("printed")
    assert raw.getvalue().startswith(b"? support-bot v3 failed: Invalid dataset")


@pytest.mark.anyio
async def test_a_closed_terminal_is_tried_again() -> None:
    stream = io.StringIO()
    stream.close()
    assert isinstance(await ConsoleChannel(setting("console://"), stream=stream).send(delivery()), Retry)


@pytest.mark.anyio
async def test_words_that_fail_cost_their_polish_and_not_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(dict[str, object]):
        def get(self, *_args: object) -> object:
            raise RuntimeError("poison")

    event = replace(sample_event("task.failed"), details=Broken(), subject=Broken())
    channel = build_channel(setting("console://"), redactor=Redactor())
    assert await channel.send(delivery(event)) == Accepted("printed")
    assert "task.failed czf9fbky: RUNNING -> FAILED" in capsys.readouterr().out


@pytest.mark.anyio
async def test_the_owner_of_what_failed_is_named_and_a_digest_stands_in_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    channel = ConsoleChannel(setting("console://"), mentions={"jiwon": "U012AB3CD"})
    await channel.send(delivery())
    assert await channel.send_digest(Digest("dig-1", "team", (delivery(), delivery("task.started")))) == Accepted(
        "printed"
    )
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.endswith("Completion  @jiwon")
    assert any(line.startswith("✖ 2 changes") and line.endswith("1 started  @jiwon") for line in rest)
    assert sum("support-bot v3" in line for line in rest) >= 2


@pytest.mark.anyio
async def test_the_users_own_words_are_printed() -> None:
    stream = io.StringIO()
    channel = ConsoleChannel(setting("console://", template={"task.failed": "{{ name }} fell\nover"}), stream=stream)
    await channel.send(delivery())
    await channel.send(delivery("task.started"))
    assert stream.getvalue().startswith("support-bot v3 fell\n  over\n▶ support-bot v3 is training")


@pytest.mark.anyio
async def test_a_terminal_that_stands_still_holds_up_nothing_else() -> None:
    gone_on = threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            assert gone_on.wait(10), "the loop stood still"
            return super().write(text)

    sending = asyncio.create_task(ConsoleChannel(setting("console://"), stream=Slow()).send(delivery()))
    await asyncio.sleep(0)
    gone_on.set()
    assert await sending == Accepted("printed")
