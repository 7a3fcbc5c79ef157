"""The way into the store for both halves: adds what a transaction must know, and passes on what it brought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection

from watcher.models import Event, Fields, TaskKey
from watcher.notifier.audience import listeners, routes
from watcher.notifier.route import hearers
from watcher.settings import Settings
from watcher.state.database import Database
from watcher.state.record import Recorded, Settled
from watcher.views import task_json

P = ParamSpec("P")
R = TypeVar("R")

log = structlog.get_logger()


@dataclass(slots=True)
class Ledger:
    """`settled` makes the moment's facts for a transaction; `wake` hears the names of channels that got a delivery;
    `heard` are told each event after its commit."""

    database: Database
    settled: Callable[[], Settled]
    wake: Callable[[str], None] = lambda _channel: None
    heard: list[Callable[[Event], None]] = field(default_factory=list)

    async def record(
        self, work: Callable[Concatenate[Connection, Settled, P], Recorded], *args: P.args, **kwargs: P.kwargs
    ) -> Recorded:
        """Run work that returns what it recorded; wake and tell once it is committed."""
        recorded = await self.database.write(work, self.settled(), *args, **kwargs)
        self.tell(recorded)
        return recorded

    async def take(
        self, work: Callable[Concatenate[Connection, Settled, P], tuple[R, Recorded]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """The same for work that returns something else beside it."""
        result, recorded = await self.database.write(work, self.settled(), *args, **kwargs)
        self.tell(recorded)
        return result

    def tell(self, recorded: Recorded) -> None:
        for channel in recorded.channels:
            self.wake(channel)
        for event in recorded.events:
            log.debug("event.recorded", **_fields(event))
            for hear in self.heard:
                hear(event)


def settling(
    settings: Settings, *, uptime: Callable[[], float], stepped_at: Callable[[], int]
) -> Callable[[], Settled]:
    """What of the configuration the store's transactions depend on, with the moment's facts added at each call."""
    audience, rules = listeners(settings), routes(settings)
    tasks = {task.key: task for task in settings.tasks}

    def subject(key: TaskKey, fields: Fields) -> Mapping[str, Any]:
        task = tasks.get(key)
        return task_json(key, fields, task.name if task else None, task.labels if task else {})

    def settled() -> Settled:
        return Settled(
            hearers=lambda event: hearers(event, audience, rules),
            subject=subject,
            listed=tasks.__contains__,
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
