"""Resident memory of the daemon once it has seen all its tasks."""

from __future__ import annotations

from bench.daemon import Daemon
from bench.upstream import Server, answer

GOALS = {1_000: None, 10_000: 125}


def run() -> None:
    for tasks, goal in GOALS.items():
        _measure(tasks, goal)


def _measure(tasks: int, goal: int | None) -> None:
    seen: dict[str, int] = {}

    def upstream(_method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        task = path.rsplit("/", 1)[1]
        if task != "hook":
            seen[task] = seen.get(task, 0) + 1
        return 200, answer(task, "RUNNING", 10)

    server = Server(upstream)
    with Daemon(server.url, tasks, {"bench": f"{server.url}/hook"}) as daemon:
        daemon.wait_until(lambda: len(seen) == tasks and sum(seen.values()) > tasks * 1.5, 180)
        megabytes = daemon.megabytes()
    server.stop()
    print(f"memory with {tasks:6,} tasks: {megabytes:.0f} MB" + (f" (goal {goal} MB)" if goal else ""))
