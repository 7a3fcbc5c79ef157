"""What every channel has in common: its interface, and the words that its reader gets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from watcher.models import ChannelKind, Delivery, Message, Outcome
from watcher.notifier.render import render

log = structlog.get_logger()


class Channel(Protocol):
    """A place where messages go. `parallel` is how many may be in flight at once."""

    name: str
    kind: ChannelKind
    parallel: int

    async def send(self, delivery: Delivery) -> Outcome:
        """Render and send one delivery, once. Raises nothing but CancelledError."""

    async def probe(self) -> None:
        """Reach the server without sending anything. Raises WatcherError with what is wrong and what to do."""

    async def aclose(self) -> None:
        """Let go of connections and threads; the channel can't be used afterwards."""


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a channel writes: `timezone` is an IANA name."""

    kind: ChannelKind
    language: str
    timezone: str

    def message(self, delivery: Delivery) -> Message:
        """The delivery in words. Words that fail cost their polish, never the message."""
        now = datetime.now(UTC)
        event = delivery.event
        if not delivery.plain:
            try:
                return render(event, kind=self.kind, language=self.language, timezone=self.timezone, now=now)
            except Exception:
                log.exception("render.failed", event_id=event.id, event_type=event.type, channel=delivery.channel)
        return render(event, kind=self.kind, language=self.language, timezone=self.timezone, plain=True)
