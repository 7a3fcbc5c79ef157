"""Resident memory of the daemon once it has seen all its tasks."""

from __future__ import annotations

from collections import Counter

from bench.daemon import Daemon
from bench.upstream import Server, Steps, page_asked, task_id

GOALS = {1_000: None, 10_000: 125}


def run() -> None:
    for tasks, goal in GOALS.items():
        _measure(tasks, goal)


def _measure(tasks: int, goal: int | None) -> None:
    looks = Counter[str]()
    answers = Steps(tasks, changing=False)

    def upstream(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if page := page_asked(path):
            first = page.number * page.size
            looks.update(map(task_id, range(first, min(first + page.size, tasks))))
        elif method == "GET":
            looks[path.rsplit("/", 1)[1]] += 1
        return answers(method, path, body)

    server = Server(upstream)
    with Daemon(server.url, tasks, {"bench": f"{server.url}/hook"}) as daemon:
        daemon.wait_until(lambda: len(looks) == tasks and looks.total() > tasks * 1.5, 180)
        megabytes = daemon.megabytes()
    server.stop()
    print(f"memory with {tasks:6,} tasks: {megabytes:.0f} MB" + (f" (goal {goal} MB)" if goal else ""))
