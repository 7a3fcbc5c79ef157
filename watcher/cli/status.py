"""`watcher status`: every task with its progress, and what troubles the watching."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from watcher.cli.options import json_option
from watcher.cli.printing import Cell, Row, ago, number, part_of, print_json, print_table, say
from watcher.cli.reading import Known, known_tasks, load, reading, silence, utc_now
from watcher.models import FAILED, RUNNING, SUCCEEDED, WAIT

if TYPE_CHECKING:
    from watcher.settings import Settings
    from watcher.state.health import AccountHealth
    from watcher.state.reader import Reader

HEADERS = ("STATE", "TASK", "NAME", "PROGRESS", "STEP", "EPOCH", "LOSS", "SEEN")
LOOKS = {
    RUNNING: ("▶ training", "cyan"),
    WAIT: ("○ waiting", "yellow"),
    SUCCEEDED: ("✔ ready", "green"),
    FAILED: ("✖ failed", "red"),
}
_ORDER = {RUNNING: 0, WAIT: 1, FAILED: 4, SUCCEEDED: 5}
_COUNTED = {RUNNING: "training", WAIT: "waiting", SUCCEEDED: "ready", FAILED: "failed"}


@dataclass(frozen=True, slots=True)
class Overview:
    """What one look at the store shows; `notes` are sentences about what isn't as it should be."""

    tasks: tuple[Known, ...]
    notes: tuple[str, ...]
    unknown: frozenset[str] = frozenset()
    """The tasks, as `ACCOUNT/TASK`, that their account doesn't know."""
    troubles: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with accounts, by their names."""


def arguments(parser: ArgumentParser) -> None:
    json_option(parser)


def status(arguments: Namespace) -> int:
    settings = load(arguments)
    now = utc_now()
    with reading(settings) as reader:
        seen = look(settings, reader, now)
    if arguments.json:
        print_json(map(task_item, seen.tasks))
        return 0
    for note in seen.notes:
        say(f"⚠ {note}")
    say(summary(seen.tasks))
    print_table(*table(seen, now))
    return 0


def look(settings: Settings, reader: Reader, now: datetime) -> Overview:
    """Everything that status and follow show."""
    known = known_tasks(settings, reader.tasks()).values()
    alive = reader.alive()
    troubles = {account.name: said for account in reader.accounts() if (said := trouble(account))}
    notes = (silence(alive, now), *troubles.values())
    unknown = alive.health.get("unknown") or () if alive else ()
    shown = tuple(sorted(known, key=rank))
    return Overview(shown, tuple(filter(None, notes)), frozenset(map(str, unknown)), troubles)


def trouble(account: AccountHealth) -> str:
    """What is wrong with an account, or ""."""
    if account.rejected or account.rejected_since is not None:
        return f"account {account.name}: {account.reason}. Issue a new key, replace it and restart the watcher"
    if account.unreachable:
        return f"account {account.name} can't be reached: {account.reason}"
    if not account.failed:
        return ""
    polls = "the last poll" if account.failed == 1 else f"the last {account.failed} polls"
    return f"account {account.name}: {polls} failed: {account.reason}"


def obstacle(task: Known, seen: Overview) -> str:
    """What keeps a task from being seen; "" where nothing is known to."""
    if task.snapshot is None and str(task.key) in seen.unknown:
        return f"account {task.key.account} doesn't know it"
    return seen.troubles.get(task.key.account, "")


def summary(tasks: Iterable[Known]) -> str:
    """`3 training · 1 waiting · 8 ready`."""
    counts = Counter(_group(task) for task in tasks)
    return " · ".join(f"{count} {name}" for name, count in counts.items()) or "no task"


def table(seen: Overview, now: datetime) -> tuple[tuple[str, ...], list[Row]]:
    """Headers and rows; the account only when there are several."""
    several = len({task.key.account for task in seen.tasks}) > 1
    rows: list[Row] = [tuple(_cells(task, seen, several, now)) for task in seen.tasks]
    return HEADERS, rows


def task_item(task: Known) -> dict[str, Any]:
    """A task as `status --json` lists it."""
    from watcher.views import rfc3339

    snapshot = task.snapshot
    return task.json() | {
        "first_seen": rfc3339(snapshot.first_seen) if snapshot else None,
        "last_seen": rfc3339(snapshot.seen) if snapshot else None,
        "changed": rfc3339(snapshot.changed) if snapshot else None,
        "gone": (snapshot.gone or None) if snapshot else None,
        "watched": task.task is not None,
    }


def state_of(task: Known, unknown: frozenset[str] = frozenset()) -> Cell:
    """A task's state as icon and word."""
    if task.snapshot is None:
        lost = str(task.key) in unknown
        return Cell(f"⚠ unknown to {task.key.account}", "red") if lost else Cell("· not seen yet", "dim")
    if task.snapshot.gone:
        return Cell("⚠ gone", "yellow")
    return Cell(*LOOKS.get(task.snapshot.status, (f"? {task.snapshot.status}", "magenta")))


def _cells(task: Known, seen: Overview, several: bool, now: datetime) -> Iterator[Cell]:
    fields = task.snapshot.fields if task.snapshot else {}
    progress = task.json()["progress"]
    yield state_of(task, seen.unknown)
    yield Cell(str(task.key) if several else task.key.id)
    yield Cell(task.name if task.name != task.key.id else "", "bold")
    yield Cell("" if progress is None else f"{progress} %")
    yield Cell(part_of(fields.get("statusInfo.currStep"), fields.get("statusInfo.totalTrainSteps")))
    yield Cell(part_of(fields.get("statusInfo.currEpoch"), fields.get("statusInfo.totalTrainEpochs")))
    yield Cell(number(fields.get("statusInfo.trainLoss")))
    yield Cell(ago(task.snapshot.seen if task.snapshot else None, now), "dim")


def rank(task: Known) -> tuple[int, float]:
    """Training, waiting, strange and unseen ones, then what ended, the newest first."""
    if task.snapshot is None or task.snapshot.gone:
        return 3, 0.0
    return _ORDER.get(task.snapshot.status, 2), -task.snapshot.changed.timestamp()


def _group(task: Known) -> str:
    if task.snapshot is None:
        return "not seen yet"
    return "gone" if task.snapshot.gone else _COUNTED.get(task.snapshot.status, "in an unknown state")
