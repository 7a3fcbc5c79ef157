"""CPU from the command to the first poll, against a process that only imports the same libraries."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

from bench.daemon import Daemon
from bench.upstream import Server, Steps

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
    at: list[float] = []
    answers = Steps(10, changing=False)

    def upstream(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if not at and method == "GET":
            at.append(daemon.cpu_seconds())
        return answers(method, path, body)

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
