"""100,000 tasks in 100 accounts in one process, against the simulator: how long a sweep takes, and what it costs.

The tasks are adopted by a `discover` rule, which starts quicker: 100,000 tasks in the YAML take 7 s to read.
Every task's step moves every 45 s: of two sweeps in that time the second sees nothing new. BENCH_TASKS makes it
smaller (default 100000).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.core import UNLIMITED, core_with
from bench.daemon import cpu_seconds, megabytes
from watcher.engine.core import Core

ACCOUNTS = 100
TICK = 45
"""Seconds from step to step."""


def run() -> None:
    """In a process of its own, so that nothing else is in its memory."""
    subprocess.run([sys.executable, "-m", "bench.scale"], check=True)


async def measure(tasks: int) -> None:
    with _simulator(tasks) as (url, pid):
        begun = time.monotonic()
        keys = [f"nv-{number:03d}" for number in range(ACCOUNTS)]
        accounts = {f"a{key[3:]}": {"api_key": key, "base_url": url, "queries_per_minute": UNLIMITED} for key in keys}
        async with core_with({"accounts": accounts, "discover": [{"name": "*"}]}) as core:
            print(f"{tasks:,} tasks in {ACCOUNTS} accounts, by a discover rule, {os.cpu_count()} cores:")
            await _sweep("first sight", core, pid)
            await asyncio.sleep(TICK - (time.monotonic() - begun) % TICK + 1.0)
            await _sweep("every step changed", core, pid)
            await _sweep("nothing changed", core, pid)


async def _sweep(title: str, core: Core, simulator: int) -> None:
    wall, cpu, theirs = time.monotonic(), time.process_time(), cpu_seconds(simulator)
    found = await asyncio.gather(*(sweeper.look_at_all() for sweeper in core.sweepers.values()))
    wall, cpu, theirs = time.monotonic() - wall, time.process_time() - cpu, cpu_seconds(simulator) - theirs
    reports = [report for each in found for report in each]
    print(
        f"  {title:18} {wall:5.1f} s, {cpu:5.1f} s CPU (simulator {theirs:.1f} s), {megabytes(os.getpid()):.0f} MB: "
        f"{sum(report.seen for report in reports):,} seen, {sum(report.changed for report in reports):,} changed, "
        f"{sum(report.asked for report in reports):,} queries, {sum(report.failed for report in reports)} failed",
        flush=True,
    )


@contextlib.contextmanager
def _simulator(tasks: int) -> Iterator[tuple[str, int]]:
    training = [{"status": "RUNNING", "steps": 1_000_000, "until": 1_000_000 * TICK}]
    scenario: dict[str, Any] = {
        "keys": [{"count": ACCOUNTS, "key": "nv-{n:03d}"}],
        "tasks": [{"count": tasks, "id": "t{n:07d}", "name": "run {n}", "owner": "{key}", "timeline": training}],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.yaml"
        path.write_text(json.dumps(scenario))
        command = [sys.executable, "-m", "watcher.simulator", str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield process.stdout.readline().split()[-1], process.pid  # type: ignore[union-attr]
        finally:
            process.terminate()
            process.communicate()


if __name__ == "__main__":
    asyncio.run(measure(int(os.environ.get("BENCH_TASKS", "100000"))))
