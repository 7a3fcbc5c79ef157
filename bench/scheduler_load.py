"""What planning costs: 10,000 tasks in 20 accounts at the default cadence, nothing changing.

The daemon's CPU is sampled by package, so that `scheduler` is what it spends on what to ask next and on what came back,
without HTTP and store. Beside it a bare loop fetches the same pages at the same pace. BENCH_SECONDS: how long (40).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from bench.core import KEY, bare_client
from bench.daemon import Daemon
from bench.upstream import Server, Steps, page_asked, task_id

ACCOUNTS, TASKS, GOAL = 20, 500, 1.0


PACE = ACCOUNTS * TASKS / 100 / 30
"""Pages a second that the bare loop fetches: each one every 30 s."""


def run() -> None:
    seconds = float(os.environ.get("BENCH_SECONDS", "40"))
    asked: list[str] = []
    answers = Steps(TASKS, changing=False)

    def upstream(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if method == "GET":
            asked.append(path)
        return answers(method, path, body)

    server, listener = Server(upstream), Server(lambda _method, _path, _body: (200, b"ok"))
    with Daemon(server.url, _tasks(), {"bench": listener.url}, accounts=_accounts(server.url), sampled=True) as daemon:
        daemon.wait_until(lambda: _reads(asked) > 1, 180)
        with _bare(server.url, seconds) as bare:
            asked.clear()
            samples = _samples(daemon)
            before, begun = daemon.cpu_seconds(), time.monotonic()
            count, cpu = map(float, bare.communicate()[0].split())
            spent, lasted = daemon.cpu_seconds() - before, time.monotonic() - begun
            samples = _samples(daemon) - samples
            queries = [path for path in asked if not path.startswith("/bare")]
    server.stop()
    listener.stop()
    _print(queries, samples, spent / lasted, cpu / count * len(queries) / lasted, lasted)


def _print(queries: list[str], samples: Counter[str], daemon: float, bare: float, seconds: float) -> None:
    pages = sum(page_asked(path) is not None for path in queries)
    share = {where: 100 * daemon * count / samples.total() for where, count in samples.most_common()}
    scheduler, idle = share.pop("scheduler", 0.0), share.pop("cli", 0.0)
    shares = [f"{idle:.2f} % event loop and other threads", *(f"{each:.2f} % {where}" for where, each in share.items())]
    rest = ", ".join(shares)
    print(
        f"10,000 tasks in 20 accounts: {scheduler:.2f} % of a core for the scheduler (goal {GOAL:.0f} %); daemon "
        f"{100 * daemon:.2f} %, a bare loop over its pages {100 * bare:.2f} % "
        f"({len(queries)} queries in {seconds:.0f} s, {pages} of them pages)\n  the rest of the daemon: {rest}"
    )


def _samples(daemon: Daemon) -> Counter[str]:
    return Counter(json.loads(daemon.samples.read_text()))


def _accounts(url: str) -> dict[str, Any]:
    return {f"a{number}": {"api_key": KEY, "base_url": f"{url}/a{number}"} for number in range(ACCOUNTS)}


def _tasks() -> list[dict[str, str]]:
    return [{"id": task_id(number), "account": f"a{number // TASKS}"} for number in range(ACCOUNTS * TASKS)]


def _reads(asked: list[str]) -> int:
    """How often the page was read that was read least."""
    reads = Counter(filter(page_asked, asked))
    return min(reads.values()) if len(reads) >= ACCOUNTS * TASKS / 100 else 0


def _bare(url: str, seconds: float) -> subprocess.Popen[str]:
    """The bare loop in a process of its own, which prints how many pages it fetched, and its CPU seconds."""
    command = [sys.executable, "-m", "bench.scheduler_load", f"{url}/bare", str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def _loop(url: str, seconds: float) -> None:
    clients = [bare_client(f"{url}{number}") for number in range(ACCOUNTS)]
    begun, spent, count = time.monotonic(), time.process_time(), 0
    while (now := time.monotonic()) < begun + seconds:
        await clients[count % ACCOUNTS].fetch_page(count // ACCOUNTS % (TASKS // 100), 100)
        count += 1
        await asyncio.sleep(max(0.0, begun + count / PACE - now))
    print(count, time.process_time() - spent)


if __name__ == "__main__":
    asyncio.run(_loop(sys.argv[1], float(sys.argv[2])))
