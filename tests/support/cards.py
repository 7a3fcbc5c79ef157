"""Tasks as cards show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.slack_blocks import read
from watcher.models import Card, CardRef, CardTask, Failure, TaskKey
from watcher.notifier.cards import card_blocks

NOW = datetime(2026, 3, 1, 5, 2, 40, tzinfo=UTC)  # 14:02:40 in Seoul
LOSSES = (2.1, 1.8, 1.5, 1.2, 1.0, 0.95, 0.9, 0.82)

HOSTILE = (
    "<!channel>",
    "<!here|here> <@U012AB3CD>",
    "@everyone @jiwon",
    "<users/all>",
    "<script>alert(1)</script>",
    "a\u202eb\u200fc",
    "x" * 10_000,
    "😀" * 300,
    "\x1b[31mred\x1b[0m",
    "two\nlines\r\n> quoted",
    "*bold* _it_ ~gone~ `code` ```block```",
    "&lt;!channel&gt; &amp;",
    ":tada: <https://example.com|click>",
    "> quoted",
    "한국어 이름 👨‍👩‍👧‍👦 é",
)
"""Names that other people may give to their tasks."""


def card_task(status: str = "RUNNING", **more: Any) -> CardTask:
    """A task; what CardTask itself doesn't have is a field of `subject`, `info` adds to its statusInfo."""
    own = {name: more.pop(name) for name in ("seen", "since", "losses", "gone", "failure") if name in more}
    id_, account = more.pop("id", "czf9fbky"), more.pop("account", "default")
    running = {"currStep": 1240, "totalTrainSteps": 2000, "currEpoch": 5, "totalTrainEpochs": 8, "trainLoss": 0.82}
    info = {**({} if status == "WAIT" else running), **more.pop("info", {})}
    subject = {
        "id": id_,
        "account": account,
        "name": "support-bot v3",
        "model": "HCX-003",
        "status": status,
        "statusInfo": info or None,
        "labels": {"team": "nlp", "owner": "jiwon"},
        "progress": {"RUNNING": 62, "SUCCEEDED": 100}.get(status),
        "eta": None,
        "trainEpochs": 8,
        "createdDate": "2026-03-01T11:00:00+0900",
        **more,
    }
    shown: dict[str, Any] = {"seen": NOW, "since": NOW - timedelta(hours=1), **own}
    return CardTask(TaskKey(account, id_), subject, **shown)


def card(*tasks: CardTask, ref: CardRef | None = None, shown: str = "") -> Card:
    """The card of one task."""
    one = tasks[0] if tasks else card_task()
    return Card(f"task {one.key}", (one,), ref, shown)


def group_card(*tasks: CardTask, name: str = "lr-sweep") -> Card:
    return Card(f"group {name}", tasks)


def sweep() -> Sequence[CardTask]:
    """An experiment: five tasks with other learning rates."""
    runs = [
        ("RUNNING", 1e-4, 0.61, 40),
        ("RUNNING", 2e-5, 0.44, 70),
        ("SUCCEEDED", 5e-5, 0.41, 100),
        ("WAIT", 1e-3, None, None),
        ("FAILED", 0.1, "NaN", 10),
    ]
    return [
        card_task(
            status,
            id=f"t{n}",
            name=f"exp-lr-{n}",
            learningRate=rate,
            info={"trainLoss": loss},
            progress=percent,
            labels={"team": "nlp", "seed": str(n % 3)},
        )
        for n, (status, rate, loss, percent) in enumerate(runs)
    ]


FAILURE = Failure(
    "file.format",
    "Invalid dataset: required field empty. Completion",
    "dataset column Completion is empty",
    "fill Completion in every row, upload, create a new training. Unchanged it fails again.",
)


def sample_cards() -> dict[str, Card]:
    """A card in each state, by a name for it."""
    return {
        "waiting": card(card_task("WAIT")),
        "training": card(card_task(losses=LOSSES, eta="2026-03-01T16:40:00+0900")),
        "ready": card(card_task("SUCCEEDED", losses=LOSSES, info={"endDatetime": "2026-03-01T13:55:00+0900"})),
        "without-weights": card(card_task("SUCCEEDED", info={"sendWeightSuccess": False})),
        "failed": card(card_task("FAILED", failure=FAILURE)),
        "gone": card(card_task(gone="404, 40400 Not found")),
        "hidden": card(card_task(gone="no_ownership")),
        "unknown-state": card(card_task("PAUSED", account="lab")),
        "group": group_card(*sweep()),
    }


def read_cards(language: str, timezone: str = "Asia/Seoul") -> dict[str, str]:
    """Every sample card as a person reads it, and below it what a notification says."""
    drawn = {
        name: card_blocks(shown, language=language, timezone=timezone, now=NOW)
        for name, shown in sample_cards().items()
    }
    return {name: f"{read(blocks)}\n\n{text}\n" for name, (blocks, text) in drawn.items()}
