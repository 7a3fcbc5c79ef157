"""The ping to a monitor that notices silence: sent only while the watcher does what it is for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.support.builders import draft, settled, url
from tests.support.http import Receiver, receiving
from tests.support.sweeping import settings_for
from tests.support.upstream import KEY
from watcher.engine.core import Core, build_core
from watcher.engine.heartbeat import Heartbeat
from watcher.redact import Redactor
from watcher.settings import Heartbeat as Setting
from watcher.simulator import Simulator, parse_scenario, serve
from watcher.state.budget import save_alive
from watcher.state.claim import Terms, claim
from watcher.state.record import record_drafts
from watcher.state.store import open_store

pytestmark = pytest.mark.anyio
TASK = "czf9fbky"


@asynccontextmanager
async def beating(folder: Path) -> AsyncIterator[tuple[Core, Simulator, Receiver, Heartbeat]]:
    """A core that isn't running, with a heartbeat that goes to a receiver."""
    scenario = parse_scenario({"keys": [KEY], "tasks": [{"id": TASK, "timeline": [{"at": "0s", "status": "RUNNING"}]}]})
    with receiving() as monitor, open_store(url(folder)) as store:
        target = Setting(url=SecretStr(f"{monitor.url}/ping/abc"), every=300.0)
        async with serve(scenario, port=0) as simulator:
            settings = settings_for(simulator.base_url, TASK, folder=folder, heartbeat=target)
            core = await build_core(settings, store.database, {}, Redactor())
            heartbeat = Heartbeat(settings)
            core.sweepers["main"].plan_all()
            yield core, simulator, monitor, heartbeat
            await heartbeat.aclose()
            await core.aclose()


def pings(monitor: Receiver) -> list[str]:
    return [seen.path for seen in monitor.seen]


async def test_it_pings_while_polls_succeed(tmp_path: Path) -> None:
    async with beating(tmp_path) as (core, _, monitor, heartbeat):
        await core.sweepers["main"].sweep()
        await heartbeat.beat_if_well(core)
        assert pings(monitor) == ["/ping/abc"]


async def test_it_is_silent_before_the_first_answer_and_while_polls_fail(tmp_path: Path) -> None:
    async with beating(tmp_path) as (core, simulator, monitor, heartbeat):
        await heartbeat.beat_if_well(core)
        simulator.fault("http_503")
        await core.sweepers["main"].sweep()
        await heartbeat.beat_if_well(core)
        assert pings(monitor) == []


async def test_a_key_that_is_known_to_be_refused_doesnt_silence_it(tmp_path: Path) -> None:
    async with beating(tmp_path) as (core, simulator, monitor, heartbeat):
        simulator.fault("unauthorized")
        sweeper = core.sweepers["main"]
        await sweeper.sweep()
        core.clock._uptime += 10
        await sweeper.sweep()
        await heartbeat.beat_if_well(core)
        assert sweeper.health.rejected
        assert pings(monitor) == ["/ping/abc"]


async def test_it_is_silent_while_a_delivery_is_overdue(tmp_path: Path) -> None:
    async with beating(tmp_path) as (core, _, monitor, heartbeat):
        await core.sweepers["main"].sweep()
        await core.database.write(record_drafts, settled(("team",)), [draft("watcher.gap")])
        await heartbeat.beat_if_well(core)
        await core.database.write(save_alive, datetime.now(tz=UTC), 360.0, "{}")
        await heartbeat.beat_if_well(core)
        assert pings(monitor) == ["/ping/abc"]


async def test_what_quiet_hours_held_isnt_overdue_the_moment_it_is_let_go(tmp_path: Path) -> None:
    async with beating(tmp_path) as (core, _, monitor, heartbeat):
        await core.sweepers["main"].sweep()
        await core.database.write(record_drafts, settled(("team",)), [draft("watcher.gap")])
        until = datetime.now(tz=UTC) + timedelta(hours=1)
        quiet, later = Terms(quiet_until=until), settled(("team",), uptime=3600.0)
        await core.database.write(claim, settled(("team",)), "team", quiet, 1, datetime.now(tz=UTC))
        await core.database.write(claim, later, "team", Terms(), 0, until)
        await core.database.write(save_alive, datetime.now(tz=UTC), 3600.0, "{}")
        await heartbeat.beat_if_well(core)
        assert pings(monitor) == ["/ping/abc"]
