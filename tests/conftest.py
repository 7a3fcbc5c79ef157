"""What every test shares."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.builders import opened, prepare, url
from tests.support.reloading import STORY
from tests.support.stage import Stage, staged
from tests.support.sweeping import Play, playing
from tests.support.sweeping import stage as one_upstream
from tests.support.upstream import running_simulator
from watcher.simulator import Simulator
from watcher.simulator.receiver import Receiver, receiving
from watcher.state.database import Database
from watcher.state.reader import Reader
from watcher.state.store import open_reader


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files go to the workers, in this order: nobody shall be left with a long one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Simulator]:
    """The fake upstream that the tests of one file share."""
    with one_upstream() as sim:
        yield sim


@pytest.fixture
def play(upstream: Simulator) -> Play:
    """Plays a scenario from its beginning."""
    return playing(upstream)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A fake upstream in this loop, with two tasks that wait."""
    async with running_simulator(STORY) as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A webhook's other end, in this loop."""
    async with receiving() as made:
        yield made


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A fake upstream, a receiver and a daemon that isn't started yet, each a process of its own."""
    with staged(tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell exports for their own watcher mustn't reach the tests."""
    for name in list(os.environ):
        if name.startswith("WATCHER_") or name in {"CLOVA_API_KEY", "SLACK_WEBHOOK_URL"}:
            monkeypatch.delenv(name)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The open store of a daemon that isn't running."""
    prepare(tmp_path)
    with opened(tmp_path) as store:
        yield store.database


@pytest.fixture
def reader(database: Database, tmp_path: Path) -> Iterator[Reader]:
    """Reads the store of `database` beside it."""
    reader = open_reader(url(tmp_path))
    yield reader
    reader.close()
