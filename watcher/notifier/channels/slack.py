"""Slack, natively: messages through the Web API, and living cards that are edited as their tasks go on.

    card ─▶ chat.update, or chat.postMessage where there is none ─▶ reply in its thread, seen in the channel too

Every message carries its delivery's id as metadata, and a card its subject, so that a try whose outcome nobody knows is
looked for before anything is posted twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from watcher.models import Accepted, Card, CardRef, Delivery, Digest, Message, Outcome, Retry, Unknown
from watcher.notifier.cards import card_blocks, card_digest
from watcher.notifier.cards_blocks import Block, fallback
from watcher.notifier.channels.base import Reader
from watcher.notifier.channels.slack_api import BASE, SlackApi
from watcher.notifier.channels.slack_desk import SlackDesk
from watcher.notifier.channels.slack_errors import LOST, ORPHANED, TOO_MUCH, SlackTrouble, of_trouble
from watcher.notifier.channels.slack_words import message_blocks, message_text
from watcher.notifier.render import NOBODY

if TYPE_CHECKING:
    from watcher import settings as config
    from watcher.models import ChannelKind
    from watcher.redact import Redactor

log = structlog.get_logger()

TOTAL_TIMEOUT = 30.0
CARD, MESSAGE = "watcher_card", "watcher_message"
"""Kinds of metadata."""


class SlackChannel:
    """One Slack channel. It keeps Slack's pace by itself, so the lane needn't."""

    kind: ChannelKind = "chat"
    parallel = 1
    spacing = 0.0

    def __init__(
        self,
        settings: config.Channel,
        *,
        redactor: Redactor,
        proxy: str | None = None,
        ca_file: str | None = None,
        mentions: Mapping[str, str] = NOBODY,
        timeout: float = TOTAL_TIMEOUT,
    ) -> None:
        self.name = settings.name
        self.keeps_cards = settings.mode == "card"
        self._reader = Reader(self.kind, settings.language, settings.timezone, mentions, settings.template)
        self._timeout = timeout
        token = settings.slack_token.get_secret_value() if settings.slack_token else ""
        base = settings.url.get_secret_value() if settings.url else BASE
        api = SlackApi(self.name, token, base, redactor=redactor, proxy=proxy, ca_file=ca_file, timeout=timeout * 0.9)
        self._desk = SlackDesk(self.name, settings.channel or "", api)
        self._turn = asyncio.Lock()

    async def send(self, delivery: Delivery) -> Outcome:
        """Post a message; with a card, bring that up to date and reply to it. What stood before is found again."""
        return await self._guarded(lambda try_: self._deliver(try_, delivery))

    async def refresh(self, card: Card) -> Outcome:
        """Bring a card up to date, telling nobody."""
        return await self._guarded(lambda try_: self._refresh(try_, card))

    async def send_digest(self, digest: Digest) -> Outcome:
        """Post several deliveries as one message."""
        return await self._guarded(lambda try_: self._post_digest(try_, digest))

    async def probe(self) -> None:
        async with self._turn:
            await self._desk.probe(self._timeout)

    async def aclose(self) -> None:
        self._desk.close()

    async def _guarded(self, work: Callable[[_Try], Awaitable[str]]) -> Outcome:
        """One after the other, within the time, and with whatever became of the card."""
        async with self._turn:
            try_ = _Try()
            outcome: Outcome
            try:
                async with asyncio.timeout(self._timeout):
                    return Accepted(await work(try_), try_.card)
            except SlackTrouble as trouble:
                outcome = of_trouble(trouble, self._desk.place)
            except TimeoutError:
                reason = f"no answer within {self._timeout:g} s"
                outcome = Unknown(reason) if self._desk.start_over() else Retry(reason)
            except Exception as error:
                log.exception("channel.broke", channel=self.name)
                outcome = Retry(f"the message couldn't be made ({type(error).__name__})")
            return replace(outcome, card=try_.card)

    # ── messages ──

    async def _deliver(self, try_: _Try, delivery: Delivery) -> str:
        again = delivery.may_have_arrived
        card = delivery.card if self.keeps_cards else None
        ref = card.ref if card else None
        if card and card.tasks:
            try:
                ref = await self._show(try_, card, again=again, plain=delivery.plain)
            except SlackTrouble as trouble:
                # A card that Slack won't take mustn't keep back what happened.
                if delivery.silent or trouble.code not in TOO_MUCH:
                    raise
        if delivery.silent:
            return try_.done
        message = await self._desk.work(self._reader.message, delivery)
        if ref is None or card is None:
            return await self._post_once(message, delivery.id, again, delivery.event.time)
        return await self._reply(try_, message, delivery, card, ref)

    async def _post_digest(self, try_: _Try, digest: Digest) -> str:
        message = await self._desk.work(self._reader.digest, digest)
        again = any(member.may_have_arrived for member in digest.members)
        since = min(member.event.time for member in digest.members)
        return await self._post_once(message, digest.id, again, since)

    async def _post_once(self, message: Message, id_: str, again: bool, since: datetime) -> str:
        if again and await self._desk.find(MESSAGE, {"id": id_}, since=since):
            return "an earlier try had arrived"
        await self._post_message(message, id_)
        return "posted"

    async def _reply(self, try_: _Try, message: Message, delivery: Delivery, card: Card, ref: CardRef) -> str:
        """A reply in the card's thread, shown in the channel too. A card that was deleted meanwhile is posted anew."""
        once, since = {"id": delivery.id}, delivery.event.time
        if delivery.may_have_arrived and await self._desk.find(MESSAGE, once, since=since, thread=ref):
            return "an earlier try had arrived"
        post = partial(self._post_message, message, delivery.id)
        try:
            answer = await post(thread=ref)
        except SlackTrouble as trouble:
            if trouble.code not in ORPHANED:
                raise
            ref = await self._show(try_, card, anew=True)
            answer = await post(thread=ref)
        if _thread_of(answer) != ref.ts:
            # Slack posts a reply to a deleted message as one of its own, without a word.
            with contextlib.suppress(SlackTrouble):
                await self._show(try_, card, anew=True)
        return "replied"

    async def _post_message(self, message: Message, id_: str, *, thread: CardRef | None = None) -> Mapping[str, Any]:
        blocks, text = message_blocks(message)
        metadata = self._desk.metadata(MESSAGE, id=id_)
        return await self._post(blocks, text, message_text(message, whole=True), metadata=metadata, thread=thread)

    # ── cards ──

    async def _show(
        self, try_: _Try, card: Card, *, again: bool = False, anew: bool = False, plain: bool = False
    ) -> CardRef:
        """Edit the card where it stands, or post it; nothing where it shows all that already. `anew`: post it."""
        blocks, text, shown = self._drawn(card, plain)
        ref = None if anew or (card.ref and self._desk.elsewhere(card.ref)) else card.ref
        if ref and card.shown == shown:
            try_.done = "unchanged"
            return ref
        if ref is None and not anew:
            ref = await self._desk.find_card(card.subject, fresh=again)
        try_.done = "edited"
        if ref is None or not await self._edited(ref, blocks, text):
            try_.done = "posted"
            answer = await self._post(blocks, text, text, metadata=self._desk.metadata(CARD, subject=card.subject))
            ref = CardRef(str(answer.get("channel", "")), str(answer.get("ts", "")))
        self._desk.keep_card(card.subject, ref)
        try_.card = replace(card, ref=ref, shown=shown)
        return ref

    def _drawn(self, card: Card, plain: bool) -> tuple[list[Block], str, str]:
        """Blocks, text, and a digest of both. A card that can't be drawn costs its looks, never the message."""
        reader: dict[str, Any] = {"language": self._reader.language, "timezone": self._reader.timezone}
        reader["now"] = datetime.now(UTC)
        try:
            if not plain:
                return *card_blocks(card, **reader), card_digest(card, **reader)
        except Exception:
            log.exception("render.failed", channel=self.name, card=card.subject)
        return [], fallback(card.subject), "plain"

    async def _refresh(self, try_: _Try, card: Card) -> str:
        if card.tasks:
            await self._show(try_, card)
        return try_.done

    async def _edited(self, ref: CardRef, blocks: list[Block], text: str) -> bool:
        """False where the message can't be edited any more."""
        where = {"channel": ref.chat, "ts": ref.ts, "text": text, "link_names": False, "parse": "none"}
        try:
            try:
                await self._desk.edit(**where, blocks=blocks)
            except SlackTrouble as trouble:
                if trouble.code not in TOO_MUCH:
                    raise
                await self._desk.edit(**where, blocks=[])
        except SlackTrouble as trouble:
            if trouble.code in LOST:
                return False
            raise
        return True

    async def _post(
        self,
        blocks: list[Block],
        text: str,
        bare: str,
        *,
        metadata: Mapping[str, Any],
        thread: CardRef | None = None,
    ) -> Mapping[str, Any]:
        """Post with blocks; where Slack doesn't take them, `bare` text once more."""
        more = {"thread_ts": thread.ts, "reply_broadcast": True} if thread else {}
        chat = thread.chat if thread else None
        try:
            return await self._desk.post(chat, text=text, blocks=blocks, metadata=metadata, **more)
        except SlackTrouble as trouble:
            if trouble.code not in TOO_MUCH:
                raise
            log.warning("slack.layout_refused", channel=self.name, error=trouble.code)
            return await self._desk.post(chat, text=bare, **more)


@dataclass
class _Try:
    """What a try has done so far; it counts also when the try ends badly."""

    card: Card | None = None
    done: str = "nothing to show"


def _thread_of(answer: Mapping[str, Any]) -> str:
    message = answer.get("message")
    return str(message.get("thread_ts", "")) if isinstance(message, Mapping) else ""
