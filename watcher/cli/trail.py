"""`watcher history` and `watcher prove`: what happened to one task, and what became of the news."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from watcher.cli.options import json_option
from watcher.cli.printing import Cell, between, local, number, print_json, print_table, say
from watcher.cli.reading import Known, find_task, known_tasks, load, reading, utc_now
from watcher.cli.status import look, obstacle, state_of

if TYPE_CHECKING:
    from watcher.models import Delivery, Event, Point
    from watcher.settings import Settings
    from watcher.state.reader import Attempt, Reader, Trail


TOLD = {
    "status": "status",
    "name": "name",
    "createdDate": "created",
    "statusInfo.trainLoss": "loss",
    "statusInfo.failureReason": "reason",
    "statusInfo.message": "message",
    "statusInfo.sendWeightSuccess": "weights saved",
}
"""The fields whose changes the curve shows; `--json` has them all."""

RESULTS = {"accepted": "accepted", "refused": "refused", "retry": "failed", "unknown": "no answer"}


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="a task's id, or ACCOUNT/TASK where several accounts have it")
    json_option(parser)


def history(arguments: Namespace) -> int:
    settings = load(arguments)
    with reading(settings) as reader:
        task = _find(arguments.task, settings, reader)
        why = obstacle(task, look(settings, reader, utc_now()))
        events, points = reader.events(task=task.key), reader.history(task.key)
    if arguments.json:
        from watcher.views import event_json

        print_json(map(event_json, events), curve=[_point_json(point) for point in points])
        return 0
    _title(task, why)
    for event in events:
        say(f"{local(event.time, settings.timezone)}  {event.type:<20}  {_headline(event, settings)}")
    if points:
        print()
        _print_curve(points, settings.timezone)
    return 0


def prove(arguments: Namespace) -> int:
    settings = load(arguments)
    with reading(settings) as reader:
        task = _find(arguments.task, settings, reader)
        why = obstacle(task, look(settings, reader, utc_now()))
        trails = reader.trail(task.key)
    if arguments.json:
        print_json(map(_trail_json, trails))
        return 0
    _title(task, why)
    for trail in trails:
        print()
        for line in _trail_lines(trail, settings.timezone):
            say(line)
    return 0


def _find(text: str, settings: Settings, reader: Reader) -> Known:
    known = known_tasks(settings, reader.tasks())
    return known[find_task(text, known)]


def _title(task: Known, why: str) -> None:
    name = f" {task.name}" if task.name != task.key.id else ""
    say(f"{state_of(task).text} · {task.key.id}{name} · account {task.key.account}")
    if task.snapshot is None:
        say(f"Nothing is known of it yet: {why}." if why else "Nothing is known of it yet.")


def _headline(event: Event, settings: Settings) -> str:
    """The first line of its message."""
    from watcher.notifier.render import render

    try:
        return render(event, kind="console", language=settings.language, timezone=settings.timezone).title
    except Exception:  # words that fail cost their polish only
        return _sentence(event)


def _sentence(event: Event) -> str:
    said = [event.type]
    if event.from_ or event.to:
        said.append(f"{event.from_ or '-'} → {event.to or '-'}")
    if event.failure is not None:
        said.append(": ".join(filter(None, (event.failure.reason, event.failure.message))))
    return "  ".join(filter(None, said))


def _print_curve(points: Sequence[Point], zone: str) -> None:
    rows = [
        (
            Cell(local(point.time, zone), "dim"),
            Cell(number(point.step)),
            Cell(number(point.epoch)),
            Cell(number(point.loss)),
            Cell(", ".join(f"{TOLD[name]}: {value}" for name, value in point.changes.items() if name in TOLD)),
        )
        for point in points
    ]
    print_table(("TIME", "STEP", "EPOCH", "LOSS", "CHANGED"), rows)


def _point_json(point: Point) -> dict[str, Any]:
    from watcher.views import rfc3339

    return {
        "time": rfc3339(point.time),
        "life": point.life,
        "step": point.step,
        "epoch": point.epoch,
        "loss": point.loss,
        "changes": dict(point.changes),
    }


def _trail_lines(trail: Trail, zone: str) -> Iterator[str]:
    event = trail.event
    yield _sentence(event)
    yield f"  observed   {between(event.window.after, event.window.before, zone)}"
    yield f"  committed  {local(trail.committed, zone)} as event {event.id}"
    if not trail.deliveries:
        yield "  told       nobody: no channel hears it (see: watcher routes)"
    for delivery, because, attempts in trail.deliveries:
        yield from _delivery_lines(delivery, because, attempts, zone)


def _delivery_lines(delivery: Delivery, because: str, attempts: Sequence[Attempt], zone: str) -> Iterator[str]:
    yield f"  {delivery.channel:<9}  {delivery.state} as {delivery.id}; the rule: {because}"
    for attempt in attempts:
        result = RESULTS.get(attempt.result or "", "under way")
        took = f" after {(attempt.ended - attempt.started).total_seconds():.3f} s" if attempt.ended else ""
        reason = f": {attempt.reason}" if attempt.reason else ""
        yield f"    try {attempt.number}  {local(attempt.started, zone)}  {result}{took}{reason}"
    if delivery.state == "waiting" and delivery.next_at is not None:
        yield f"    next try {local(delivery.next_at, zone)}"


def _trail_json(trail: Trail) -> dict[str, Any]:
    from watcher.views import delivery_json, event_json, rfc3339

    return {
        "event": event_json(trail.event),
        "committed": rfc3339(trail.committed),
        "deliveries": [
            delivery_json(delivery) | {"because": because, "tries": [_attempt_json(each) for each in attempts]}
            for delivery, because, attempts in trail.deliveries
        ],
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    from watcher.views import rfc3339

    return {
        "number": attempt.number,
        "started": rfc3339(attempt.started),
        "ended": rfc3339(attempt.ended),
        "result": attempt.result,
        "reason": attempt.reason or None,
    }
