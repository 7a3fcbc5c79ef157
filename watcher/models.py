"""The values that travel through the watcher. All are frozen; every datetime is aware and in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

Json = Any
"""A JSON value; non-finite numbers are the strings "NaN", "Infinity" and "-Infinity"."""

Fields = Mapping[str, Json]
"""A task as the upstream shows it, flat: `status`, `name`, ..., and `statusInfo.currStep`, `statusInfo.trainLoss`, ...

A key that the answer didn't carry isn't there; None means that the answer said null."""

WAIT, RUNNING, SUCCEEDED, FAILED = "WAIT", "RUNNING", "SUCCEEDED", "FAILED"
TERMINAL = frozenset({SUCCEEDED, FAILED})
KNOWN_STATUSES = frozenset({WAIT, RUNNING}) | TERMINAL

Source = Literal["get", "list"]
ChannelKind = Literal["chat", "mail", "webhook", "console"]
DeliveryState = Literal[
    "waiting", "held", "sending", "delivered", "refused", "expired", "silenced", "superseded", "parked"
]


REDELIVERED = "redelivered"
"""The reason of a delivery that somebody has asked for again."""


class TaskKey(NamedTuple):
    """A task's id is unique within its account only."""

    account: str
    id: str

    def __str__(self) -> str:
        return f"{self.account}/{self.id}"


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at one task.

    `number` orders requests (taken when the request started), `time` is the request's start by the wall clock.
    `trusted`: a GET that was sent to settle doubt about staleness; it counts even when its updatedDate is older.
    """

    key: TaskKey
    number: int
    time: datetime
    source: Source
    fields: Fields
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store knows of a task: its fields as last seen, and what has been told about it.

    `number` and `seen` belong to the last observation that applied. `life` counts up when the same id appears with
    another createdDate. `milestone` is the highest progress percentage told in this RUNNING phase. `status_since` is
    when the status was first seen (None: it was so before anybody looked). `ended` is when a terminal status was first
    seen, `ending` the id of the event that told it. `missing_since` is the first of the 404s in a row; `gone` the
    reason once task.gone was told, else "".
    """

    key: TaskKey
    fields: Fields
    number: int
    first_seen: datetime
    seen: datetime
    changed: datetime
    life: int = 1
    milestone: int = 0
    status_since: datetime | None = None
    ended: datetime | None = None
    ending: str = ""
    amended: bool = False
    weights_told: bool = False
    missing_since: datetime | None = None
    gone: str = ""

    @property
    def status(self) -> str:
        return str(self.fields["status"])


@dataclass(frozen=True, slots=True)
class Window:
    """When a change happened: after the last observation without it, before the first with it."""

    after: datetime | None
    before: datetime


@dataclass(frozen=True, slots=True)
class Point:
    """One changed observation of a task: `changes` has what isn't step, epoch or loss, a loss that is no finite number
    included (as text)."""

    time: datetime
    life: int
    step: int | None
    epoch: int | None
    loss: float | None
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a training failed: the upstream's `reason` and `message`, our `explanation` and `fix` ("" if unknown)."""

    reason: str
    message: str
    explanation: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that hasn't got its id yet: what diff and the health rules return."""

    type: str
    window: Window
    account: str | None = None
    task: str | None = None
    channel: str | None = None
    from_: str | None = None
    to: str | None = None
    changes: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    failure: Failure | None = None
    details: Mapping[str, Json] = field(default_factory=dict)
    notable: bool | None = None
    """Overrides what the table of event types says."""


@dataclass(frozen=True, slots=True)
class Event:
    """A change worth a name, as committed.

    `id` is text, unique, and grows in commit order. `channel` is set for channel.* events. `details` has what only
    some types carry (first_sight, amends, reason, count, percent, ...). `subject` is the task as it was at that
    moment, in the shape of a webhook's `data.task`; None for events that aren't about a task.
    """

    id: str
    type: str
    severity: str
    notable: bool
    window: Window
    account: str | None = None
    task: str | None = None
    channel: str | None = None
    from_: str | None = None
    to: str | None = None
    changes: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    failure: Failure | None = None
    details: Mapping[str, Json] = field(default_factory=dict)
    subject: Mapping[str, Json] | None = None

    @property
    def time(self) -> datetime:
        return self.window.before

    @property
    def queue(self) -> str:
        """Deliveries to one channel whose events share this go out one after the other, in order."""
        if self.task is not None:
            return f"task {self.account}/{self.task}"
        if self.channel is not None:
            return f"channel {self.channel}"
        return f"account {self.account}" if self.account else "watcher"


@dataclass(frozen=True, slots=True)
class CardRef:
    """Where a card stands: the id of the chat as the service returned it, and the message's `ts`."""

    chat: str
    ts: str


@dataclass(frozen=True, slots=True)
class CardTask:
    """A task as a card shows it: in the shape of a webhook's `data.task`, with the newest losses (oldest first).

    `since` is when its status was first seen (None: before anybody looked), `seen` when it was last looked at. `gone`
    has the reason once the upstream doesn't know it any more, `failure` why it failed.
    """

    key: TaskKey
    subject: Mapping[str, Json]
    seen: datetime
    since: datetime | None = None
    losses: tuple[float, ...] = ()
    gone: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A living message: what a channel shows of one task, or of a group.

    `subject` names it: `task ACCOUNT/ID` or `group NAME`. `ref` is None before it was posted. `tasks` has one task, or
    those of the group.
    """

    subject: str
    tasks: tuple[CardTask, ...]
    ref: CardRef | None = None
    shown: str = ""
    """A digest of what it shows, as the channel returned it; "" where that isn't known."""
    changed: datetime | None = None
    """When its task, as given here, was last seen to change; None for a group."""

    @property
    def group(self) -> str | None:
        return self.subject.removeprefix("group ") if self.subject.startswith("group ") else None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one channel.

    `plain`: earlier tries killed the process, so only built-in text may be used. `born` is the watcher's running time,
    in seconds, when it became due: its age counts no time in which the watcher stood still. `card` is what the
    channel's card about it is to show, for channels that keep cards; `silent`: only that, and no message of its own.
    """

    id: str
    event: Event
    channel: str
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    reason: str
    plain: bool = False
    born: float = 0.0
    card: Card | None = None
    silent: bool = False

    @property
    def may_have_arrived(self) -> bool:
        """An earlier try may have brought it without our knowing. Who asks for a redelivery wants it once more."""
        return self.attempts > 1 and self.reason != REDELIVERED


@dataclass(frozen=True, slots=True)
class Digest:
    """Several deliveries that go to their channel as one message. `id` stays the same on every try."""

    id: str
    channel: str
    members: tuple[Delivery, ...]


class Call(NamedTuple):
    """Somebody who is called by name: their id in the chat, and the `owner` that their tasks' labels speak of."""

    id: str
    owner: str


@dataclass(frozen=True, slots=True)
class Message:
    """A rendered event. `title` is the first line and says everything; `body` may be empty; `html` only for mail.

    `calls` has whoever is called by name, each once: every service writes them in its own way, as many as it can.
    `table` has the lines of a digest in columns; `body` has the same for services that know no columns.
    """

    title: str
    body: str
    html: str = ""
    calls: tuple[Call, ...] = ()
    table: str = ""


# What became of one attempt, as a channel reports it. `card` is the card as it stands now, where the try changed it.


@dataclass(frozen=True, slots=True)
class Accepted:
    """The channel took the message."""

    detail: str = ""
    card: Card | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The channel will never take this message."""

    reason: str
    card: Card | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Not this time; `after` is in seconds, where the channel said when to come back."""

    reason: str
    after: float | None = None
    card: Card | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Sent, but no answer came: it may have arrived."""

    reason: str
    card: Card | None = None


Outcome = Accepted | Refused | Retry | Unknown
