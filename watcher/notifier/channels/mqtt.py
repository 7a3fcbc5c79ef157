"""MQTT, with an answer that means something.

apprise's plug-in takes a message for sent once it has left this machine, and repeats what it keeps when a broker comes
back. So its client is made anew for each message, waits for the broker's welcome and asks for a receipt (QoS 1).
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from watcher.notifier.channels.recorder import Attempt
from watcher.notifier.channels.trust import cause, why

PATIENCE = 10.0
"""Seconds to wait for a connection, and again for the broker's welcome."""


@contextmanager
def connected(plugin: Any, attempt: Attempt) -> Iterator[bool]:
    """Whether the plug-in's broker welcomed us; else `attempt.broker` says why not. Hangs up at the end."""
    client = _client(plugin, attempt)
    welcomed = _connect(client, plugin, attempt)
    if welcomed:
        plugin.client = client
        plugin._NotifyMQTT__initial_connect = False  # else it would connect once more, without waiting for a welcome
        plugin.qos = max(plugin.qos, 1)
        plugin.mqtt_block_time_sec = 0.02
    try:
        yield welcomed
    finally:
        with contextlib.suppress(OSError, ValueError):
            client.disconnect()
        client.loop_stop()


def _client(plugin: Any, attempt: Attempt) -> Any:
    paho: Any = import_module("paho.mqtt.client")
    client = paho.Client(
        import_module("paho.mqtt.enums").CallbackAPIVersion.VERSION2,
        client_id=plugin.client_id or "",
        clean_session=not plugin.session,
        protocol=plugin.mqtt_protocol,
        reconnect_on_failure=False,
    )
    client.connect_timeout = PATIENCE
    if plugin.user:
        client.username_pw_set(plugin.user, plugin.password)
    if plugin.secure:
        if plugin.verify_certificate:
            client.tls_set_context(attempt.trust)
        else:
            client.tls_set(cert_reqs=ssl.CERT_NONE)
            client.tls_insecure_set(True)
    return client


def _connect(client: Any, plugin: Any, attempt: Attempt) -> bool:
    answered = threading.Event()

    def welcome(_client: Any, _userdata: Any, _flags: Any, code: Any, _properties: Any) -> None:
        attempt.broker = f"the broker refuses us: {code}" if code.is_failure else ""
        answered.set()

    client.on_connect = welcome
    attempt.broker = "the broker didn't answer in time"
    try:
        client.connect(plugin.host, port=plugin.port, keepalive=plugin.mqtt_keepalive)
    except (OSError, ValueError) as error:
        attempt.error = cause(error) or error
        attempt.broker = why(attempt.error)
        return False
    client.loop_start()
    return answered.wait(PATIENCE) and not attempt.broker
