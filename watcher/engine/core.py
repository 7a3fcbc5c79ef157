"""The parts of a watcher, put together: built from settings and an open store, not yet running."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ssl import SSLContext

from sqlalchemy import Connection, select

from watcher.clova import Client, make_ssl_context
from watcher.clova.quota import Pacer
from watcher.models import Snapshot
from watcher.notifier.channels import Channel
from watcher.notifier.deliver import Lane
from watcher.redact import Redactor
from watcher.scheduler.cadence import Goals
from watcher.scheduler.clock import Clock
from watcher.scheduler.standing import Standing, Trial
from watcher.scheduler.sweep import Report, Sweeper
from watcher.scheduler.tracked import tracked_from
from watcher.settings import Settings
from watcher.state import budget, outbox, schema
from watcher.state.database import Database
from watcher.state.health import AccountHealth
from watcher.state.ledger import Ledger, settling
from watcher.state.record import load_account, save_seen
from watcher.state.rows import snapshot_from


@dataclass(slots=True)
class Core:
    """Everything that observes and delivers. `stepped_at`: the first request number after a jump of the clock."""

    settings: Settings
    database: Database
    clock: Clock
    ledger: Ledger
    lanes: dict[str, Lane]
    sweepers: dict[str, Sweeper] = field(default_factory=dict)
    pacers: dict[str, Pacer] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    alive_before: datetime | None = None
    new_store: bool = True
    stepped_at: int = 0
    after_sweep: Callable[[Sweeper, Report], None] = lambda _sweeper, _report: None

    def wake(self, channel: str) -> None:
        if channel in self.lanes:
            self.lanes[channel].wake()

    def wake_all(self) -> None:
        for lane in self.lanes.values():
            lane.wake()

    async def release_quota(self) -> None:
        """At an orderly stop: give back what was reserved and not used."""
        for name, pacer in self.pacers.items():
            until = datetime.now(tz=UTC) + timedelta(seconds=max(pacer.ahead(), 0.0))
            await self.database.write(budget.release, name, until)

    async def save_seen(self) -> None:
        """Write down what was seen unchanged since the last time, and when each account answered last."""
        dirty = [tracked for sweeper in self.sweepers.values() for tracked in sweeper.unwritten()]
        rows = [(t.key, t.number, t.seen) for t in dirty if t.seen is not None]
        answered = [(name, s.standing.last_good) for name, s in self.sweepers.items() if s.standing.last_good]
        await self.database.write(save_seen, rows, answered)
        for tracked, (_, number, _seen) in zip(dirty, rows, strict=True):
            tracked.dirty = tracked.number != number

    async def aclose(self) -> None:
        for lane in self.lanes.values():
            await lane.channel.aclose()
        for client in self.clients.values():
            await client.aclose()


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the store has for a start."""

    snapshots: list[Snapshot]
    accounts: dict[str, AccountHealth]
    waits: dict[str, float]
    alive: datetime | None
    uptime: float
    introduced: bool
    marks: dict[str, str | None]


async def build_core(
    settings: Settings, database: Database, channels: Mapping[str, Channel], redactor: Redactor
) -> Core:
    """Put the parts together and take over what an earlier process left in the outbox."""
    stored = await database.write(_load, tuple(settings.accounts))
    clock = Clock(before=stored.uptime)
    settled = settling(settings, uptime=lambda: clock.uptime, stepped_at=lambda: core.stepped_at)
    ledger = Ledger(database, settled)
    lanes = {
        name: Lane(channel, ledger, give_up_after=settings.delivery.give_up_after) for name, channel in channels.items()
    }
    core = Core(settings, database, clock, ledger, lanes, alive_before=stored.alive, new_store=not stored.introduced)
    ledger.wake = core.wake
    context = make_ssl_context(settings.ca_file)
    for name in settings.accounts:
        _add_account(core, name, stored, redactor, context)
    await ledger.record(outbox.take_over, list(channels), datetime.now(tz=UTC))
    return core


def _add_account(core: Core, name: str, stored: _Stored, redactor: Redactor, context: SSLContext) -> None:
    settings, account = core.settings, core.settings.accounts[name]

    async def reserve(seconds: float, count: int) -> int:
        return await core.database.write(budget.reserve, name, datetime.now(tz=UTC), seconds, count)

    async def gate() -> None:
        await pacer.take()

    pacer = Pacer(account.queries_per_minute, reserve, wait=stored.waits[name])
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    client = Client(
        account,
        redactor=redactor,
        proxy=proxy,
        ssl_context=context,
        retry_gate=gate,
    )
    goals = Goals(settings.poll.interval, settings.poll.wait_interval, settings.poll.settle)
    keys = [key for key in settings.task_keys() if key.account == name]
    tracked = tracked_from(keys, stored.snapshots)
    mark = _mark(account.api_key.get_secret_value())
    trial = None if mark == stored.marks[name] else Trial(mark)
    standing = Standing(name, core.ledger, pacer, stored.accounts[name], trial)
    sweeper = Sweeper(
        name, client, pacer, core.ledger, core.clock, goals, tracked, standing,
        after_sweep=lambda sweeper, report: core.after_sweep(sweeper, report),
    )  # fmt: skip
    core.pacers[name], core.clients[name], core.sweepers[name] = pacer, client, sweeper


def _mark(key: str) -> str:
    """Tells one key from another without being of any use to who reads the store."""
    return hashlib.blake2b(key.encode(), digest_size=8, person=b"watcher key").hexdigest()


def _load(tx: Connection, accounts: tuple[str, ...]) -> _Stored:
    now = datetime.now(tz=UTC)
    return _Stored(
        snapshots=[snapshot_from(row) for row in tx.execute(select(schema.tasks))],
        accounts={name: load_account(tx, name) for name in accounts},
        waits={name: budget.reserved_for(tx, name, now) for name in accounts},
        alive=budget.load_alive(tx),
        uptime=budget.load_uptime(tx),
        introduced=budget.get_meta(tx, "introduced") is not None,
        marks={name: budget.key_mark(tx, name) for name in accounts},
    )
