"""The parts of a watcher, put together: built from settings and an open store, not yet running."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from ssl import SSLContext
from typing import Any

from sqlalchemy import Connection

from watcher.clova import make_ssl_context
from watcher.clova.quota import Pacer
from watcher.engine.accounts import Stored, load_stored, make_client, make_watched
from watcher.engine.share import StoredShare
from watcher.models import Fields, TaskKey
from watcher.notifier.channels import Channel, keeps_cards
from watcher.notifier.deliver import Lane
from watcher.notifier.keeper import Keeper
from watcher.notifier.pace import Pace
from watcher.notifier.quiet import quiet_until
from watcher.redact import Redactor
from watcher.scheduler.clock import Clock
from watcher.scheduler.sweep import Report, Sweeper
from watcher.settings import Settings
from watcher.state import budget, outbox
from watcher.state.database import Database
from watcher.state.ledger import Ledger, settling
from watcher.state.record import save_seen


@dataclass(slots=True)
class Core:
    """Everything that observes and delivers. `settings` are those in force; `stepped_at` is the first request number
    after a jump of the clock. `before_probe` may bring the account a new key."""

    settings: Settings
    database: Database
    clock: Clock
    ledger: Ledger
    redactor: Redactor
    context: SSLContext
    lanes: dict[str, Lane] = field(default_factory=dict)
    keepers: dict[str, Keeper] = field(default_factory=dict)
    sweepers: dict[str, Sweeper] = field(default_factory=dict)
    shares: dict[str, StoredShare] = field(default_factory=dict)
    alive_before: datetime | None = None
    new_store: bool = True
    stepped_at: int = 0
    after_sweep: Callable[[Sweeper, Report], None] = lambda _sweeper, _report: None
    before_probe: Callable[[str], Awaitable[None]] | None = None

    def wake(self, channel: str) -> None:
        if channel in self.lanes:
            self.lanes[channel].wake()

    def wake_all(self) -> None:
        for lane in list(self.lanes.values()):
            lane.wake()

    def watches(self, key: TaskKey, _fields: Fields) -> bool:
        """Whether the task is watched at this moment, listed or adopted."""
        sweeper = self.sweepers.get(key.account)
        return sweeper is not None and key in sweeper.watched.tracked

    def add_channel(self, channel: Channel) -> Lane:
        delivery, own = self.settings.delivery, self.settings.channels[channel.name]
        lane = self.lanes[channel.name] = Lane(
            channel,
            self.ledger,
            give_up_after=delivery.give_up_after,
            digest_after=delivery.digest_after,
            quiet_until=partial(quiet_until, own.quiet, own.timezone),
        )
        if own.pace is not None:
            lane.pace = Pace(own.pace)
        if keeps_cards(channel):
            self.keepers[channel.name] = Keeper(channel, lane, self.ledger)
        return lane

    def loops_of(self, channel: str) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs for a channel, by name."""
        loops = {f"lane {channel}": self.lanes[channel].run()}
        if channel in self.keepers:
            loops[f"keeper {channel}"] = self.keepers[channel].run()
        return loops

    def add_account(self, name: str, stored: Stored) -> Sweeper:
        """A sweeper for an account of the settings."""
        account = self.settings.accounts[name]
        share = self.shares[name] = StoredShare(self.database, name)
        pacer = Pacer(account.queries_per_minute, share)
        client = make_client(self.settings, account, self.redactor, self.context, pacer)
        watched = make_watched(self.settings, name, stored, client, pacer, self.ledger)

        async def before_probe() -> None:
            if self.before_probe is not None:
                await self.before_probe(name)

        sweeper = self.sweepers[name] = Sweeper(
            watched,
            self.clock,
            after_sweep=lambda sweeper, report: self.after_sweep(sweeper, report),
            before_probe=before_probe,
        )
        return sweeper

    async def release_quota(self) -> None:
        """At an orderly stop: give back what was reserved and not used."""
        for name, sweeper in self.sweepers.items():
            await self.shares[name].release(sweeper.watched.pacer.ahead())

    async def save_seen(self) -> None:
        """Write down what was seen unchanged since the last time, and when each account answered last."""
        dirty = [tracked for sweeper in self.sweepers.values() for tracked in sweeper.unwritten()]
        rows = [(t.key, t.number, t.seen) for t in dirty if t.seen is not None]
        standings = {name: sweeper.watched.standing for name, sweeper in self.sweepers.items()}
        answered = [(name, standing.last_good) for name, standing in standings.items() if standing.last_good]
        await self.database.write(save_seen, rows, answered)
        for tracked, (_, number, _seen) in zip(dirty, rows, strict=True):
            tracked.dirty = tracked.number != number

    async def aclose(self) -> None:
        for lane in self.lanes.values():
            await lane.channel.aclose()
        for sweeper in self.sweepers.values():
            await sweeper.watched.client.aclose()


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the store has for a start."""

    accounts: Mapping[str, Stored]
    alive: datetime | None
    uptime: float
    introduced: bool


async def build_core(
    settings: Settings, database: Database, channels: Mapping[str, Channel], redactor: Redactor
) -> Core:
    """Put the parts together and take over what an earlier process left in the outbox."""
    stored = await database.write(_load, tuple(settings.accounts))
    clock = Clock(before=stored.uptime)
    ledger = Ledger(database, lambda: settled())
    core = Core(
        settings, database, clock, ledger, redactor, make_ssl_context(settings.ca_file),
        alive_before=stored.alive, new_store=not stored.introduced,
    )  # fmt: skip
    settled = settling(
        lambda: core.settings,
        uptime=lambda: clock.uptime,
        stepped_at=lambda: core.stepped_at,
        watches=core.watches,
    )
    ledger.wake = core.wake
    for channel in channels.values():
        core.add_channel(channel)
    for name in settings.accounts:
        core.add_account(name, stored.accounts[name])
    await ledger.record(outbox.take_over, list(channels), datetime.now(tz=UTC))
    return core


def _load(tx: Connection, accounts: tuple[str, ...]) -> _Stored:
    return _Stored(
        accounts=load_stored(tx, accounts),
        alive=budget.load_alive(tx),
        uptime=budget.load_uptime(tx),
        introduced=budget.get_meta(tx, "introduced") is not None,
    )
