"""RULE 22: what hangs is ended, from outside its loop, and says where it hung."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

from watcher.watchdog import Watchdog, stacks

HEAD = """
import asyncio, sys, threading, time
from watcher import log
from watcher.redact import Redactor
from watcher.watchdog import Watchdog

log.configure("info", "json", Redactor())
dog = Watchdog(limit=1.0)

async def turn(name):
    while True:
        dog.beat(name)
        await asyncio.sleep(0.05)
"""


def run(body: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", HEAD + body], capture_output=True, text=True, timeout=seconds)


def test_a_loop_that_blocks_ends_the_process_with_all_stacks_and_no_locals() -> None:
    done = run("""
def hang_here():
    password = "".join(["local", "-canary"])
    time.sleep(60)

async def patient_task():
    await asyncio.Event().wait()

async def main():
    dog.start()
    waiting = asyncio.create_task(patient_task(), name="patient")
    turning = asyncio.create_task(turn("loop"))
    await asyncio.sleep(0.2)
    hang_here()

asyncio.run(main())
""")
    assert done.returncode == 1
    assert '"event": "watchdog.stuck"' in done.stderr
    assert '"loop": "loop"' in done.stderr
    for expected in ("hang_here", "patient_task", "MainThread"):
        assert expected in done.stderr
    assert "local-canary" not in done.stderr


def test_a_loop_that_only_waits_ends_the_process_too() -> None:
    done = run("""
async def main():
    dog.start()
    dog.beat("store")
    await turn("loop")

asyncio.run(main())
""")
    assert done.returncode == 1
    assert '"loop": "store"' in done.stderr


def test_a_log_that_hangs_does_not_keep_the_process() -> None:
    began = time.monotonic()
    done = run("""
import watcher.watchdog
watcher.watchdog.REPORT_PATIENCE = 0.3
dog = Watchdog(limit=0.5, on_stuck=lambda name, stacks: time.sleep(60))
dog.start()
dog.beat("loop")
time.sleep(60)
""")
    assert done.returncode == 1
    assert time.monotonic() - began < 15


def test_loops_that_turn_end_or_are_forgotten_are_left_alone() -> None:
    heard: list[str] = []
    dog = Watchdog(limit=0.4, on_stuck=lambda name, stacks: heard.append(name))
    dog.beat("ended")
    dog.forget("ended")
    dog.start()
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline:
        dog.beat("loop")
        time.sleep(0.02)
    dog.stop()
    assert heard == []


def test_a_process_that_was_stopped_and_continued_lives_on() -> None:
    body = HEAD + 'dog.start()\nprint("up", flush=True)\nasyncio.run(asyncio.wait_for(turn("loop"), 4))'
    child = subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    os.kill(child.pid, signal.SIGSTOP)
    time.sleep(2.5)  # longer than the limit: time itself is what is tested
    os.kill(child.pid, signal.SIGCONT)
    _, errors = child.communicate(timeout=20)
    assert "watchdog.stuck" not in errors
    assert "TimeoutError" in errors


def test_time_in_which_nobody_ran_counts_against_nobody() -> None:
    dog = Watchdog(limit=120)
    dog.beat("loop")
    assert dog._turn(3600) is None
    turns = 0
    while dog._turn(15) is None:
        turns += 1
    assert turns == 6


def test_stacks_name_every_thread() -> None:
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, name="the-other-thread")
    thread.start()
    try:
        assert "thread the-other-thread" in stacks()
        assert "test_stacks_name_every_thread" in stacks()
    finally:
        gate.set()
        thread.join()
