"""The outbox: claiming deliveries that are due, and recording what became of them.

A committed `sending` attempt precedes every send. Only the head of a queue (one task, one channel) can be claimed: no
earlier row of it is waiting, held or being sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, func, insert, or_, select, text, update

from watcher.errors import UsageError
from watcher.models import Delivery
from watcher.notifier.decide import LONGEST_RETRY_AFTER, Decision
from watcher.state import schema
from watcher.state.budget import load_alive
from watcher.state.health import ChannelHealth, after_try, tell_failing, tell_given_up
from watcher.state.record import Recorded, Settled, append_events, load_channel, save_channel
from watcher.state.rows import delivery_from

UNFINISHED = ("waiting", "held", "sending")
REDELIVERABLE = ("refused", "expired", "parked", "silenced")
CHANNEL_REMOVED = "the channel isn't in the configuration; it goes on when its name returns"
LONGEST_WAIT = timedelta(seconds=LONGEST_RETRY_AFTER)
SUSPECT_WAITS = timedelta(seconds=10)
SURVIVED = timedelta(seconds=5)
POISON = "each of its last tries ended with the death of the process"

WAITING = text("deliveries.state = 'waiting'")
_deliveries = schema.deliveries.c
_EVENT_COLUMNS = [column.label(f"event_{column.name}") for column in schema.events.c]
_DELIVERY_COLUMNS = [column for column in schema.deliveries.c if column.name != "event_id"]


@dataclass(frozen=True, slots=True)
class Finished:
    """One try that is over: `ended` is when the answer came."""

    delivery: Delivery
    decision: Decision
    ended: datetime


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn of a lane brought: deliveries claimed for sending, and when the next one is due, if one is."""

    claimed: tuple[Delivery, ...]
    next_at: datetime | None


def turn(
    tx: Connection,
    settled: Settled,
    channel: str,
    finished: Sequence[Finished],
    room: int,
    now: datetime,
    give_up_after: float,
) -> tuple[Turn, Recorded]:
    """Record what is over and claim at most `room` deliveries that are due, in one transaction."""
    recorded = _record(tx, channel, finished, settled, give_up_after) if finished else Recorded()
    claimed = _claim(tx, channel, room, now) if room > 0 else []
    return Turn(tuple(claimed), _next_due(tx, channel, now)), recorded


def _claim(tx: Connection, channel: str, room: int, now: datetime) -> list[Delivery]:
    other = schema.deliveries.alias("other")
    # One that is being sent blocks also earlier ones: a redelivery may come behind it.
    blocked = exists().where(
        and_(
            other.c.channel == _deliveries.channel,
            other.c.queue == _deliveries.queue,
            text("other.state IN ('waiting', 'held', 'sending')"),
            or_(other.c.event_id < _deliveries.event_id, text("other.state = 'sending'")),
        )
    )
    query = (
        joined_with_events()
        .where(_deliveries.channel == channel, WAITING, _deliveries.next_at <= now, ~blocked)
        .order_by(_deliveries.next_at, _deliveries.event_id)
        .limit(room)
    )
    claimed = [delivery_from(row._mapping) for row in tx.execute(query)]
    return [_start_attempt(tx, delivery, now) for delivery in claimed]


def _start_attempt(tx: Connection, delivery: Delivery, now: datetime) -> Delivery:
    number = delivery.attempts + 1
    where = _deliveries.id == delivery.id
    tx.execute(update(schema.deliveries).where(where).values(state="sending", attempts=number))
    tx.execute(insert(schema.attempts).values(delivery_id=delivery.id, number=number, started=now))
    return replace(delivery, state="sending", attempts=number)


def _record(
    tx: Connection, channel: str, finished: Sequence[Finished], settled: Settled, give_up_after: float
) -> Recorded:
    health = load_channel(tx, channel)
    drafts: list[Any] = []
    for one in finished:
        _end_attempt(tx, one.delivery, one.decision, one.ended)
        decision = one.decision
        health, told = after_try(
            health, ok=decision.answered, reason=decision.reason, time=one.ended, uptime=settled.uptime
        )
        drafts += told
        if decision.state in ("refused", "expired"):
            health = replace(health, given_up=health.given_up + 1, given_up_reason=decision.reason)
    if not all(one.decision.answered for one in finished):
        health = _expire_all(tx, health, settled, finished[-1].ended, give_up_after)
    health, told = tell_given_up(health, time=finished[-1].ended, uptime=settled.uptime)
    save_channel(tx, health)
    return _told(tx, [*drafts, *told], settled)


def _end_attempt(tx: Connection, delivery: Delivery, decision: Decision, ended: datetime) -> None:
    done = decision.state != "waiting"
    values: dict[str, Any] = {
        "state": decision.state,
        "reason": decision.reason,
        "deaths": 0,
        "next_at": None if done else ended + timedelta(seconds=decision.delay),
        "finished": ended if done else None,
    }
    tx.execute(update(schema.deliveries).where(_deliveries.id == delivery.id).values(**values))
    _close_attempt(tx, delivery.id, delivery.attempts, decision.result, decision.reason, ended)


def _close_attempt(tx: Connection, id_: str, number: int, result: str, reason: str, ended: datetime) -> None:
    key = (schema.attempts.c.delivery_id == id_, schema.attempts.c.number == number)
    tx.execute(update(schema.attempts).where(*key).values(ended=ended, result=result, reason=reason))


def _expire(tx: Connection, channel: str, born_before: float, reason: str, now: datetime) -> int:
    """A failed try gives up on everything of the channel that has waited too long, not only on what was tried."""
    old = and_(_deliveries.channel == channel, WAITING, _deliveries.born <= born_before)
    values = {"state": "expired", "reason": f"given up: {reason}", "next_at": None, "finished": now}
    return tx.execute(update(schema.deliveries).where(old).values(**values)).rowcount


def tell_overdue(
    tx: Connection, settled: Settled, failing: Mapping[str, bool], now: datetime, give_up_after: float
) -> Recorded:
    """What time alone brings about: a channel that has failed for a minute, deliveries that have waited too long, and
    refusals that the hourly limit held back. `failing`: for each channel whether its last try by this process failed.
    """
    drafts: list[Any] = []
    for name, failed in failing.items():
        before = load_channel(tx, name)
        health = _expire_all(tx, before, settled, now, give_up_after) if failed else before
        health, troubled = tell_failing(health, time=now, uptime=settled.uptime)
        health, told = tell_given_up(health, time=now, uptime=settled.uptime)
        drafts += [*troubled, *told]
        if health != before:
            save_channel(tx, health)
    return _told(tx, drafts, settled)


def _expire_all(
    tx: Connection, health: ChannelHealth, settled: Settled, now: datetime, give_up_after: float
) -> ChannelHealth:
    expired = _expire(tx, health.name, settled.uptime - give_up_after, health.reason, now)
    if not expired:
        return health
    return replace(health, given_up=health.given_up + expired, given_up_reason=f"given up: {health.reason}")


def _told(tx: Connection, drafts: list[Any], settled: Settled) -> Recorded:
    events = append_events(tx, drafts, settled)
    return Recorded(tuple(events), frozenset(name for event in events for name in settled.hearers(event)))


def take_over(tx: Connection, settled: Settled, channels: Iterable[str], now: datetime) -> Recorded:
    """At start: what was being sent when the last process died is tried again, at once and with the same id.

    A delivery that has seen three processes die in its tries is parked and told. The backlog of a channel that left
    the configuration is parked; it goes on when the name returns.
    """
    poisoned = _recover_sending(tx, now)
    park_and_return(tx, settled, channels, now)
    alive, last = load_alive(tx), tx.execute(select(func.max(_deliveries.next_at)).where(WAITING)).scalar()
    set_back = (alive is not None and alive > now) or (last is not None and last > now + LONGEST_WAIT)
    if set_back:
        make_due(tx, now)
    drafts: list[Any] = []
    for channel, count in poisoned.items():
        health = load_channel(tx, channel)
        health = replace(health, given_up=health.given_up + count, given_up_reason=POISON)
        health, told = tell_given_up(health, time=now, uptime=settled.uptime)
        save_channel(tx, health)
        drafts += told
    return _told(tx, drafts, settled)


def park_and_return(tx: Connection, settled: Settled, channels: Iterable[str], now: datetime) -> Recorded:
    """Park the backlog of channels that aren't in the configuration; what was parked so goes on when its channel is
    back."""
    known = list(channels)
    unfinished = and_(_deliveries.state.in_(("waiting", "held")), _deliveries.channel.not_in(known))
    # While it is parked, `born` holds its age: that time doesn't count towards giving up.
    age = settled.uptime - _deliveries.born
    tx.execute(update(schema.deliveries).where(unfinished).values(state="parked", reason=CHANNEL_REMOVED, born=age))
    back = and_(_deliveries.state == "parked", _deliveries.reason == CHANNEL_REMOVED, _deliveries.channel.in_(known))
    tx.execute(update(schema.deliveries).where(back).values(state="waiting", reason="", next_at=now, born=age))
    return Recorded()


def _recover_sending(tx: Connection, now: datetime) -> dict[str, int]:
    poisoned: dict[str, int] = {}
    for row in tx.execute(select(schema.deliveries).where(_deliveries.state == "sending")).all():
        _close_attempt(tx, row.id, row.attempts, "unknown", "the process died before the answer was recorded", now)
        deaths = row.deaths if _survived(tx, row) else row.deaths + 1
        parked = deaths >= 3
        # A suspect is tried when the process has lived for a while: that tells it from a victim of somebody who kills
        # the process again and again.
        again = now + SUSPECT_WAITS if deaths == 2 else now
        values = {"state": "parked", "reason": POISON} if parked else {"state": "waiting", "next_at": again}
        tx.execute(update(schema.deliveries).where(_deliveries.id == row.id).values(deaths=deaths, **values))
        if parked:
            poisoned[row.channel] = poisoned.get(row.channel, 0) + 1
    return poisoned


def _survived(tx: Connection, row: Row[Any]) -> bool:
    """The process lived on for a while after the last try had begun: it didn't die of that."""
    a, alive = schema.attempts.c, load_alive(tx)
    begun = select(a.started).where(a.delivery_id == row.id, a.number == row.attempts)
    started = tx.execute(begun).scalar()
    return alive is not None and started is not None and alive - started > SURVIVED


def shut_down(tx: Connection, sending: Iterable[Delivery], now: datetime) -> None:
    """At an orderly stop: tries without an answer are recorded as unknown and repeated by the next process."""
    reason = "stopped before the answer came"
    for delivery in sending:
        _close_attempt(tx, delivery.id, delivery.attempts, "unknown", reason, now)
        values = {"state": "waiting", "next_at": now, "reason": reason, "deaths": 0}
        tx.execute(update(schema.deliveries).where(_deliveries.id == delivery.id).values(**values))


def _next_due(tx: Connection, channel: str, now: datetime) -> datetime | None:
    # What is due already but wasn't claimed waits for another delivery to end, not for the clock.
    waiting = and_(_deliveries.channel == channel, WAITING, _deliveries.next_at > now)
    return tx.execute(select(func.min(_deliveries.next_at)).where(waiting)).scalar()


def make_due(tx: Connection, now: datetime) -> None:
    """After a jump of the wall clock: everything that waits is due, since its times mean nothing any more."""
    tx.execute(update(schema.deliveries).where(_deliveries.state == "waiting").values(next_at=now))


def redeliver(tx: Connection, ids: Sequence[str], now: datetime) -> list[str]:
    """Make deliveries due again under the same id; raises UsageError for ids that can't be."""
    found = {row.id: row.state for row in tx.execute(select(schema.deliveries).where(_deliveries.id.in_(ids)))}
    for id_ in ids:
        if id_ not in found:
            raise UsageError(f"there is no delivery {id_}", "see the ids with: watcher deliveries")
        if found[id_] in UNFINISHED:
            raise UsageError(f"delivery {id_} is {found[id_]}, it will be tried by itself", "wait, or fix its channel")
    born = select(schema.meta.c.value).where(schema.meta.c.name == "uptime")
    uptime = float(tx.execute(born).scalar() or 0.0)
    values = {
        "state": "waiting",
        "next_at": now,
        "finished": None,
        "born": uptime,
        "deaths": 0,
        "reason": "redelivered",
    }
    tx.execute(update(schema.deliveries).where(_deliveries.id.in_(ids)).values(**values))
    return list(ids)


def failed_ids(tx: Connection) -> list[str]:
    """The deliveries that `redeliver --failed` means: refused, expired and parked ones, oldest first."""
    query = select(_deliveries.id).where(_deliveries.state.in_(("refused", "expired", "parked")))
    return list(tx.execute(query.order_by(_deliveries.event_id)).scalars())


def joined_with_events() -> Select[Any]:
    join = schema.deliveries.join(schema.events, schema.events.c.id == _deliveries.event_id)
    return select(*_DELIVERY_COLUMNS, *_EVENT_COLUMNS).select_from(join)


def overdue(tx: Connection, seconds: float) -> int:
    """How many deliveries were made more than `seconds` ago and still wait for their channel."""
    before = datetime.now(tz=schema.EPOCH.tzinfo) - timedelta(seconds=seconds)
    join = schema.deliveries.join(schema.events, schema.events.c.id == _deliveries.event_id)
    late = select(func.count()).select_from(join).where(WAITING, schema.events.c.committed < before)
    return int(tx.execute(late).scalar_one())


def failures_since(tx: Connection, began: datetime) -> int:
    """How many tries since then ended without being accepted."""
    a = schema.attempts.c
    failed = select(func.count()).where(a.started >= began, a.result != "accepted")
    return int(tx.execute(failed).scalar_one())
