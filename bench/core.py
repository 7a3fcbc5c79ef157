"""The watcher's parts inside this process, for benchmarks that count its CPU."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from watcher import log
from watcher.clova import Client, make_ssl_context
from watcher.engine.core import Core, build_core
from watcher.redact import Redactor
from watcher.settings import Account, load_settings
from watcher.state.store import open_store

KEY = "nv-bench"
UNLIMITED = 6_000_000
"""Queries a minute: none has to wait."""


def account(url: str, **more: Any) -> dict[str, Any]:
    return {"api_key": KEY, "base_url": url, "queries_per_minute": UNLIMITED, **more}


def bare_client(url: str) -> Client:
    """The watcher's client by itself."""
    made = Account.model_construct(name="bare", api_key=SecretStr(KEY), base_url=url, timeout=10.0)
    return Client(made, redactor=Redactor(), ssl_context=_context())


@contextlib.asynccontextmanager
async def core_with(settings: dict[str, Any]) -> AsyncIterator[Core]:
    """A core over a new store; its loops aren't running."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "watcher.yaml"
        path.write_text(yaml.dump({"store": f"sqlite:///{folder}/watcher.db", **settings}, Dumper=_DUMPER))
        made = load_settings([str(path)], env={})
        log.configure("error", "json", Redactor())
        with open_store(made.store.get_secret_value()) as store:
            core = await build_core(made, store.database, {}, Redactor())
            try:
                yield core
            finally:
                await core.aclose()


async def cpu(work: Awaitable[object]) -> float:
    """The process's CPU seconds while it is awaited, threads included."""
    started = time.process_time()
    await work
    return time.process_time() - started


_context = lru_cache(make_ssl_context)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
