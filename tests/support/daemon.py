"""The real daemon, the fake upstream and the receiver as processes; and waiting for what they do."""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.support.http import free_port

KEY = "nv-test-key-0123456789"
PATIENCE = 20.0
"""Seconds for what takes a moment on an idle machine."""

T = TypeVar("T")


class Late(AssertionError):
    """What was waited for didn't come."""


def until(look: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first truthy value of `look`; raises Late with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Late(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def ask(url: str, data: Any = None, **headers: str) -> tuple[int, str]:
    """Status and body of one request; POST with JSON if there is `data`."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# Servers are forked from a process that has imported them: that takes a twentieth of the time of a new Python.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["watcher.simulator.__main__", "watcher.simulator.receiver"])


def _serve(module: str, arguments: Sequence[str], folder: Path, said: Connection) -> None:
    """What `python -m module arguments` does, in that folder and in a process that was forked for it."""
    os.chdir(folder)
    os.dup2(said.fileno(), 1)
    sys.exit(importlib.import_module(module).main(list(arguments)))


class Server:
    """A server of the project in a process of its own, always on the same port, however often it is killed."""

    def __init__(self, folder: Path, module: str, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder, self._module = folder, module
        self._arguments = [*arguments, "--port", str(self.port)]
        self._process: BaseProcess | None = None
        self.start()

    def start(self) -> None:
        hears, says = _FORKS.Pipe(duplex=False)
        what = (self._module, self._arguments, self._folder, says)
        self._process = _FORKS.Process(target=_serve, args=what, daemon=True)
        self._process.start()
        says.close()
        with os.fdopen(os.dup(hears.fileno()), encoding="utf-8") as lines:
            said = lines.readline()
        hears.close()
        assert said.startswith("listening on "), (what, said)

    def kill(self) -> None:
        """SIGKILL: from now on nothing listens there."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None

    def orders(self, path: str, **orders: Any) -> None:
        status, said = ask(f"{self.url}{path}", orders)
        assert status == 200, said


class Upstream(Server):
    """The fake CLOVA Studio. Tasks wait until `set` says otherwise, unless they are given as a scenario has them."""

    def __init__(self, folder: Path, tasks: Sequence[str | Mapping[str, Any]], *, speed: float = 1.0) -> None:
        made = [{"id": task, "name": f"tuning {task}"} if isinstance(task, str) else dict(task) for task in tasks]
        scenario = folder / "scenario.yaml"
        scenario.write_text(yaml.safe_dump({"keys": [KEY], "tasks": made}))
        super().__init__(folder, "watcher.simulator.__main__", str(scenario), "--speed", str(speed))

    def control(self, **orders: Any) -> None:
        self.orders("/simulator/control", **orders)

    def set(self, task: str, **fields: Any) -> None:
        self.control(task={"id": task, "fields": fields})

    def log(self) -> list[dict[str, Any]]:
        return list(json.loads(ask(f"{self.url}/simulator/log")[1])["items"])


@dataclass(frozen=True)
class Receipt:
    """One message that a receiver got; `status` is what it answered, None for nothing."""

    delivery: str
    event: str
    type: str
    task: str | None
    status: int | None
    data: Mapping[str, Any]
    headers: Mapping[str, str]
    body: str
    time: str

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Listener(Server):
    """A receiver: it writes down everything before it answers, so its own death forgets nothing."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.received"
        super().__init__(folder, "watcher.simulator.receiver", "--log", str(self._file))

    def behave(self, **orders: Any) -> None:
        """As the receiver's control endpoint has it; nothing: back to normal."""
        self.orders("/receiver/control", **orders)

    def requests(self) -> list[dict[str, Any]]:
        """Every request in order, with the status that was answered."""
        text = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        # Behind the last line's end another one may be half written.
        *lines, _ = text.split("\n")
        return [json.loads(line) for line in lines]


class Chat(Listener):
    """A chat whose messages are JSON with a text, like Slack's and Mattermost's."""

    def texts(self) -> list[str]:
        """The messages that it took, in order."""
        return [json.loads(each["body"])["text"] for each in self.requests() if each["status"] == 200]


class Hook(Listener):
    """A webhook receiver."""

    def __init__(self, folder: Path, name: str = "hook") -> None:
        super().__init__(folder, name)

    def got(self, type_: str | None = None, task: str | None = None, *, accepted: bool = True) -> list[Receipt]:
        """What came, in order: only of this type and task, and what was accepted unless told otherwise."""
        wanted = (type_, task)
        return [
            receipt
            for receipt in map(_receipt, self.requests())
            if (receipt.accepted or not accepted)
            and all(want in (None, have) for want, have in zip(wanted, (receipt.type, receipt.task), strict=True))
        ]

    def types(self, task: str | None = None) -> list[str]:
        return [receipt.type for receipt in self.got(task=task)]


def _receipt(line: dict[str, Any]) -> Receipt:
    event = json.loads(line["body"])
    return Receipt(
        delivery=line["headers"]["webhook-id"],
        event=event["id"],
        type=event["type"],
        task=event.get("subject"),
        status=line["status"],
        data=event["data"],
        headers=line["headers"],
        body=line["body"],
        time=line["time"],
    )


@dataclass
class Watcher:
    """One configuration, its store, and the daemon over it: started, killed and started again."""

    folder: Path
    settings: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def store(self) -> Path:
        return self.folder / "watcher.db"

    def write(self, **changes: Any) -> Path:
        """The configuration file, with some top-level keys replaced for good."""
        self.settings |= changes
        path = self.folder / "watcher.yaml"
        path.write_text(yaml.safe_dump(self.settings, allow_unicode=True))
        return path

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """`watcher run`; what it says is in `said()`."""
        assert self.process is None or self.process.poll() is not None, "it runs already"
        self.starts += 1
        with self._output().open("wb") as output:
            self.process = subprocess.Popen(
                [*self.wrapper, *self._command("run", *arguments)],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def start_ready(self, seconds: float = PATIENCE) -> None:
        """Start, and wait until it watches."""
        self.start()
        self.until_said("watcher.running", seconds)

    def kill(self) -> None:
        """SIGKILL, at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 8.0) -> int:
        """An orderly stop; returns the exit code. Raises Late when it takes longer than promised."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.ended(seconds)

    def ended(self, seconds: float = PATIENCE) -> int:
        """Wait for the end; returns the exit code."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Late(f"still running after {seconds:g} s; it said:\n{self.said()[-4000:]}") from None

    def abandon(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()

    def said(self) -> str:
        """Everything that the newest process printed."""
        output = self._output()
        return output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""

    def said_ever(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("watcher.*.out")))

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The newest process's log lines of this name."""
        return [line for line in self.log() if line.get("event") == event]

    def log(self) -> list[dict[str, Any]]:
        found = []
        for line in self.said().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    def until_said(self, text: str, seconds: float = PATIENCE) -> None:
        assert self.process is not None
        until(
            lambda: text in self.said() or self.process.poll() is not None, f"{text!r}: {self.said()[-2000:]}", seconds
        )  # type: ignore[union-attr]
        assert text in self.said(), f"it ended with {self.process.poll()}:\n{self.said()[-4000:]}"

    @property
    def url(self) -> str:
        """Where its page is."""
        self.until_said("web.listening")
        return re.findall(r"http://127\.0\.0\.1:\d+", json.dumps(self.lines("web.listening")))[0]

    def run(self, *arguments: str, seconds: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Another command with the same configuration."""
        return subprocess.run(
            self._command(*arguments),
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """A look into the store, which may not exist yet."""
        if not self.store.exists():
            return []
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=5)) as database:
                return database.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise

    def events(self, type_: str = "%") -> list[dict[str, Any]]:
        """The events of a type (with SQL's wildcards) in the order of their ids."""
        rows = self.query("SELECT id, type, task, body FROM events WHERE type LIKE ? ORDER BY id", type_)
        return [{"id": str(id_), "type": kind, "task": task, **json.loads(body)} for id_, kind, task, body in rows]

    def unfinished(self) -> int:
        """How many deliveries still have to go out."""
        return int(
            (self.query("SELECT count(*) FROM deliveries WHERE state IN ('waiting', 'sending', 'held')") or [(0,)])[0][
                0
            ]
        )

    def lift_reservation(self) -> None:
        """Spare the test the wait of up to 10 s that a killed process leaves behind for the sake of the quota.

        The write-ahead log stays as the kill left it: the process that looks here ends without closing the store.
        """
        code = (
            "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=5);"
            "db.execute('UPDATE accounts SET reserved_until = NULL'); db.commit(); os._exit(0)"
        )
        if self.query("SELECT name FROM accounts"):
            subprocess.run([sys.executable, "-S", "-c", code, str(self.store)], check=True)

    def _output(self) -> Path:
        return self.folder / f"watcher.{self.starts:03d}.out"

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "watcher", arguments[0], "--config", "watcher.yaml", *arguments[1:]]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONUNBUFFERED": "1", **self.environment}


def hook_settings(hook: Server, events: Sequence[str] = ("*",), **more: Any) -> dict[str, Any]:
    """A webhook channel that hears everything."""
    return {"url": f"{hook.url}/hooks/clova", "events": list(events), **more}


@contextlib.contextmanager
def watching(
    folder: Path,
    upstream: Upstream,
    tasks: Sequence[Any],
    channels: Mapping[str, Any],
    *,
    interval: str = "100ms",
    wrapper: tuple[str, ...] = (),
    **settings: Any,
) -> Iterator[Watcher]:
    """A quick daemon, configured and not yet started; whatever happens, no process is left behind."""
    account = {"api_key": KEY, "base_url": upstream.url, "queries_per_minute": 60000, "timeout": "5s"}
    plain: dict[str, Any] = {
        "accounts": {"main": account},
        "tasks": list(tasks),
        "channels": dict(channels),
        "poll": {"interval": interval, "wait_interval": interval},
        "http": None,
        "log": {"level": "info", "format": "json"},
    }
    watcher = Watcher(folder, plain | settings, wrapper=wrapper)
    watcher.write()
    try:
        yield watcher
    finally:
        watcher.abandon()


@contextlib.contextmanager
def serving(*servers: Server) -> Iterator[None]:
    """Ends servers at the end of the block."""
    try:
        yield
    finally:
        for server in servers:
            server.kill()
