"""From the answer that shows a change to the webhook that tells it, through the real daemon and its store."""

from __future__ import annotations

import re
import statistics
import threading
import time
from typing import Any

from bench.daemon import Daemon
from bench.upstream import Server, enveloped, item, listing, page_asked, task_id

TASKS, A_SECOND = 150, 15
GOAL_NATIVE, GOAL_APPRISE = 50, 100
TASK_ID = re.compile(r"t\d{7}")


def run() -> None:
    _measure("native webhook", "http", GOAL_NATIVE)
    _measure("through apprise", "mmost", GOAL_APPRISE)


def _measure(title: str, scheme: str, goal: int) -> None:
    started = threading.Event()
    seen, shown, told = set[str](), dict[str, float](), dict[str, float]()

    def look(number: int) -> dict[str, Any]:
        task = task_id(number)
        running = started.is_set() and number < int((time.monotonic() - begun) * A_SECOND)
        if running:
            shown.setdefault(task, time.monotonic())
        seen.add(task)
        return item(task, "RUNNING" if running else "WAIT", 0)

    def upstream(_method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        page = page_asked(path)
        if page is None:
            return 200, enveloped(look(int(path.rsplit("/t", 1)[1])))
        start = page.number * page.size
        numbers = range(start, min(start + page.size, TASKS))
        return 200, listing([look(number) for number in numbers], page.number, page.size, TASKS)

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
