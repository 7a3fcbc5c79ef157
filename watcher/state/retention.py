"""Forgetting by age. Never a snapshot, nor the event of a delivery that isn't finished, nor the newest event."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from watcher.state import schema

UNFINISHED = ("waiting", "held", "sending", "parked")


def forget(tx: Connection, now: datetime, *, history: float, events: float) -> tuple[int, int]:
    """Delete history rows and events older than so many seconds; returns how many of each."""
    rows = tx.execute(delete(schema.history).where(schema.history.c.time < now - timedelta(seconds=history))).rowcount
    old = schema.events.c.time < now - timedelta(seconds=events)
    needed = select(schema.deliveries.c.event_id).where(schema.deliveries.c.state.in_(UNFINISHED))
    newest = select(func.max(schema.events.c.id)).scalar_subquery()
    doomed = select(schema.events.c.id).where(old, schema.events.c.id.not_in(needed), schema.events.c.id != newest)
    tx.execute(delete(schema.deliveries).where(schema.deliveries.c.event_id.in_(doomed)))
    # Cards that nobody edits any more stay as they are; silences that are over silence nothing.
    tx.execute(delete(schema.cards).where(schema.cards.c.edited < now - timedelta(seconds=events)))
    tx.execute(delete(schema.silences).where(schema.silences.c.ends < now - timedelta(seconds=events)))
    return rows, tx.execute(delete(schema.events).where(schema.events.c.id.in_(doomed))).rowcount
