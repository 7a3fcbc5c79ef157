"""The words of every event type. How to add one: a function here with `@words`, and nothing else.

A function returns the first line, without its icon, and the lines below. The first line is what a phone shows: it
says everything. Labels instead of sentences where numbers stand, since languages count differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from watcher.notifier.facts import NAME_LIMIT, Facts, number, whole

HEADLINE_LIMIT = 140
"""Longer first lines are cut; what was cut stands below."""

ROOM = HEADLINE_LIMIT - 2
"""What the icon and its blank leave of it."""

Said = tuple[str, Iterable[str]]
Words = Callable[[Facts], Said]

_WORDS: dict[str, tuple[str, Words]] = {}
_ICONS = {"success": "✔", "failure": "✖", "warning": "⚠"}


def said(facts: Facts) -> tuple[str, list[str]]:
    """First line with its icon, and the lines below. A type that has no words here is told by its name."""
    icon, of_type = _WORDS.get(facts.event.type, (_ICONS.get(facts.event.severity, "●"), _unknown))
    headline, lines = of_type(facts)
    return f"{icon} {headline}", [line for line in lines if line]


def words(event_type: str, icon: str) -> Callable[[Words], Words]:
    def register(function: Words) -> Words:
        _WORDS[event_type] = (icon, function)
        return function

    return register


def worded_types() -> frozenset[str]:
    """The types that have words of their own."""
    return frozenset(_WORDS)


def _dots(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def _unknown(f: Facts) -> Said:
    event = f.event
    about = f.name if event.task else f.channel if event.channel else f.account if event.account else ""
    return f"{f.outside(event.type, 60)} {about}".strip(), (f.detail("reason"),)


def _missed(f: Facts) -> str:
    skipped = f.event.details.get("missed")
    if not isinstance(skipped, list | tuple) or not skipped:
        return ""
    return f.say("Not seen in between: {states}", states=", ".join(f.status(state) for state in skipped[:5]))


@words("task.discovered", "●")
def _discovered(f: Facts) -> Said:
    status = f.status(f.event.to or f.task("status"))
    return f.say("{name} is watched now: {status}", name=f.name, status=status), (_dots(f.model, f.epochs, f.step),)


@words("task.started", "▶")
def _started(f: Facts) -> Said:
    waited = f.seconds("waited") or f.since_created
    wait = f.say("waited {span}", span=waited) if waited else ""
    return f.say("{name} is training", name=f.name), (_dots(f.model, f.epochs, wait), _missed(f))


@words("task.succeeded", "✔")
def _succeeded(f: Facts) -> Said:
    trained = f.seconds("trained")
    took = f.say("trained {span}", span=trained) if trained else ""
    if not took and f.since_created_to_end:
        took = f.say("{span} after it was created", span=f.since_created_to_end)
    if f.info("sendWeightSuccess") is False:
        return f.say("{name} has ended, but its weights weren't saved", name=f.name), (
            _dots(f.model, f.loss),
            _missed(f),
        )
    headline = _dots(f.say("{name} is ready", name=f.name), f.loss, took)
    return headline, (_dots(f.model, f.epochs, f.step), _missed(f))


@words("task.failed", "✖")
def _failed(f: Facts) -> Said:
    failure = f.event.failure
    reason = _given(f, failure.reason) if failure else ""
    message = _given(f, failure.message) if failure else ""
    explanation = f.outside(failure.explanation) if failure else ""
    why = explanation or message or reason or f.say("no reason given")
    headline = f.say("{name} failed: {why}", name=f.name, why=why)
    raw = ": ".join(filter(None, (reason, message))) if explanation or len(headline) > ROOM else ""
    lines = (
        f.say("The reason came after the failure was told") if f.event.details.get("amends") else "",
        raw or (f.say("Reason: {reason}", reason=reason) if reason and reason != why else ""),
        f.say("Fix: {fix}", fix=f.outside(failure.fix)) if failure and failure.fix else "",
        _dots(f.model, f.epoch, f.step, f.loss),
        _missed(f),
    )
    return headline, lines


def _given(f: Facts, text: str) -> str:
    """The upstream writes `-` for nothing."""
    shown = f.outside(text)
    return "" if shown == "-" else shown


@words("task.reopened", "↻")
def _reopened(f: Facts) -> Said:
    before, status = f.status(f.event.from_), f.status(f.event.to or f.task("status"))
    headline = f.say("{name} was reopened: {before} → {status}", name=f.name, before=before, status=status)
    return headline, (_dots(f.model, f.epoch, f.step), _missed(f))


@words("task.requeued", "↻")
def _requeued(f: Facts) -> Said:
    return f.say("{name} waits again", name=f.name), (_dots(f.model, f.epochs), f.detail("reason"), _missed(f))


@words("task.status_changed", "⚠")
def _status_changed(f: Facts) -> Said:
    before, status = f.status(f.event.from_), f.status(f.event.to or f.task("status"))
    headline = f.say("{name} went from {before} to {status}", name=f.name, before=before, status=status)
    return headline, (
        f.say("One of these states is new to this version of the watcher"),
        _dots(f.model, f.step, f.loss),
    )


@words("task.progress", "◐")
def _progress(f: Facts) -> Said:
    percent = f.count("percent")
    percent = whole(f.task("progress")) if percent is None else percent
    share = f"{percent} %" if percent is not None else ""
    return " ".join(filter(None, (f.name, _dots(share, f.epoch, f.step)))), (_dots(f.loss, f.model),)


@words("task.stalled", "⚠")
def _stalled(f: Facts) -> Said:
    span = f.seconds("seconds") or f.seconds("for")
    still = f.say("{name} stands still", name=f.name)
    headline = f"{still}: {f.step}" if f.step else still
    return _dots(headline, f.say("for {span}", span=span) if span else ""), (f.detail("reason"), _dots(f.model, f.loss))


@words("task.resumed", "▶")
def _resumed(f: Facts) -> Said:
    return _dots(f.say("{name} moves again", name=f.name), f.step), (_dots(f.model, f.loss),)


@words("task.queued_long", "⚠")
def _queued_long(f: Facts) -> Said:
    waited = f.seconds("seconds") or f.since_created
    headline = f.say("{name} still waits for a GPU", name=f.name)
    return _dots(headline, f.say("for {span}", span=waited) if waited else ""), (_dots(f.model, f.epochs),)


@words("task.loss_anomaly", "⚠")
def _loss_anomaly(f: Facts) -> Said:
    headline = f.say("{name} learns badly", name=f.name)
    return _dots(headline, f.loss, f.step), (f.detail("reason") or f.detail("kind"), f.model)


@words("task.weights_missing", "✖")
def _weights_missing(f: Facts) -> Said:
    headline = f.say("{name} has no usable model: its weights weren't saved", name=f.name)
    return headline, (f.say("Fix: train it again; if that happens twice, ask CLOVA Studio's support"), f.model)


@words("task.gone", "⚠")
def _gone(f: Facts) -> Said:
    last = f.say("Last seen as: {status}", status=f.status(f.event.from_ or f.task("status")))
    if f.event.details.get("reason") == "no_ownership":
        return f.say("{name} is hidden: the account's key may no longer see it", name=f.name), (last, f.model)
    headline = f.say("{name} is gone: CLOVA Studio knows no such task any more", name=f.name)
    return headline, (last, f.say("Deleted, perhaps; it is looked for every 15 minutes"), f.model)


@words("task.returned", "●")
def _returned(f: Facts) -> Said:
    status = f.status(f.event.to or f.task("status"))
    return f.say("{name} is back: {status}", name=f.name, status=status), (_dots(f.model, f.step),)


@words("task.unknown", "⚠")
def _unknown_to_account(f: Facts) -> Said:
    id_ = f.outside(f.event.task, NAME_LIMIT) or "?"
    listed = f.say("Listed as: {name}", name=f.name) if f.name != id_ else ""
    if f.event.details.get("reason") == "no_ownership":
        headline = f.say("{task}: the key of account {account} may not see it", task=id_, account=f.account)
        return headline, (f.say("Fix: use a key of the account that owns it, or take it out of the list"), listed)
    headline = f.say("{task} is unknown to account {account}", task=id_, account=f.account)
    headline = ". ".join(filter(None, (headline, _did_you_mean(f))))
    mend = f.say("Fix: mend the id or its account in the configuration; the watcher notices that by itself")
    return headline, (mend, f.say("It is looked for every 15 minutes, in case it appears"), listed)


def _did_you_mean(f: Facts) -> str:
    near = f.event.details.get("near")
    ids = [f.outside(each, NAME_LIMIT) for each in near[:3]] if isinstance(near, list | tuple) else []
    ids = list(filter(None, ids))
    return f.say("Did you mean {ids}?", ids=" / ".join(ids)) if ids else f.say("Compare it with the console")


def _because(headline: str, reason: str) -> str:
    return f"{headline} ({reason})" if reason else headline


@words("account.rejected", "⚠")
def _rejected(f: Facts) -> Said:
    headline = _because(f.say("account {account}: the key is refused", account=f.account), f.detail("reason", 200))
    fix = f.detail("hint") or f.say(
        "Issue a new key and replace the secret (a key from the environment needs a restart)"
    )
    return headline, (fix, f.say("Watching goes on by itself once the key works"))


@words("account.unreachable", "⚠")
def _unreachable(f: Facts) -> Said:
    headline = f.say("account {account}: CLOVA Studio gives no answer", account=f.account)
    goes_on = f.say("It is asked again and again; changes are told when it answers")
    return _because(headline, f.detail("reason", 200)), (f.detail("hint"), goes_on)


@words("account.recovered", "✔")
def _account_recovered(f: Facts) -> Said:
    return f.say("account {account} works again", account=f.account), (f.detail("reason"),)


@words("channel.failing", "⚠")
def _failing(f: Facts) -> Said:
    headline = f.say("channel {channel}: messages don't get through", channel=f.channel)
    tries = f.count("count")
    lines = (
        f.say("Failed tries: {count}", count=number(tries)) if tries else "",
        f.say("They wait and are sent later"),
    )
    return _because(headline, f.detail("reason", 200)), (_dots(*lines), f.detail("hint"))


@words("channel.recovered", "✔")
def _channel_recovered(f: Facts) -> Said:
    return f.say("channel {channel} works again", channel=f.channel), (f.detail("reason"),)


@words("channel.gave_up", "✖")
def _gave_up(f: Facts) -> Said:
    lost = f.count("count")
    headline = f.say("channel {channel}: messages given up", channel=f.channel)
    headline = f"{headline}: {number(lost)}" if lost else headline
    again = f.say("See them with: {command}", command="watcher deliveries --failed")
    resend = f.say("send them again with: {command}", command="watcher redeliver --failed")
    return _because(headline, f.detail("reason", 200)), (f"{again}; {resend}",)


@words("watcher.started", "●")
def _watcher_started(f: Facts) -> Said:
    labels = (
        ("training", f.say("training")),
        ("waiting", f.say("waiting")),
        ("finished", f.say("finished")),
        ("unseen", f.say("not seen yet")),
    )
    counts = ", ".join(f"{number(f.count(key))} {label}" for key, label in labels if f.count(key))
    total = f.count("tasks")
    if total is None:
        return f.say("The watcher runs"), ()
    headline = f.say_many("Watching {count} tuning", "Watching {count} tunings", total)
    headline = f"{headline}: {counts}." if counts else f"{headline}."
    if f.event.details.get("first") is False:
        return f.say("The watcher runs again.") + f" {headline}", ()
    return f"{headline} " + f.say("You'll hear starts, ends and trouble."), ()


@words("watcher.gap", "●")
def _gap(f: Facts) -> Said:
    ends, found = f.ends(), f.count("count")
    headline = f.say("Nothing was watched for {span}", span=f.span(f.width)) if ends else f.say("Nothing was watched")
    changes = f.say("changes found after it: {count}", count=number(found)) if found is not None else ""
    return f"{headline}; {changes}" if changes else headline, ()


@words("watcher.config_rejected", "⚠")
def _config_rejected(f: Facts) -> Said:
    problems = f.event.details.get("problems")
    listed = [f.outside(problem) for problem in problems[:11]] if isinstance(problems, list | tuple) else []
    listed = list(filter(None, listed))
    headline = f.say("The changed configuration is wrong, the old one goes on")
    if listed:
        headline = f"{headline}: {listed[0]}"
        listed = listed if len(headline) > ROOM else listed[1:]
    return headline, (*listed, f.say("See all of it with: {command}", command="watcher check"))


@words("group.finished", "✔")
def _group_finished(f: Facts) -> Said:
    group = f.detail("group", 80) or f.detail("name", 80) or "?"
    return f.say("All tunings of {group} have ended", group=group), (f.detail("reason"),)
