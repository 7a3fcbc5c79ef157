"""`watcher status`: every task with its progress, and what troubles the watching."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from watcher.cli import why
from watcher.cli.options import json_option
from watcher.cli.printing import Cell, Row, ago, number, part_of, print_json, print_table, say, span
from watcher.cli.reading import Known, known_tasks, load, reading, silence, utc_now
from watcher.models import FAILED, RUNNING, SUCCEEDED, TERMINAL, WAIT, Snapshot

if TYPE_CHECKING:
    from watcher.settings import Settings
    from watcher.state.health import AccountHealth
    from watcher.state.reader import Reader

DAY = timedelta(days=1)
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
    more: tuple[str, ...] = ()
    """Sentences for below the table: the groups, and what it leaves out."""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="adopted tasks too that ended more than a day ago")
    parser.add_argument(
        "--why", action="store_true", help="when each task is asked about next, by which query, and why"
    )
    json_option(parser)


def status(arguments: Namespace) -> int:
    settings = load(arguments)
    now = utc_now()
    with reading(settings) as reader:
        seen = look(settings, reader, now)
        plan = why.ask_daemon(settings) if arguments.why else None
        unanswered = why.unanswered(settings, silence(reader.alive(), now)) if arguments.why and not plan else ""
    if arguments.json:
        return _print_json(seen, plan, asked=arguments.why)
    if not arguments.all:
        seen = recent(seen, now)
    for note in filter(None, (*seen.notes, unanswered)):
        say(f"⚠ {note}")
    say(summary(seen))
    print_table(*(table(seen, now) if plan is None else _why_table(seen, plan, now)))
    for line in (*seen.more, *(why.account_lines(plan, now) if plan else ())):
        say(line)
    return 0


def look(settings: Settings, reader: Reader, now: datetime) -> Overview:
    """Everything that is known; `recent` leaves out what nobody waits for any more."""
    known = known_tasks(settings, reader.tasks()).values()
    alive = reader.alive()
    silent = silence(alive, now)
    troubles = {account.name: said for account in reader.accounts() if (said := trouble(account))}
    late = () if alive is None or silent else lateness(settings, alive.health)
    unknown = alive.health.get("unknown") or () if alive else ()
    shown = tuple(sorted(known, key=rank))
    notes = tuple(filter(None, (silent, *troubles.values(), *late)))
    return Overview(shown, notes, frozenset(map(str, unknown)), troubles, tuple(group_lines(settings, shown)))


def recent(seen: Overview, now: datetime) -> Overview:
    """Without the tasks that nobody listed and that ended, or left, more than a day ago."""
    kept = tuple(task for task in seen.tasks if _is_recent(task, now))
    rest = len(seen.tasks) - len(kept)
    if not rest:
        return seen
    verb = "isn't" if rest == 1 else "aren't"
    line = f"{rest} more ended over a day ago or {verb} watched any more: watcher status --all"
    return replace(seen, tasks=kept, more=(*seen.more, line))


def lateness(settings: Settings, health: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each account whose budget doesn't suffice, as the daemon tells it."""
    late = health.get("late")
    for name, said in late.items() if isinstance(late, Mapping) else ():
        count, oldest = (said.get("tasks"), said.get("stalest")) if isinstance(said, Mapping) else (None, None)
        if not isinstance(count, int) or count <= 0:
            continue
        tasks = "1 task is" if count == 1 else f"{count} tasks are"
        age = f", the oldest {span(oldest)} ago" if isinstance(oldest, int | float) else ""
        yield f"account {name}: {tasks} looked at later than wanted{age}{_why_late(settings, name, said.get('why'))}"


def _why_late(settings: Settings, name: str, reason: object) -> str:
    if reason == "slowed":
        return ": CLOVA Studio has asked for a slower pace"
    account = settings.accounts.get(name) if reason == "quota" else None
    return f": {account.queries_per_minute:g} queries a minute don't suffice" if account else ""


def group_lines(settings: Settings, tasks: Iterable[Known]) -> Iterator[str]:
    """`lr-sweep: 6 tasks, 2 training, 4 ready`, in the order of the configuration."""
    members: dict[str, list[Known]] = {group.name: [] for group in settings.groups}
    for task in tasks:
        if task.group is not None:
            members[task.group].append(task)
    for name, found in members.items():
        counts = ", ".join(f"{count} {state}" for state, count in Counter(map(_group, found)).items())
        yield f"{name}: {len(found)} task{'' if len(found) == 1 else 's'}{counts and ', '}{counts}"


def trouble(account: AccountHealth) -> str:
    """What is wrong with an account, or ""."""
    if account.rejected or account.rejected_since is not None:
        mend = account.hint or "issue a new key and replace the secret"
        return f"account {account.name}: {account.reason}. {mend[:1].upper()}{mend[1:]}"
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


def summary(seen: Overview) -> str:
    """`3 training · 1 waiting · 8 ready`."""
    counts = Counter(_group(task, seen.unknown) for task in seen.tasks)
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
        "watched": task.watched,
        "adopted": task.adopted,
        "group": task.group,
    }


def _print_json(seen: Overview, plan: why.Plan | None, *, asked: bool) -> int:
    items = map(task_item, seen.tasks)
    if not asked:
        print_json(items)
    elif plan is None:
        print_json(item | {"why": None} for item in items)
    else:
        shown = (item | {"why": plan.look(task).json()} for item, task in zip(items, seen.tasks, strict=True))
        print_json(shown, accounts=dict(plan.accounts))
    return 0


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


def _why_table(seen: Overview, plan: why.Plan, now: datetime) -> tuple[tuple[str, ...], list[Row]]:
    """As `table`, with the next look in place of what was seen."""
    several = len({task.key.account for task in seen.tasks}) > 1
    rows: list[Row] = []
    for task in seen.tasks:
        state, id_, name = islice(_cells(task, seen, several, now), 3)
        rows.append((state, id_, name, *plan.look(task).cells(now)))
    return (*HEADERS[:3], *why.HEADERS), rows


def _is_recent(task: Known, now: datetime) -> bool:
    snapshot = task.snapshot
    if task.task is not None or snapshot is None:
        return True
    if not task.adopted:
        return now - snapshot.seen < DAY
    if snapshot.gone:
        return now - (snapshot.missing_since or snapshot.changed) < DAY
    return snapshot.status not in TERMINAL or now - _ended(snapshot) < DAY


def _ended(snapshot: Snapshot) -> datetime:
    """When it ended; what had ended before anybody looked says so itself."""
    ended = snapshot.ended or snapshot.changed
    if ended > snapshot.first_seen:
        return ended
    from watcher.clova.dates import parse_instant

    said = (parse_instant(snapshot.fields.get(name)) for name in ("statusInfo.endDatetime", "updatedDate"))
    return next(filter(None, said), ended)


def rank(task: Known) -> tuple[int, float]:
    """Training, waiting, strange and unseen ones, then what ended, the newest first."""
    if task.snapshot is None or task.snapshot.gone:
        return 3, 0.0
    return _ORDER.get(task.snapshot.status, 2), -task.snapshot.changed.timestamp()


def _group(task: Known, unknown: frozenset[str] = frozenset()) -> str:
    if task.snapshot is None:
        return "unknown" if str(task.key) in unknown else "not seen yet"
    return "gone" if task.snapshot.gone else _COUNTED.get(task.snapshot.status, "in an unknown state")
