"""Our side of the process in which templates run: starts it, gives it one order at a time, kills what takes too long.

A template can be bounded in neither time nor memory within this process, so it runs in another one, which knows no
secret and opens no file.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import watcher

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 2.0
"""Seconds that one message may take."""

STARTING = 10.0
"""Seconds that a start may take: a busy machine costs no template its turn."""

REST = 300.0
"""Seconds for which a template that had to be killed isn't tried again: its channel has more messages to send."""

LONGEST_ANSWER = 400_000
_RUN = "import sys; sys.path += sys.argv[1:]; from watcher.notifier.templating import child; child.main()"
_OUT_OF_TIME = {-signal.SIGXCPU, -signal.SIGALRM}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a template gave no text.

    `wrong`: it is written wrongly, as `said` tells, in `line` (0 where that can't be told); `slow`, `memory`, `long`:
    it takes or makes too much; `empty`: it makes nothing; `died`: its process ended; `start`: none could be started.
    """

    kind: Literal["wrong", "slow", "memory", "long", "empty", "died", "start"]
    line: int = 0
    said: str = ""


class _Gone(Exception):
    """The process ended without an answer; `slow`: because its time was over."""

    def __init__(self, *, slow: bool = False) -> None:
        super().__init__()
        self.slow = slow


class Workshop:
    """One process for all templates; orders come from any thread and are done one after the other."""

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._resting: dict[str, tuple[float, Fault]] = {}

    @property
    def pid(self) -> int | None:
        """The process as long as there is one."""
        return self._process.pid if self._process else None

    def make(self, template: str, facts: Mapping[str, Any], *, zone: str, spans: Mapping[str, str]) -> str | Fault:
        """The text that a template makes of `facts`, or why there is none. Takes a few seconds at worst."""
        order = {"template": template, "facts": facts, "zone": zone, "spans": spans}
        line = json.dumps(order, default=str).encode() + b"\n"
        with self._lock:
            until, fault = self._resting.get(template, (0.0, None))
            if fault is not None and time.monotonic() < until:
                return fault
            made = self._made(line)
            if isinstance(made, Fault) and made.kind in {"slow", "memory", "died"}:
                self._rest(template, made)
            return made

    def close(self) -> None:
        """End the process. The next order starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                # What the dead process never read is lost, and nobody misses it.
                with suppress(OSError):
                    _there(pipe).close()

    def _made(self, order: bytes, *, again: bool = True) -> str | Fault:
        try:
            return self._answer(order)
        except _Gone as gone:
            if again and not gone.slow:  # somebody else may have killed it
                return self._made(order, again=False)
            return Fault("slow" if gone.slow else "died")
        except OSError as error:
            return Fault("start", said=error.strerror or type(error).__name__)

    def _answer(self, order: bytes) -> str | Fault:
        process = self._running()
        answer = self._exchange(process, order, self._patience)
        if "text" in answer:
            return str(answer["text"])
        if answer["fault"] == "memory":
            self.close()
        return Fault(answer["fault"], answer.get("line") or 0, answer.get("said", ""))

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-I", "-S", "-B", "-c", _RUN, *_folders()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
        self._exchange(process, b"", STARTING)
        return process

    def _exchange(self, process: subprocess.Popen[bytes], order: bytes, patience: float) -> dict[str, Any]:
        """Send an order, and get its answer. Raises _Gone when there is none; then the process has ended."""
        line = b""
        with _patient(process, patience) as clock, suppress(OSError, ValueError):
            _there(process.stdin).write(order)
            _there(process.stdin).flush()
            line = _there(process.stdout).readline(LONGEST_ANSWER)
        if line.endswith(b"\n") and not clock.over:
            answer: dict[str, Any] = json.loads(line)
            return answer
        process.kill()
        slow = clock.over or process.wait() in _OUT_OF_TIME
        self.close()
        raise _Gone(slow=slow)

    def _rest(self, template: str, fault: Fault) -> None:
        if len(self._resting) >= 100:
            self._resting.clear()
        self._resting[template] = (time.monotonic() + REST, fault)


@dataclass(slots=True)
class _Clock:
    over: bool = False


@contextmanager
def _patient(process: subprocess.Popen[bytes], seconds: float) -> Iterator[_Clock]:
    """Kills the process unless this ends in time: neither a write nor a read can hang then."""
    clock = _Clock()

    def end() -> None:
        clock.over = True
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield clock
    finally:
        timer.cancel()


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - both were asked for
    return pipe


def _folders() -> list[str]:
    """Where the process finds this package and jinja2, since it looks nowhere else."""
    found = [Path(watcher.__file__).parents[1]]
    for name in ("jinja2", "markupsafe", "tzdata"):
        spec = importlib.util.find_spec(name)
        found += [Path(spec.origin).parents[1]] if spec and spec.origin else []
    return list(dict.fromkeys(map(str, found)))


shared = Workshop()
atexit.register(shared.close)
