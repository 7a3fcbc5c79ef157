"""What Slack keeps and does behind its Web API, as documented: channels, messages, limits, rates and errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.slack_blocks import called_in, problems, read

TOKEN = "xoxb-test-canary-0123456789"
SCOPES = frozenset({"chat:write", "channels:read", "groups:read", "channels:history", "groups:history"})
BOT = {"user": "watcher", "user_id": "U0BOT12345", "bot_id": "B0BOT12345", "team": "Test", "team_id": "T012345"}
LONGEST_TEXT = 40_000


@dataclass
class Room:
    """A channel. `member`: whether the app is in it."""

    id: str
    name: str
    private: bool = False
    archived: bool = False
    member: bool = True


@dataclass
class Posted:
    """A message as it stands now; `versions` counts its edits and its posting."""

    ts: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any] | None
    thread: str | None = None
    broadcast: bool = False
    versions: int = 1

    @property
    def shown(self) -> str:
        """What a reader reads: the blocks, or the text where there are none."""
        return (
            read(self.blocks)
            if self.blocks
            else read([{"type": "section", "text": {"type": "mrkdwn", "text": self.text}}])
        )

    @property
    def calls(self) -> set[str]:
        """Whom it calls by name."""
        return called_in(self.blocks, self.text)


class Workspace:
    """One app in one workspace. `rate`: posts a second in a channel, `burst`: how many at once; `edits` a minute."""

    def __init__(
        self,
        *,
        scopes: frozenset[str] = SCOPES,
        rate: float = 1.0,
        burst: int = 3,
        edits: float = 50.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.scopes = scopes
        self.token = TOKEN
        self.rooms = {room.id: room for room in (Room("C012AB3CD", "ml"), Room("G012AB3CD", "secret", private=True))}
        self.messages: dict[str, list[Posted]] = {}
        self._clock = clock
        self._posts: dict[str, Bucket] = {}
        self._post_rate = (rate, burst)
        self._edits = Bucket(edits / 60.0, max(1, int(edits)), clock)
        self._last = 0.0

    def room(self, name: str) -> Room:
        return next(room for room in self.rooms.values() if room.name == name)

    def delete(self, ts: str) -> None:
        """As a person deletes a message."""
        for messages in self.messages.values():
            messages[:] = [message for message in messages if message.ts != ts]

    def do(self, method: str, arguments: dict[str, Any], token: str) -> dict[str, Any]:
        if not token:
            raise Refusal("not_authed")
        if token != self.token:
            raise Refusal("invalid_auth")
        known: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "auth.test": lambda _: dict(BOT),
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.info": self._info,
            "conversations.list": self._list,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
        }
        if method not in known:
            raise Refusal("unknown_method")
        return {"ok": True, **known[method](arguments)}

    def _post(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self._need("chat:write")
        room = self._reach(str(arguments.get("channel", "")))
        if room.archived:
            raise Refusal("is_archived")
        if not room.member and (room.private or "chat:write.public" not in self.scopes):
            raise Refusal("not_in_channel")
        text, blocks, metadata = _content(arguments)
        self._posts.setdefault(room.id, Bucket(*self._post_rate, self._clock)).take()
        self._last = max(self._last + 1e-6, time.time())
        thread = str(arguments.get("thread_ts") or "") or None
        if thread and all(message.ts != thread for message in self.messages.get(room.id, ())):
            thread = None  # Slack doesn't say a word: the reply becomes a message of its own
        message = Posted(f"{self._last:.6f}", text, blocks, metadata, thread, bool(arguments.get("reply_broadcast")))
        self.messages.setdefault(room.id, []).append(message)
        return {"channel": room.id, "ts": message.ts, "message": self._shape(message)}

    def _update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self._need("chat:write")
        room = self.rooms.get(str(arguments.get("channel", "")))  # an id only
        if room is None:
            raise Refusal("channel_not_found")
        found = [m for m in self.messages.get(room.id, ()) if m.ts == arguments.get("ts")]
        if not found:
            raise Refusal("message_not_found")
        if room.archived:
            raise Refusal("is_inactive")
        text, blocks, metadata = _content(arguments)
        self._edits.take()
        message = found[0]
        if _rich(message.blocks) and not _rich(blocks):
            raise Refusal("block_mismatch")
        message.text, message.blocks, message.versions = text, blocks, message.versions + 1
        message.metadata = metadata if "metadata" in arguments else message.metadata
        return {"channel": room.id, "ts": message.ts, "text": text, "message": self._shape(message)}

    def _info(self, arguments: dict[str, Any]) -> dict[str, Any]:
        room = self.rooms.get(str(arguments.get("channel", "")))
        if room is None or (room.private and not room.member):
            raise Refusal("channel_not_found")
        self._need("groups:read" if room.private else "channels:read")
        return {"channel": _room_json(room)}

    def _list(self, arguments: dict[str, Any]) -> dict[str, Any]:
        types = str(arguments.get("types") or "public_channel").split(",")
        for type_, scope in (("public_channel", "channels:read"), ("private_channel", "groups:read")):
            if type_ in types:
                self._need(scope)
        rooms = [
            room
            for room in self.rooms.values()
            if ("private_channel" if room.private else "public_channel") in types and (room.member or not room.private)
        ]
        start, limit = int(arguments.get("cursor") or 0), min(int(arguments.get("limit") or 100), 1000)
        more = str(start + limit) if start + limit < len(rooms) else ""
        return {
            "channels": [_room_json(room) for room in rooms[start : start + limit]],
            "response_metadata": {"next_cursor": more},
        }

    def _history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        found = [m for m in self._readable(arguments) if m.thread is None or m.broadcast]
        return self._page(reversed(found), arguments)

    def _replies(self, arguments: dict[str, Any]) -> dict[str, Any]:
        ts, newer = arguments.get("ts"), self._readable(arguments)
        everything = self.messages.get(str(arguments.get("channel")), ())
        if all(message.ts != ts for message in everything):
            raise Refusal("thread_not_found")
        return self._page([m for m in everything if m.ts == ts or (m.thread == ts and m in newer)], arguments)

    def _readable(self, arguments: dict[str, Any]) -> list[Posted]:
        room = self.rooms.get(str(arguments.get("channel", "")))
        if room is None:
            raise Refusal("channel_not_found")
        self._need("groups:history" if room.private else "channels:history")
        if not room.member:
            raise Refusal("not_in_channel")
        oldest = float(arguments.get("oldest") or 0)
        return [message for message in self.messages.get(room.id, ()) if float(message.ts) > oldest]

    def _page(self, messages: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        everything = arguments.get("include_all_metadata") in ("1", "true", True)
        shown = [self._shape(message, everything) for message in messages]
        limit = min(int(arguments.get("limit") or 100), 999)
        return {"messages": shown[:limit], "has_more": len(shown) > limit}

    def _shape(self, message: Posted, metadata: bool = True) -> dict[str, Any]:
        shape: dict[str, Any] = {"type": "message", "ts": message.ts, "text": message.text, "bot_id": BOT["bot_id"]}
        if message.thread:
            shape["thread_ts"] = message.thread
        if message.metadata is not None:
            event_type = {"event_type": message.metadata["event_type"]}
            shape["metadata"] = dict(message.metadata) if metadata else event_type
        return shape

    def _reach(self, channel: str) -> Room:
        for room in self.rooms.values():
            if channel in (room.id, room.name, f"#{room.name}"):
                if room.private and not room.member:
                    break
                return room
        if re.fullmatch(r"[UW][A-Z0-9]{6,}", channel):
            return self.rooms.setdefault("D" + channel[1:], Room("D" + channel[1:], "", private=True))
        raise Refusal("channel_not_found")

    def _need(self, scope: str) -> None:
        if scope not in self.scopes:
            raise Refusal("missing_scope", needed=scope, provided=",".join(sorted(self.scopes)))


class Refusal(Exception):
    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error, self.more = error, more


class Limited(Exception):
    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after


class Bucket:
    """So many a second, and short bursts."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._at = float(burst), clock()

    def take(self) -> None:
        now = self._clock()
        self._left, self._at = min(self._burst, self._left + (now - self._at) * self._rate), now
        if self._left < 0.95:  # clocks of two threads differ a little
            raise Limited(max(1, round((1 - self._left) / self._rate)))
        self._left -= 1


def _content(arguments: dict[str, Any]) -> tuple[str, list[dict[str, Any]], dict[str, Any] | None]:
    """What a message has, or why it isn't taken."""
    text, blocks, metadata = arguments.get("text") or "", arguments.get("blocks") or [], arguments.get("metadata")
    if not text and not blocks:
        raise Refusal("no_text")
    if len(text) > LONGEST_TEXT:
        raise Refusal("msg_too_long")
    found = problems(blocks)
    if found:
        raise Refusal("invalid_blocks", errors=found, response_metadata={"messages": found})
    if metadata is not None and set(metadata) != {"event_type", "event_payload"}:
        raise Refusal("invalid_metadata_format")
    return text, blocks, metadata


def _rich(blocks: list[dict[str, Any]]) -> bool:
    return any(block["type"] == "rich_text" for block in blocks)


def _room_json(room: Room) -> dict[str, Any]:
    return {
        "id": room.id,
        "name": room.name,
        "is_channel": not room.private,
        "is_private": room.private,
        "is_archived": room.archived,
        "is_member": room.member,
    }
