"""What the receiver really got, against what the simulator really played. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from watcher.models import Event, Failure, Window
from watcher.simulator.demo.story import LATE_AFTER, Clock, Played

_COLUMNS = {
    "id", "type", "severity", "notable", "time", "account", "task", "channel", "from", "to", "window", "changes",
    "failure",
}  # fmt: skip
_DATES = ("createdDate", "updatedDate")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the receiver took it. `tries` is how often it was knocked back before."""

    delivery: str
    event: Event
    arrived: datetime
    tries: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A played change and the first message that told it; None: it was lost."""

    change: Played
    message: Message | None
    delay: float
    """Story seconds from the change to the message."""

    @property
    def late(self) -> bool:
        return self.message is not None and self.delay > LATE_AFTER


@dataclass(frozen=True, slots=True)
class Tally:
    """The count. `invented`: task messages for which nothing was played."""

    changes: tuple[Told, ...]
    repeated: int
    invented: tuple[Message, ...]
    unsigned: int

    @property
    def lost(self) -> tuple[Played, ...]:
        return tuple(told.change for told in self.changes if told.message is None)

    @property
    def late_by_channel(self) -> int:
        return sum(1 for told in self.changes if told.late and _waited_for_channel(told))

    @property
    def late(self) -> int:
        return sum(told.late for told in self.changes)

    @property
    def good(self) -> bool:
        return not (self.lost or self.invented or self.unsigned)

    def __str__(self) -> str:
        count = len(self.changes)
        told = count - len(self.lost)
        parts = [f"{count} change{'' if count == 1 else 's'}", f"{told} told", f"{len(self.lost)} lost"]
        return ", ".join([*parts, f"{self.late} late", f"{self.repeated} repeated"])


def count(changes: Iterable[Played], messages: Iterable[Message], clock: Clock) -> Tally:
    """Match each change with the first unmatched message of its task and type; repeats have a known delivery id."""
    fresh: dict[str, Message] = {}
    repeated = unsigned = 0
    for message in messages:
        unsigned += not message.signed
        repeated += message.delivery in fresh
        fresh.setdefault(message.delivery, message)
    left = [message for message in fresh.values() if message.event.task is not None]
    told = []
    for change in changes:
        found = next((m for m in left if (m.event.task, m.event.type) == (change.task, change.event)), None)
        if found is not None:
            left.remove(found)
        told.append(Told(change, found, clock.story(found.arrived) - change.at if found else 0.0))
    return Tally(tuple(told), repeated, tuple(left), unsigned)


def read(entries: Iterable[Mapping[str, Any]], signed: Mapping[int, bool]) -> list[Message]:
    """The messages among a receiver's log, oldest first; `signed` says of each entry whether its signature is good."""
    refused: Counter[str] = Counter()
    messages = []
    for number, entry in enumerate(entries):
        delivery = str(entry["headers"].get("webhook-id", ""))
        if entry["status"] != 200:
            refused[delivery] += 1
            continue
        event = event_from(json.loads(entry["body"]))
        arrived = datetime.fromisoformat(entry["time"])
        messages.append(Message(delivery, event, arrived, refused[delivery], signed.get(number, False)))
    return messages


def event_from(cloud: Mapping[str, Any]) -> Event:
    """The event in a webhook's body."""
    data, failure = cloud["data"], cloud["data"].get("failure")
    after, before = data["window"]["after"], data["window"]["before"]
    return Event(
        id=data["id"],
        type=data["type"],
        severity=data["severity"],
        notable=data["notable"],
        window=Window(datetime.fromisoformat(after) if after else None, datetime.fromisoformat(before)),
        account=data["account"],
        task=cloud.get("subject"),
        channel=data.get("channel"),
        from_=data["from"],
        to=data["to"],
        changes=data["changes"],
        failure=Failure(**failure) if failure else None,
        details={key: value for key, value in data.items() if key not in _COLUMNS},
        subject=data["task"],
    )


_SPANS = ("trained", "waited")


def on_story_time(event: Event, clock: Clock) -> Event:
    """The same event with every time of it on the story's wall."""
    after, before = event.window.after, event.window.before
    window = Window(clock.face(after) if after else None, clock.face(before))
    spans = {name: event.details[name] * clock.speed for name in _SPANS if name in event.details}
    details = {**event.details, **spans}
    return replace(event, window=window, subject=_subject(event.subject, clock), details=details)


def _subject(subject: Mapping[str, Any] | None, clock: Clock) -> Mapping[str, Any] | None:
    if subject is None:
        return None
    info = dict(subject.get("statusInfo") or {})
    if "endDatetime" in info:
        info["endDatetime"] = clock.rewritten(info["endDatetime"])
    dates = {key: clock.rewritten(subject[key]) for key in _DATES if key in subject}
    return {**subject, "statusInfo": info or None, **dates}


def _waited_for_channel(told: Told) -> bool:
    """Whether the channel made it late: it had been seen in time."""
    assert told.message is not None  # noqa: S101 - only asked of late ones
    return told.message.tries > 0 or told.message.event.window.after is None or not _unwatched(told.message)


def _unwatched(message: Message) -> bool:
    """The window is so wide that nobody can have looked meanwhile (real seconds)."""
    after, before = message.event.window.after, message.event.window.before
    return after is not None and (before - after).total_seconds() > 2.0
