"""Living messages as the store knows them: where each stands, what it is to show, and which are behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, insert, literal, or_, select, update

from watcher.models import Card, CardRef, CardTask, Snapshot
from watcher.state import schema
from watcher.state.diff import failure_of
from watcher.state.rows import snapshot_from
from watcher.state.schema import BAND
from watcher.state.telling import GROUP, TASK, Settled

POINTS = 24
"""How many of the newest losses a card shows."""

_cards, _tasks = schema.cards.c, schema.tasks.c


def load_card(tx: Connection, settled: Settled, channel: str, subject: str) -> Card:
    """What the card is to show now, and where it stands."""
    where = and_(_cards.channel == channel, _cards.subject == subject)
    row = tx.execute(select(schema.cards).where(where)).one_or_none()
    ref = CardRef(row.chat, row.ts) if row is not None and row.ts else None
    shown = row.shown if row is not None else ""
    tasks, changed = _load_tasks(tx, settled, subject)
    return Card(subject, tasks, ref, shown, changed)


def save_card(tx: Connection, channel: str, card: Card, now: datetime) -> None:
    """Remember where a card stands and what it shows."""
    ref = card.ref or CardRef("", "")
    values = {"chat": ref.chat, "ts": ref.ts, "shown": card.shown, "edited": now, "changed": card.changed}
    where = and_(_cards.channel == channel, _cards.subject == card.subject)
    if not tx.execute(update(schema.cards).where(where).values(**values)).rowcount:
        tx.execute(insert(schema.cards).values(channel=channel, subject=card.subject, **values))


def await_card(tx: Connection, delivery_id: str) -> None:
    """A delivery went out in a digest: its card, posted or not, is behind."""
    d = schema.deliveries.c
    row = tx.execute(select(d.channel, d.card).where(d.id == delivery_id)).one()
    if row.card is None:
        return
    where = and_(_cards.channel == row.channel, _cards.subject == row.card)
    behind = {"shown": "", "edited": schema.EPOCH, "changed": None}
    if not tx.execute(update(schema.cards).where(where).values(**behind)).rowcount:
        tx.execute(insert(schema.cards).values(channel=row.channel, subject=row.card, chat="", ts="", **behind))


def card_behind(tx: Connection, settled: Settled, channel: str, now: datetime, rest: float) -> Card | None:
    """The card that has been behind for longest, if one is; none is edited twice within `rest` seconds.

    Whether what a group's card shows has changed is known only when it is drawn.
    """
    key = literal(TASK) + _tasks.account + "/" + _tasks.id
    of_task = select(_cards.subject, _cards.edited).join(schema.tasks, key == _cards.subject)
    of_task = of_task.where(_ripe(channel, now, rest), or_(_cards.changed.is_(None), _tasks.changed != _cards.changed))
    of_group = select(_cards.subject, _cards.edited).where(
        _ripe(channel, now, rest), _cards.subject.startswith(GROUP, autoescape=True)
    )
    oldest = select(of_task.union_all(of_group).subquery()).order_by("edited").limit(1)
    row = tx.execute(oldest).one_or_none()
    return load_card(tx, settled, channel, row.subject) if row is not None else None


def _ripe(channel: str, now: datetime, rest: float) -> ColumnElement[bool]:
    return and_(_cards.channel == channel, _cards.edited < now - timedelta(seconds=rest))


def _load_tasks(tx: Connection, settled: Settled, subject: str) -> tuple[tuple[CardTask, ...], datetime | None]:
    """The tasks on a card, and when a single one was last seen to change."""
    if subject.startswith(GROUP):
        group = subject.removeprefix(GROUP)
        rows = tx.execute(select(schema.tasks).order_by(_tasks.no)).all()
        found = [(row.no, snapshot_from(row)) for row in rows]
        members = (one for one in found if settled.group(one[1].key, one[1].fields) == group)
        return tuple(_shown(tx, settled, *one) for one in members), None
    account, _, id_ = subject.removeprefix(TASK).partition("/")
    row = tx.execute(select(schema.tasks).where(_tasks.account == account, _tasks.id == id_)).one_or_none()
    if row is None:
        return (), None
    return (_shown(tx, settled, row.no, snapshot_from(row)),), row.changed


def _shown(tx: Connection, settled: Settled, number: int, snapshot: Snapshot) -> CardTask:
    task = CardTask(
        key=snapshot.key,
        subject=settled.subject(snapshot.key, snapshot.fields),
        seen=snapshot.seen,
        since=snapshot.status_since,
        gone=snapshot.gone,
        failure=failure_of(snapshot.fields),
    )
    return replace(task, losses=_losses(tx, number, snapshot.life))


def _losses(tx: Connection, number: int, life: int) -> tuple[float, ...]:
    h = schema.history.c
    of_task = (h.band == number // BAND, h.task_no == number, h.life == life, h.loss.is_not(None))
    newest = select(h.loss).where(*of_task).order_by(h.number.desc()).limit(POINTS)
    return tuple(reversed(tx.execute(newest).scalars().all()))
