"""The preflight: a line per account, per channel, and per task that its account doesn't know."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from watcher.clova.quota import Pacer, Reservation
from watcher.errors import NotOwned, UpstreamError, WatcherError
from watcher.models import TERMINAL, Fields, TaskKey
from watcher.notifier.channels import Channel
from watcher.notifier.text import clean
from watcher.scheduler.adoption import Adoption
from watcher.scheduler.census import Census
from watcher.scheduler.report import Report
from watcher.scheduler.sweep import Sweeper

Say = Callable[[str], None]

GOOD, BAD = "✓", "✗"


def account_line(name: str, *, visible: int, wanted: int) -> str:
    tasks = "task" if wanted == 1 else "tasks"
    count = f"{visible} {tasks} visible" if visible == wanted else f"{visible} of {wanted} {tasks} visible"
    return _line(GOOD, f"account {name}", count)


def trouble_line(what: str, error: WatcherError) -> str:
    return _line(BAD, what, _sentence(error).removeprefix(f"{what}: "))


def unknown_line(key: TaskKey, known: list[str], error: UpstreamError | None = None) -> str:
    """`known`: ids that the account does list, for near misses; `error`: what the account said."""
    if isinstance(error, NotOwned):
        mend = "Try: use a key of the account that owns it"
        return _line(BAD, f"task {key.id}", f"the key of {key.account} may not see it (403, 40301). {mend}")
    near = difflib.get_close_matches(key.id, known, n=1, cutoff=0.6)
    mend = f"Did you mean {near[0]}?" if near else "Try: compare with the id in the console, and with the account's key"
    return _line(BAD, f"task {key.id}", f"unknown to {key.account}. {mend}")


class FirstRound:
    """Watches a daemon's first sweeps, which are its preflight: no query is sent for it."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told: set[str] = set()
        self._said: set[TaskKey] = set()
        self._unknown: dict[str, dict[TaskKey, UpstreamError]] = {}
        self._waiting: set[asyncio.Task[None]] = set()

    def heard(self, sweeper: Sweeper, report: Report) -> None:
        """After each sweep; says an account's line once, when its first round is over or has failed."""
        self._unknown.setdefault(sweeper.name, {}).update(report.unknown)
        if sweeper.name in self._told:
            self._say_unknown_soon(sweeper)
        elif report.error is not None and not report.asked - report.failed:
            self._told.add(sweeper.name)
            self._say(trouble_line(f"account {sweeper.name}", report.error))
        elif sweeper.caught_up():
            self._told.add(sweeper.name)
            self._say_account(sweeper)

    def _say_account(self, sweeper: Sweeper) -> None:
        seen = sum(tracked.status is not None for tracked in sweeper.tracked.values())
        self._say(account_line(sweeper.name, visible=seen, wanted=len(sweeper.tracked)))
        self._say_unknown_soon(sweeper)

    def _say_unknown_soon(self, sweeper: Sweeper) -> None:
        known, unknown = self._said, self._unknown.pop(sweeper.name, {})
        news = {key: error for key, error in unknown.items() if key not in known}
        known.update(news)
        if news:
            telling = asyncio.create_task(self._say_unknown(sweeper, news))
            self._waiting.add(telling)
            telling.add_done_callback(self._waiting.discard)

    async def _say_unknown(self, sweeper: Sweeper, unknown: dict[TaskKey, UpstreamError]) -> None:
        known = await sweeper.watched.known_ids()
        for key, error in unknown.items():
            self._say(unknown_line(key, known, error))


async def probe_channels(channels: Mapping[str, Channel], say: Say) -> bool:
    """Reach each channel's server without sending anything; a line each, in the order of the configuration."""
    results = await asyncio.gather(*(_probe(channel) for channel in channels.values()))
    for line, _ in results:
        say(line)
    return all(ok for _, ok in results)


async def _probe(channel: Channel) -> tuple[str, bool]:
    what = f"channel {channel.name}"
    try:
        await channel.probe()
    except WatcherError as error:
        return trouble_line(what, error), False
    return _line(GOOD, what, "reachable" if channel.kind != "console" else "this terminal"), True


async def look_at_account(
    name: str, wanted: list[TaskKey], census: Census, say: Say, adoption: Adoption | None = None
) -> bool:
    """For `check --online`, without a store: which of the account's tasks its list shows, and what `adoption` adds."""
    adoption = adoption if adoption is not None and adoption.discovers(name) else None
    listed: Mapping[str, Fields]
    try:
        listed = (
            dict(await census.all_items())
            if adoption
            else {id_: {} for id_ in await census.all_ids([key.id for key in wanted])}
        )
    except UpstreamError as error:
        say(trouble_line(f"account {name}", error))
        return False
    missing = [key for key in wanted if key.id not in listed]
    total = len(wanted) if wanted or not adoption else len(listed)
    adopted = _adopted(name, wanted, listed, adoption) if adoption else ""
    say(account_line(name, visible=total - len(missing), wanted=total) + adopted)
    for key in missing:
        say(unknown_line(key, list(listed)))
    return not missing


def _adopted(name: str, wanted: list[TaskKey], listed: Mapping[str, Fields], adoption: Adoption) -> str:
    now, known = datetime.now(UTC), {key.id for key in wanted}
    others = [(TaskKey(name, id_), fields) for id_, fields in listed.items() if id_ not in known]
    found = [fields for key, fields in others if adoption.adopts(key, fields, now)]
    unfinished = sum(fields.get("status") not in TERMINAL for fields in found)
    return f", discover adopts {len(found)}{' more' if wanted else ''} ({unfinished} unfinished)"


async def unpaced(_seconds: float, _count: int) -> Reservation:
    """A reservation without a store: for commands that ask a few questions and end."""
    return Reservation(1)


def pacer_without_store(queries_per_minute: float) -> Pacer:
    return Pacer(queries_per_minute, unpaced)


def _sentence(error: WatcherError) -> str:
    return f"{error.message}. Try: {error.hint}" if error.hint else error.message


def _line(mark: str, what: str, text: str) -> str:
    return f"{mark} {clean(what):<15} {clean(text)}"
