"""Every message as its reader sees it, in files for people to look at: `python -m tests.support.messages` remakes them.

`tests/messages/LANGUAGE/` has a file for each event type, some for what makes a difference to its words, digests and
cards. A changed word shows there, in all languages, in the same commit. The catalogues are remade as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support import pot
from tests.support.cards import read_cards, sample_cards
from watcher.events import EVENT_TYPES
from watcher.models import Card, Event, Failure, Message, Window
from watcher.notifier.cards import card_blocks
from watcher.notifier.digest import render_digest
from watcher.notifier.render import render
from watcher.notifier.samples import sample_event

FOLDER = Path(__file__).parents[1] / "messages"
NOW = datetime(2026, 3, 1, 5, 2, 40, tzinfo=UTC)  # 14:02:40 in Seoul and Tokyo
READERS = {"en": "Asia/Seoul", "ja": "Asia/Tokyo", "ko": "Asia/Seoul"}
"""Language and time zone."""

MENTIONS = {"jiwon": "U012AB3CD", "minho": "U045EF6GH"}
AS_BLOCKS = ("training", "failed", "group")
"""Cards that are also shown as Slack gets them, for its Block Kit Builder."""

# ── what is told ──


def events() -> dict[str, Event]:
    """Samples of every type, and what makes a difference to their words, by the name of their file."""
    samples = {type_: sample_event(type_, now=NOW) for type_ in EVENT_TYPES}
    failed, succeeded, rejected = samples["task.failed"], samples["task.succeeded"], samples["account.rejected"]
    return samples | {
        "task.failed-after-a-gap": replace(failed, window=Window(NOW - timedelta(hours=3, minutes=38), NOW)),
        "task.failed-explained": replace(failed, failure=EXPLAINED),
        "task.failed-without-a-reason": replace(failed, failure=Failure("-", "-")),
        "task.failed-amended": replace(failed, details={"amends": "1"}),
        "task.gone-no-ownership": replace(samples["task.gone"], details={"reason": "no_ownership"}),
        "task.unknown-no-ownership": replace(samples["task.unknown"], details={"reason": "no_ownership"}),
        "task.started-of-another-account": replace(samples["task.started"], account="lab"),
        "task.succeeded-days-ago": replace(
            succeeded,
            window=Window(NOW - timedelta(days=3, hours=15), NOW - timedelta(days=2)),
            details={"trained": 97200, "missed": ["RUNNING"], "clock_stepped": True},
        ),
        "task.succeeded-without-weights": with_info(succeeded, sendWeightSuccess=False),
        "task.succeeded-for-a-test": replace(succeeded, details={"trained": 11100, "test": True}),
        "account.rejected-sees-nothing": replace(rejected, details=DISOWNED),
        "account.recovered-key": replace(samples["account.recovered"], details={"was": "rejected"}),
        "watcher.started-again": with_details(samples["watcher.started"], first=False, unseen=2),
    }


EXPLAINED = Failure(
    "file.format",
    "Invalid dataset: required field empty. Completion",
    explanation="dataset column Completion is empty",
    fix="fill Completion in every row, upload, create a new training. Unchanged it fails again.",
)
DISOWNED = {
    "reason": "this key sees none of the 12 known tasks",
    "hint": "put back a key of the account that owns them, or list the tasks of the new key's account",
}


def with_info(event: Event, **info: Any) -> Event:
    subject = event.subject or {}
    return replace(event, subject={**subject, "statusInfo": {**(subject.get("statusInfo") or {}), **info}})


def with_details(event: Event, **details: Any) -> Event:
    return replace(event, details={**event.details, **details})


def named(event: Event, name: str, task: str | None = None, **labels: str) -> Event:
    """The event of another task."""
    subject = {**(event.subject or {}), "name": name, "labels": labels}
    return replace(event, task=task or name.replace(" ", "-"), subject=subject)


def mixed() -> list[Event]:
    """What comes together when a channel was down: several tasks, failures among them, and a digest sorts them."""
    samples = {type_: sample_event(type_, now=NOW) for type_ in EVENT_TYPES}
    started, failed, ready = samples["task.started"], samples["task.failed"], samples["task.succeeded"]
    return [
        named(started, "support-bot v3", "czf9fbky"),
        named(samples["task.progress"], "support-bot v3", "czf9fbky"),
        named(ready, "요약봇 · 要約ボット"),
        named(failed, "support-bot v3", "czf9fbky", owner="jiwon"),
        named(samples["task.stalled"], "exp-lr-1e-4"),
        named(
            replace(failed, failure=EXPLAINED), "faq-bot with a rather long name, as names come to be", owner="minho"
        ),
        named(ready, "exp-lr-3e-4"),
        named(with_info(ready, sendWeightSuccess=False), "exp-lr-1e-3"),
        named(samples["task.weights_missing"], "exp-lr-1e-3"),
        named(started, "exp-lr-1e-5"),
        samples["channel.recovered"],
        replace(samples["account.unreachable"], window=Window(NOW - timedelta(hours=4), NOW - timedelta(hours=3))),
    ]


def many() -> list[Event]:
    """As many as a digest takes, over midnight."""
    before = replace(sample_event("task.succeeded", now=NOW - timedelta(hours=15)))
    return [named(before, f"exp-lr-sweep-2026-03-{count:04}") for count in range(50)]


# ── as files ──


def written(language: str) -> dict[str, str]:
    """Every file of a language, with what stands in it."""
    cards = read_cards(language, READERS[language])
    return {
        **{f"{name}.txt": draw() for name, draw in _texts(language).items()},
        **{f"card-{name}.txt": text for name, text in cards.items()},
        **{f"card-{name}.json": _blocks(sample_cards()[name], language) for name in AS_BLOCKS},
    }


def _texts(language: str) -> dict[str, Callable[[], str]]:
    told = {name: (lambda event=event: _event(event, language)) for name, event in events().items()}
    return told | {"digest": lambda: _digest(mixed(), language), "digest-of-fifty": lambda: _digest(many(), language)}


def _event(event: Event, language: str) -> str:
    reader: dict[str, Any] = {"language": language, "timezone": READERS[language], "now": NOW, "mentions": MENTIONS}
    chat, mail = (render(event, kind=kind, **reader) for kind in ("chat", "mail"))  # type: ignore[arg-type]
    text = _shown(chat)
    return text if _shown(mail) == text else f"{text}\n── by mail ──\n{_shown(mail)}"


def _digest(told: list[Event], language: str) -> str:
    message = render_digest(
        told, kind="chat", language=language, timezone=READERS[language], now=NOW, mentions=MENTIONS
    )
    return f"{_shown(message)}\n── in columns ──\n{message.table}\n"


def _shown(message: Message) -> str:
    calls = ", ".join(f"{call.owner} ({call.id})" for call in message.calls)
    called = f"\n── calls {calls} ──" if calls else ""
    return f"{message.title}\n{message.body}{called}\n"


def _blocks(card: Card, language: str) -> str:
    blocks, text = card_blocks(card, language=language, timezone=READERS[language], now=NOW)
    return json.dumps({"text": text, "blocks": blocks}, ensure_ascii=False, indent=2) + "\n"


def remake() -> None:
    """Write all files, and remove what no message makes any more."""
    for language in READERS:
        folder = FOLDER / language
        folder.mkdir(parents=True, exist_ok=True)
        files = written(language)
        for path in folder.iterdir():
            if path.name not in files:
                path.unlink()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    pot.remake()
    remake()
