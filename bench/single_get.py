"""CPU per observation with single GETs, against a bare loop that gets and decodes the same answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

from watcher import log
from watcher.engine.core import Core, build_core
from watcher.redact import Redactor
from watcher.settings import load_settings
from watcher.state.store import open_store

TASKS, ROUNDS, GOAL = 400, 5, 1.2


def run() -> None:
    asyncio.run(_compare("nothing changed", changing=False, goal=f"goal {GOAL}"))
    asyncio.run(_compare("every step changed", changing=True, goal="no goal: one transaction each"))


async def _compare(title: str, *, changing: bool, goal: str) -> None:
    with _upstream(changing) as url, tempfile.TemporaryDirectory() as folder:
        core = await _core(url, Path(folder))
        sweeper = core.sweepers["main"]
        async with httpx2.AsyncClient() as client:
            await sweeper.look_at_all()
            await _bare(client, url)
            pairs = []
            for _ in range(ROUNDS):
                bare = await _cpu(_bare(client, url))
                ours = await _cpu(sweeper.look_at_all())
                pairs.append((ours / bare, ours, bare))
        await core.aclose()
    ratio, ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"single GET, {title:18} {ratio:5.2f}x CPU per observation ({goal}): "
        f"{ours / TASKS * 1e6:.0f} µs against {bare / TASKS * 1e6:.0f} µs"
    )


async def _bare(client: httpx2.AsyncClient, url: str) -> None:
    for number in range(TASKS):
        answer = await client.get(f"{url}/tuning/v2/tasks/t{number:07d}", headers={"Authorization": "Bearer nv-bench"})
        json.loads(answer.content)


async def _cpu(work: object) -> float:
    started = time.process_time()
    await work  # type: ignore[misc]
    return time.process_time() - started


async def _core(url: str, folder: Path) -> Core:
    ids = ", ".join(f"t{number:07d}" for number in range(TASKS))
    (folder / "watcher.yaml").write_text(
        f"accounts: {{main: {{api_key: nv-bench, base_url: '{url}', queries_per_minute: 6000000}}}}\n"
        f"tasks: [{ids}]\nstore: sqlite:///{folder}/watcher.db\n"
    )
    settings = load_settings([str(folder / "watcher.yaml")], env={})
    log.configure("error", "json", Redactor())
    store = open_store(settings.store.get_secret_value())
    return await build_core(settings, store.database, {}, Redactor())


@contextlib.contextmanager
def _upstream(changing: bool) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.upstream", *(["changing"] if changing else [])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()  # type: ignore[union-attr]
    finally:
        process.communicate()
