"""CPU from the command to the first poll, against a process that only imports the same libraries."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

from bench.daemon import Daemon
from bench.upstream import Server, answer

ROUNDS, GOAL = 3, 1.0
LIBRARIES = "import apscheduler.schedulers.asyncio, httpx2, pydantic_settings, sqlalchemy, structlog, uvicorn, yaml"


def run() -> None:
    ours, bare = [], []
    for _ in range(ROUNDS):
        bare.append(_bare())
        ours.append(_ours())
    first, libraries = statistics.median(ours), statistics.median(bare)
    print(
        f"start to first poll, {first:.2f} s CPU (goal {GOAL} s): "
        f"{first / libraries:.2f}x of only importing its libraries ({libraries:.2f} s)"
    )


def _ours() -> float:
    asked: list[str] = []
    at: list[float] = []

    def upstream(_method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        if not asked:
            at.append(daemon.cpu_seconds())
        asked.append(path)
        return 200, answer(path.rsplit("/", 1)[1], "WAIT", 0)

    server = Server(upstream)
    channels = {"bench": f"{server.url}/hook"}
    with Daemon(server.url, 10, channels) as daemon:
        daemon.wait_until(lambda: bool(at))
    server.stop()
    return at[0]


def _bare() -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", LIBRARIES], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
