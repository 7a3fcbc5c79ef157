"""Commands in tests: in this process or in one of their own, beside a store that real observations filled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from watcher.cli import main
from watcher.models import Delivery, Observation, TaskKey
from watcher.notifier.decide import Decision
from watcher.settings import load_settings
from watcher.state import outbox
from watcher.state.budget import save_alive
from watcher.state.database import Database
from watcher.state.ledger import settling
from watcher.state.record import Recorded, record_missing, record_observations
from watcher.state.store import open_store

START = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
EVIL = "[/red]\x1b[31m\u202e<b>"
CONFIG = """\
accounts: {main: {api_key: "${NO_SUCH_KEY}"}, lab: {api_key: "${NO_SUCH_KEY}"}}
tasks:
  - {id: czf9fbky, account: main, name: support-bot v3, labels: {team: nlp}}
  - {id: "1234e567", account: main}
  - {id: twin1234, account: main}
  - {id: twin1234, account: lab}
  - {id: unseen12, account: lab}
channels:
  team: {url: "console://"}
  hook: {url: "${NO_SUCH_HOOK}", events: [task.failed]}
store: sqlite:///watcher.db
"""


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def items(self) -> list[Any]:
        return list(json.loads(self.out)["items"])


class Shell:
    """Runs commands in this process and a folder of their own."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, *arguments: str) -> Said:
        self._capture.readouterr()
        code = main(list(arguments))
        shown = self._capture.readouterr()
        return Said(code, shown.out, shown.err)

    def configure(self, text: str = CONFIG) -> None:
        (self.folder / "watcher.yaml").write_text(text, "utf-8")


class Filled:
    """A store that the daemon's own functions fill, while commands read it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        settings = load_settings(secrets=False)
        self.settled = settling(lambda: settings, uptime=lambda: 1000.0, stepped_at=lambda: 0)
        self._number = 0

    def see(self, task: str, status: str, *, account: str = "main", **info: Any) -> Recorded:
        """One observation, a minute after the one before. `info` are fields of statusInfo, or `name`."""
        self._number += 1
        fields: dict[str, Any] = {"model": "HCX-003", "status": status}
        fields |= {"name": info.pop("name")} if "name" in info else {}
        fields |= {f"statusInfo.{name}": value for name, value in info.items()}
        time = START + timedelta(minutes=self._number)
        seen = Observation(TaskKey(account, task), self._number, time, "get", fields)
        return self.database.write_now(record_observations, self.settled(), [seen])

    def miss(self, task: str) -> None:
        """Two 404s, more than a minute apart."""
        for _ in range(2):
            self._number += 2
            time = START + timedelta(minutes=self._number)
            self.database.write_now(
                record_missing, self.settled(), TaskKey("main", task), self._number, time, "40400", confirmed=True
            )

    def claim(self, channel: str) -> tuple[Delivery, ...]:
        """What a lane of the daemon would send now."""
        now = datetime.now(UTC)
        return self.database.write_now(outbox.turn, self.settled(), channel, [], 8, now, give_up_after=3600.0)[
            0
        ].claimed

    def finish(self, delivery: Delivery, decision: Decision) -> None:
        """How that ended."""
        now = datetime.now(UTC)
        finished = outbox.Finished(delivery, decision, now)
        self.database.write_now(outbox.turn, self.settled(), delivery.channel, [finished], 0, now, give_up_after=3600.0)

    def live(self, *, ago: float = 0.0, **health: Any) -> None:
        """A sign of life, some seconds old."""
        at = datetime.now(UTC) - timedelta(seconds=ago)
        self.database.write_now(save_alive, at, 1000.0, json.dumps({"fatal": [], "conditions": [], **health}))


@contextmanager
def filled_store() -> Iterator[Filled]:
    """The store of the configuration in the working directory, open as the daemon opens it."""
    with open_store("sqlite:///watcher.db") as store:
        yield Filled(store.database)


def story(store: Filled) -> None:
    """One training that succeeds, one that fails with a name that no terminal should obey, twins that train."""
    store.see("czf9fbky", "WAIT", name="upstream's name")
    store.see("czf9fbky", "RUNNING", currStep=500, totalTrainSteps=2000, currEpoch=2, totalTrainEpochs=8, trainLoss=0.9)
    store.see("1234e567", "RUNNING", name=EVIL)
    store.see("1234e567", "FAILED", name=EVIL, failureReason="file.format", message=f"bad {EVIL}")
    store.see("twin1234", "RUNNING")
    store.see("twin1234", "WAIT", account="lab")
    store.live()


def start(*arguments: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """`python -m watcher ...` in a process of its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WATCHER_", "CLOVA_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "watcher", *arguments],
        cwd=folder,
        env={**env, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background task ignores Ctrl-C, and so would whatever it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def finished(process: subprocess.Popen[str], seconds: float = 30.0) -> Said:
    out, err = process.communicate(timeout=seconds)
    return Said(process.returncode, out, err)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, capsys)
