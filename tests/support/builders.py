"""Values of the core for tests: tasks as stored and as seen, settled facts, an open store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from watcher.models import TERMINAL, Draft, Event, Observation, Snapshot, Source, TaskKey, Window
from watcher.state.database import Database
from watcher.state.diff import Change, Rules, compare
from watcher.state.record import Settled
from watcher.state.store import Store, open_store
from watcher.views import task_json

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
KEY = TaskKey("main", "czf9fbky")

SHORT = {
    "step": "statusInfo.currStep",
    "steps": "statusInfo.totalTrainSteps",
    "epoch": "statusInfo.currEpoch",
    "epochs": "statusInfo.totalTrainEpochs",
    "loss": "statusInfo.trainLoss",
    "weights": "statusInfo.sendWeightSuccess",
    "reason": "statusInfo.failureReason",
    "message": "statusInfo.message",
    "end": "statusInfo.endDatetime",
    "created": "createdDate",
    "updated": "updatedDate",
}
"""Words of these tests for the upstream's fields."""


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def written(seconds: float) -> str:
    """The same as the upstream writes it."""
    return (NOON + timedelta(seconds=seconds, hours=9)).strftime("%Y-%m-%dT%H:%M:%S+0900")


def fields(status: str = "RUNNING", **more: Any) -> dict[str, Any]:
    return {"status": status, **{SHORT.get(name, name): value for name, value in more.items()}}


def seen(
    status: str = "RUNNING",
    *,
    number: int = 2,
    when: float = 60,
    source: Source = "get",
    trusted: bool = False,
    key: TaskKey = KEY,
    **more: Any,
) -> Observation:
    """A look at the task, by default a minute after noon."""
    return Observation(key, number, at(when), source, fields(status, **more), trusted)


BOOKKEEPING = {
    "life", "milestone", "ended", "ending", "amended", "weights_told", "missing_since", "gone", "changed",
}  # fmt: skip


def stored(status: str = "RUNNING", *, number: int = 1, when: float = 0, key: TaskKey = KEY, **more: Any) -> Snapshot:
    """The task as it was stored, by default at noon; what the book-keeping doesn't know is a field."""
    kept = {name: value for name, value in more.items() if name in BOOKKEEPING}
    shown = {name: value for name, value in more.items() if name not in BOOKKEEPING}
    if status in TERMINAL:
        kept = {"ended": at(when), "ending": "1000", **kept}
    kept.setdefault("changed", at(when))
    return Snapshot(key, fields(status, **shown), number, at(when), at(when), **kept)


def told(change: Change) -> list[str]:
    return [draft.type for draft in change.drafts]


def look(before: Snapshot | None, now: Observation, **rules: Any) -> Change:
    return compare(before, now, Rules(**rules))


def events_of(before: Snapshot | None, *looks: Observation, **rules: Any) -> list[list[str]]:
    """What each of several looks in a row tells."""
    tellings = []
    for each in looks:
        change = look(before, each, **rules)
        before = change.snapshot or before
        tellings.append(told(change))
    return tellings


def draft(type_: str = "task.started", *, when: float = 60, **more: Any) -> Draft:
    about = {"account": KEY.account, "task": KEY.id} if type_.startswith("task.") else {}
    return Draft(type_, Window(None, at(when)), **{**about, **more})


def event(type_: str = "task.failed", **more: Any) -> Event:
    values: dict[str, Any] = {
        "id": "1772452860000000",
        "type": type_,
        "severity": "failure",
        "notable": True,
        "window": Window(at(0), at(60)),
        **more,
    }
    return Event(**values)


def settled(hearers: Mapping[str, str] | Sequence[str] = ("team",), *, uptime: float = 0.0, **more: Any) -> Settled:
    """The facts of a moment; every event is heard by `hearers`, but for a channel's own trouble."""
    names = dict(hearers) if isinstance(hearers, Mapping) else dict.fromkeys(hearers, "notable, the default")
    values: dict[str, Any] = {
        "hearers": lambda event: {name: why for name, why in names.items() if name != event.channel},
        "subject": lambda key, shown: task_json(key, shown, None, {}),
        "listed": lambda _key: True,
        "milestones": (25, 50, 75),
        "patience": 300.0,
        "stepped_at": 0,
        "uptime": uptime,
        **more,
    }
    return Settled(**values)


@lru_cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        with open_store(url(Path(folder))):
            pass
        return (Path(folder) / "watcher.db").read_bytes()


def prepare(folder: Path) -> None:
    """Put an empty store there unless there is one: migrating one for each test would take most of its time."""
    path = folder / "watcher.db"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(_migrated())


@contextmanager
def opened(folder: Path, name: str = "watcher.db") -> Iterator[Store]:
    with open_store(url(folder, name)) as store:
        yield store


def url(folder: Path, name: str = "watcher.db") -> str:
    return f"sqlite:///{folder / name}"


def set_read_only(database: Database, on: bool) -> None:
    """Make the open database refuse every write, as a disk does that was remounted read-only."""
    raw = database._engine.raw_connection()  # past BEGIN IMMEDIATE, which a read-only database refuses
    raw.cursor().execute(f"PRAGMA query_only = {int(on)}")
    raw.close()
