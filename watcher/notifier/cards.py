"""A living card as Slack's blocks: what a task, or a group, looks like right now. Pure.

The header and the line below it say everything; then what belongs to it, and at the end which task it is and when it
was last seen. Groups are drawn in `cards_group.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from watcher.i18n import translator
from watcher.models import FAILED, RUNNING, SUCCEEDED, WAIT, Card, CardTask, Event, Window
from watcher.notifier.cards_blocks import Block, bar, context, fallback, fields, header, lines, sparkline
from watcher.notifier.cards_group import Member, draw_group, loss_text
from watcher.notifier.facts import NAME_LIMIT, Facts, instant, whole, zone
from watcher.notifier.text import clean, cut

ICONS = {WAIT: "○", RUNNING: "◐", SUCCEEDED: "✔", FAILED: "✖"}
UNKNOWN, GONE = "●", "⚠"
NO_OWNERSHIP = "no_ownership"
"""Why a task is gone that may still be there: the key may no longer see it."""


def card_blocks(card: Card, *, language: str, timezone: str, now: datetime) -> tuple[list[Block], str]:
    """The card's blocks, and its text for notifications and screen readers, ready to be sent.

    All of it is within Slack's limits, and names are shown as they are written.
    """
    every = [_facts(task, language, timezone, now) for task in card.tasks]
    if not every:
        name = cut(clean(card.subject.partition(" ")[2]), NAME_LIMIT)
        return [header(name)], fallback(name)
    if card.group is not None:
        return draw_group(card.group, [Member(f, task, icon(task)) for f, task in zip(every, card.tasks, strict=True)])
    return _draw(every[0], card.tasks[0])


def card_digest(card: Card, *, language: str, timezone: str, now: datetime) -> str:
    """What a reader would see as another card has another digest.

    When it was last seen counts by the hour only: a card isn't edited each time that somebody looks.
    """
    tasks = tuple(replace(task, seen=task.seen.replace(minute=0, second=0, microsecond=0)) for task in card.tasks)
    drawn = card_blocks(replace(card, tasks=tasks), language=language, timezone=timezone, now=now)
    return hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:32]


def _facts(task: CardTask, language: str, timezone: str, now: datetime) -> Facts:
    """A card tells no event; the words know how to read a task all the same."""
    event = Event(
        id="card",
        type="task.progress",
        severity="info",
        notable=False,
        window=Window(None, task.seen),
        account=task.key.account,
        task=task.key.id,
        failure=task.failure,
        subject=task.subject,
    )
    return Facts(event, "chat", translator(language), zone(timezone), now)


def icon(task: CardTask) -> str:
    return GONE if task.gone else ICONS.get(str(task.subject.get("status")), UNKNOWN)


def _draw(f: Facts, task: CardTask) -> tuple[list[Block], str]:
    title, state, more = f"{icon(task)} {_title(f, task)}", _state(f, task), _more(f, task)
    pairs = [
        (f.say("Loss"), _loss(f, task.losses)),
        (f.say("Ends"), _ends(f, task)),
        (f.say("Model"), f.model),
        (f.say("Owner"), _owner(f)),
    ]
    blocks = [header(title), lines(state, *more), *fields(pairs), context(*_place(f, task))]
    return blocks, fallback(_dots(title, *_short(f, task, state)))


def _short(f: Facts, task: CardTask, state: str) -> Sequence[str]:
    """What follows the title where there is one line only."""
    status = None if task.gone else f.task("status")
    return (_progress(f), f.loss) if status == RUNNING else (f.loss, state) if status == SUCCEEDED else (state,)


def _title(f: Facts, task: CardTask) -> str:
    if task.gone:
        hidden = task.gone == NO_OWNERSHIP
        return f.say("{name} is hidden", name=f.name) if hidden else f.say("{name} is gone", name=f.name)
    titles = {
        SUCCEEDED: f.say("{name} is ready", name=f.name),
        FAILED: f.say("{name} failed", name=f.name),
    }
    return titles.get(str(f.task("status")), f.name)


def _state(f: Facts, task: CardTask) -> str:
    """The line below the title."""
    if task.gone:
        return _gone(f, task)
    status, since = f.task("status"), _since(f, task)
    if status == RUNNING:
        progress, percent = _progress(f), whole(f.task("progress"))
        return f"{bar(percent)} {progress}" if percent is not None else _dots(f.say("training"), progress, since)
    if status == SUCCEEDED:
        saved = f.say("its weights weren't saved") if f.info("sendWeightSuccess") is False else ""
        took = f.since_created_to_end
        return _dots(saved, f.say("{span} after it was created", span=took) if took else since, f.epochs) or f.say(
            "ready"
        )
    if status == FAILED:
        return _why(f) or f.say("no reason given")
    return _dots(f.status(status), since, f.epochs)


def _more(f: Facts, task: CardTask) -> Sequence[str]:
    """What else there is to say about a failure."""
    failure = task.failure
    if failure is None or f.task("status") != FAILED or task.gone:
        return ()
    reason, message = f.given(failure.reason), f.given(failure.message)
    raw = ": ".join(filter(None, (reason, message))) if failure.explanation else ""
    raw = raw or (f.say("Reason: {reason}", reason=reason) if reason and reason != _why(f) else "")
    fix = f.say("Fix: {fix}", fix=f.outside(failure.fix)) if failure.fix else ""
    return raw, fix, _dots(f.epoch, f.step)


def _why(f: Facts) -> str:
    failure = f.event.failure
    said = (f.given(text) for text in (failure.explanation, failure.message, failure.reason)) if failure else ()
    return next(filter(None, said), "")


def _gone(f: Facts, task: CardTask) -> str:
    last = f.say("Last seen as: {status}", status=f.status(f.task("status")))
    if task.gone == NO_OWNERSHIP:
        return _dots(f.say("the account's key may no longer see it"), last)
    return _dots(f.say("CLOVA Studio knows no such task any more"), last)


def _progress(f: Facts) -> str:
    percent = whole(f.task("progress"))
    return _dots(f.percent(percent) if percent is not None else "", f.epoch, f.step)


def _since(f: Facts, task: CardTask) -> str:
    return f.say("since {time}", time=_at(f, task.since)) if task.since is not None else ""


def _loss(f: Facts, losses: Sequence[float]) -> str:
    return " ".join(filter(None, (loss_text(f), sparkline(losses))))


def _ends(f: Facts, task: CardTask) -> str:
    eta = instant(f.task("eta")) if f.task("status") == RUNNING and not task.gone else None
    return f.say("about {time}", time=_at(f, eta)) if eta is not None else ""


def _owner(f: Facts) -> str:
    labels = f.task("labels")
    return f.outside(labels.get("owner"), NAME_LIMIT) if isinstance(labels, Mapping) else ""


def _place(f: Facts, task: CardTask) -> Sequence[str]:
    account = f.say("account {account}", account=f.account) if task.key.account != "default" else ""
    seen = f.say("seen {time}", time=_at(f, task.seen))
    return f.outside(task.key.id, NAME_LIMIT), account, seen


def _at(f: Facts, moment: datetime) -> str:
    return f"{f.short_time(moment)} {f.abbreviation(moment)}"


def _dots(*parts: str) -> str:
    return " · ".join(filter(None, parts))
