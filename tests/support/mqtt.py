"""A real MQTT broker: Debian's mosquitto, with one user, and somebody who listens."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.daemon import until
from tests.support.http import free_port
from tests.support.mailserver import listens, make_certificate

USER, PASSWORD = "watcher", "hunter2hunter2"
_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def missing() -> str:
    """Why no broker can be started here; "" if one can."""
    lacking = [
        tool for tool in ("mosquitto", "mosquitto_passwd", "openssl") if shutil.which(tool, path=_PLACES) is None
    ]
    return f"{', '.join(lacking)} missing: make test-deps" if lacking else ""


class Broker:
    """On one port, however often it is started."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.safe_port = folder, free_port(), free_port()
        self.ca_file = str(folder / "cert.pem")
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "passwords").touch(0o600)
        _run("mosquitto_passwd", "-b", str(folder / "passwords"), USER, PASSWORD)
        make_certificate(folder)
        (folder / "mosquitto.conf").write_text(
            f"password_file {folder}/passwords\nallow_anonymous false\npersistence false\nuser root\nlog_dest stderr\n"
            f"listener {self.port} 127.0.0.1\n"
            f"listener {self.safe_port} 127.0.0.1\ncertfile {folder}/cert.pem\nkeyfile {folder}/key.pem\n"
        )

    def url(self, topic: str, password: str = PASSWORD, **arguments: str) -> str:
        query = "&".join(f"{name}={value}" for name, value in arguments.items())
        return f"mqtt://{USER}:{password}@127.0.0.1:{self.port}/{topic}" + (query and f"?{query}")

    def safe_url(self, topic: str) -> str:
        return f"mqtts://{USER}:{PASSWORD}@127.0.0.1:{self.safe_port}/{topic}"

    def start(self) -> None:
        command = [shutil.which("mosquitto", path=_PLACES) or "mosquitto", "-c", str(self.folder / "mosquitto.conf")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: listens(self.port), f"a broker on port {self.port}: {self.said()}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    @contextmanager
    def subscriber(self, topic: str) -> Iterator[queue.Queue[str]]:
        """What is published, for as long as somebody listens; what asks for no receipt is marked `QoS 0: `."""
        heard: queue.Queue[str] = queue.Queue()
        ready: queue.Queue[bool] = queue.Queue()
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(USER, PASSWORD)
        client.on_message = lambda _client, _data, message: heard.put(_heard(message))
        client.on_subscribe = lambda *_: ready.put(True)
        client.on_connect = lambda known, *_: known.subscribe(topic, qos=1)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        try:
            ready.get(timeout=10)
            yield heard
        finally:
            client.disconnect()
            client.loop_stop()


@contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    made = Broker(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def _heard(message: paho.MQTTMessage) -> str:
    return ("" if message.qos else "QoS 0: ") + message.payload.decode()


def _run(name: str, *arguments: Any) -> None:
    subprocess.run([shutil.which(name, path=_PLACES) or name, *arguments], check=True, capture_output=True)
