"""Each event in a few words, for a row among others: what it was about, what happened, and what belongs to it.

The long form of the same is in `wording_tasks.py` and `wording_system.py`. A type that isn't in the table is told by
its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from watcher.notifier.facts import NAME_LIMIT, Facts, number, whole
from watcher.notifier.reasons import find
from watcher.notifier.wordbook import dots

Words = Callable[[Facts], str]

MORE_LIMIT = 120


class Brief(NamedTuple):
    """A row: who or what, what happened, and more about it ("" for nothing)."""

    about: str
    happened: str
    more: str


def brief(facts: Facts) -> Brief:
    """The event as a row."""
    happened, more = _BRIEFS.get(facts.event.type, (lambda f: f.outside(f.event.type, 40), _reason))
    return Brief(_about(facts), happened(facts), more(facts))


def _about(f: Facts) -> str:
    event = f.event
    if event.task is not None:
        return f.name
    if event.channel is not None:
        return f.say("channel {channel}", channel=f.channel)
    if event.account is not None:
        return f.say("account {account}", account=f.account)
    if event.type.startswith("group."):
        return f.say("group {group}", group=f.detail("group", NAME_LIMIT) or "?")
    return f.say("the watcher")


def _nothing(_: Facts) -> str:
    return ""


def _reason(f: Facts) -> str:
    return f.told("reason", MORE_LIMIT)


def _of_key(f: Facts) -> str:
    """What a refused key's row doesn't say already."""
    found = find(str(f.event.details.get("reason")))
    return f.outside(found.detail) if found and found.sentence == "the key is refused" else _reason(f)


def _learning(f: Facts) -> str:
    return dots(f.loss, f.step)


def _status(f: Facts) -> str:
    return f.status(f.event.to or f.task("status"))


def _last_status(f: Facts) -> str:
    return f.status(f.event.from_ or f.task("status"))


def _why(f: Facts) -> str:
    failure = f.event.failure
    if failure is None:
        return f.say("no reason given")
    said = (f.own(failure.explanation), failure.message, failure.reason)
    return next(filter(None, map(f.given, said)), f.say("no reason given"))


def _ready(f: Facts) -> str:
    return f.say("without weights") if f.info("sendWeightSuccess") is False else f.say("ready")


def _trained(f: Facts) -> str:
    return dots(f.loss, f.seconds("trained") or f.since_created_to_end)


def _percent(f: Facts) -> str:
    percent = f.count("percent")
    percent = whole(f.task("progress")) if percent is None else percent
    return f.percent(percent) if percent is not None else f.say("progress")


def _waited(f: Facts) -> str:
    waited = f.seconds("seconds") or f.seconds("waited") or f.since_created
    return f.say("waited {span}", span=waited) if waited else ""


def _still(f: Facts) -> str:
    span = f.seconds("seconds")
    return dots(f.step, f.say("for {span}", span=span) if span else "")


def _counted(f: Facts) -> str:
    count = f.count("count")
    return dots(f.say("messages: {count}", count=number(count)) if count else "", f.why_given_up)


def _near(f: Facts) -> str:
    near = f.event.details.get("near")
    ids = [f.outside(each, NAME_LIMIT) for each in near[:3]] if isinstance(near, list | tuple) else []
    return f.say("Did you mean {ids}?", ids=" / ".join(ids)) if any(ids) else ""


def _problem(f: Facts) -> str:
    problems = f.event.details.get("problems")
    return f.outside(problems[0], MORE_LIMIT) if isinstance(problems, list | tuple) and problems else ""


_BRIEFS: dict[str, tuple[Words, Words]] = {
    "task.discovered": (lambda f: f.say("watched now"), _status),
    "task.started": (lambda f: f.say("training starts"), _waited),
    "task.succeeded": (_ready, _trained),
    "task.failed": (lambda f: f.say("failed"), _why),
    "task.reopened": (lambda f: f.say("reopened"), _status),
    "task.requeued": (lambda f: f.say("waits again"), _reason),
    "task.status_changed": (_status, _learning),
    "task.progress": (_percent, lambda f: dots(f.loss, f.epoch)),
    "task.stalled": (lambda f: f.say("stands still"), _still),
    "task.resumed": (lambda f: f.say("moves again"), lambda f: f.step),
    "task.queued_long": (lambda f: f.say("still waits"), _waited),
    "task.loss_anomaly": (lambda f: f.say("learns badly"), _learning),
    "task.weights_missing": (lambda f: f.say("no usable model"), lambda f: f.say("its weights weren't saved")),
    "task.gone": (lambda f: f.say("gone"), lambda f: f.say("Last seen as: {status}", status=_last_status(f))),
    "task.returned": (lambda f: f.say("back"), _status),
    "task.unknown": (lambda f: f.say("unknown id"), _near),
    "account.rejected": (lambda f: f.say("key refused"), _of_key),
    "account.unreachable": (lambda f: f.say("can't be watched"), _reason),
    "account.recovered": (lambda f: f.say("works again"), _nothing),
    "channel.failing": (lambda f: f.say("doesn't get through"), _reason),
    "channel.recovered": (lambda f: f.say("works again"), _nothing),
    "channel.gave_up": (lambda f: f.say("given up"), _counted),
    "watcher.started": (lambda f: f.say("runs"), _nothing),
    "watcher.gap": (lambda f: f.say("didn't watch"), lambda f: f.span(f.width)),
    "watcher.config_rejected": (lambda f: f.say("changed configuration is wrong"), _problem),
    "group.finished": (lambda f: f.say("all ended"), _nothing),
}


def brief_types() -> frozenset[str]:
    """The types that have a row of their own."""
    return frozenset(_BRIEFS)
