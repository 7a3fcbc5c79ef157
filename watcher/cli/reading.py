"""What commands read: the settings, the store beside the daemon, and which task a text means."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from watcher.cli.options import suggestion
from watcher.errors import UsageError
from watcher.models import Snapshot, TaskKey

if TYPE_CHECKING:
    from watcher.settings import Settings, Task
    from watcher.state.reader import Alive, Reader

SILENT_AFTER = 60.0
"""Seconds without a sign of life after which the daemon counts as not running. It gives one every 10 s."""


def load(arguments: Namespace, *, secrets: bool = False) -> Settings:
    """The settings that `--config` names. Reading commands need no secrets."""
    from watcher.settings import load_settings

    settings = load_settings(arguments.config or None, secrets=secrets)
    arguments.redactor.add(*settings.secret_values())
    return settings


@contextmanager
def reading(settings: Settings) -> Iterator[Reader]:
    """The store, read-only; raises StoreUnusable when there is none."""
    from watcher.state.store import open_reader

    reader = open_reader(settings.store.get_secret_value())
    try:
        yield reader
    finally:
        reader.close()


@dataclass(frozen=True, slots=True)
class Known:
    """A task as configuration and store know it together; at least one of them does.

    `task` is how `tasks` lists it; `adopted`: a `discover` rule keeps it; `labels` and `group` are what the
    configuration gives it.
    """

    key: TaskKey
    task: Task | None
    snapshot: Snapshot | None
    adopted: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None

    @property
    def name(self) -> str:
        """What people call it; its id where it has no name."""
        if self.task is not None and self.task.name:
            return self.task.name
        return str((self.snapshot.fields.get("name") if self.snapshot else None) or self.key.id)

    @property
    def watched(self) -> bool:
        """Whether the configuration asks for it."""
        return self.task is not None or self.adopted

    def json(self) -> dict[str, Any]:
        """The task as `data.task` of a webhook shows it."""
        from watcher.views import task_json

        fields = self.snapshot.fields if self.snapshot else {}
        return task_json(self.key, fields, self.task.name if self.task else None, self.labels)


def known_tasks(settings: Settings, stored: Iterable[Snapshot]) -> dict[TaskKey, Known]:
    """Every listed task in the order of the configuration, then what else the store has."""
    snapshots = {snapshot.key: snapshot for snapshot in stored}
    listed = {task.key: task for task in settings.tasks}
    adopted, grouped = _adopter(settings), _grouper(settings)
    known: dict[TaskKey, Known] = {}
    for key in dict.fromkeys([*listed, *snapshots]):
        task, snapshot = listed.get(key), snapshots.get(key)
        labels = adopted(snapshot) if task is None and snapshot is not None else None
        each = Known(key, task, snapshot, labels is not None, task.labels if task else labels or {})
        group = grouped(each.name)
        known[key] = each if group is None else replace(each, group=group)
    return known


def _adopter(settings: Settings) -> Callable[[Snapshot], Mapping[str, str] | None]:
    """Gives the labels of a task that a `discover` rule keeps, None for all others."""
    if not settings.discover:
        return lambda _snapshot: None
    from watcher.scheduler.adoption import Adoption

    adoption = Adoption(settings.discover)

    def labels(snapshot: Snapshot) -> Mapping[str, str] | None:
        kept = snapshot.key.account in settings.accounts and adoption.keeps(snapshot.key, snapshot.fields)
        return adoption.labels(snapshot.key, snapshot.fields) if kept else None

    return labels


def _grouper(settings: Settings) -> Callable[[str], str | None]:
    if not settings.groups:
        return lambda _name: None
    from watcher.groups import Groups

    return Groups(settings.groups).of


def find_task(text: str, known: Iterable[TaskKey]) -> TaskKey:
    """The task that `TASK` or `ACCOUNT/TASK` means; raises UsageError when it is none or several."""
    keys = list(known)
    account, slash, name = text.rpartition("/")
    found = [key for key in keys if key.id == name and (not slash or key.account == account)]
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(str(key) for key in found)
        raise UsageError(f"the task {text} stands in {len(found)} accounts", f"write one of {choices}")
    near = suggestion(text, [str(key) if slash else key.id for key in keys])
    raise UsageError(f"there is no task {text} in the configuration or the store{near}", "watcher status lists them")


def silence(alive: Alive | None, now: datetime) -> str:
    """Why the daemon counts as not running; "" when it runs."""
    if alive is None:
        return "the watcher hasn't run with this store yet"
    age = (now - alive.at).total_seconds()
    if abs(age) <= SILENT_AFTER:
        return ""
    from watcher.cli.printing import span

    return f"the watcher isn't running: its last sign of life is {span(age)} old"


def utc_now() -> datetime:
    return datetime.now(UTC)
