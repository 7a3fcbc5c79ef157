"""A real daemon as a subprocess, with a configuration of so many tasks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.upstream import task_id

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """A process's user and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def megabytes(pid: int) -> float:
    """A process's resident memory."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


class Daemon:
    """`watcher run` in a folder of its own; ends with the `with` block. `tasks` are so many of the
    bench's, or entries as the YAML has them; `more` adds settings, or
    replaces them; `sampled`: `samples` is the file of bench.sampled."""

    def __init__(
        self, upstream: str, tasks: int | Sequence[Any], channels: dict[str, Any], *, sampled: bool = False, **more: Any
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        settings = {
            "accounts": {"main": {"api_key": "nv-bench", "base_url": upstream, "queries_per_minute": 6_000_000}},
            "tasks": [task_id(number) for number in range(tasks)] if isinstance(tasks, int) else list(tasks),
            "channels": channels,
            "http": {"port": 0},
            "store": f"sqlite:///{folder}/watcher.db",
            **more,
        }
        (folder / "watcher.yaml").write_text(yaml.safe_dump(settings))
        self.samples = folder / "samples.json"
        module = ["bench.sampled", str(self.samples)] if sampled else ["watcher"]
        command = [sys.executable, "-m", *module, "run", "--config", str(folder / "watcher.yaml")]
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.log = folder / "log"

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(15)
        self._folder.cleanup()

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return cpu_seconds(self._process.pid)

    def megabytes(self) -> float:
        """Resident memory."""
        return megabytes(self._process.pid)

    def wait_until(self, condition: Any, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"the daemon didn't get there:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.005)
