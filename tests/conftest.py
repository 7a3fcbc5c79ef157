"""What every test shares."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell exports for their own watcher mustn't reach the tests."""
    for name in list(os.environ):
        if name.startswith("WATCHER_") or name in {"CLOVA_API_KEY", "SLACK_WEBHOOK_URL"}:
            monkeypatch.delenv(name)
