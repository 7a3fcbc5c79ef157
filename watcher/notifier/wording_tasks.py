"""The words of what happens to tasks."""

from __future__ import annotations

from watcher.notifier.facts import NAME_LIMIT, Facts, whole
from watcher.notifier.wordbook import ROOM, Book, Said, dots

words = Book()


def _missed(f: Facts) -> str:
    skipped = f.event.details.get("missed")
    if not isinstance(skipped, list | tuple) or not skipped:
        return ""
    return f.say("Not seen in between: {states}", states=", ".join(f.status(state) for state in skipped[:5]))


@words("task.discovered", "●")
def _discovered(f: Facts) -> Said:
    status = f.status(f.event.to or f.task("status"))
    return f.say("{name} is watched now: {status}", name=f.name, status=status), (dots(f.model, f.epochs, f.step),)


@words("task.started", "▶")
def _started(f: Facts) -> Said:
    waited = f.seconds("waited") or f.since_created
    wait = f.say("waited {span}", span=waited) if waited else ""
    return f.say("{name} is training", name=f.name), (dots(f.model, f.epochs, wait), _missed(f))


@words("task.succeeded", "✔")
def _succeeded(f: Facts) -> Said:
    trained = f.seconds("trained")
    took = f.say("trained {span}", span=trained) if trained else ""
    if not took and f.since_created_to_end:
        took = f.say("{span} after it was created", span=f.since_created_to_end)
    if f.info("sendWeightSuccess") is False:
        return f.say("{name} has ended, but its weights weren't saved", name=f.name), (
            dots(f.model, f.loss),
            _missed(f),
        )
    headline = dots(f.say("{name} is ready", name=f.name), f.loss, took)
    return headline, (dots(f.model, f.epochs, f.step), _missed(f))


@words("task.failed", "✖")
def _failed(f: Facts) -> Said:
    failure = f.event.failure
    reason = f.given(failure.reason) if failure else ""
    message = f.given(failure.message) if failure else ""
    explanation = f.outside(f.own(failure.explanation)) if failure else ""
    why = explanation or message or reason or f.say("no reason given")
    headline = f.say("{name} failed: {why}", name=f.name, why=why)
    raw = ": ".join(filter(None, (reason, message))) if explanation or len(headline) > ROOM else ""
    lines = (
        f.say("The reason came after the failure was told") if f.event.details.get("amends") else "",
        raw or (f.say("Reason: {reason}", reason=reason) if reason and reason != why else ""),
        f.say("Fix: {fix}", fix=f.outside(f.own(failure.fix))) if failure and failure.fix else "",
        dots(f.model, f.epoch, f.step, f.loss),
        _missed(f),
    )
    return headline, lines


@words("task.reopened", "↻")
def _reopened(f: Facts) -> Said:
    before, status = f.status(f.event.from_), f.status(f.event.to or f.task("status"))
    headline = f.say("{name} was reopened: {before} → {status}", name=f.name, before=before, status=status)
    return headline, (dots(f.model, f.epoch, f.step), _missed(f))


@words("task.requeued", "↻")
def _requeued(f: Facts) -> Said:
    return f.say("{name} waits again", name=f.name), (dots(f.model, f.epochs), f.detail("reason"), _missed(f))


@words("task.status_changed", "⚠")
def _status_changed(f: Facts) -> Said:
    before, status = f.status(f.event.from_), f.status(f.event.to or f.task("status"))
    headline = f.say("{name} went from {before} to {status}", name=f.name, before=before, status=status)
    return headline, (
        f.say("One of these states is new to this version of the watcher"),
        dots(f.model, f.step, f.loss),
    )


@words("task.progress", "◐")
def _progress(f: Facts) -> Said:
    percent = f.count("percent")
    percent = whole(f.task("progress")) if percent is None else percent
    share = f.percent(percent) if percent is not None else ""
    return " ".join(filter(None, (f.name, dots(share, f.epoch, f.step)))), (dots(f.loss, f.model),)


@words("task.stalled", "⚠")
def _stalled(f: Facts) -> Said:
    span = f.seconds("seconds") or f.seconds("for")
    still = f.say("{name} stands still", name=f.name)
    headline = f"{still}: {f.step}" if f.step else still
    return dots(headline, f.say("for {span}", span=span) if span else ""), (f.detail("reason"), dots(f.model, f.loss))


@words("task.resumed", "▶")
def _resumed(f: Facts) -> Said:
    return dots(f.say("{name} moves again", name=f.name), f.step), (dots(f.model, f.loss),)


@words("task.queued_long", "⚠")
def _queued_long(f: Facts) -> Said:
    waited = f.seconds("seconds") or f.since_created
    headline = f.say("{name} still waits for a GPU", name=f.name)
    return dots(headline, f.say("waited {span}", span=waited) if waited else ""), (dots(f.model, f.epochs),)


@words("task.loss_anomaly", "⚠")
def _loss_anomaly(f: Facts) -> Said:
    headline, why = f.say("{name} learns badly", name=f.name), f.told("reason") or f.detail("kind")
    return dots(f"{headline}: {why}" if why else headline, f.step), (dots(f.loss, f.model),)


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
    return headline, (last, f.say("It may have been deleted; the watcher looks for it every 15 minutes"), f.model)


@words("task.returned", "●")
def _returned(f: Facts) -> Said:
    status = f.status(f.event.to or f.task("status"))
    return f.say("{name} is back: {status}", name=f.name, status=status), (dots(f.model, f.step),)


@words("task.unknown", "⚠")
def _unknown_to_account(f: Facts) -> Said:
    id_ = f.outside(f.event.task, NAME_LIMIT) or "?"
    listed = f.say("Listed as: {name}", name=f.name) if f.name != id_ else ""
    if f.event.details.get("reason") == "no_ownership":
        headline = f.say("{task}: the key of account {account} may not see it", task=id_, account=f.account)
        return headline, (f.say("Fix: use a key of the account that owns it, or take it out of the list"), listed)
    headline = f.say("{task} is unknown to account {account}", task=id_, account=f.account)
    headline = f.then(headline, _did_you_mean(f))
    mend = f.say("Fix: correct the id or its account in the configuration; the watcher takes it up by itself")
    return headline, (mend, f.say("The watcher looks for it every 15 minutes, in case it appears"), listed)


def _did_you_mean(f: Facts) -> str:
    near = f.event.details.get("near")
    ids = [f.outside(each, NAME_LIMIT) for each in near[:3]] if isinstance(near, list | tuple) else []
    ids = list(filter(None, ids))
    return f.say("Did you mean {ids}?", ids=" / ".join(ids)) if ids else f.say("Compare it with the console")
