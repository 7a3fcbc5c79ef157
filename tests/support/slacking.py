"""Slack channels and what they are told, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from tests.support.cards import FAILURE
from tests.support.channels import delivery
from tests.support.slack import TOKEN, Slack
from watcher.models import Card, Delivery, Outcome
from watcher.notifier.channels.slack import SlackChannel
from watcher.notifier.samples import sample_event
from watcher.redact import Redactor
from watcher.settings import Channel

ML = "C012AB3CD"


def setting(url: str, **more: Any) -> Channel:
    values = {"name": "board", "url": url, "slack_token": TOKEN, "channel": "#ml", "mode": "card", **more}
    return Channel.model_validate(values)


@asynccontextmanager
async def channel(slack: Slack, *, paced: bool = False, **more: Any) -> AsyncIterator[SlackChannel]:
    """Unless it is `paced`, it waits for nothing between two calls."""
    options = {name: more.pop(name) for name in ("proxy", "ca_file", "mentions", "timeout") if name in more}
    url = more.pop("url", slack.url)
    opened = SlackChannel(setting(url, **more), redactor=Redactor([TOKEN]), **{"timeout": 5.0, **options})
    if not paced:
        opened._desk.post_spacing = opened._desk.edit_spacing = 0.0
    try:
        yield opened
    finally:
        await opened.aclose()


def told(type_: str = "task.failed", shown: Card | None = None, **more: Any) -> Delivery:
    """A delivery to it, with what its card is to show."""
    event = sample_event(type_)
    about = replace(event, failure=FAILURE) if type_ == "task.failed" else event
    return replace(delivery(about), channel="board", card=shown, **more)


def card_of(outcome: Outcome) -> Card:
    assert outcome.card is not None
    return outcome.card
