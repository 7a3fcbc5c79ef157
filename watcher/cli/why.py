"""What the running daemon means to ask next, and why: only the process itself knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from watcher.cli.printing import Cell, span
from watcher.models import TERMINAL, TaskKey

if TYPE_CHECKING:
    from watcher.cli.reading import Known
    from watcher.settings import Settings

HEADERS = ("NEXT", "QUERY", "BECAUSE")
NEVER = "not any more"
_QUERIES = {"get": "single GET"}


@dataclass(frozen=True, slots=True)
class Look:
    """The next look at a task: `next_at` in RFC 3339, None when none is planned; `query` is `page N` or `get`.

    `never`: the task has ended, so there won't be another.
    """

    next_at: str | None
    query: str | None
    because: str
    never: bool = False

    def json(self) -> dict[str, Any]:
        return {"next_at": self.next_at, "query": self.query, "because": self.because}

    def cells(self, now: datetime) -> tuple[Cell, Cell, Cell]:
        if self.never:
            return Cell(NEVER, "dim"), Cell(""), Cell(self.because, "dim")
        return Cell(_until(self.next_at, now)), Cell(_query(self.query)), Cell(self.because)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the daemon answered, as far as it makes sense."""

    tasks: Mapping[TaskKey, Look]
    accounts: Mapping[str, Mapping[str, Any]]

    def look(self, task: Known) -> Look:
        """The next look at a task, or why there is none."""
        snapshot = task.snapshot
        over = snapshot is not None and (bool(snapshot.gone) or snapshot.status in TERMINAL)
        planned = self.tasks.get(task.key)
        if planned is not None:
            return replace(planned, never=over and planned.next_at is None)
        if not task.watched:
            return Look(None, None, "neither listed nor adopted", never=True)
        if snapshot is not None and over:
            return Look(None, None, "gone" if snapshot.gone else "ended and settled", never=True)
        return Look(None, None, "not taken up yet")


def ask_daemon(settings: Settings) -> Plan | None:
    """The running daemon's plan; None when it doesn't answer."""
    path = _database(settings)
    if path is None:
        return None
    from watcher.local import ask

    said = ask(path, "plan")
    return _plan(said) if isinstance(said, Mapping) else None


def unanswered(settings: Settings, silent: str) -> str:
    """Why there is no plan; "" where `silent`, which is shown anyway, says it."""
    path = _database(settings)
    if silent or path is None:
        return ""
    from watcher.local import socket_path
    from watcher.state.files import held

    if held(path) is None:
        return "the watcher isn't running, so nothing is planned"
    return f"the running watcher doesn't answer at {socket_path(path)}: ask as its user and on its machine"


def account_lines(plan: Plan, now: datetime) -> Iterator[str]:
    """`account main: next in 3 s by list page 2 (settling after its end), 30 queries a minute`."""
    for name, said in plan.accounts.items():
        next_at, query, because, pace = (said.get(key) for key in ("next_at", "query", "because", "pace"))
        when = _until(next_at, now)
        line = f"account {name}: " + (f"next {when}" if when else "nothing is planned")
        line += f" by {shown}" if (shown := _query(query)) else ""
        line += f" ({because})" if because else ""
        yield line + (f", {pace:g} queries a minute" if isinstance(pace, int | float) else "")


def _database(settings: Settings) -> Path | None:
    from watcher.state.files import sqlite_path

    return sqlite_path(settings.store.get_secret_value())


def _plan(said: Mapping[str, Any]) -> Plan:
    """A daemon of another version may answer in other words: what isn't understood is left out."""
    tasks, accounts = said.get("tasks"), said.get("accounts")
    return Plan(
        dict(filter(None, map(_task, tasks))) if isinstance(tasks, list) else {},
        {name: each for name, each in accounts.items() if isinstance(each, Mapping)}
        if isinstance(accounts, Mapping)
        else {},
    )


def _task(said: object) -> tuple[TaskKey, Look] | None:
    if not isinstance(said, Mapping):
        return None
    next_at, query, because = (said.get(key) for key in ("next_at", "query", "because"))
    next_at = next_at if _moment(next_at) is not None else None
    look = Look(next_at, _text(query) or None, _text(because))
    return TaskKey(_text(said.get("account")), _text(said.get("id"))), look


def _until(next_at: object, now: datetime) -> str:
    """`in 12 s`, `now`, or how long it has been due; "" for never."""
    moment = _moment(next_at)
    if moment is None:
        return ""
    left = round((moment - now).total_seconds())
    if left < -1:
        return f"{span(-left)} late"
    return f"in {span(left)}" if left > 0 else "now"


def _query(query: object) -> str:
    """`list page 3` or `single GET`."""
    text = _text(query)
    return _QUERIES.get(text, f"list {text}" if text.startswith("page ") else text)


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
