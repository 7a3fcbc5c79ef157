"""What every channel has in common: its interface, and the words that its reader gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import structlog

from watcher.i18n import translator
from watcher.models import Card, ChannelKind, Delivery, Digest, Event, Message, Outcome
from watcher.notifier import templates
from watcher.notifier.digest import render_digest
from watcher.notifier.facts import Facts, zone
from watcher.notifier.render import render

log = structlog.get_logger()


class Channel(Protocol):
    """A place where messages go.

    `parallel` is how many may be in flight at once, `spacing` how many seconds apart two messages must be (0: none).
    """

    name: str
    kind: ChannelKind
    parallel: int
    spacing: float

    async def send(self, delivery: Delivery) -> Outcome:
        """Render and send one delivery, once. Raises nothing but CancelledError."""

    async def send_digest(self, digest: Digest) -> Outcome:
        """Render and send several as one message, once; only asked of chats. Raises nothing but CancelledError."""

    async def probe(self) -> None:
        """Reach the server without sending anything. Raises WatcherError with what is wrong and what to do."""

    async def aclose(self) -> None:
        """Let go of connections and threads; the channel can't be used afterwards."""


class CardChannel(Channel, Protocol):
    """A channel that shows each task as one living message."""

    keeps_cards: bool

    async def refresh(self, card: Card) -> Outcome:
        """Bring the card up to date, silently. Raises nothing but CancelledError."""


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a channel writes: `timezone` is an IANA name.

    `mentions` has the chat id of each owner who is called by name, `templates` the user's own words by event pattern.
    With templates, words may take seconds: ask for them in a thread.
    """

    kind: ChannelKind
    language: str
    timezone: str
    mentions: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)

    def message(self, delivery: Delivery) -> Message:
        """The delivery in words. Words that fail cost their polish, never the message."""
        event, now = delivery.event, datetime.now(UTC)
        if delivery.plain:
            return self._plain(event)
        try:
            message = self._built_in(event, now)
        except Exception:
            log.exception("render.failed", event_id=event.id, event_type=event.type, channel=delivery.channel)
            return self._plain(event)
        pattern = templates.pattern_for(self.templates, event.type, event.notable)
        return message if pattern is None else self._reworded(message, delivery, pattern, now)

    def digest(self, digest: Digest) -> Message:
        """Several deliveries as one message, in built-in words."""
        events = [member.event for member in digest.members]
        if not any(member.plain for member in digest.members):
            try:
                return render_digest(
                    events,
                    kind=self.kind,
                    language=self.language,
                    timezone=self.timezone,
                    now=datetime.now(UTC),
                    mentions=self.mentions,
                )
            except Exception:
                log.exception("render.failed", digest=digest.id, events=len(events), channel=digest.channel)
        lines = [self._plain(event).title for event in events]
        return Message(f"{len(lines)} changes", "\n".join(lines))

    def _built_in(self, event: Event, now: datetime) -> Message:
        return render(
            event, kind=self.kind, language=self.language, timezone=self.timezone, now=now, mentions=self.mentions
        )

    def _plain(self, event: Event) -> Message:
        return render(event, kind=self.kind, language=self.language, timezone=self.timezone, plain=True)

    def _reworded(self, message: Message, delivery: Delivery, pattern: str, now: datetime) -> Message:
        facts = Facts(delivery.event, self.kind, translator(self.language), zone(self.timezone), now)
        try:
            message, fault = templates.reworded(message, self.templates[pattern], facts, timezone=self.timezone)
        except Exception:
            log.exception("template.broke", event_id=delivery.event.id, channel=delivery.channel)
            return message
        if fault is not None:
            templates.log_once(fault, channel=delivery.channel, pattern=pattern)
        return message
