"""Taking over a changed configuration while running: looked for every ten seconds, validated, applied as a difference.

    content of the files ─▶ settings, or what is wrong ─▶ build what is new ─▶ in force ─▶ stop what is gone

Nothing of what stays the same is touched: its timers, page positions and backlog go on. A configuration that is wrong
changes nothing, and is told. What is in force at all is so for everything at once; a store that takes nothing at the
moment is waited for, since a change must not end half done.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from ssl import SSLContext
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from watcher.clova import make_ssl_context
from watcher.engine.accounts import Stored, choose_tasks, goals_of, key_mark, make_client, stored_of
from watcher.engine.core import Core
from watcher.engine.difference import Difference, Names, difference, needs_restart
from watcher.engine.loops import Loops
from watcher.engine.share import StoredShare
from watcher.errors import ConfigError, StoreError, StoreStalled, WatcherError
from watcher.models import Draft, Window
from watcher.notifier.channels import Channel
from watcher.notifier.deliver import Lane
from watcher.notifier.templatecheck import say_broken
from watcher.scheduler.standing import Trial
from watcher.scheduler.sweep import Sweeper
from watcher.settings import Account, Settings, read_key
from watcher.settings.watch import ConfigWatch
from watcher.state.outbox import forget_pauses, park_and_return
from watcher.state.record import Recorded, Settled, record_drafts

R = TypeVar("R")

log = structlog.get_logger()

EVERY = 10.0
AGAIN = 2.0
"""Seconds after which a store that took nothing is asked again."""

GRACE = 4.0
"""Seconds that sends under way get when their channel changes or goes."""

RETRIED = 60.0
"""Seconds that a query under way may wait for its retry's turn in the quota, on top of its time-out."""

MOST_PROBLEMS = 10

Build = Callable[[Settings], Awaitable[dict[str, Channel]]]


class Reloader:
    """Watches the files of a configuration. `build` makes the channels of settings, or raises ConfigError;
    `in_force` hears the settings once they are."""

    def __init__(
        self, core: Core, watch: ConfigWatch, loops: Loops, build: Build, in_force: Callable[[Settings], None]
    ) -> None:
        self._core, self._watch, self._loops = core, watch, loops
        self._build, self._in_force = build, in_force
        # The loop's own pool also looks up host names: reading files there could delay a poll.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="config")
        self._asked = asyncio.Event()
        self._applying = asyncio.Lock()
        self._began_with = core.settings
        self._told: list[str] = []
        core.before_probe = self.refresh_key

    @property
    def rejected(self) -> str:
        """What is wrong with the configuration as it is written; "" if nothing is."""
        return self._told[0] if self._told else ""

    def ask(self) -> None:
        """Load the configuration now (SIGHUP)."""
        self._asked.set()

    async def run(self) -> None:
        """Look every ten seconds, or when asked."""
        while True:
            try:
                async with asyncio.timeout(EVERY):
                    await self._asked.wait()
            except TimeoutError:
                outcome = await self._read(self._watch.look)
            else:
                self._asked.clear()
                log.info("config.reload_asked")
                outcome = await self._read(self._watch.load)
            if outcome is not None:
                await self._take(outcome)

    async def refresh_key(self, name: str) -> None:
        """Before a probe with a key that is refused: has its file a new one?"""
        async with self._applying:
            settings = self._core.settings
            file, account = settings.secret_file(f"accounts.{name}.api_key"), settings.accounts.get(name)
            if file is None or account is None:
                return
            try:
                key = await self._read(partial(read_key, file))
            except ValueError:
                return  # the next look at the whole configuration says what is wrong with it
            if account.api_key != key:
                renewed = account.model_copy(update={"api_key": key})
                await self._apply(settings.model_copy(update={"accounts": {**settings.accounts, name: renewed}}))

    async def _read(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _insist(self, work: Callable[[], Awaitable[R]]) -> R:
        """Do what needs the store; while that takes nothing, again and again."""
        said = False
        while True:
            try:
                return await work()
            except StoreStalled as error:
                if not said:
                    log.error("config.reload_waits", error=error.message, hint=error.hint)
                said = True
                await asyncio.sleep(AGAIN)

    async def _take(self, outcome: Settings | ConfigError) -> None:
        try:
            if isinstance(outcome, ConfigError):
                raise outcome
            async with self._applying:
                await self._apply(outcome)
            self._told = []
            await self._read(partial(say_broken, outcome))
        except StoreError:
            raise
        except ConfigError as error:
            await self._reject([str(problem) for problem in error.problems] or [error.message])
        except WatcherError as error:
            await self._reject([f"{error.message}: {error.hint}" if error.hint else error.message])

    async def _reject(self, problems: list[str]) -> None:
        for problem in problems:
            log.error("config.rejected", problem=problem, hint="the configuration before goes on")
        if problems == self._told:
            return  # asked again, and nothing is better
        self._told = problems
        shown = problems[:MOST_PROBLEMS]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        draft = Draft("watcher.config_rejected", Window(None, datetime.now(tz=UTC)), details={"problems": shown})
        await self._insist(partial(self._core.ledger.record, record_drafts, [draft]))

    # ── applying ──

    async def _apply(self, new: Settings) -> None:
        core = self._core
        core.redactor.add(*new.secret_values())
        changes = await self._read(partial(difference, core.settings, new))
        channels = await self._build(_only(new, changes.channels.new))
        try:
            context = await self._read(partial(make_ssl_context, new.ca_file)) if changes.certificates else core.context
            load = partial(stored_of, core.database, changes.to_load)
            stored = await self._insist(load) if changes.to_load else {}
        except BaseException:
            for channel in channels.values():
                await channel.aclose()
            raise
        gone = self._put_in_force(new, context, changes, stored)
        self._in_force(new)
        await asyncio.gather(*(self._close_account(*each) for each in gone))
        await self._change_channels(changes.channels, channels)
        self._say(changes)

    def _put_in_force(
        self, new: Settings, context: SSLContext, changes: Difference, stored: Mapping[str, Stored]
    ) -> list[tuple[Sweeper, StoredShare]]:
        """From here on every transaction routes with the new settings, and drops what isn't watched any more. Returns
        the accounts that have left. Not a moment may pass in here: nobody meets one half of each configuration."""
        core = self._core
        gone = [(core.sweepers.pop(name), core.shares.pop(name)) for name in changes.accounts.gone]
        old, core.settings, core.context = core.settings, new, context
        for name in changes.accounts.kept:
            self._change_account(old.accounts[name], changes, stored.get(name))
        for name in changes.accounts.new:
            self._loops.start(f"sweeper {name}", core.add_account(name, stored[name]).run())
        for lane in core.lanes.values():
            lane.give_up_after, lane.digest_after = new.delivery.give_up_after, new.delivery.digest_after
        return gone

    def _change_account(self, old: Account, changes: Difference, stored: Stored | None) -> None:
        settings, sweeper = self._core.settings, self._core.sweepers[old.name]
        watched = sweeper.watched
        watched.pacer.share(settings.accounts[old.name].queries_per_minute)
        if stored is not None and old.name in changes.reconnected:
            self._loops.later(watched.client.aclose(), old.timeout + RETRIED)
            self._reconnect(sweeper, stored)
        faster = watched.goals != goals_of(settings)
        watched.goals = goals_of(settings)
        if stored is not None and old.name in changes.rechosen:
            new = choose_tasks(watched, settings, stored.snapshots)
            watched.due.plan_together(tuple(tracked.key for tracked in new), 0.0)
        if faster:
            watched.quicken(random.random())  # noqa: S311
        if old.name in changes.moved:
            sweeper.plan_all()  # as at a start: this key, or this address, may show every task otherwise
        sweeper.wake()

    def _reconnect(self, sweeper: Sweeper, stored: Stored) -> None:
        core, watched = self._core, sweeper.watched
        account = core.settings.accounts[sweeper.name]
        watched.reconnect(make_client(core.settings, account, core.redactor, core.context, watched.pacer))
        mark = key_mark(account.api_key.get_secret_value())
        watched.standing.trial = None if mark == stored.mark else Trial(mark)
        failing = tuple(key for key, tracked in watched.tracked.items() if tracked.failures)
        watched.due.plan_together(failing, 0.0)
        sweeper.retry()

    async def _close_account(self, sweeper: Sweeper, share: StoredShare) -> None:
        await self._loops.stop(f"sweeper {sweeper.name}")
        await self._insist(lambda: share.release(sweeper.watched.pacer.ahead()))
        await sweeper.watched.client.aclose()

    async def _change_channels(self, names: Names, channels: Mapping[str, Channel]) -> None:
        core = self._core
        leaving = [core.lanes[name] for name in (*names.gone, *names.new) if name in core.lanes]
        if not leaving and not channels:
            return
        await asyncio.gather(*(self._close_lane(lane) for lane in leaving))
        now = datetime.now(tz=UTC)
        await self._insist(partial(core.ledger.record, _hand_over, names.kept, tuple(core.settings.channels), now))
        for name, channel in channels.items():
            core.add_channel(channel)
            for loop, coroutine in core.loops_of(name).items():
                self._loops.start(loop, coroutine)
        core.wake_all()

    async def _close_lane(self, lane: Lane) -> None:
        name = lane.channel.name
        if self._core.keepers.pop(name, None) is not None:
            await self._loops.stop(f"keeper {name}")
        await asyncio.gather(self._loops.ended(f"lane {name}"), self._stop_lane(lane))
        del self._core.lanes[name]
        await lane.channel.aclose()

    async def _stop_lane(self, lane: Lane) -> None:
        """What was sent and can't be written down yet is known to this lane alone."""
        await lane.stop(GRACE)
        while lane.in_flight:
            await asyncio.sleep(AGAIN)
            await lane.stop(0.0)

    def _say(self, changes: Difference) -> None:
        log.info("config.reloaded", **changes.summary())
        for key in needs_restart(self._began_with, self._core.settings):
            log.warning("config.needs_restart", key=key, hint="it takes effect when the watcher is started again")


def _hand_over(
    tx: Connection, settled: Settled, kept: Iterable[str], channels: Iterable[str], now: datetime
) -> Recorded:
    """Park the backlog of channels that have gone. That of channels which are new or changed is due at once: what held
    it up may be mended."""
    known, names = set(kept), tuple(channels)
    forget_pauses(tx, [name for name in names if name not in known])
    park_and_return(tx, settled, known, now)
    return park_and_return(tx, settled, names, now)


def _only(settings: Settings, channels: tuple[str, ...]) -> Settings:
    return settings.model_copy(update={"channels": {name: settings.channels[name] for name in channels}})
