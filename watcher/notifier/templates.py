"""Users' own words for messages: which template counts, what it sees, and what becomes of what it makes.

A template never costs a message: where it fails, the built-in words go out with a last line that says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import structlog

from watcher.i18n import translator
from watcher.models import ChannelKind, Event, Message
from watcher.notifier.facts import Facts, zone
from watcher.notifier.render import TITLE_LIMIT, as_html, render
from watcher.notifier.route import NOTABLE
from watcher.notifier.templating.workshop import Fault, shared
from watcher.notifier.text import break_mentions, clean, cut
from watcher.views import event_json, rfc3339

log = structlog.get_logger()

TEXT_LIMIT = 2000
"""Characters of one text from outside that a template sees."""

_INFO = (
    "currStep",
    "totalTrainSteps",
    "currEpoch",
    "totalTrainEpochs",
    "trainLoss",
    "sendWeightSuccess",
    "failureReason",
    "message",
    "endDatetime",
)
_TASK = ("name", "model", "status", "progress", "eta", "trainEpochs", "learningRate", "createdDate", "updatedDate")
_said: set[tuple[str, str, Fault]] = set()


def pattern_for(templates: Mapping[str, str], type_: str, notable: bool) -> str | None:
    """The most telling pattern that matches: the type itself, then long ones, then `notable`, then `*`."""
    matching = [each for each in templates if (notable if each == NOTABLE else fnmatchcase(type_, each))]
    return max(matching, key=_telling, default=None)


def _telling(pattern: str) -> float:
    return 0.5 if pattern == NOTABLE else len(pattern.replace("*", ""))


def reworded(message: Message, template: str, facts: Facts, *, timezone: str) -> tuple[Message, Fault | None]:
    """`message` in the words of a template, or with a last line that says why not. Blocks while the template runs."""
    made = shared.make(template, dict(_seen(facts, message)), zone=timezone, spans=_spans(facts))
    if not isinstance(made, Fault):
        lines = _lines(made, facts)
        if lines:
            whole = len(lines[0]) <= TITLE_LIMIT  # what was cut stands below
            return _with(message, _title(lines[0], facts), lines[1:] if whole else lines), None
        made = Fault("empty")
    note = facts.say("The template of this channel isn't used: {problem}", problem=told(made, facts))
    return _with(message, message.title, [*message.body.splitlines(), f"⚠ {note}"]), made


def trial(template: str, event: Event, *, kind: ChannelKind, language: str, timezone: str) -> str:
    """What is wrong with a template for this event, in English, as `line 2: ...`; "" when nothing is."""
    now = datetime.now(UTC)
    message = render(event, kind=kind, language=language, timezone=timezone, now=now)
    facts = Facts(event, kind, translator(language), zone(timezone), now)
    _, fault = reworded(message, template, facts, timezone=timezone)
    return told(fault, Facts(event, "console", translator("en"), zone(timezone))) if fault else ""


def log_once(fault: Fault, *, channel: str, pattern: str) -> None:
    """The same trouble again and again is said once."""
    if (channel, pattern, fault) in _said:
        return
    if len(_said) >= 1000:
        _said.clear()
    _said.add((channel, pattern, fault))
    log.warning(
        "template.failed", channel=channel, pattern=pattern, problem=fault.kind, line=fault.line, said=clean(fault.said)
    )


def told(fault: Fault, facts: Facts) -> str:
    """What is wrong, in the reader's language as far as it is ours to say."""
    words = {
        "slow": facts.say("it takes longer than 2 s"),
        "memory": facts.say("it needs more than 256 MB of memory"),
        "long": facts.say("it makes more than 20,000 characters"),
        "empty": facts.say("it makes no text"),
        "died": facts.say("the process in which it runs ends"),
        "start": facts.say("the process for templates can't be started"),
    }
    problem = ": ".join(filter(None, (words.get(fault.kind), facts.outside(fault.said, 200))))
    return facts.say("line {line}: {problem}", line=fault.line, problem=problem) if fault.line else problem


# What a template sees.


def _seen(facts: Facts, message: Message) -> Iterator[tuple[str, Any]]:
    event = facts.event
    shown: dict[str, Any] = _harmless(event_json(event))
    task = _task(event.subject) if isinstance(event.subject, Mapping) else {}
    about = facts.name if event.task is not None else facts.channel if event.channel is not None else ""
    about = about or (facts.account if event.account is not None else facts.detail("group") or "watcher")
    yield "event", {"channel": None, "failure": None} | shown
    yield "task", task
    yield "labels", task.get("labels") or {}
    yield "name", about
    yield "title", message.title
    yield "body", message.body
    yield "now", rfc3339(facts.now)


def _task(subject: Mapping[str, Any]) -> dict[str, Any]:
    """What CLOVA Studio left out is null: a template isn't wrong because of it."""
    task: dict[str, Any] = dict.fromkeys(_TASK) | _harmless(subject)
    info = task.get("statusInfo")
    return task | {"statusInfo": dict.fromkeys(_INFO) | (info if isinstance(info, dict) else {})}


def _harmless(value: Any, depth: int = 8) -> Any:
    """Text from outside is one line and can't hide anything; nothing is deeper than anybody writes."""
    if isinstance(value, str):
        return cut(clean(cut(value, 4 * TEXT_LIMIT)), TEXT_LIMIT)
    if depth and isinstance(value, Mapping):
        return {clean(key): _harmless(each, depth - 1) for key, each in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_harmless(each, depth - 1) for each in value]
    return value if isinstance(value, int | float | None) else clean(str(value)[:TEXT_LIMIT])


def _spans(facts: Facts) -> dict[str, str]:
    """The same words as those of `Facts.span`, with their places left open."""
    hours = "{hours} h {minutes:02d} m"
    return {
        "days": facts.words.gettext("{days} d {hours} h"),
        "hours": facts.words.gettext(hours),
        "minutes": facts.words.gettext("{minutes} m"),
        "seconds": facts.words.gettext("{seconds} s"),
    }


# What becomes of its text.


def _lines(text: str, facts: Facts) -> list[str]:
    """Its lines, harmless, without blank ones at the ends and at most one in a row."""
    lines: list[str] = []
    for line in map(clean, text.splitlines()):
        if line or (lines and lines[-1]):
            lines.append(break_mentions(line) if facts.kind == "chat" else line)
    return lines[:-1] if lines and not lines[-1] else lines


def _title(line: str, facts: Facts) -> str:
    """A sample must not alarm anybody."""
    mark = facts.say("(test)")
    unmarked = facts.event.details.get("test") is True and mark not in line
    return cut(line, TITLE_LIMIT) + (f" {mark}" if unmarked else "")


def _with(message: Message, title: str, lines: list[str]) -> Message:
    lines = lines[1:] if lines and not lines[0] else lines
    return replace(message, title=title, body="\n".join(lines), html=message.html and as_html(title, lines))
