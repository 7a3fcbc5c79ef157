"""The process in which templates run: bounded, killed and started anew, and nobody notices."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from watcher.notifier.templating import workshop
from watcher.notifier.templating.workshop import Fault, Workshop

SPANS = {
    "days": "{days} d {hours} h",
    "hours": "{hours} h {minutes:02d} m",
    "minutes": "{minutes} m",
    "seconds": "{seconds} s",
}
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def bench() -> Iterator[Workshop]:
    """A process for templates of this test alone."""
    made = Workshop()
    yield made
    made.close()


def make(bench: Workshop, template: str, zone: str = "Asia/Seoul", **facts: Any) -> str | Fault:
    return bench.make(template, facts, zone=zone, spans=SPANS)


def test_a_loop_without_end_is_killed_and_rests_while_others_go_on(bench: Workshop) -> None:
    began = time.monotonic()
    assert make(bench, ENDLESS) == Fault("slow")
    assert 1.5 < time.monotonic() - began < 6
    assert make(bench, "fine") == "fine"
    pid = bench.pid
    assert make(bench, ENDLESS) == Fault("slow")
    assert bench.pid == pid, "it wasn't tried again at once"


def test_what_grew_beyond_its_memory_leaves_nothing_behind(bench: Workshop) -> None:
    make(bench, "fine")
    pid = bench.pid
    assert make(bench, "{% set x = 'x' * 200000000 %}{{ x | length }}{{ (x ~ x) | length }}") == Fault("memory")
    assert make(bench, "fine") == "fine"
    assert bench.pid != pid


def test_a_failing_process_is_said_and_costs_no_message(monkeypatch: pytest.MonkeyPatch, bench: Workshop) -> None:
    monkeypatch.setattr(workshop, "_RUN", "raise SystemExit(3)")
    assert make(bench, "fine") == Fault("died")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    other = Workshop()
    assert other.make("fine", {}, zone="UTC", spans=SPANS) == Fault("start", said="No such file or directory")


def test_a_killed_process_is_started_anew_and_nobody_notices(bench: Workshop) -> None:
    assert make(bench, "{{ a }}", a=1) == "1"
    assert bench.pid is not None
    os.kill(bench.pid, signal.SIGKILL)
    assert make(bench, "{{ a }}", a=2) == "2"
    assert bench.pid is not None
    os.kill(bench.pid, signal.SIGSTOP)
    assert make(bench, "{{ a }}", a=3) == Fault("slow")
    assert make(bench, "{{ b }}", b=4) == "4"


def test_a_process_that_is_killed_at_work_is_started_anew(bench: Workshop) -> None:
    busy = "{% for a in range(400) %}{% for b in range(5000) %}{% endfor %}{% endfor %}done"
    make(bench, "fine")
    pid = bench.pid
    assert pid is not None
    timer = threading.Timer(0.02, os.kill, (pid, signal.SIGKILL))
    timer.start()
    assert make(bench, busy) == "done"
    timer.join()
    assert bench.pid != pid


def test_eight_threads_at_once_get_each_their_own(bench: Workshop) -> None:
    def one(number: int) -> bool:
        return make(bench, "{{ n }}" if number % 7 else "{{ n }}{{ nam }}", n=number) == (
            str(number) if number % 7 else Fault("wrong", 1, "'nam' is undefined")
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(one, range(200)))


def test_orders_and_texts_larger_than_a_pipe_pass(bench: Workshop) -> None:
    assert make(bench, "{{ a | length }}{{ 'é' * 19990 }}", a="é" * 300_000) == "300000" + "é" * 19990


def test_the_process_knows_no_secret_and_holds_no_file(bench: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOVA_API_KEY", "nv-secret")
    with open(os.devnull) as inherited:
        os.set_inheritable(inherited.fileno(), True)
        make(bench, "fine")
        make(bench, "{{ '2026-03-02T05:02:40Z' | local }}", zone="Europe/Berlin")
    there = Path(f"/proc/{bench.pid}")
    assert (there / "environ").read_bytes() == b""
    held = sorted(int(fd.name) for fd in (there / "fd").iterdir())
    assert held == [0, 1, 2]
    assert [os.readlink(there / "fd" / str(fd)).partition(":")[0] for fd in held] == ["pipe", "pipe", "/dev/null"]
    limits = (there / "limits").read_text()
    assert re.search(r"Max address space +268435456 +268435456", limits)
    assert re.search(r"Max open files +0 ", limits)
    assert re.search(r"Max processes +0 +0", limits)


def test_the_process_ends_with_the_watcher_even_at_work() -> None:
    code = (
        "import sys, threading, time\n"
        "from watcher.notifier.templating.workshop import Workshop\n"
        "bench = Workshop(patience=60)\n"
        "bench.make('fine', {}, zone='UTC', spans={})\n"
        f"threading.Thread(target=bench.make, args=({ENDLESS!r}, {{}}), kwargs=dict(zone='UTC', spans={{}})).start()\n"
        "time.sleep(0.1)\n"
        "print(bench.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 10
    while _lives(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _lives(pid)


def test_the_process_ends_when_the_watcher_ends_well() -> None:
    code = (
        "from watcher.notifier.templating.workshop import shared\n"
        "shared.make('fine', {}, zone='UTC', spans={})\n"
        "print(shared.pid)\n"
    )
    ended = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    assert not _lives(int(ended.stdout))


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_it_is_quick_to_start_and_imports_nothing_of_ours_but_itself() -> None:
    code = workshop._RUN.replace("child.main()", "print(*sorted(sys.modules))")
    args = [sys.executable, "-I", "-S", "-B", "-c", code, *workshop._folders()]
    loaded = subprocess.run(args, capture_output=True, text=True, check=True, env={}).stdout.split()
    ours = [name for name in loaded if name.startswith("watcher")]
    assert ours == ["watcher", "watcher.notifier", "watcher.notifier.templating", "watcher.notifier.templating.child"]
    assert not {"pydantic", "structlog", "sqlalchemy", "asyncio", "ssl"} & set(loaded)
