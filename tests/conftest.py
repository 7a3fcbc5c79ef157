"""What every test shares."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.sweeping import Play, playing, stage
from watcher.simulator import Simulator


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Simulator]:
    """The fake upstream that the tests of one file share."""
    with stage() as sim:
        yield sim


@pytest.fixture
def play(upstream: Simulator) -> Play:
    """Plays a scenario from its beginning."""
    return playing(upstream)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell exports for their own watcher mustn't reach the tests."""
    for name in list(os.environ):
        if name.startswith("WATCHER_") or name in {"CLOVA_API_KEY", "SLACK_WEBHOOK_URL"}:
            monkeypatch.delenv(name)
