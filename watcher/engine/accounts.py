"""One account's sweeper: built from the settings and the store, and changed as the settings change."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ssl import SSLContext

from sqlalchemy import Connection, select

from watcher.clova import Client
from watcher.clova.quota import Pacer
from watcher.models import TERMINAL, Snapshot, TaskKey
from watcher.redact import Redactor
from watcher.scheduler.adoption import Adoption
from watcher.scheduler.cadence import Goals
from watcher.scheduler.standing import Standing, Trial
from watcher.scheduler.tracked import Tracked, tracked_from
from watcher.scheduler.watched import Watched
from watcher.settings import Account, Settings
from watcher.state import budget, schema
from watcher.state.database import Database
from watcher.state.health import AccountHealth
from watcher.state.ledger import Ledger
from watcher.state.record import load_account
from watcher.state.rows import snapshot_from


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store has about an account; `mark` stands for the key with which its tasks were last seen."""

    snapshots: tuple[Snapshot, ...]
    health: AccountHealth
    mark: str | None


def load_stored(tx: Connection, names: Collection[str]) -> dict[str, Stored]:
    """What the store has about these accounts, new ones included."""
    snapshots: dict[str, list[Snapshot]] = {name: [] for name in names}
    for row in tx.execute(select(schema.tasks).where(schema.tasks.c.account.in_(names))):
        snapshots[row.account].append(snapshot_from(row))
    return {name: Stored(tuple(snapshots[name]), load_account(tx, name), budget.key_mark(tx, name)) for name in names}


def make_watched(
    settings: Settings, name: str, stored: Stored, client: Client, pacer: Pacer, ledger: Ledger
) -> Watched:
    """The account as its sweeper begins with it."""
    key = settings.accounts[name].api_key.get_secret_value()
    trial = None if key_mark(key) == stored.mark else Trial(key_mark(key))
    standing = Standing(name, ledger, pacer, stored.health, trial)
    watched = Watched(name, client, pacer, ledger, goals_of(settings), {}, standing)
    choose_tasks(watched, settings, stored.snapshots)
    return watched


def choose_tasks(watched: Watched, settings: Settings, snapshots: Iterable[Snapshot]) -> list[Tracked]:
    """Watch what the settings list or adopt, and nothing else; what is watched already stays as it is. Returns what is
    new. `snapshots` are the account's, as the store has them."""
    watched.adoption = adoption = Adoption(settings.discover)
    known = {snapshot.key: snapshot for snapshot in snapshots}
    listed = {key for key in settings.task_keys() if key.account == watched.name}
    adopted, settled = _adopted(watched, adoption, known.values(), listed)
    for key in [key for key in watched.tracked if key not in listed and key not in adopted]:
        watched.unwatch(key)
    for key, tracked in watched.tracked.items():
        tracked.adopted = key not in listed
    watched.departed = settled
    new = tracked_from([*listed - watched.tracked.keys()], known.values(), adopted - watched.tracked.keys() - listed)
    for tracked in new.values():
        watched.watch(tracked)
    if new or adoption.discovers(watched.name):
        watched.pages.distrust()
    return list(new.values())


def _adopted(
    watched: Watched, adoption: Adoption, known: Iterable[Snapshot], listed: Collection[TaskKey]
) -> tuple[set[TaskKey], dict[TaskKey, tuple[str, object]]]:
    """The tasks that rules have adopted: those to watch, and those that have left."""
    adopted, left = set[TaskKey](), dict[TaskKey, tuple[str, object]]()
    now = datetime.now(tz=UTC)
    for snapshot in known:
        if snapshot.key in listed or not adoption.keeps(snapshot.key, snapshot.fields):
            continue
        ended = snapshot.status in TERMINAL and snapshot.ended is not None
        if snapshot.gone:
            left[snapshot.key] = ("", None)
        elif ended and snapshot.ended is not None and (now - snapshot.ended).total_seconds() >= watched.goals.settle:
            left[snapshot.key] = (snapshot.status, snapshot.fields.get("createdDate"))
        else:
            adopted.add(snapshot.key)
    return adopted, left


def make_client(settings: Settings, account: Account, redactor: Redactor, context: SSLContext, pacer: Pacer) -> Client:
    """The account's client, whose retries keep to the quota too."""

    async def gate() -> None:
        await pacer.take()

    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    return Client(account, redactor=redactor, proxy=proxy, ssl_context=context, retry_gate=gate)


def goals_of(settings: Settings) -> Goals:
    poll = settings.poll
    return Goals(poll.interval, poll.wait_interval, poll.settle)


def key_mark(key: str) -> str:
    """Tells one key from another without being of any use to who reads the store."""
    return hashlib.blake2b(key.encode(), digest_size=8, person=b"watcher key").hexdigest()


async def stored_of(database: Database, names: Collection[str]) -> Mapping[str, Stored]:
    return await database.write(load_stored, names)
