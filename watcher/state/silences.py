"""Silences: what nobody is to hear of for a while, and what merely follows from something that was told already."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from watcher.errors import UsageError
from watcher.models import Event
from watcher.state import schema

FOLLOWS_FROM_REJECTED = frozenset(
    {"account.unreachable", "task.stalled", "task.queued_long", "task.gone", "task.unknown"}
)
"""What a refused key brings about by itself: whoever was told of the key needn't hear of these as well."""

_silences = schema.silences.c


@dataclass(frozen=True, slots=True)
class Silence:
    """Events of a task, or of every task with a label, aren't told from `made` until `ends` (UTC).

    Either `task` is set (`account` None: in whichever account) or `label` and `value`. It holds for every channel.
    """

    id: str
    account: str | None
    task: str | None
    label: str | None
    value: str | None
    made: datetime
    ends: datetime
    reason: str

    @property
    def about(self) -> str:
        """As it is written on the command line: `TASK`, `ACCOUNT/TASK` or `label=value`."""
        if self.task is None:
            return f"{self.label}={self.value}"
        return f"{self.account}/{self.task}" if self.account else self.task


def add(
    tx: Connection,
    *,
    now: datetime,
    ends: datetime,
    account: str | None = None,
    task: str | None = None,
    label: str | None = None,
    value: str | None = None,
    reason: str = "",
) -> Silence:
    """Silence a task, or everything with a label, from now on."""
    row = {"account": account, "task": task, "label": label, "value": value, "ends": ends, "reason": reason}
    key = tx.execute(insert(schema.silences).values(made=now, **row)).inserted_primary_key
    (found,) = tx.execute(select(schema.silences).where(_silences.id == (key[0] if key else None)))
    return _from(found)


def end(tx: Connection, ids: Sequence[str], now: datetime) -> list[Silence]:
    """End silences early. Raises UsageError, and ends none, when one of them isn't there or is over."""
    numbers = [int(id_) for id_ in ids if id_.isascii() and id_.isdigit() and len(id_) <= 18]
    found = {str(row.id): _from(row) for row in tx.execute(select(schema.silences).where(_silences.id.in_(numbers)))}
    for id_ in ids:
        if id_ not in found:
            raise UsageError(f"there is no silence {id_}", "see the ids with: watcher silences")
        if found[id_].ends <= now:
            raise UsageError(f"silence {id_} ({found[id_].about}) is over already", "watcher silences lists the others")
    tx.execute(update(schema.silences).where(_silences.id.in_(numbers)).values(ends=now))
    return [found[id_] for id_ in dict.fromkeys(ids)]


def active(tx: Connection, now: datetime) -> tuple[Silence, ...]:
    """What is silenced now, oldest first."""
    query = select(schema.silences).where(_silences.ends > now).order_by(_silences.id)
    return tuple(map(_from, tx.execute(query)))


def silenced_by(event: Event, silences: Sequence[Silence]) -> Silence | None:
    """The first silence that an event falls under; only events about a task do."""
    if event.task is None:
        return None
    labels = (event.subject or {}).get("labels")
    known = labels if isinstance(labels, Mapping) else {}
    return next((each for each in silences if _covers(each, event, known)), None)


def inhibited(event: Event, rejected_accounts: Collection[str]) -> str:
    """Why nobody needs to hear of what merely follows from a refused key; "" where it doesn't."""
    if event.type in FOLLOWS_FROM_REJECTED and event.account in rejected_accounts:
        return f"the key of account {event.account} is refused"
    return ""


def _covers(silence: Silence, event: Event, labels: Mapping[Any, Any]) -> bool:
    if silence.task is None:
        return silence.label is not None and labels.get(silence.label) == silence.value
    return silence.task == event.task and silence.account in (None, event.account)


def _from(row: Row[Any]) -> Silence:
    return Silence(str(row.id), row.account, row.task, row.label, row.value, row.made, row.ends, row.reason)
