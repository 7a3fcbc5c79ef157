"""From the answer that shows a change to the webhook that tells it, through the real daemon and its store."""

from __future__ import annotations

import re
import statistics
import threading
import time

from bench.daemon import Daemon
from bench.upstream import Server, answer

TASKS, A_SECOND = 150, 15
GOAL_NATIVE, GOAL_APPRISE = 50, 100
TASK_ID = re.compile(r"t\d{7}")


def run() -> None:
    _measure("native webhook", "http", GOAL_NATIVE)
    _measure("through apprise", "mmost", GOAL_APPRISE)


def _measure(title: str, scheme: str, goal: int) -> None:
    started = threading.Event()
    seen, shown, told = set[str](), dict[str, float](), dict[str, float]()

    def upstream(_method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        task = path.rsplit("/", 1)[1]
        running = started.is_set() and int(task[1:]) < int((time.monotonic() - begun) * A_SECOND)
        if running:
            shown.setdefault(task, time.monotonic())
        seen.add(task)
        return 200, answer(task, "RUNNING" if running else "WAIT", 0)

    def receiver(_method: str, _path: str, body: bytes) -> tuple[int, bytes]:
        # A webhook's subject, or a chat's text: either names the task; the watcher's own start names none.
        task = TASK_ID.search(body.decode())
        if task is not None and task[0] in shown:
            told.setdefault(task[0], time.monotonic())
        return 200, b"ok"

    server, listener = Server(upstream), Server(receiver)
    host = listener.url.removeprefix("http://")
    url = f"http://{host}/hook" if scheme == "http" else f"mmost://{host}/3ccdd113474722377935511fc85d3dd4"
    channels = {"bench": {"url": url, "events": ["task.started"]}}
    with Daemon(server.url, TASKS, channels, poll={"interval": "1s", "wait_interval": "1s"}) as daemon:
        daemon.wait_until(lambda: len(seen) == TASKS)
        begun = time.monotonic()
        started.set()
        daemon.wait_until(lambda: len(told) == TASKS)
    server.stop()
    listener.stop()
    spans = sorted((told[task] - shown[task]) * 1000 for task in shown)
    p99 = statistics.quantiles(spans, n=100)[98]
    print(f"answer to message, {title:16} p99 {p99:5.1f} ms (goal {goal} ms), median {statistics.median(spans):.1f} ms")
