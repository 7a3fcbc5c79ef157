"""The way into the store for both halves: adds what a transaction must know, and passes on what it brought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection

from watcher.groups import Groups
from watcher.models import Event, Fields, TaskKey
from watcher.notifier.audience import listeners, routes
from watcher.notifier.quiet import is_urgent
from watcher.notifier.route import hearers
from watcher.scheduler.adoption import Adoption
from watcher.settings import Settings
from watcher.state.database import Database
from watcher.state.record import Recorded, Settled
from watcher.views import task_json

P = ParamSpec("P")
R = TypeVar("R")

log = structlog.get_logger()


@dataclass(slots=True)
class Ledger:
    """`settled` makes the facts that a transaction needs; it is called inside it, so that events are routed by the
    newest configuration, whenever the work was asked for. `wake` hears the names of channels that got a delivery;
    `heard` are told each event after its commit."""

    database: Database
    settled: Callable[[], Settled]
    wake: Callable[[str], None] = lambda _channel: None
    heard: list[Callable[[Event], None]] = field(default_factory=list)

    async def record(
        self, work: Callable[Concatenate[Connection, Settled, P], Recorded], *args: P.args, **kwargs: P.kwargs
    ) -> Recorded:
        """Run work that returns what it recorded; wake and tell once it is committed."""
        recorded = await self.database.write(self._settling(work), *args, **kwargs)
        self.tell(recorded)
        return recorded

    async def take(
        self, work: Callable[Concatenate[Connection, Settled, P], tuple[R, Recorded]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """The same for work that returns something else beside it."""
        result, recorded = await self.database.write(self._settling(work), *args, **kwargs)
        self.tell(recorded)
        return result

    def _settling(
        self, work: Callable[Concatenate[Connection, Settled, P], R]
    ) -> Callable[Concatenate[Connection, P], R]:
        def settled_work(tx: Connection, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return work(tx, self.settled(), *args, **kwargs)

        return settled_work

    def tell(self, recorded: Recorded) -> None:
        for channel in recorded.channels:
            self.wake(channel)
        for event in recorded.events:
            log.debug("event.recorded", **_fields(event))
            for hear in self.heard:
                hear(event)


class _View:
    """What of one configuration the store's transactions depend on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.audience, self.rules = listeners(settings), routes(settings)
        self.tasks = {task.key: task for task in settings.tasks}
        self.adoption = Adoption(settings.discover)
        self.groups = Groups(settings.groups)
        self.keeps_cards = frozenset(name for name, channel in settings.channels.items() if channel.mode == "card")

    def hearers(self, event: Event) -> Mapping[str, str]:
        return hearers(event, self.audience, self.rules)

    def subject(self, key: TaskKey, fields: Fields) -> Mapping[str, Any]:
        task = self.tasks.get(key)
        labels = task.labels if task is not None else self.adoption.labels(key, fields)
        return task_json(key, fields, task.name if task else None, labels)

    def group(self, key: TaskKey, fields: Fields) -> str | None:
        task = self.tasks.get(key)
        name = (task.name if task else None) or fields.get("name")
        return self.groups.of(name) if isinstance(name, str) else None

    def urgent(self, event: Event, channel: str, because: str) -> bool:
        """A failure that its channel, or the route because of which it is heard, calls urgent."""
        if not is_urgent(event):
            return False
        number = because.removeprefix("routes[").removesuffix("]")
        route = self.settings.routes[int(number)] if number.isdecimal() else None
        return self.settings.channels[channel].urgent or (route is not None and route.urgent)


def settling(
    current: Callable[[], Settings],
    *,
    uptime: Callable[[], float],
    stepped_at: Callable[[], int],
    watches: Callable[[TaskKey, Fields], bool] = lambda _key, _fields: True,
) -> Callable[[], Settled]:
    """Makes the facts of the moment for a transaction: from the settings that are in force then. `watches` tells
    whether a task is watched, listed or adopted."""
    view: _View | None = None

    def settled() -> Settled:
        nonlocal view
        settings = current()
        if view is None or settings is not view.settings:
            view = _View(settings)
        return Settled(
            hearers=view.hearers,
            subject=view.subject,
            listed=view.tasks.__contains__,
            watched=watches,
            group=view.group,
            keeps_cards=view.keeps_cards,
            urgent=view.urgent,
            milestones=settings.rules.progress,
            patience=settings.rules.unreachable_after,
            stepped_at=stepped_at(),
            uptime=uptime(),
        )

    return settled


def _fields(event: Event) -> dict[str, Any]:
    facts = {
        "type": event.type, "id": event.id, "account": event.account, "task": event.task, "channel": event.channel,
        "from_status": event.from_, "to_status": event.to, "reason": event.details.get("reason"),
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value is not None}
