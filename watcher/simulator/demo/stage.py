"""What the demo really starts: a folder, the simulator and the watcher as processes, a receiver over HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import secrets
import shutil
import site
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

import watcher
from watcher.errors import WatcherError
from watcher.simulator.demo import story
from watcher.simulator.receiver import Receiver, receiving

PATIENCE = 30.0
"""Seconds in which a process must have said its first word."""


class Stage:
    """Everything that runs. `entries` are the receiver's; `signed` tells of each whether its signature is good."""

    def __init__(self, folder: Path, receiver: Receiver, speed: float, pace: float, port: int) -> None:
        self.folder = folder
        self.receiver = receiver
        self.simulator_url = ""
        self.created = datetime.now(UTC)
        self.signed: dict[int, bool] = {}
        self.config = folder / "watcher.yaml"
        self.store = folder / "watcher.db"
        self.started = self.created
        self._speed, self._pace, self._port = speed, pace, port
        self._secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        self._simulator: asyncio.subprocess.Process | None = None
        self._daemon: asyncio.subprocess.Process | None = None
        self._log = folder / "watcher.log"

    # ── the simulator ──

    async def start_simulator(self) -> None:
        path = self.folder / "scenario.yaml"
        path.write_text(yaml.safe_dump(story.scenario(self.created), allow_unicode=True), "utf-8")
        arguments = ("watcher.simulator", str(path), "--speed", str(self._speed))
        with (self.folder / "simulator.log").open("wb") as log:
            self._simulator = await _start(*arguments, stdout=asyncio.subprocess.PIPE, stderr=log)
        assert self._simulator.stdout is not None  # noqa: S101 - it is a pipe
        try:
            line = await asyncio.wait_for(self._simulator.stdout.readline(), PATIENCE)
        except TimeoutError:
            line = b""
        if not line.startswith(b"listening on "):
            raise _broken("the simulator didn't start", self.folder / "simulator.log")
        self.simulator_url = line.decode().removeprefix("listening on ").strip()

    async def play(self) -> story.Clock:
        """Set the story going; from now on its clock runs."""
        before = datetime.now(UTC)
        for order in story.orders(self.created):
            await asyncio.to_thread(_http, self.simulator_url, "POST", "/simulator/control", order)
        now = float((await self.simulator())["now"])
        opened = before + (datetime.now(UTC) - before) / 2
        return story.Clock(opened, self._speed, datetime.fromtimestamp(self.created.timestamp() + now, UTC))

    async def simulator(self) -> Mapping[str, Any]:
        """What it plays just now: {"now": seconds, "tasks": {id: status}}."""
        return await asyncio.to_thread(_http, self.simulator_url, "GET", "/simulator", None)

    # ── the watcher ──

    async def start_watcher(self) -> None:
        if not self.config.exists():
            url = f"{self.receiver.base_url}/hooks/{story.CHANNEL}"
            given = (self.simulator_url, url, self._secret, str(self.store), self._port, self._pace)
            self.config.write_text(yaml.safe_dump(dict(story.configuration(*given))), "utf-8")
        self.started = datetime.now(UTC)
        with self._log.open("ab") as log:
            self._daemon = await _start("watcher", "run", "--config", str(self.config), stdout=log, stderr=log)

    async def kill_watcher(self) -> None:
        """SIGKILL: it can't say goodbye."""
        if self._daemon is not None:
            self._daemon.kill()
            await self._daemon.wait()
            self._daemon = None

    def check(self) -> None:
        """Raises WatcherError when a process ended that nobody killed."""
        if self._simulator is not None and self._simulator.returncode is not None:
            raise _broken("the simulator ended unexpectedly", self.folder / "simulator.log")
        if self._daemon is not None and self._daemon.returncode is not None:
            raise _broken("the watcher ended unexpectedly", self._log)

    def silent(self) -> WatcherError:
        """For a watcher that runs and says nothing."""
        return _broken("the watcher said nothing", self._log)

    def health_url(self) -> str:
        """Where the running watcher answers, as it has logged."""
        for line in reversed(self._log.read_text("utf-8", "replace").splitlines()):
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry.get("event") == "web.listening":
                    return str(entry["url"])
        return ""

    # ── the receiver ──

    def entries(self) -> list[dict[str, Any]]:
        """Everything received so far; signatures of new ones are checked as any receiver would."""
        for number in range(len(self.signed), len(self.receiver.received)):
            entry = self.receiver.received[number]
            try:
                Webhook(self._secret).verify(entry["body"], entry["headers"])
                self.signed[number] = True
            except WebhookVerificationError:
                self.signed[number] = False
        return self.receiver.received

    async def close(self) -> None:
        """No process stays."""
        for process in (self._daemon, self._simulator):
            if process is not None and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


@contextlib.asynccontextmanager
async def stage(speed: float, pace: float, port: int) -> AsyncIterator[Stage]:
    """A stage with the receiver running; at the end every process is ended and the folder is gone."""
    folder = _folder()
    try:
        async with receiving() as receiver:
            made = Stage(folder, receiver, speed, pace, port)
            try:
                yield made
            finally:
                await made.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="watcher-demo-")).resolve()
    except OSError as error:
        raise WatcherError(
            f"the demo needs a folder for its files: {error.strerror}", "set TMPDIR to a folder that can be written"
        ) from None


async def _start(*arguments: str, stdout: Any, stderr: Any) -> asyncio.subprocess.Process:
    """A Python of ours; in its own session, so that a Ctrl-C at the terminal reaches only the demo."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=_environment(), start_new_session=True,
    )  # fmt: skip


def _environment() -> dict[str, str]:
    """Without anything that configures the reader's own watcher."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WATCHER_", "CLOVA_"))}
    root = str(Path(watcher.__file__).resolve().parent.parent)
    if root not in site.getsitepackages():
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (root, env.get("PYTHONPATH"))))
    return env


def _http(base: str, method: str, path: str, body: object) -> Any:
    """One request to the simulator; no proxy of the reader's stands in between."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=10)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        said = answer.read()
    except OSError as error:
        raise WatcherError(f"the simulator doesn't answer: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise WatcherError(f"the simulator refused an order: {said.decode('utf-8', 'replace')}")
    return json.loads(said)


def _broken(what: str, log: Path) -> WatcherError:
    """What went wrong in a process: by its own `Error:` and `Try:`, else by its last lines."""
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    said = {label: text for label, _, text in (line.partition(": ") for line in lines) if label in ("Error", "Try")}
    if "Error" in said:
        return WatcherError(f"{what}: {said['Error']}", said.get("Try", ""))
    return WatcherError(what, " / ".join(lines[-3:]) or "it said nothing; start the demo again")
