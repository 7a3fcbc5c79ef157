"""The outbox: one turn of a channel records what became of its deliveries, and claims what is due (`claim`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, select, update

from watcher.errors import UsageError
from watcher.models import REDELIVERED, Card, Delivery, Digest
from watcher.notifier.decide import LONGEST_RETRY_AFTER, Decision
from watcher.state import schema
from watcher.state.budget import load_alive
from watcher.state.cards import await_card, save_card
from watcher.state.claim import ALONE, HELD, WAITING, Terms, claim, release
from watcher.state.health import ChannelHealth, after_try, tell_failing, tell_given_up
from watcher.state.record import Recorded, Settled, append_events, load_channel, save_channel

UNFINISHED = ("waiting", "held", "sending")
REDELIVERABLE = ("refused", "expired", "parked", "silenced")
CHANNEL_REMOVED = "the channel isn't in the configuration; it goes on when its name returns"
LONGEST_WAIT = timedelta(seconds=LONGEST_RETRY_AFTER)
SUSPECT_WAITS = timedelta(seconds=10)
SURVIVED = timedelta(seconds=5)
POISON = "each of its last tries ended with the death of the process"

_deliveries = schema.deliveries.c


@dataclass(frozen=True, slots=True)
class Finished:
    """One try that is over: `ended` is when the answer came.

    `card` is the card as it stands since then, where the try changed it. `digest`: it went out with others.
    """

    delivery: Delivery
    decision: Decision
    ended: datetime
    card: Card | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn of a lane brought: what was claimed for sending, and when the next is due, if one is."""

    claimed: tuple[Delivery, ...]
    next_at: datetime | None
    digests: tuple[Digest, ...] = ()


def turn(
    tx: Connection,
    settled: Settled,
    channel: str,
    finished: Sequence[Finished],
    room: int,
    now: datetime,
    give_up_after: float,
    terms: Terms = Terms(),  # noqa: B008 - it is frozen
) -> tuple[Turn, Recorded]:
    """Record what is over and claim at most `room` messages that are due, in one transaction."""
    recorded = _record(tx, channel, finished, settled, give_up_after) if finished else Recorded()
    claimed = claim(tx, settled, channel, terms, room, now)
    # Where there is no more room, what ends next brings the next turn.
    next_at = _next_due(tx, channel, now, terms) if claimed.count < room or not room else None
    return Turn(claimed.deliveries, next_at, claimed.digests), recorded


def _record(
    tx: Connection, channel: str, finished: Sequence[Finished], settled: Settled, give_up_after: float
) -> Recorded:
    before = health = load_channel(tx, channel)
    drafts: list[Any] = []
    _end_attempts(tx, finished)
    for one in finished:
        decision = one.decision
        if one.card is not None and one.card.ref is not None:
            save_card(tx, channel, one.card, one.ended)
        health, told = after_try(
            health, ok=decision.answered, reason=decision.reason, time=one.ended, uptime=settled.uptime
        )
        drafts += told
        if decision.pause:
            health = replace(health, paused_until=one.ended + timedelta(seconds=decision.pause))
        if decision.state in ("refused", "expired") and not _goes_alone(one):
            health = replace(health, given_up=health.given_up + 1, given_up_reason=decision.reason)
    if not all(one.decision.answered for one in finished):
        health = _expire_all(tx, health, settled, finished[-1].ended, give_up_after)
    health, told = tell_given_up(health, time=finished[-1].ended, uptime=settled.uptime)
    if health != before:
        save_channel(tx, health)
    return _told(tx, [*drafts, *told], settled)


def _goes_alone(one: Finished) -> bool:
    """A digest was refused: each of its members may still be taken."""
    return one.digest is not None and one.decision.state == "refused"


# Built once: that costs more than running them.
_ENDED = (
    update(schema.deliveries)
    .where(_deliveries.id == bindparam("of"))
    .values({name: bindparam(f"to_{name}") for name in ("state", "reason", "next_at", "finished")} | {"deaths": 0})
)
_CLOSED = (
    update(schema.attempts)
    .where(schema.attempts.c.delivery_id == bindparam("of"), schema.attempts.c.number == bindparam("which"))
    .values({name: bindparam(f"to_{name}") for name in ("ended", "result", "reason")})
)


def _end_attempts(tx: Connection, finished: Sequence[Finished]) -> None:
    tx.execute(_ENDED, [_end_of(one) for one in finished])
    tx.execute(
        _CLOSED,
        [
            {
                "of": one.delivery.id,
                "which": one.delivery.attempts,
                "to_ended": one.ended,
                "to_result": one.decision.result,
                "to_reason": one.decision.reason,
            }
            for one in finished
        ],
    )
    alone = [one.delivery.id for one in finished if _goes_alone(one)]
    if alone:
        tx.execute(update(schema.deliveries).where(_deliveries.id.in_(alone)).values(digest=ALONE))
    for one in finished:
        if one.digest is not None and one.decision.state == "delivered":
            await_card(tx, one.delivery.id)


def _end_of(one: Finished) -> dict[str, Any]:
    decision, alone = one.decision, _goes_alone(one)
    done = decision.state != "waiting" and not alone
    return {
        "of": one.delivery.id,
        "to_state": "waiting" if alone else decision.state,
        "to_reason": decision.reason,
        "to_next_at": None if done else one.ended + timedelta(seconds=decision.delay),
        "to_finished": one.ended if done else None,
    }


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
    if not drafts:
        return Recorded()
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
    # Nothing is held for hours that may not be in the configuration any more: the channel's next turn decides anew.
    release(tx, settled, tx.execute(select(_deliveries.channel).where(HELD).distinct()).scalars().all(), now)
    unfinished = and_(_deliveries.state == "waiting", _deliveries.channel.not_in(known))
    # While it is parked, `born` holds its age: that time doesn't count towards giving up.
    age = settled.uptime - _deliveries.born
    tx.execute(update(schema.deliveries).where(unfinished).values(state="parked", reason=CHANNEL_REMOVED, born=age))
    back = and_(_deliveries.state == "parked", _deliveries.reason == CHANNEL_REMOVED, _deliveries.channel.in_(known))
    tx.execute(update(schema.deliveries).where(back).values(state="waiting", reason="", next_at=now, born=age))
    return Recorded()


def forget_pauses(tx: Connection, channels: Iterable[str]) -> None:
    """Channels that have been changed: that they asked us to stay away means nothing any more."""
    tx.execute(update(schema.channels).where(schema.channels.c.name.in_(list(channels))).values(paused_until=None))


def _recover_sending(tx: Connection, now: datetime) -> dict[str, int]:
    poisoned: dict[str, int] = {}
    for row in tx.execute(select(schema.deliveries).where(_deliveries.state == "sending")).all():
        _close_attempt(tx, row.id, row.attempts, "unknown", "the process died before the answer was recorded", now)
        deaths = row.deaths if _survived(tx, row) else row.deaths + 1
        # A suspect is tried when the process has lived for a while: that tells it from a victim of somebody who kills
        # the process again and again.
        again = now + SUSPECT_WAITS if deaths == 2 else now
        if deaths == 2 and row.digest:
            deaths = 1  # it was tried with others: each is tried alone, and in its own words, before it is suspected
        parked = deaths >= 3
        values = {"state": "parked", "reason": POISON} if parked else {"state": "waiting", "next_at": again}
        if again > now or parked:
            values["digest"] = ALONE
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


def _next_due(tx: Connection, channel: str, now: datetime, terms: Terms) -> datetime | None:
    # What is due already but wasn't claimed waits for another delivery to end, not for the clock.
    next_at: datetime | None = tx.execute(_NEXT, {"to": channel, "now": now}).scalar()
    held_until = terms.quiet_until
    return min(next_at, held_until) if next_at and held_until else next_at or held_until


_NEXT = select(func.min(_deliveries.next_at)).where(
    _deliveries.channel == bindparam("to"), WAITING, _deliveries.next_at > bindparam("now")
)


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
    values = {
        "state": "waiting",
        "next_at": now,
        "finished": None,
        "born": _uptime(tx),
        "deaths": 0,
        "digest": ALONE,
        "reason": REDELIVERED,
    }
    tx.execute(update(schema.deliveries).where(_deliveries.id.in_(ids)).values(**values))
    return list(ids)


def failed_ids(tx: Connection) -> list[str]:
    """The deliveries that `redeliver --failed` means: refused, expired and parked ones, oldest first."""
    query = select(_deliveries.id).where(_deliveries.state.in_(("refused", "expired", "parked")))
    return list(tx.execute(query.order_by(_deliveries.event_id)).scalars())


def overdue(tx: Connection, seconds: float) -> int:
    """How many deliveries have been due for more than `seconds` and still wait for their channel. Time in which the
    watcher stood still, or held them, doesn't count."""
    late = select(func.count()).where(WAITING, _deliveries.born < _uptime(tx) - seconds)
    return int(tx.execute(late).scalar_one())


def _uptime(tx: Connection) -> float:
    """The running time at the last sign of life."""
    stored = select(schema.meta.c.value).where(schema.meta.c.name == "uptime")
    return float(tx.execute(stored).scalar() or 0.0)


def failures_since(tx: Connection, began: datetime) -> int:
    """How many tries since then ended without being accepted."""
    a = schema.attempts.c
    failed = select(func.count()).where(a.started >= began, a.result != "accepted")
    return int(tx.execute(failed).scalar_one())
