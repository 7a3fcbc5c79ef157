"""The outbox as a lane uses it: events told, turns taken, tries ended; and a chat that takes everything."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.builders import draft, settled
from watcher.models import (
    Accepted,
    Card,
    Delivery,
    Digest,
    Event,
    Observation,
    Outcome,
    TaskKey,
)
from watcher.notifier.decide import decide
from watcher.notifier.deliver import Lane
from watcher.state import outbox
from watcher.state.claim import Terms
from watcher.state.database import Database
from watcher.state.ledger import Ledger
from watcher.state.reader import Reader
from watcher.state.record import record_drafts
from watcher.state.telling import append_events

WEEK = 7 * 86400.0
TEN = Terms(digest_after=10)
CARDS = Terms(cards=True)


def look(task: str, step: int = 1, *, number: int = 1, time: datetime | None = None) -> Observation:
    fields = {"status": "RUNNING", "name": "support-bot", "statusInfo.currStep": step}
    return Observation(TaskKey("main", task), number, time or datetime.now(tz=UTC), "get", fields)


def soon(seconds: float = 1.0) -> datetime:
    return datetime.now(tz=UTC) + timedelta(seconds=seconds)


def tell(database: Database, *events: str, **more: Any) -> list[Event]:
    """Events such as `task.started a`, in this order."""
    subject = more.pop("subject", None)
    drafts = [draft(type_, task=task) for type_, task in (each.split() for each in events)]
    facts = settled(**more)
    if subject is None:
        return list(database.write_now(record_drafts, facts, drafts).events)
    return [database.write_now(append_events, [one], facts, {**subject, "id": one.task})[0] for one in drafts]


def started(database: Database, tasks: Sequence[str]) -> list[Event]:
    return tell(database, *(f"task.started {task}" for task in tasks))


def turn(
    database: Database, *finished: outbox.Finished, terms: Terms = TEN, room: int = 1, now: datetime | None = None,
    uptime: float = 0.0,
) -> outbox.Turn:  # fmt: skip
    facts = settled(uptime=uptime)
    return database.write_now(outbox.turn, facts, "team", finished, room, now or soon(), WEEK, terms)[0]


def ended(sending: Delivery | Digest, outcome: Outcome, *, card: Card | None = None) -> list[outbox.Finished]:
    members = sending.members if isinstance(sending, Digest) else (sending,)
    digest = sending.id if isinstance(sending, Digest) else None
    return [
        outbox.Finished(
            each,
            decide(outcome, attempts=each.attempts, age=0.0, give_up_after=WEEK, chance=0.0),
            datetime.now(tz=UTC),
            card,
            digest,
        )
        for each in members
    ]


def states(reader: Reader) -> list[str]:
    return [delivery.state for delivery in reader.deliveries()]


def tasks_of(digest: Digest) -> list[str | None]:
    return [member.event.task for member in digest.members]


class Chat:
    """A chat that takes everything, and keeps when it came."""

    name, kind, parallel = "team", "chat", 1

    def __init__(self, spacing: float = 0.0, outcome: Outcome | None = None) -> None:
        self.spacing = spacing
        self.outcome = outcome or Accepted()
        self.sent: list[tuple[float, Delivery | Digest]] = []

    async def send(self, delivery: Delivery) -> Outcome:
        self.sent.append((time.monotonic(), delivery))
        return self.outcome

    async def send_digest(self, digest: Digest) -> Outcome:
        self.sent.append((time.monotonic(), digest))
        return self.outcome

    async def probe(self) -> None: ...

    async def aclose(self) -> None: ...


def lane_to(chat: Chat, database: Database, **more: Any) -> Lane:
    return Lane(chat, Ledger(database, settled), give_up_after=WEEK, **more)
