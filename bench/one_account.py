"""From a change to its webhook: 1,000 tasks in one account at 60 queries a minute, through the real daemon.

Two parts: first lists say everything about tasks that ended, then (as the guide has it) they lack message and end, so
that each end costs one more query. BENCH_SECONDS says how long the first part takes (default 90), the second one takes
a third of it.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from collections import Counter, deque
from typing import Any

from bench.daemon import Daemon
from bench.upstream import Page, Server, enveloped, item, listing, page_asked, task_id

TASKS, LIMIT, MINUTE = 1_000, 60, 60.0
GOAL_WORST, GOAL_MEAN = 12, 7
EVENTS = {"RUNNING": "task.started", "SUCCEEDED": "task.succeeded", "FAILED": "task.failed"}
ENDED = "2026-01-01T01:00:00+0900"
REFUSAL = json.dumps({"status": {"code": "42901", "message": "Too many requests - rate exceeded"}}).encode()

Change = tuple[str, str]
"""A task, and the event that tells what happened to it."""


class Account:
    """A thousand tasks that train or wait. A query too many in any window of a minute is refused with 429; `sparse`:
    lists lack message and endDatetime."""

    def __init__(self) -> None:
        self.random = random.Random(1)
        self.sparse = False
        self.refused = self.busiest = self.gets = 0
        self.reads = Counter[int]()
        self.changed: dict[Change, float] = {}
        self._status = {task_id(number): self.random.choice(("WAIT", "RUNNING")) for number in range(TASKS)}
        self._untouched = list(self._status)
        self._asked = deque[float]()

    def __call__(self, _method: str, path: str, _body: bytes) -> tuple[int, bytes]:
        if self._too_many():
            self.refused += 1
            return 429, REFUSAL
        page = page_asked(path)
        if page is not None:
            return 200, self._page(page)
        self.gets += 1
        return 200, enveloped(self._item(path.rsplit("/", 1)[1]))

    def change(self) -> None:
        """A task that hasn't changed before starts or ends."""
        task = self._untouched.pop(self.random.randrange(len(self._untouched)))
        status = "RUNNING" if self._status[task] == "WAIT" else self.random.choice(("SUCCEEDED", "FAILED"))
        self.changed[task, EVENTS[status]] = time.monotonic()
        self._status[task] = status

    def _too_many(self) -> bool:
        now = time.monotonic()
        while self._asked and self._asked[0] <= now - MINUTE:
            self._asked.popleft()
        self._asked.append(now)
        self.busiest = max(self.busiest, len(self._asked))
        return len(self._asked) > LIMIT

    def _page(self, page: Page) -> bytes:
        self.reads[page.number] += 1
        start = page.number * page.size
        items = [self._item(task) for task in list(self._status)[start : start + page.size]]
        for each in items if self.sparse else ():
            del each["statusInfo"]["message"], each["statusInfo"]["endDatetime"]
        return listing(items, page.number, page.size, TASKS)

    def _item(self, task: str) -> dict[str, Any]:
        status = self._status[task]
        ended = ENDED if status in ("SUCCEEDED", "FAILED") else None
        failed = {"failureReason": "train.unknown", "message": "-"} if status == "FAILED" else {}
        step = int(time.monotonic()) if status == "RUNNING" else 0
        return item(task, status, step, sendWeightSuccess=status == "SUCCEEDED", endDatetime=ended, **failed)


def run() -> None:
    seconds = float(os.environ.get("BENCH_SECONDS", "90"))
    account = Account()
    told: dict[Change, float] = {}

    def receiver(_method: str, _path: str, body: bytes) -> tuple[int, bytes]:
        event = json.loads(body)
        told.setdefault((event.get("subject", ""), event["type"]), time.monotonic())
        return 200, b"ok"

    server, listener = Server(account), Server(receiver)
    channels = {"bench": {"url": f"{listener.url}/hook", "events": list(EVENTS.values())}}
    accounts = {"main": {"api_key": "nv-bench", "base_url": server.url, "queries_per_minute": LIMIT}}
    with Daemon(server.url, TASKS, channels, accounts=accounts, poll={"interval": "10s"}) as daemon:
        # Each page twice: it knows by now where each task is.
        daemon.wait_until(lambda: len(account.reads) == 10 and min(account.reads.values()) > 1, 120)
        _play(daemon, account, told, seconds, 1.0, "complete lists")
        account.sparse = True
        _play(daemon, account, told, seconds / 3, 3.0, "sparse lists")
    server.stop()
    listener.stop()
    print(f"  {account.busiest} queries in the busiest 60 s (limit {LIMIT}), {account.refused} refused")


def _play(
    daemon: Daemon, account: Account, told: dict[Change, float], seconds: float, every: float, title: str
) -> None:
    """Changes at random moments, on average one in `every` seconds."""
    end, gets, before = time.monotonic() + seconds, account.gets, set(account.changed)
    while (now := time.monotonic()) < end:
        time.sleep(min(account.random.expovariate(1 / every), end - now))
        account.change()
    changes = account.changed.keys() - before
    daemon.wait_until(lambda: changes <= told.keys(), 60)
    spans = {change: told[change] - account.changed[change] for change in changes}
    ends = [span for (_, event), span in spans.items() if event != EVENTS["RUNNING"]]
    print(
        f"1,000 tasks at 60 a minute, {title:14} change to webhook: {max(spans.values()):4.1f} s at worst "
        f"(goal {GOAL_WORST} s), {statistics.mean(spans.values()):.1f} s on average (goal {GOAL_MEAN} s), "
        f"{len(spans)} changes; ends {max(ends, default=0.0):.1f} s at worst, {account.gets - gets} single GETs"
    )
