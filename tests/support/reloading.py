"""A daemon in this loop with a configuration on disk that a test changes: real store, fake upstream, real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from structlog.testing import capture_logs

from tests.support.builders import prepare, url
from tests.support.upstream import KEY, until
from watcher.app import build_channels
from watcher.engine.core import Core, build_core
from watcher.engine.embedded import Daemon
from watcher.engine.reload import Reloader
from watcher.models import Event, TaskKey
from watcher.notifier.channels import Channel
from watcher.redact import Redactor
from watcher.scheduler.sweep import Sweeper
from watcher.scheduler.tracked import Tracked
from watcher.settings import Settings, load_settings
from watcher.settings.watch import ConfigWatch
from watcher.simulator import Simulator
from watcher.simulator.receiver import Receiver
from watcher.state.reader import Reader
from watcher.state.store import open_reader, open_store
from watcher.watchdog import Watchdog

QUICK = {"interval": "100ms", "wait_interval": "100ms"}
TASK, OTHER = "czf9fbky", "oi55o2ej"
SECOND = "nv-another-key-0123456789"
STORY: dict[str, Any] = {"keys": [KEY, SECOND], "tasks": [{"id": TASK, "name": "support-bot v3"}, {"id": OTHER}]}


def account(sim: Simulator, **more: Any) -> dict[str, Any]:
    return {"api_key": KEY, "base_url": sim.base_url, "queries_per_minute": 60000, "timeout": "5s", **more}


def hook(receiver: Receiver, **more: Any) -> dict[str, Any]:
    """A webhook channel that hears everything."""
    return {"url": f"{receiver.base_url}/hooks/clova", "events": ["*"], **more}


@dataclass
class Live:
    """The running daemon and what it rests on; `written` is the configuration as last written."""

    folder: Path
    written: dict[str, Any]
    core: Core
    daemon: Daemon
    reloader: Reloader
    reader: Reader
    lines: list[Any]
    running: asyncio.Task[int]
    in_force: list[Settings] = field(default_factory=list)

    def write(self, **changes: Any) -> None:
        """The configuration with some top-level keys replaced; `...` takes one out."""
        self.written = {key: value for key, value in {**self.written, **changes}.items() if value is not ...}
        # Renamed into place: a load that is still under way from before reads the old content or the new, never a half.
        half = self.folder / "watcher.yaml.new"
        half.write_text(yaml.safe_dump(self.written))
        half.replace(self.folder / "watcher.yaml")

    async def reload(self, **changes: Any) -> None:
        """Write, ask, and wait until all of it is done."""
        before = len(self.said("config.reloaded"))
        self.write(**changes)
        self.reloader.ask()
        await self.until(lambda: len(self.said("config.reloaded")) > before, "the configuration is applied")

    async def refused(self, **changes: Any) -> list[str]:
        """Write, ask, and wait until it is refused; the problems as logged."""
        before = len(self.said("config.rejected"))
        self.write(**changes)
        self.reloader.ask()
        await self.until(lambda: len(self.said("config.rejected")) > before, "the configuration is refused")
        return [line["problem"].replace(f"{self.folder}/", "") for line in self.said("config.rejected")[before:]]

    async def until(self, condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        try:
            await until(lambda: self.running.done() or condition(), seconds)
        except TimeoutError:
            raise AssertionError(f"not within {seconds:g} s: {what}; it said: {self.news()}") from None
        assert not self.running.done(), f"the daemon ended; it said: {self.news()}"

    def news(self) -> list[Any]:
        """What was said last, sweeps left out."""
        return [line for line in self.lines if line["event"] != "sweep.finished"][-8:]

    async def sweeps(self, count: int = 3, account: str = "main") -> None:
        """Let the account's loop come by so many times."""
        sent = self.pacer(account).queries + count
        await self.until(lambda: self.pacer(account).queries >= sent, f"{count} more queries")

    def said(self, event: str) -> list[Any]:
        """The log lines of this name."""
        return [line for line in self.lines if line["event"] == event]

    def sweeper(self, account: str = "main") -> Sweeper:
        return self.core.sweepers[account]

    def pacer(self, account: str = "main") -> Any:
        return self.sweeper(account).watched.pacer

    def tracked(self, id_: str = TASK, account: str = "main") -> Tracked | None:
        return self.sweeper(account).tracked.get(TaskKey(account, id_))

    def planned(self, id_: str = TASK, account: str = "main") -> float | None:
        """Seconds until the task is due."""
        return self.sweeper(account).watched.due.planned(TaskKey(account, id_))

    def events(self, type_: str | None = None, task: str | None = None) -> list[Event]:
        return [e for e in self.reader.events() if type_ in (None, e.type) and task in (None, e.task)]

    def stored(self) -> set[str]:
        """Each task in the store as account/id."""
        return {f"{task.key.account}/{task.key.id}" for task in self.reader.tasks()}

    def deliveries(self, channel: str) -> dict[str, str]:
        """Event type to state, of this channel's deliveries."""
        return {d.event.type: d.state for d in self.reader.deliveries(channels=[channel])}


@contextlib.asynccontextmanager
async def live(
    folder: Path,
    sim: Simulator,
    tasks: list[Any] | None = None,
    channels: Mapping[str, Any] | None = None,
    config: Path | None = None,
    **settings: Any,
) -> AsyncIterator[Live]:
    """A quick daemon over one account `main`, running; it ends with the block, and must not have died before.
    `config`: a folder for the configuration to be read from."""
    written = {
        "accounts": {"main": account(sim)},
        "tasks": [TASK, OTHER] if tasks is None else tasks,
        "channels": dict(channels or {}),
        "poll": QUICK,
        "http": None,
        "store": url(folder),
        **settings,
    }
    ((config or folder) / "watcher.yaml").write_text(yaml.safe_dump(written))
    prepare(folder)
    paths = [str(config or folder / "watcher.yaml")]
    watch, loaded = ConfigWatch(paths, env={}), load_settings(paths, env={})
    watch.applied(loaded)
    redactor = Redactor(loaded.secret_values())
    with capture_logs() as lines, open_store(url(folder)) as store:
        core = await build_core(loaded, store.database, await build_channels(loaded, redactor), redactor)
        daemon = Daemon(core, watchdog=Watchdog())
        in_force: list[Settings] = []

        async def build(changed: Settings) -> dict[str, Channel]:
            return await build_channels(changed, redactor)

        reloader = daemon.reload_with(watch, build, in_force.append)
        reader = open_reader(url(folder))
        running = asyncio.create_task(daemon.run(), name="daemon")
        one = Live(folder, written, core, daemon, reloader, reader, lines, running, in_force)
        try:
            await one.until(lambda: all(s.polled for s in core.sweepers.values()), "everything was asked once")
            yield one
            assert not running.done(), f"the daemon ended: {lines[-5:]}"
        finally:
            daemon.stop()
            code = await running
            reader.close()
        assert code == 0, lines[-5:]
