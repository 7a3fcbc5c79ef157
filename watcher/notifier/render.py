"""An event in words. Pure: the same event and reader give the same message.

`wording.py` has the words of each type; here they become a message for a chat, a mail or a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from watcher.i18n import translator
from watcher.models import Call, ChannelKind, Event, Message
from watcher.notifier.facts import NAME_LIMIT, WIDE, Facts, zone
from watcher.notifier.text import all_that_fit, clean, cut, escape_html
from watcher.notifier.wording import HEADLINE_LIMIT, said

TITLE_LIMIT = 200
OWNERS_LIMIT = 2000
"""Characters of the names behind a first line."""

NOBODY: Mapping[str, str] = MappingProxyType({})


def render(
    event: Event,
    *,
    kind: ChannelKind,
    language: str,
    timezone: str,
    plain: bool = False,
    now: datetime | None = None,
    mentions: Mapping[str, str] = NOBODY,
) -> Message:
    """The message for one event. The title says everything; the body adds what helps.

    `plain`: only the built-in text, for an event whose words may be what kills the process. With `now`, times of
    another day carry their date. `mentions` has the chat id of each owner: a failure calls its task's owner, unless
    `plain`.
    """
    if plain:
        return _plain(event)
    calls = calls_for([event], mentions)
    facts = Facts(event, kind, translator(language), zone(timezone), now)
    headline, lines = said(facts)
    title = cut(headline, HEADLINE_LIMIT) + _gap(facts) + _mark(facts, headline)
    body = [line for line in (*lines, _footer(facts, called=bool(calls))) if line]
    html = as_html(title, body) if kind == "mail" else ""
    return Message(title, "\n".join(body), html, calls)


def calls_for(events: Iterable[Event], mentions: Mapping[str, str]) -> tuple[Call, ...]:
    """The owners of what failed, as far as `mentions` knows them: in the order of `events`, each person once."""
    called: dict[str, str] = {}
    for event in events:
        labels = event.subject.get("labels") if isinstance(event.subject, Mapping) else None
        owner = labels.get("owner") if isinstance(labels, Mapping) and event.severity == "failure" else None
        if isinstance(owner, str) and owner in mentions:
            called.setdefault(mentions[owner], owner)
    return tuple(Call(id_, owner) for id_, owner in called.items())


def with_owners(message: Message, limit: int = OWNERS_LIMIT) -> str:
    """The first line where nobody can be called: followed by the names alone."""
    names = all_that_fit([f"@{cut(clean(call.owner), NAME_LIMIT)}" for call in message.calls], limit)
    return "  ".join(filter(None, (message.title, " ".join(names))))


def _mark(facts: Facts, headline: str) -> str:
    """A sample must not alarm anybody; most already have it in the name that they speak of."""
    unmarked = facts.event.details.get("test") is True and "(test)" not in headline
    return " " + facts.say("(test)") if unmarked else ""


def _gap(facts: Facts) -> str:
    """A task that nobody saw for a while: the first line says so."""
    ends = facts.ends(years=False) if facts.event.task is not None and facts.width >= WIDE else None
    return " " + facts.say("(between {start} and {end})", start=ends[0], end=ends[1]) if ends else ""


def _footer(facts: Facts, *, called: bool) -> str:
    """When it was, which task, whose: an owner who is `called` stands in the first line already."""
    event = facts.event
    task = facts.outside(event.task, 80) if event.task is not None else ""
    several = event.task is not None and event.account not in (None, "default")
    account = facts.say("account {account}", account=facts.account) if several else ""
    owner = facts.say("owner {owner}", owner=facts.owner) if facts.owner and not called else ""
    return " · ".join(filter(None, (facts.when(), task, account, owner)))


def as_html(title: str, lines: list[str]) -> str:
    """The same words for a mail."""
    body = "<br>\n".join(map(escape_html, lines))
    return f"<p><strong>{escape_html(title)}</strong></p>\n<p>{body}</p>\n"


def _plain(event: Event) -> Message:
    """ASCII from the event's own columns, no words, no zone: hardly anything is left to break."""
    about = event.task or event.channel or event.account or "watcher"
    change = f": {event.from_ or '?'} -> {event.to or '?'}" if event.from_ or event.to else ""
    title = _ascii(f"{event.type} {about}{change}")
    body = _ascii(f"{event.window.before.isoformat()} event {event.id} account {event.account or '-'}")
    return Message(title, body, f"<p>{escape_html(title)}</p><p>{escape_html(body)}</p>")


def _ascii(text: str) -> str:
    shown = text[:TITLE_LIMIT].encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() and char not in "@<" else "?" for char in shown)
