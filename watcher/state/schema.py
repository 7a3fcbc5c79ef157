"""The tables. Times are milliseconds since the epoch (UTC); `uptime` is seconds that the watcher has been running.

The store is the outbox: a snapshot, its history, its events and their deliveries are written in one transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    false,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
APPLICATION_ID = 0x77617463
"""Marks a SQLite file as ours ("watc"), so that a foreign database is never written to."""
BAND = 32
"""How many tasks, in the order in which they were first seen, have their history in one place."""


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as whole milliseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // MILLISECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + value * MILLISECOND


metadata = MetaData()
# SQLite gives only INTEGER PRIMARY KEY the row id's speed; PostgreSQL wants 64 bits.
_Id = BigInteger().with_variant(Integer(), "sqlite")
# Written out in queries too: with a bound parameter SQLite can't see that a partial index covers the question.
UNFINISHED = text("state IN ('waiting', 'held', 'sending')")
WAITING = text("state = 'waiting'")

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

accounts = Table(
    "accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("reserved_until", Instant),
    Column("key_mark", Text),
    Column("last_good", Instant),
    Column("failed", Integer, nullable=False, default=0),
    Column("failing_since", Float),
    Column("unreachable", Boolean, nullable=False, default=False),
    Column("rejected_since", Float),
    Column("rejected", Boolean, nullable=False, default=False),
    Column("reason", Text, nullable=False, default=""),
    Column("spacing", Float),
    Column("hint", Text, nullable=False, default="", server_default=""),
)

tasks = Table(
    "tasks",
    metadata,
    Column("no", _Id, primary_key=True),
    Column("account", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("seen", Instant, nullable=False),
    Column("changed", Instant, nullable=False),
    Column("life", Integer, nullable=False, default=1),
    Column("milestone", Integer, nullable=False, default=0),
    Column("status_since", Instant),
    Column("ended", Instant),
    Column("ending", Text, nullable=False, default=""),
    Column("amended", Boolean, nullable=False, default=False),
    Column("weights_told", Boolean, nullable=False, default=False),
    Column("missing_since", Instant),
    Column("gone", Text, nullable=False, default=""),
    # What moves at every step. Where `moved`, these five go before the same facts in `fields`, which are then older:
    # writing a few numbers costs much less than writing all that is known of a task.
    Column("moved", Boolean, nullable=False, default=False, server_default=false()),
    Column("step", BigInteger),
    Column("epoch", BigInteger),
    Column("loss", Float),
    Column("updated", Text),
    Column("estimated", BigInteger),
    Index("tasks_key", "account", "id", unique=True),
)

# Sorted by task, a list page of 100 tasks would touch 100 places of the file; by band it is a handful. `band` is
# task_no // BAND: a query for one task must name both.
history = Table(
    "history",
    metadata,
    Column("band", _Id, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("task_no", _Id, ForeignKey("tasks.no", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("time", Instant, nullable=False),
    Column("life", Integer, nullable=False),
    Column("step", BigInteger),
    Column("epoch", BigInteger),
    Column("loss", Float),
    Column("changes", Text),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("notable", Boolean, nullable=False),
    Column("after", Instant),
    Column("time", Instant, nullable=False),
    Column("committed", Instant, nullable=False),
    Column("account", Text),
    Column("task", Text),
    Column("channel", Text),
    Column("body", Text, nullable=False),
    Index("events_task", "account", "task", "id"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("event_id", _Id, ForeignKey("events.id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Instant),
    Column("reason", Text, nullable=False, default=""),
    Column("born", Float, nullable=False),
    Column("deaths", Integer, nullable=False, default=0),
    Column("finished", Instant),
    # The message in which it goes out together with others; "" where it must go alone.
    Column("digest", Text),
    # Which card it brings up to date, where its channel keeps cards; `silent`: it says nothing besides.
    Column("card", Text),
    Column("silent", Boolean, nullable=False, default=False, server_default=false()),
    # It comes in quiet hours, too.
    Column("urgent", Boolean, nullable=False, default=False, server_default=false()),
    Index("deliveries_event", "event_id"),
    Index(
        "deliveries_unfinished",
        "channel",
        "queue",
        "event_id",
        sqlite_where=UNFINISHED,
        postgresql_where=UNFINISHED,
    ),
    Index("deliveries_due", "channel", "next_at", "event_id", sqlite_where=WAITING, postgresql_where=WAITING),
)

attempts = Table(
    "attempts",
    metadata,
    Column("delivery_id", Text, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started", Instant, nullable=False),
    Column("ended", Instant),
    Column("result", Text),
    Column("reason", Text, nullable=False, default=""),
)

channels = Table(
    "channels",
    metadata,
    Column("name", Text, primary_key=True),
    Column("failures", Integer, nullable=False, default=0),
    Column("failing_since", Float),
    Column("failing", Boolean, nullable=False, default=False),
    Column("reason", Text, nullable=False, default=""),
    Column("given_up", Integer, nullable=False, default=0),
    Column("given_up_reason", Text, nullable=False, default=""),
    Column("gave_up_told", Float),
    Column("paused_until", Instant),
)

cards = Table(
    "cards",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("chat", Text, nullable=False),
    Column("ts", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("edited", Instant, nullable=False),
    # The task's `changed` as the card shows it. Times alone don't tell: a look that began before the edit may be
    # written down after it.
    Column("changed", Instant),
)

# What is to be quiet for a while: a task (of one account or of any), or whatever has a label.
silences = Table(
    "silences",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("account", Text),
    Column("task", Text),
    Column("label", Text),
    Column("value", Text),
    Column("made", Instant, nullable=False),
    Column("ends", Instant, nullable=False),
    Column("reason", Text, nullable=False, default=""),
)
