"""The composition root: from settings to a running watcher, and back to an exit code."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog

from watcher import __version__
from watcher.clova import Client, make_ssl_context
from watcher.clova.quota import Pacer
from watcher.engine.core import Core, build_core
from watcher.engine.embedded import Daemon
from watcher.engine.share import StoredShare
from watcher.errors import ConfigError, Problem, StoreError, WatcherError
from watcher.i18n import translator
from watcher.log import configure
from watcher.models import Event
from watcher.notifier.channels import Channel, build_channel
from watcher.notifier.render import render
from watcher.notifier.templatecheck import say_broken
from watcher.preflight import (
    FirstRound,
    look_at_account,
    pacer_without_store,
    probe_channels,
    trouble_line,
    unknown_line,
)
from watcher.redact import Redactor
from watcher.scheduler.adoption import Adoption
from watcher.scheduler.census import Census
from watcher.scheduler.sweep import Report
from watcher.settings import Settings
from watcher.settings.watch import ConfigWatch
from watcher.state.outbox import failures_since
from watcher.state.store import Store, open_beside, open_store
from watcher.watchdog import Watchdog

log = structlog.get_logger()

Say = Callable[[str], None]


async def run(settings: Settings, say: Say, redactor: Redactor | None = None, watch: ConfigWatch | None = None) -> int:
    """The daemon: preflight lines go to `say`, then it watches until SIGTERM or SIGINT. Returns the exit code.

    `watch` looks at what `settings` were loaded from; without it nothing is reloaded.
    """
    stopping = _stop_on_signals()
    redactor = redactor or Redactor(settings.secret_values())
    channels = await build_channels(settings, redactor)
    await asyncio.to_thread(say_broken, settings)
    watchdog = Watchdog()
    with open_store(settings.store.get_secret_value(), beat=lambda: watchdog.beat("store")) as store:
        _say_store(store)
        core = await build_core(settings, store.database, channels, redactor)
        first_round = FirstRound(say)
        daemon = Daemon(core, watchdog=watchdog, stopping=stopping, touch=store.lock.touch, on_sweep=first_round.heard)
        if watch is not None:
            _reload_on_hangup(daemon, watch, settings, redactor)
        log.info(
            "watcher.running", version=__version__, tasks=len(settings.tasks), channels=len(channels), port=daemon.port
        )
        _spare_the_collector()
        probing = asyncio.create_task(probe_channels(channels, say), name="preflight of the channels")
        try:
            return await daemon.run()
        finally:
            probing.cancel()


async def once(settings: Settings, say: Say, redactor: Redactor | None = None) -> int:
    """Poll every watched task once, try what is due once. Returns 1 when a poll or a delivery failed."""
    redactor = redactor or Redactor(settings.secret_values())
    channels = await build_channels(settings, redactor)
    await asyncio.to_thread(say_broken, settings)
    with open_store(settings.store.get_secret_value()) as store:
        _say_store(store)
        core = await build_core(settings, store.database, channels, redactor)
        guard = asyncio.create_task(core.clock.run(), name="clock")
        try:
            return await _one_round(core, say)
        finally:
            guard.cancel()
            await core.aclose()


async def preflight(settings: Settings, say: Say, redactor: Redactor | None = None) -> bool:
    """What `check --online` says; nothing is sent to a channel, no store is touched. True when all is well."""
    redactor = redactor or Redactor(settings.secret_values())
    channels = await build_channels(settings, redactor)
    wells = []
    for name in settings.accounts:
        async with _census(settings, name, redactor) as census:
            wanted = [key for key in settings.task_keys() if key.account == name]
            wells.append(await look_at_account(name, wanted, census, say, Adoption(settings.discover)))
    wells.append(await probe_channels(channels, say))
    for channel in channels.values():
        await channel.aclose()
    return all(wells)


async def build_channels(settings: Settings, redactor: Redactor) -> dict[str, Channel]:
    """Every channel, or a ConfigError with all that can't be built. Apprise loads slowly: not on the loop's thread."""
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    built: dict[str, Channel] = {}
    problems: list[Problem] = []
    for name, channel in settings.channels.items():
        try:
            built[name] = await asyncio.to_thread(
                build_channel,
                channel,
                redactor=redactor,
                proxy=proxy,
                ca_file=settings.ca_file,
                mentions=settings.mentions,
            )
        except WatcherError as error:
            said = error.message.removeprefix(f"channel {name}: ")
            text = f"{said}. {error.hint[:1].upper()}{error.hint[1:]}" if error.hint else said
            problems.append(settings.problem(f"channels.{name}{'.url' if channel.url else ''}", text))
    if problems:
        raise ConfigError(tuple(problems))
    return built


async def _one_round(core: Core, say: Say) -> int:
    gettext = translator(core.settings.language)
    told: list[Event] = []
    began = datetime.now(tz=UTC)

    def hear(event: Event) -> None:
        told.append(event)
        shown = render(event, kind="console", language=core.settings.language, timezone=core.settings.timezone)
        say(f"{event.account}: {shown.title}" if event.task and len(core.sweepers) > 1 else shown.title)

    core.ledger.heard.append(hear)
    failed = 0
    for sweeper in core.sweepers.values():
        failed += _say_reports(sweeper.name, await sweeper.look_at_all(), say)
    for lane in core.lanes.values():
        await lane.drain()
    undelivered = await core.database.write(failures_since, began)
    await core.save_seen()
    await core.release_quota()
    tasks = sum(len(sweeper.tracked) for sweeper in core.sweepers.values())
    say(
        gettext.gettext(
            "%(tasks)d tasks asked, %(events)d events, %(failed)d polls and %(undelivered)d deliveries failed"
        )
        % {"tasks": tasks, "events": len(told), "failed": failed, "undelivered": undelivered}
    )
    return 1 if failed or undelivered else 0


def _say_reports(account: str, reports: list[Report], say: Say) -> int:
    """A line for what went wrong; returns how many polls failed."""
    for report in reports:
        for key, error in report.unknown.items():
            say(unknown_line(key, [], error))
    trouble = next((report.error for report in reports if report.error is not None), None)
    if trouble is not None:
        say(trouble_line(f"account {account}", trouble))
    return sum(report.failed for report in reports)


@asynccontextmanager
async def _census(settings: Settings, name: str, redactor: Redactor) -> AsyncIterator[Census]:
    account = settings.accounts[name]
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    client = Client(account, redactor=redactor, proxy=proxy, ssl_context=make_ssl_context(settings.ca_file))
    async with _shared_quota(settings, name) as pacer:
        try:
            yield Census(client, pacer)
        finally:
            await client.aclose()


@asynccontextmanager
async def _shared_quota(settings: Settings, name: str) -> AsyncIterator[Pacer]:
    """The account's budget as the store keeps it, which a daemon beside us shares; its own where there is no store."""
    rate = settings.accounts[name].queries_per_minute
    try:
        database = open_beside(settings.store.get_secret_value())
    except StoreError:
        yield pacer_without_store(rate)
        return
    share = StoredShare(database, name)
    pacer = Pacer(rate, share)
    try:
        yield pacer
        await share.release(pacer.ahead())
    finally:
        database.close()


def _spare_the_collector() -> None:
    """What is loaded by now stays: to look through it for garbage again and again costs CPU, and pauses of the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _say_store(store: Store) -> None:
    for warning in store.warnings:
        log.warning("store.location", warning=warning)


def _stop_on_signals() -> asyncio.Event:
    """Set once somebody asks the process to stop, from the first moment on."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # Until there is something that can be reloaded, a SIGHUP mustn't end the process.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    return stopping


def _reload_on_hangup(daemon: Daemon, watch: ConfigWatch, settings: Settings, redactor: Redactor) -> None:
    watch.applied(settings)

    async def build(changed: Settings) -> dict[str, Channel]:
        return await build_channels(changed, redactor)

    def in_force(changed: Settings) -> None:
        configure(changed.log.level, changed.log.format, redactor)

    reloader = daemon.reload_with(watch, build, in_force)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.ask)


def leave(code: int) -> None:
    """End the process at once: pool threads (a send that hangs) would hold an ordinary exit."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
