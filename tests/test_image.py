"""The image is really built, and really run as a strict cluster would run it. CONTRACT section 7."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.containers import IMAGE, LIMITS, RESTRICTED, Containers, containers, missing
from watcher import __version__

if missing() and os.environ.get("CI") != "true":
    pytest.skip(missing(), allow_module_level=True)
pytestmark = [pytest.mark.first, pytest.mark.long]
KEY = "nv-canary-of-the-image-test"


@pytest.fixture(scope="module")
def machine() -> Iterator[Containers]:
    if reason := missing():
        pytest.fail(reason)
    with containers() as made:
        made.build()
        yield made


def inside(machine: Containers, script: str) -> str:
    return machine.podman("run", "--rm", *RESTRICTED, "--entrypoint=python", IMAGE, "-c", script)


def test_the_image_says_how_it_is_run(machine: Containers) -> None:
    image = machine.inspect("image", IMAGE)
    config = image["Config"]
    environment = dict(item.split("=", 1) for item in config["Env"])
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["watcher"], ["run"])
    assert config["WorkingDir"] == "/data"
    assert (set(config["Volumes"]), set(config["ExposedPorts"])) == ({"/data"}, {"8080/tcp"})
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert image["Healthcheck"]["Test"] == ["CMD", "watcher", "health"]
    assert environment["WATCHER_STORE"] == "sqlite:////data/watcher.db"
    assert (environment["WATCHER_HTTP__HOST"], environment["WATCHER_HTTP__PORT"]) == ("0.0.0.0", "8080")
    assert not any(name.startswith("PIP_") for name in environment)


def test_it_runs_as_a_nobody_who_can_write_only_its_data(machine: Containers) -> None:
    script = """
import os
print(os.getuid(), os.getgid(), os.getcwd())
for folder in ("/", "/tmp", "/var/tmp", "/etc/watcher", "/app", "/data"):
    try:
        open(folder + "/probe", "w").close()
    except OSError:
        continue
    print(folder)
print(open("/proc/self/status").read().partition("CapEff:")[2].split()[0])
"""
    assert inside(machine, script).splitlines() == ["10001 10001 /data", "/data", "0000000000000000"]


def test_it_holds_what_runs_and_nothing_of_the_machine_that_built_it(machine: Containers) -> None:
    script = """
import importlib.metadata, json, pathlib, ssl, watcher
package = pathlib.Path(watcher.__file__).parent
found = importlib.metadata.distributions(path=[str(package.parent)])
config = pathlib.Path("/etc/pip.conf")
print(json.dumps({
    "names": sorted(one.name.lower().replace("_", "-") for one in found),
    "pip": config.read_text() if config.exists() else "",
    "authorities": len(ssl.create_default_context().get_ca_certs()),
    "package": sorted(path.name for path in package.iterdir()),
    "compiled": [pathlib.Path(module.__cached__).exists() for module in (watcher, json)],
}))
"""
    found = json.loads(inside(machine, script))
    locked = (Path(__file__).parents[1] / "requirements.lock").read_text()
    assert set(found["names"]) <= set(re.findall(r"^([\w.-]+)==", locked, re.MULTILINE))
    assert not {"pytest", "mypy", "ruff", "hatchling"} & set(found["names"])
    assert found["pip"] == ""
    assert found["authorities"] > 50
    assert {"log.py", "state", "locale"} <= set(found["package"])
    assert found["compiled"] == [True, True]


def test_it_tells_its_version(machine: Containers) -> None:
    assert __version__ in machine.podman("run", "--rm", *RESTRICTED, IMAGE, "--version")


# --- the daemon inside


def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


class Receiver:
    """A webhook's other end."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        events = self.events

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                events.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The events of one type, by id: a repeated one counts once."""
        return {event["id"]: event for event in self.events if event["type"] == kind}

    @contextmanager
    def listening(self) -> Iterator[Receiver]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


SCENARIO = f"""
keys: [{KEY}]
tasks:
  - id: czf9fbky
    name: image-test
    model: HCX-003
    timeline:
      - {{at: 0s, status: RUNNING, steps: 1000, epochs: 4, until: 100000s}}
"""


@contextmanager
def simulator(folder: Path) -> Iterator[str]:
    (folder / "scenario.yaml").write_text(SCENARIO)
    command = [sys.executable, "-m", "watcher.simulator", str(folder / "scenario.yaml"), "--port", "0"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield child.stdout.readline().removeprefix("listening on ").strip()
    finally:
        child.terminate()
        child.wait()
        child.stdout.close()


def fail_task(base_url: str) -> None:
    fields = {"status": "FAILED", "failureReason": "file.format", "message": "Invalid dataset"}
    order = json.dumps({"task": {"id": "czf9fbky", "fields": fields}}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{base_url}/simulator/control", order)).close()


def configure(folder: Path, base_url: str, hook: str) -> Path:
    etc = folder / "etc"
    etc.mkdir(mode=0o755)
    (etc / "key").write_text(KEY + "\n")
    (etc / "watcher.yaml").write_text(f"""
accounts:
  default: {{api_key_file: /etc/watcher/key, base_url: "{base_url}", queries_per_minute: 600}}
tasks: [czf9fbky]
poll: {{interval: 200ms, wait_interval: 200ms}}
channels:
  hook: {{url: "{hook}", events: ["*"]}}
log: {{level: debug}}
""")
    for path in etc.iterdir():
        path.chmod(0o644)
    return etc


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def start(machine: Containers, name: str, etc: Path, port: int, *data: str) -> None:
    mounts = (f"--volume={etc}:/etc/watcher:ro", *(data or ("--volume=watcher-data:/data",)))
    listen = ("--env=WATCHER_HTTP__HOST=127.0.0.1", f"--env=WATCHER_HTTP__PORT={port}")
    machine.podman("run", "--detach", f"--name={name}", *RESTRICTED, *mounts, *listen, IMAGE)


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def logs(machine: Containers, name: str) -> str:
    done = subprocess.run(machine.command("logs", name), capture_output=True, text=True)
    return done.stdout + done.stderr


def test_it_is_healthy_survives_sigkill_with_its_state_and_stops_cleanly(machine: Containers, tmp_path: Path) -> None:
    port = free_port()
    with Receiver().listening() as receiver, simulator(tmp_path) as upstream:
        etc = configure(tmp_path, upstream, receiver.url)
        start(machine, "first", etc, port)
        try:
            until(lambda: receiver.of("task.discovered"), "first sight told")
        except AssertionError:
            pytest.fail(f"the first container told nothing:\n{logs(machine, 'first')}")
        until(lambda: status_of(f"http://127.0.0.1:{port}/readyz") == 200, "ready")
        assert status_of(f"http://127.0.0.1:{port}/healthz") == 200
        machine.podman("exec", "first", "watcher", "health")
        machine.podman("healthcheck", "run", "first")

        machine.podman("kill", "--signal=KILL", "first")
        machine.podman("wait", "first")
        fail_task(upstream)
        start(machine, "second", etc, port)
        failed = until(lambda: receiver.of("task.failed"), "the failure told")
        (event,) = failed.values()
        assert (event["data"]["from"], event["data"]["to"]) == ("RUNNING", "FAILED")
        assert len(receiver.of("task.discovered")) == 1

        began = time.monotonic()
        machine.podman("stop", "--time=20", "second")
        assert time.monotonic() - began < 10  # 8 s, and what podman adds
        assert machine.inspect("container", "second")["State"]["ExitCode"] == 0
        assert KEY not in logs(machine, "first") + logs(machine, "second")


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (("--user=0", "--tmpfs=/memory", "--env=WATCHER_STORE=sqlite:////memory/w.db"), "lies in memory"),
        (("--user=0", "--read-only=false", "--env=WATCHER_STORE=sqlite:////srv/w.db"), "the container's own layer"),
    ],
)
def test_a_store_that_goes_with_its_container_is_warned_about(
    machine: Containers, tmp_path: Path, data: tuple[str, ...], where: str
) -> None:
    with simulator(tmp_path) as upstream:
        etc = configure(tmp_path, upstream, "http://127.0.0.1:9/hook")
        with (etc / "watcher.yaml").open("a") as file:
            file.write("http: null\n")  # the image's own settings stand above it: it listens all the same
        port = free_port()
        start(machine, "forgetful", etc, port, *data)
        try:
            until(lambda: status_of(f"http://127.0.0.1:{port}/readyz") == 200, "ready")
            machine.podman("exec", "forgetful", "watcher", "health")
            (line,) = [line for line in logs(machine, "forgetful").splitlines() if "store.location" in line]
            assert where in line
        except AssertionError:
            pytest.fail(logs(machine, "forgetful"))
        finally:
            machine.podman("rm", "--force", "--time=0", "forgetful")


def test_the_readmes_three_steps_work_as_the_owner_of_a_folder(machine: Containers, tmp_path: Path) -> None:
    folder = tmp_path / "watching"
    folder.mkdir()
    os.chown(folder, 1234, 1234)
    mine = ("--user=1234:1234", f"--volume={folder}:/data", *LIMITS)
    with Receiver().listening() as receiver, simulator(tmp_path) as upstream:
        answers = f"{KEY}\n\n{receiver.url}\n\n"
        said = machine.podman("run", "--rm", "-i", *mine, IMAGE, "init", "--base-url", upstream, given=answers)
        assert "team  ok" in said
        assert "reachable" in machine.podman("run", "--rm", *mine, IMAGE, "check", "--online")
        listen = f"--env=WATCHER_HTTP__PORT={free_port()}"
        machine.podman("run", "-d", "--name=mine", "--read-only", "--cap-drop=all", *mine, listen, IMAGE)
        until(lambda: receiver.of("watcher.started"), "the start told")
        machine.podman("stop", "--time=20", "mine")
    files = {path.name: path.stat() for path in [*folder.iterdir(), *(folder / "secrets").iterdir()]}
    private = [name for name, stat in files.items() if stat.st_mode & 0o777 == 0o600]
    assert {"watcher.db", "clova_api_key", "team_url"} <= set(private)
    assert {stat.st_uid for stat in files.values()} == {1234}
