"""The promise, tried the hard way: SIGKILL at random moments, while everything changes and the receivers fail too.

The receivers write down what they get before they answer, so afterwards three books can be compared: what the upstream
went through, what the store says, and what arrived.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Hook, Late, Receipt, Upstream, Watcher, hook_settings, serving, until, watching

TASKS = [f"task{number:04d}" for number in range(16)]
NEXT = {
    "WAIT": ["RUNNING"],
    "RUNNING": ["RUNNING", "RUNNING", "SUCCEEDED", "FAILED"],
    "SUCCEEDED": ["WAIT"],
    "FAILED": ["WAIT"],
}
MOVES = {"task.discovered", "task.started", "task.succeeded", "task.failed", "task.reopened", "task.requeued"}
PAUSE = 0.05
"""Seconds between two changes upstream."""

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


class Story(threading.Thread):
    """Changes one task after the other until it is told to end. `history` is every status that each task ever had."""

    def __init__(self, upstream: Upstream, seed: int) -> None:
        super().__init__(daemon=True)
        self.history: dict[str, list[str]] = {task: ["WAIT"] for task in TASKS}
        self.trouble: list[BaseException] = []
        self._upstream, self._random = upstream, random.Random(seed)
        self._steps = dict.fromkeys(TASKS, 0)
        self._over = threading.Event()

    def run(self) -> None:
        try:
            while not self._over.wait(PAUSE):
                task = self._random.choice(TASKS)
                self._go(task, self._random.choice(NEXT[self.history[task][-1]]))
        except BaseException as error:
            self.trouble.append(error)

    def end(self) -> dict[str, str]:
        """Stop; the last status of each task."""
        self._over.set()
        self.join(20)
        assert not self.trouble
        for task in TASKS:
            if self.history[task][-1] == "WAIT":
                self._go(task, "RUNNING")
            if self.history[task][-1] == "RUNNING":
                self._go(task, self._random.choice(["SUCCEEDED", "FAILED"]))
        return {task: states[-1] for task, states in self.history.items()}

    def _go(self, task: str, status: str) -> None:
        self._steps[task] = min(self._steps[task] + 20, 100) if status == self.history[task][-1] else 0
        info: dict[str, Any] = {"currStep": self._steps[task], "totalTrainSteps": 100, "endDatetime": None}
        if status in ("SUCCEEDED", "FAILED"):
            info |= {"endDatetime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000"), "sendWeightSuccess": True}
        failed = status == "FAILED"
        info |= {"failureReason": "resource.timeout" if failed else None, "message": "no GPU" if failed else None}
        self._upstream.set(task, status=status, statusInfo=info)
        if status != self.history[task][-1]:
            self.history[task].append(status)


class Killer:
    """Starts and kills the daemon, and brings trouble over one of the two receivers. `deaths` are the times of kills,
    of the daemon and of the receiver, in the receivers' clock."""

    def __init__(self, watcher: Watcher, shaky: Hook, seed: int) -> None:
        self.deaths: list[str] = []
        self._watcher, self._shaky, self._random = watcher, shaky, random.Random(seed)
        self._delayed = False

    def round(self) -> None:
        watcher, chance = self._watcher, self._random
        trouble = chance.choice(["none", "none", "503", "soon", "slow", "refused", "killed"])
        self._bring(trouble)
        watcher.start()
        if chance.random() < 0.25:  # while it starts: migration, the take-over of what was left
            time.sleep(chance.uniform(0.2, 1.2))
        else:
            watcher.until_said("watcher.running")
            time.sleep(chance.uniform(0.02, 1.0))
        if trouble == "killed":
            self._shaky.kill()
            self.deaths.append(_now())
            time.sleep(chance.uniform(0.0, 0.3))
        assert watcher.process is not None
        assert watcher.process.poll() is None, watcher.said()
        watcher.kill()
        self.deaths.append(_now())
        if trouble in ("refused", "killed"):
            self._shaky.start()
        if chance.random() < 0.7:
            watcher.lift_reservation()

    def _bring(self, trouble: str) -> None:
        if trouble == "refused":
            self._shaky.kill()
            self.deaths.append(_now())
            return
        slow = trouble == "slow" and not self._delayed  # three deaths in one try would park the message, rightly
        self._delayed = slow
        orders = {"503": {"status": 503}, "soon": {"status": 429, "retry_after": 1, "times": 5}}.get(trouble, {})
        self._shaky.behave(**({"delay": 0.3} if slow else orders))


@contextmanager
def _the_stage(folder: Path) -> Iterator[tuple[Upstream, Hook, Hook, Watcher]]:
    upstream, steady, shaky = Upstream(folder, TASKS), Hook(folder, "steady"), Hook(folder, "shaky")
    channels = {"steady": hook_settings(steady), "shaky": hook_settings(shaky)}
    with serving(upstream, steady, shaky), watching(folder, upstream, TASKS, channels, interval="250ms") as watcher:
        yield upstream, steady, shaky, watcher


@pytest.mark.first
@pytest.mark.parametrize("kills", [32 if IN_CI else 8, pytest.param(120, marks=pytest.mark.slow)])
def test_killed_at_any_moment_the_watcher_loses_nothing_and_repeats_only_what_was_in_flight(
    kills: int, tmp_path: Path
) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    print(f"the same dice again: SEED={seed}")
    with _the_stage(tmp_path) as (upstream, steady, shaky, watcher):
        story, killer = Story(upstream, seed), Killer(watcher, shaky, seed)
        story.start()
        for _ in range(kills):
            killer.round()
        assert not story.trouble
        shaky.behave()
        watcher.lift_reservation()
        watcher.start_ready()
        finals = story.end()
        parked = _wait_until_all_is_told(watcher, finals)
        assert watcher.stop() == 0, watcher.said()

        print(f"{len(watcher.events())} events, {len(killer.deaths)} deaths, parked {len(parked)}")
        _check_the_store_against_the_upstream(watcher, story.history, finals)
        for name, hook in (("steady", steady), ("shaky", shaky)):
            _check_what_arrived(watcher, name, hook.got(accepted=False), killer.deaths, parked)


def _wait_until_all_is_told(watcher: Watcher, finals: dict[str, str]) -> set[str]:
    """Returns the deliveries that had to be asked for, since they were parked."""

    def over() -> bool:
        seen = dict(watcher.query("SELECT id, fields ->> 'status' FROM tasks"))
        return seen == finals and watcher.unfinished() == 0

    try:
        until(over, "everything is seen and told", 60)
        parked = _parked(watcher)
        if parked:  # a try that dies three times with the process is parked and told, and goes out when it is asked for
            assert watcher.run("redeliver", "--failed").returncode == 0
            until(over, "what was parked is told", 20)
    except Late as late:
        left = watcher.query("SELECT channel, state, attempts, reason, next_at FROM deliveries WHERE finished IS NULL")
        raise AssertionError(f"{late}: {left}\n{watcher.said()[-3000:]}") from None
    return parked


def _parked(watcher: Watcher) -> set[str]:
    return {row[0] for row in watcher.query("SELECT id FROM deliveries WHERE state = 'parked'")}


def _check_the_store_against_the_upstream(
    watcher: Watcher, history: dict[str, list[str]], finals: dict[str, str]
) -> None:
    """What the watcher recorded of a task is a chain without a hole, through states that it really had, to its end."""
    for task, states in history.items():
        events = [event for event in watcher.events("task.%") if event["task"] == task and event["type"] in MOVES]
        assert events[0]["type"] == "task.discovered", events
        moves = [(event["from"], event["to"]) for event in events if event["from"] not in (None, event["to"])]
        seen = [events[0]["to"], *(to for _, to in moves)]
        assert [before for before, _ in moves] == seen[:-1], (task, moves)
        assert seen[-1:] == [finals[task]], (task, seen, states)
        assert _happened_in_this_order(seen, states), (task, seen, states)


def _happened_in_this_order(seen: list[str], states: list[str]) -> bool:
    rest = iter(states)
    return all(status in rest for status in [status for status, _ in itertools.groupby(seen)])


def _check_what_arrived(
    watcher: Watcher, channel: str, receipts: list[Receipt], deaths: list[str], parked: set[str]
) -> None:
    events = {event["id"]: event for event in watcher.events()}
    told = {receipt.event for receipt in receipts if receipt.accepted}
    ought = {str(row[0]) for row in watcher.query("SELECT event_id FROM deliveries WHERE channel = ?", channel)}
    # A channel isn't told of its own trouble, and of everything else it hears.
    assert ought == {id_ for id_, event in events.items() if not event["type"].startswith("channel.")} | {
        id_ for id_ in ought if events[id_]["type"].startswith("channel.")
    }
    assert told == ought, f"lost: {[events[id_] for id_ in ought - told]}, never recorded: {told - ought}"
    by_delivery: dict[str, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        by_delivery[receipt.delivery].append(receipt)
    for copies in by_delivery.values():
        _check_copies(copies, deaths)
    assert len({(receipt.delivery, receipt.event) for receipt in receipts}) == len(ought)
    _check_tries(watcher, channel, by_delivery)
    _check_order([receipt for receipt in receipts if receipt.delivery not in parked])


def _check_copies(copies: list[Receipt], deaths: list[str]) -> None:
    """A message that was accepted comes again only when somebody died in between."""
    assert len({copy.body for copy in copies}) == 1
    for earlier, later in itertools.pairwise(copies):
        if earlier.accepted:
            sent = _at(int(earlier.headers["webhook-timestamp"]))
            assert any(sent <= death <= later.time for death in deaths), (sent, later.time, deaths)


def _check_tries(watcher: Watcher, channel: str, by_delivery: dict[str, list[Receipt]]) -> None:
    """A committed try precedes every send, and each try that is over has an outcome; only one of them was accepted."""
    rows = watcher.query(
        "SELECT d.id, d.state, count(a.number), sum(a.result = 'accepted'), sum(a.result IS NULL), "
        "sum(a.result = 'unknown') FROM deliveries d JOIN attempts a ON a.delivery_id = d.id WHERE d.channel = ? "
        "GROUP BY d.id, d.state",
        channel,
    )
    assert {row[0] for row in rows} == set(by_delivery)
    for id_, state, tries, accepted, unrecorded, unknown in rows:
        copies = by_delivery[id_]
        assert (state, accepted, unrecorded) == ("delivered", 1, 0), (id_, state, accepted, unrecorded)
        assert len(copies) <= tries
        assert sum(copy.accepted for copy in copies) <= 1 + unknown


def _check_order(receipts: list[Receipt]) -> None:
    """Of one task, no message comes before an earlier one was accepted."""
    parked = {receipt.delivery for receipt in receipts if receipt.status is None}
    by_task: dict[str | None, list[int]] = defaultdict(list)
    for receipt in receipts:
        if receipt.delivery not in parked and receipt.task is not None:
            by_task[receipt.task].append(int(receipt.event))
    for task, ids in by_task.items():
        assert ids == sorted(ids), (task, ids)


def _now() -> str:
    return _at(time.time())


def _at(seconds: float) -> str:
    """A moment as the receivers write it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
