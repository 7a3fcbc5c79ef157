"""The words of what happens to accounts, channels, the watcher itself and groups."""

from __future__ import annotations

from watcher.notifier.facts import Facts, number
from watcher.notifier.reasons import find
from watcher.notifier.text import columns
from watcher.notifier.wordbook import ROOM, Book, Said, dots

words = Book()


def _because(headline: str, reason: str) -> str:
    return f"{headline} ({reason})" if reason else headline


@words("account.rejected", "⚠")
def _rejected(f: Facts) -> Said:
    refused, reason = find(str(f.event.details.get("reason"))), f.told("reason", 200)
    why = reason if refused else _because(f.say("the key is refused"), reason)
    headline = f.say("account {account}: {why}", account=f.account, why=why)
    if refused is None or refused.sentence in {"the key is refused", "the key has expired"}:
        headline = _with_room(headline, f.then(headline, f.say("Issue a new key and replace the secret")))
    return headline, (_fix(f), f.say("Watching goes on by itself once the key works"))


def _with_room(headline: str, longer: str) -> str:
    """What is to be done belongs into the first line, where it fits."""
    return longer if columns(longer) <= ROOM else headline


def _fix(f: Facts) -> str:
    fix = f.told("hint")
    return f.say("Fix: {fix}", fix=fix) if fix else ""


@words("account.unreachable", "⚠")
def _unreachable(f: Facts) -> Said:
    why = f.told("reason", 200) or f.say("CLOVA Studio gives no answer")
    fix = "" if str(f.event.details.get("hint")).startswith("nothing") else _fix(f)
    return f.say("account {account} can't be watched: {why}", account=f.account, why=why), (
        fix,
        f.say("The watcher keeps asking; you'll hear what has changed once it answers"),
    )


@words("account.recovered", "✔")
def _account_recovered(f: Facts) -> Said:
    now = {"rejected": f.say("The key is accepted again"), "unreachable": f.say("CLOVA Studio answers again")}
    headline = f.say("account {account} works again", account=f.account)
    return headline, (now.get(str(f.event.details.get("was")), ""), f.told("reason"))


@words("channel.failing", "⚠")
def _failing(f: Facts) -> Said:
    headline = f.say("channel {channel}: messages don't get through", channel=f.channel)
    tries = f.count("count")
    lines = (
        f.say("Failed tries: {count}", count=number(tries)) if tries else "",
        f.say("its messages wait and are sent later"),
    )
    return _because(headline, f.told("reason", 200)), (dots(*lines), _fix(f))


@words("channel.recovered", "✔")
def _channel_recovered(f: Facts) -> Said:
    return f.say("channel {channel} works again", channel=f.channel), (f.told("reason"),)


@words("channel.gave_up", "✖")
def _gave_up(f: Facts) -> Said:
    lost = f.count("count")
    headline = f.say("channel {channel}: messages given up", channel=f.channel)
    if lost:
        headline = f.say("channel {channel}: messages given up: {count}", channel=f.channel, count=number(lost))
    again = f.say("See them with: {command}", command="watcher deliveries --failed")
    resend = f.say("Send them again with: {command}", command="watcher redeliver --failed")
    return _because(headline, f.why_given_up), (again, resend)


@words("watcher.started", "●")
def _watcher_started(f: Facts) -> Said:
    total = f.count("tasks")
    if total is None:
        return f.say("The watcher runs"), ()
    shown = {
        "training": f.say("{count} training", count=number(f.count("training"))),
        "waiting": f.say("{count} waiting", count=number(f.count("waiting"))),
        "finished": f.say("{count} finished", count=number(f.count("finished"))),
        "unseen": f.say("{count} not seen yet", count=number(f.count("unseen"))),
    }
    counts = f.say(", ").join(text for key, text in shown.items() if f.count(key))
    watching = f.say_many("Watching {count} tuning", "Watching {count} tunings", total)
    watching = f"{watching}: {counts}" if counts else watching
    if f.event.details.get("first") is False:
        return f.say("The watcher runs again. {watching}.", watching=watching), ()
    return f.say("{watching}. You'll hear starts, ends and trouble.", watching=watching), ()


@words("watcher.gap", "●")
def _gap(f: Facts) -> Said:
    ends, found = f.ends(), f.count("count")
    headline = f.say("Nothing was watched for {span}", span=f.span(f.width)) if ends else f.say("Nothing was watched")
    changes = f.say("changes found after it: {count}", count=number(found)) if found is not None else ""
    return dots(headline, changes), ()


@words("watcher.config_rejected", "⚠")
def _config_rejected(f: Facts) -> Said:
    problems = f.event.details.get("problems")
    listed = [f.outside(problem) for problem in problems[:11]] if isinstance(problems, list | tuple) else []
    listed = list(filter(None, listed))
    headline = f.say("The changed configuration is wrong, the old one stays in force")
    if listed:
        headline = f"{headline}: {listed[0]}"
        listed = listed if len(headline) > ROOM else listed[1:]
    return headline, (*listed, f.say("See all of it with: {command}", command="watcher check"))


@words("group.finished", "✔")
def _group_finished(f: Facts) -> Said:
    group = f.detail("group", 80) or f.detail("name", 80) or "?"
    return f.say("All tunings of {group} have ended", group=group), (f.told("reason"),)
