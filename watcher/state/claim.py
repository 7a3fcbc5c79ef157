"""Claiming what is due for a channel: which deliveries go out now, alone or together, and what is held meanwhile.

A committed `sending` attempt precedes every send. Only the head of a queue (one task, one channel) can be claimed: no
earlier row of it is waiting or being sent. A digest claims the heads of queues and what stands behind them, so it
keeps each queue's order, too; its id and its members are committed before it is sent, and a retry has the same ones.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from watcher.models import Delivery, Digest
from watcher.state import schema
from watcher.state.cards import load_card
from watcher.state.rows import delivery_from
from watcher.state.telling import Settled

LARGEST_DIGEST = 50
MOST_LOOKED_AT = 1000
"""Of what is due, so many rows are considered for one digest."""

ENDINGS = ("task.failed", "task.succeeded", "task.weights_missing")
ALONE = ""
"""In the column `digest`: what must go out as a message of its own."""

SHOWN_LATER = "its card showed a later change instead"

WAITING = text("deliveries.state = 'waiting'")
HELD = text("deliveries.state = 'held'")
UNFINISHED = text("deliveries.state IN ('waiting', 'held', 'sending')")
OTHER_UNFINISHED = text("other.state IN ('waiting', 'held', 'sending')")
"""In the words of the index `deliveries_unfinished`: with others SQLite reads all deliveries there ever were."""
_deliveries = schema.deliveries.c
_EVENT_COLUMNS = [column.label(f"event_{column.name}") for column in schema.events.c]
_DELIVERY_COLUMNS = [column for column in schema.deliveries.c if column.name != "event_id"]


@dataclass(frozen=True, slots=True)
class Terms:
    """How a channel takes what is due. `digest_after`: more than so many become one message (None: never).
    `quiet_until`: the end of the quiet hours that hold now; `released`: nothing is held since they ended. `cards`:
    whether it keeps cards."""

    digest_after: int | None = None
    quiet_until: datetime | None = None
    released: bool = False
    cards: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """What is to be sent now; all of it is `sending` once this is committed."""

    deliveries: tuple[Delivery, ...] = ()
    digests: tuple[Digest, ...] = ()

    @property
    def count(self) -> int:
        return len(self.deliveries) + len(self.digests)


def claim(tx: Connection, settled: Settled, channel: str, terms: Terms, room: int, now: datetime) -> Claimed:
    """Claim at most `room` messages that are due; what quiet hours hold back is put down as held, and the other way."""
    if terms.quiet_until is not None:
        _hold(tx, settled, channel, terms.quiet_until)
    elif not terms.released:
        release(tx, settled, [channel], now)
    if room <= 0:
        return Claimed()
    if terms.cards:
        _supersede(tx, channel, now)
    if terms.digest_after is not None and (first := _unanswered(tx, channel)) is not None:
        digest, next_at = first
        return Claimed(digests=(_again(tx, channel, digest, now),)) if next_at <= now else Claimed()
    gathered = _gather(tx, channel, terms, now)
    if gathered is not None:
        return Claimed(digests=(gathered,))
    return _claim_heads(tx, settled, channel, room, now)


def joined_with_events() -> Select[Any]:
    join = schema.deliveries.join(schema.events, schema.events.c.id == _deliveries.event_id)
    return select(*_DELIVERY_COLUMNS, *_EVENT_COLUMNS).select_from(join)


# ── quiet hours ──


def _hold(tx: Connection, settled: Settled, channel: str, until: datetime) -> None:
    """While it is held, `born` holds its age: that time doesn't count towards giving up."""
    _dissolve(tx, channel)
    held = and_(_deliveries.channel == channel, WAITING, ~_deliveries.urgent)
    age = settled.uptime - _deliveries.born
    tx.execute(update(schema.deliveries).where(held).values(state="held", next_at=until, born=age))


def _dissolve(tx: Connection, channel: str) -> None:
    """A digest of which only some members may go out now is none any more: under its id, the others would seem to have
    been told with them."""
    waiting = and_(_deliveries.channel == channel, WAITING)
    torn = select(_deliveries.digest).where(waiting, ~_deliveries.urgent, _deliveries.digest.like("dig%"))
    tx.execute(update(schema.deliveries).where(waiting, _deliveries.digest.in_(torn)).values(digest=None))


def release(tx: Connection, settled: Settled, channels: Iterable[str], now: datetime) -> None:
    """What was held goes on."""
    tx.execute(_RELEASED, {"names": list(channels), "now": now, "uptime": settled.uptime})


_RELEASED = (
    update(schema.deliveries)
    .where(_deliveries.channel.in_(bindparam("names", expanding=True)), UNFINISHED, HELD)
    .values(state="waiting", next_at=bindparam("now"), born=bindparam("uptime") - _deliveries.born)
)


# ── cards ──


def _supersede(tx: Connection, channel: str, now: datetime) -> None:
    """A row that only brings a card up to date is not needed where a later one of the same card does."""
    later = schema.deliveries.alias("later")
    replaced = exists().where(
        later.c.channel == _deliveries.channel,
        later.c.card == _deliveries.card,
        text("later.state = 'waiting'"),
        later.c.event_id > _deliveries.event_id,
    )
    old = and_(_deliveries.channel == channel, WAITING, _deliveries.silent, replaced)
    values = {"state": "superseded", "reason": SHOWN_LATER, "next_at": None, "finished": now}
    tx.execute(update(schema.deliveries).where(old).values(**values))


# ── one by one ──


def _claim_heads(tx: Connection, settled: Settled, channel: str, room: int, now: datetime) -> Claimed:
    rows = tx.execute(_HEADS, {"to": channel, "now": now, "room": room}).all()
    alone = [row for row in rows if not row.digest]
    started = _start_attempts(tx, [delivery_from(row._mapping) for row in alone], now)
    deliveries = [_with_card(tx, settled, each, row.card) for each, row in zip(started, alone, strict=True)]
    digests = dict.fromkeys(row.digest for row in rows if row.digest)
    return Claimed(tuple(deliveries), tuple(_again(tx, channel, digest, now) for digest in digests))


def _blocked() -> ColumnElement[bool]:
    other = schema.deliveries.alias("other")
    # One that is being sent blocks also earlier ones: a redelivery may come behind it. What quiet hours hold back
    # doesn't block what is urgent.
    return exists().where(
        and_(
            other.c.channel == _deliveries.channel,
            other.c.queue == _deliveries.queue,
            OTHER_UNFINISHED,
            text("other.state <> 'held'"),
            or_(other.c.event_id < _deliveries.event_id, text("other.state = 'sending'")),
        )
    )


# Statements of every turn are built once: that costs more than running them.
_HEADS = (
    joined_with_events()
    .where(_deliveries.channel == bindparam("to"), WAITING, _deliveries.next_at <= bindparam("now"), ~_blocked())
    .order_by(_deliveries.next_at, _deliveries.event_id)
    .limit(bindparam("room"))
)
_STARTED = (
    update(schema.deliveries)
    .where(_deliveries.id == bindparam("of"))
    .values(state="sending", attempts=_deliveries.attempts + 1)
)
_ATTEMPT = insert(schema.attempts)


def _start_attempts(tx: Connection, deliveries: Sequence[Delivery], now: datetime) -> list[Delivery]:
    if not deliveries:
        return []
    started = [replace(each, state="sending", attempts=each.attempts + 1) for each in deliveries]
    tx.execute(_STARTED, [{"of": each.id} for each in started])
    tx.execute(_ATTEMPT, [{"delivery_id": each.id, "number": each.attempts, "started": now} for each in started])
    return started


def _with_card(tx: Connection, settled: Settled, delivery: Delivery, subject: str | None) -> Delivery:
    if subject is None or delivery.plain:
        return delivery
    return replace(delivery, card=load_card(tx, settled, delivery.channel, subject))


# ── together ──


def _unanswered(tx: Connection, channel: str) -> tuple[str, datetime] | None:
    """A digest that is to be tried again, and when. What came later waits for it: a backlog is read in order."""
    row = tx.execute(_UNANSWERED, {"to": channel}).first()
    return None if row is None else (row.digest, row.next_at)


_UNANSWERED = (
    select(_deliveries.digest, _deliveries.next_at)
    .where(_deliveries.channel == bindparam("to"), WAITING, _deliveries.digest.like("dig%"))
    .order_by(_deliveries.next_at)
    .limit(1)
)


def _gather(tx: Connection, channel: str, terms: Terms, now: datetime) -> Digest | None:
    """A new digest, where more than `digest_after` are due."""
    if terms.digest_after is None:
        return None
    due = and_(
        _deliveries.channel == channel,
        WAITING,
        _deliveries.next_at <= now,
        _deliveries.digest.is_(None),
        ~_deliveries.silent,
        _deliveries.deaths < 2,
    )
    some = select(_deliveries.id).where(due).limit(terms.digest_after + 1).subquery()
    if tx.execute(select(func.count()).select_from(some)).scalar_one() <= terms.digest_after:
        return None
    join = schema.deliveries.join(schema.events, schema.events.c.id == _deliveries.event_id)
    query = select(_deliveries.id, _deliveries.queue, schema.events.c.type).select_from(join)
    query = query.where(due, ~_blocked_from_outside(now)).order_by(_deliveries.event_id).limit(MOST_LOOKED_AT)
    chosen = _choose(tx.execute(query).all())
    if len(chosen) < 2:
        return None
    id_ = f"dig_{uuid.uuid4().hex}"
    tx.execute(update(schema.deliveries).where(_deliveries.id.in_(chosen)).values(digest=id_))
    return _again(tx, channel, id_, now)


def _blocked_from_outside(now: datetime) -> ColumnElement[bool]:
    """By a row of the same queue that isn't to be part of a new digest, and must go first."""
    other = schema.deliveries.alias("other")
    elsewhere = or_(other.c.next_at > now, other.c.digest.is_not(None), other.c.silent, other.c.deaths >= 2)
    first = and_(text("other.state = 'waiting'"), other.c.event_id < _deliveries.event_id, elsewhere)
    return exists().where(
        other.c.channel == _deliveries.channel,
        other.c.queue == _deliveries.queue,
        OTHER_UNFINISHED,
        or_(text("other.state = 'sending'"), first),
    )


def _choose(rows: Iterable[Any]) -> list[str]:
    """At most so many as one message holds: queues with an ending first, each in its order and never past a gap."""
    queues: dict[str, list[Any]] = {}
    for row in rows:
        queues.setdefault(row.queue, []).append(row)
    ordered = sorted(queues.values(), key=lambda queue: not any(row.type in ENDINGS for row in queue))
    return [row.id for queue in ordered for row in queue][:LARGEST_DIGEST]


def _again(tx: Connection, channel: str, digest: str, now: datetime) -> Digest:
    """All that is left of a digest, being sent from now on."""
    query = joined_with_events().where(_deliveries.channel == channel, WAITING, _deliveries.digest == digest)
    rows = tx.execute(query.order_by(_deliveries.event_id)).all()
    return Digest(digest, channel, tuple(_start_attempts(tx, [delivery_from(row._mapping) for row in rows], now)))
