"""One app's work in one Slack channel: calls in a thread at Slack's pace, looking what stands there, and a probe."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

import structlog

from watcher.errors import WatcherError
from watcher.models import CardRef
from watcher.notifier.channels.slack_api import SlackApi
from watcher.notifier.channels.slack_errors import BLIND, Place, SlackTrouble, meaning

log = structlog.get_logger()

POST_SPACING = 1.0
"""Seconds between two posts: Slack takes one a second in a channel."""

EDIT_SPACING = 1.2
"""Seconds between two edits: 50 a minute in a workspace."""

CHANNEL_PAGES, CHANNELS_A_PAGE = 20, 500
MESSAGES_A_PAGE = 200
MOST_CARDS = 5000
LOOK_UP = 10.0
"""Seconds that finding the channel's id may take before a message goes out without it."""

_ID = re.compile(r"[CDG][A-Z0-9]{6,}")
_DOUBT = 120.0
"""Seconds by which Slack's clock may be behind ours."""

T = TypeVar("T")


class SlackDesk:
    """`channel` as it is configured: a name with its #, or an id."""

    def __init__(self, name: str, channel: str, api: SlackApi) -> None:
        self.place = Place(channel)
        self._name = name
        self._api = api
        self._given = channel if _ID.fullmatch(channel) else None
        self._chat = self._given
        self._cards: dict[str, CardRef] = {}
        self._looked = False
        self._blind = False
        self.post_spacing, self.edit_spacing = POST_SPACING, EDIT_SPACING
        self._post_at = self._edit_at = 0.0
        self._posting = False
        self._thread = self._new_thread()

    def elsewhere(self, ref: CardRef) -> bool:
        """Whether a card stands in another channel than the configured one, as far as that's known."""
        return self._chat is not None and ref.chat != self._chat

    def metadata(self, kind: str, **payload: str) -> dict[str, Any]:
        """What makes a message findable. Channels of ours that share one of Slack's don't find each other's."""
        return {"event_type": kind, "event_payload": {"channel": self._name, **payload}}

    async def post(self, chat: str | None, **arguments: Any) -> Mapping[str, Any]:
        """Post in `chat`, or in the configured channel. Raises SlackTrouble."""
        self._post_at = await _paced(self._post_at, self.post_spacing)
        arguments |= {"unfurl_links": False, "unfurl_media": False, "link_names": False, "parse": "none"}
        self._posting = True
        try:
            to = chat or self._chat or self.place.channel
            answer = await self.work(lambda: self._api.call("chat_postMessage", channel=to, **arguments))
        except SlackTrouble as trouble:
            self._posting = False
            if trouble.code in {"channel_not_found", "is_archived"}:
                self._chat = self._given  # another channel may have taken the name over
            raise
        self._posting = False
        if chat is None and isinstance(answer.get("channel"), str):
            self._chat = answer["channel"]
        return answer

    async def edit(self, **arguments: Any) -> Mapping[str, Any]:
        """Edit a message. Raises SlackTrouble."""
        self._edit_at = await _paced(self._edit_at, self.edit_spacing)
        return await self._call("chat_update", **arguments)

    async def work(self, function: Callable[..., T], *arguments: Any) -> T:
        """Something else that may block."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def start_over(self) -> bool:
        """Leave a thread that hangs to itself. True where it was posting: that may still be done."""
        self._thread.shutdown(wait=False)
        self._thread = self._new_thread()
        posting, self._posting = self._posting, False
        return posting

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    # ── looking for what an earlier try left ──

    async def find_card(self, subject: str, *, fresh: bool) -> CardRef | None:
        """Where a card stands whose place isn't recorded, if it was posted; looked up once, or when `fresh`."""
        if fresh or not self._looked:
            for message in reversed(await self._messages()):
                kind, payload = _labelled(message)
                if kind == "watcher_card" and payload.get("channel") == self._name and self._chat:
                    self.keep_card(str(payload.get("subject")), CardRef(self._chat, str(message.get("ts"))))
            self._looked = True
        return self._cards.get(subject)

    def keep_card(self, subject: str, ref: CardRef | None) -> None:
        """Remember where a card stands (None: nowhere): whoever asks next may not know yet."""
        self._cards.pop(subject, None)
        if ref is not None:
            self._cards[subject] = ref
        if len(self._cards) > MOST_CARDS:
            del self._cards[next(iter(self._cards))]

    async def find(
        self, kind: str, payload: Mapping[str, str], *, since: datetime, thread: CardRef | None = None
    ) -> bool:
        """Whether such a message stands in the thread, or in the channel itself."""
        oldest = f"{since.timestamp() - _DOUBT:.6f}"
        wanted = kind, {"channel": self._name, **payload}
        for place in (thread, None) if thread else (None,):
            if any(_labelled(message) == wanted for message in await self._messages(place, oldest=oldest)):
                return True
        return False

    async def _messages(self, thread: CardRef | None = None, **arguments: Any) -> list[Mapping[str, Any]]:
        """The newest, if the app may look."""
        arguments |= {"limit": MESSAGES_A_PAGE, "include_all_metadata": True}
        try:
            chat = thread.chat if thread else await self._chat_id()
            if chat is None or self._blind:
                return []
            if thread:
                answer = await self._call("conversations_replies", channel=chat, ts=thread.ts, **arguments)
            else:
                answer = await self._call("conversations_history", channel=chat, **arguments)
        except SlackTrouble as trouble:
            if trouble.code not in BLIND:
                raise
            self._blind = trouble.code == "missing_scope"
            return []
        found = answer.get("messages")
        return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []

    # ── the channel itself ──

    async def probe(self, seconds: float) -> None:
        """The token works, the channel exists, and the app is in it. Raises WatcherError."""
        try:
            async with asyncio.timeout(seconds):
                await self._look()
        except SlackTrouble as trouble:
            wrong, fix = meaning(trouble, self.place)
            fix = fix or "check url, the network and the proxy setting; messages wait until it works"
            raise WatcherError(f"channel {self._name}: Slack: {wrong}", fix) from None
        except TimeoutError:
            self.start_over()
            raise WatcherError(
                f"channel {self._name}: Slack: no answer within {seconds:g} s",
                "check url, the network and the proxy setting; messages wait until it works",
            ) from None

    async def _look(self) -> None:
        who = (await self._call("auth_test")).get("user")
        if isinstance(who, str) and re.fullmatch(r"[\w.-]{1,80}", who):
            self.place = Place(self.place.channel, f"@{who}")
        if self._api.scopes and "chat:write" not in self._api.scopes:
            raise SlackTrouble("missing_scope", needed="chat:write")
        try:
            found = await self._channel()
        except SlackTrouble as trouble:
            if trouble.code != "missing_scope":
                raise
            log.info("slack.unchecked", channel=self._name, needed=trouble.needed)
            return
        if found is None:
            raise SlackTrouble("channel_not_found")
        if found.get("is_archived") is True:
            raise SlackTrouble("is_archived")
        guest = found.get("is_private") is not True and "chat:write.public" in self._api.scopes
        if found.get("is_member") is False and not guest:
            raise SlackTrouble("not_in_channel")

    async def _channel(self) -> Mapping[str, Any] | None:
        """The configured channel as Slack knows it; None where there is none of that name."""
        if self._chat is not None:
            found = (await self._call("conversations_info", channel=self._chat)).get("channel")
            return found if isinstance(found, Mapping) else {}
        if not self.place.channel.startswith("#"):
            return {}  # a person: Slack opens the conversation with the first message
        try:
            found = await self._named("public_channel,private_channel")
        except SlackTrouble as trouble:
            if trouble.code != "missing_scope":
                raise
            # Only private channels may be out of sight: what isn't found among the others may be one of them.
            found = await self._named("public_channel") or {}
        if found and isinstance(found.get("id"), str):
            self._chat = found["id"]
        return found

    async def _named(self, types: str) -> Mapping[str, Any] | None:
        wanted, cursor = self.place.channel.removeprefix("#"), None
        for _ in range(CHANNEL_PAGES):
            answer = await self._call("conversations_list", types=types, limit=CHANNELS_A_PAGE, cursor=cursor)
            for each in answer.get("channels") or ():
                if isinstance(each, Mapping) and wanted in {each.get("name"), each.get("name_normalized")}:
                    return each
            more = answer.get("response_metadata")
            cursor = more.get("next_cursor") if isinstance(more, Mapping) else None
            if not cursor:
                return None
        return {}

    async def _chat_id(self) -> str | None:
        """The channel's id. A workspace with very many channels isn't searched for long: a message waits for it."""
        if self._chat is None and not self._blind:
            try:
                async with asyncio.timeout(LOOK_UP):
                    await self._channel()
            except TimeoutError:
                self.start_over()
                self._blind = True
        return self._chat

    # ── calls ──

    async def _call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """Any call that may be made twice without harm: whether it was done when no answer came doesn't matter."""
        try:
            return await self.work(lambda: self._api.call(method, **arguments))
        except SlackTrouble as trouble:
            trouble.maybe = False
            raise

    def _new_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"channel-{self._name}")


async def _paced(last: float, spacing: float) -> float:
    """Waits for the next turn; the time at which it came."""
    await asyncio.sleep(max(0.0, last + spacing - time.monotonic()))
    return time.monotonic()


def _labelled(message: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    metadata = message.get("metadata")
    if not isinstance(metadata, Mapping):
        return "", {}
    payload = metadata.get("event_payload")
    return str(metadata.get("event_type")), payload if isinstance(payload, Mapping) else {}
