"""Channels and deliveries for the tests of channels."""

from __future__ import annotations

from typing import Any

from watcher.models import Delivery, Event
from watcher.notifier.samples import sample_event
from watcher.settings import Channel


def setting(url: str, *, name: str = "team", **more: Any) -> Channel:
    if isinstance(more.get("secret"), str):
        more["secret"] = [more["secret"]]
    return Channel.model_validate({"name": name, "url": url, **more | {"secret": tuple(more.get("secret", ()))}})


def delivery(event: Event | str = "task.failed", *, id: str = "dlv-7", plain: bool = False) -> Delivery:  # noqa: A002
    return Delivery(
        id=id,
        event=sample_event(event) if isinstance(event, str) else event,
        channel="team",
        state="sending",
        attempts=1,
        next_at=None,
        reason="",
        plain=plain,
    )
