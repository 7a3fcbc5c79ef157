"""The table of event types: the one place where a type gets its severity and whether it is notable.

How to add a type: add its row here, make it in `state/diff.py` (tasks) or `state/health.py` (the rest), give it words
in `notifier/wording_tasks.py` or `wording_system.py` and a line for digests in `notifier/brief.py`, translate them
(`watcher/locale`), and add a sample in `notifier/samples.py` and a row in `docs/events.md`. `tests/test_render.py`,
`tests/test_languages.py` and `tests/test_docs.py` tell what was forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "success", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class EventType:
    """`notable`: channels hear it unless their own `events` says otherwise."""

    severity: Severity
    notable: bool


EVENT_TYPES: dict[str, EventType] = {
    "task.discovered": EventType("info", False),
    "task.started": EventType("info", True),
    "task.succeeded": EventType("success", True),
    "task.failed": EventType("failure", True),
    "task.reopened": EventType("warning", True),
    "task.requeued": EventType("warning", True),
    "task.status_changed": EventType("warning", True),
    "task.progress": EventType("info", False),
    "task.stalled": EventType("warning", True),
    "task.resumed": EventType("info", True),
    "task.queued_long": EventType("warning", True),
    "task.loss_anomaly": EventType("warning", True),
    "task.weights_missing": EventType("failure", True),
    "task.gone": EventType("warning", True),
    "task.returned": EventType("info", True),
    "task.unknown": EventType("warning", True),
    "account.rejected": EventType("failure", True),
    "account.unreachable": EventType("warning", True),
    "account.recovered": EventType("info", True),
    "channel.failing": EventType("warning", True),
    "channel.recovered": EventType("info", True),
    "channel.gave_up": EventType("failure", True),
    "watcher.started": EventType("info", False),
    "watcher.gap": EventType("info", False),
    "watcher.config_rejected": EventType("warning", True),
    "group.finished": EventType("info", True),
}
