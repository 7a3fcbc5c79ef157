"""The receivers that the documents show take what the watcher really sends, once each, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import runpy
import shutil
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support.channels import delivery, setting
from tests.support.daemon import until
from tests.support.http import receiving
from tests.support.webhook_docs import FOLDER
from watcher.models import Accepted, Event, Outcome, Retry
from watcher.notifier.channels.webhook import WebhookChannel
from watcher.redact import Redactor
from watcher.views import cloud_event

SECRETS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
OLD, NEW = SECRETS
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: apt install openssl")


async def sent(url: str, *secrets: str, event: Event | None = None, id: str = "dlv-7") -> Outcome:  # noqa: A002
    channel = WebhookChannel(setting(url, secret=secrets), redactor=Redactor(), timeout=20)
    try:
        return await channel.send(delivery(event or "task.failed", id=id))
    finally:
        await channel.aclose()


@contextmanager
def python_receiver(folder: Path, secret: str) -> Iterator[tuple[str, Path]]:
    """Its address, and the file that has a line for each event that it handled."""
    out, handled = folder / "python.out", folder / "seen.txt"
    command = [sys.executable, str(FOLDER / "receiver.py"), "--port", "0", "--seen", str(handled)]
    out.unlink(missing_ok=True)
    with out.open("wb") as file:
        process = subprocess.Popen(command, env={**os.environ, "WEBHOOK_SECRET": secret}, stdout=file)
    try:
        until(lambda: out.read_text().endswith("\n"), "it listens")
        yield out.read_text().strip().removeprefix("listening on "), handled
    finally:
        process.kill()
        process.wait()


@contextmanager
def shell_receiver(folder: Path, secret: str, *command: str, path: str | None = None) -> Iterator[tuple[str, Path]]:
    """The script behind a socket, started for each request as socat does it."""
    environment = {**os.environ, "WEBHOOK_SECRET": secret, "WEBHOOK_SEEN": str(folder / "seen")}
    if path is not None:
        environment["PATH"] = path

    class Each(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            subprocess.run(
                ["/bin/sh", str(FOLDER / "receiver.sh"), *command],
                stdin=self.request,
                stdout=self.request,
                stderr=subprocess.DEVNULL,
                env=environment,
                timeout=20,
            )

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Each) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", folder / "seen" / "events.jsonl"
        finally:
            server.shutdown()
            thread.join(10)


RECEIVERS = [
    pytest.param(python_receiver, id="python"),
    pytest.param(shell_receiver, id="shell", marks=needs_openssl),
]
each_receiver = pytest.mark.parametrize("receiver", RECEIVERS)


def handled(out: Path) -> int:
    return len(out.read_text().splitlines()) if out.exists() else 0


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def post(url: str, body: str, **headers: str) -> int:
    """A message of the id dlv-9, signed now; but for these headers, with - for _."""
    now = int(time.time())
    own = {
        "webhook-id": "dlv-9",
        "webhook-timestamp": str(now),
        "webhook-signature": Webhook(NEW).sign("dlv-9", at(now), body),
    }
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
        return (await client.post(url, content=body.encode(), headers=own | changed)).status_code


BODY = json.dumps(cloud_event(delivery().event))


@pytest.mark.anyio
async def test_while_secrets_change_a_receiver_with_either_takes_the_message() -> None:
    with receiving() as receiver:
        await sent(receiver.url, OLD, NEW)
    (got,) = receiver.seen
    signatures = got.headers["webhook-signature"].split(" ")
    for secret, (own, other) in ((OLD, signatures), (NEW, reversed(signatures))):
        assert Webhook(secret).verify(got.body, got.headers)["type"] == "task.failed"
        assert Webhook(secret).verify(got.body, got.headers | {"webhook-signature": own})
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(got.body, got.headers | {"webhook-signature": other})


@each_receiver
@pytest.mark.anyio
async def test_what_is_signed_is_taken_and_handled_once(receiver: Any, tmp_path: Path) -> None:
    with receiver(tmp_path, NEW) as (url, out):
        for secrets in ((NEW,), (NEW,), (OLD, NEW)):
            assert await sent(url, *secrets) == Accepted("HTTP 204")
        assert handled(out) == 1
        assert await sent(url, NEW, event=replace(delivery().event, id="another"), id="dlv-8") == Accepted("HTTP 204")
        assert handled(out) == 2
    with receiver(tmp_path, NEW) as (url, out):
        assert await sent(url, NEW) == Accepted("HTTP 204")
    assert handled(out) == 2, "a restart forgets nothing"


@each_receiver
@pytest.mark.anyio
@pytest.mark.parametrize("secrets", [OLD, NEW, f"{OLD} {NEW}"], ids=["old", "new", "both"])
async def test_either_secret_takes_what_both_sign(receiver: Any, secrets: str, tmp_path: Path) -> None:
    with receiver(tmp_path, secrets) as (url, out):
        assert await sent(url, OLD, NEW) == Accepted("HTTP 204")
        assert handled(out) == 1


NOT_OURS = {
    "another secret": {"webhook_signature": Webhook(OLD).sign("dlv-9", at(int(time.time())), BODY)},
    "another id": {"webhook_id": "dlv-10"},
    "another time": {"webhook_timestamp": str(int(time.time()) + 7)},
    "a time that is none": {"webhook_timestamp": "soon"},
    "no signature": {"webhook_signature": ""},
    "an empty signature": {"webhook_signature": "v1,"},
    "a made-up signature": {"webhook_signature": f"v1,{'A' * 43}="},
}


@each_receiver
@pytest.mark.anyio
@pytest.mark.parametrize("what", NOT_OURS)
async def test_nothing_else_is_taken(receiver: Any, what: str, tmp_path: Path) -> None:
    with receiver(tmp_path, NEW) as (url, out):
        assert await post(url, BODY, **NOT_OURS[what]) == 401
        assert handled(out) == 0
        assert await post(url, BODY) == 204
        assert handled(out) == 1


@each_receiver
@pytest.mark.anyio
async def test_a_changed_body_an_old_message_and_one_from_the_future_are_not_taken(
    receiver: Any, tmp_path: Path
) -> None:
    now, signer = int(time.time()), Webhook(NEW)
    with receiver(tmp_path, NEW) as (url, out):
        assert await post(url, BODY + " ", webhook_signature=signer.sign("dlv-9", at(now), BODY)) == 401
        for seconds in (-302, 400):
            signature = signer.sign("dlv-9", at(now + seconds), BODY)
            stamped = {"webhook_timestamp": str(now + seconds), "webhook_signature": signature}
            assert await post(url, BODY, **stamped) == 401
        assert await post(url, BODY, webhook_signature=signer.sign("dlv-9", at(now), BODY).replace("v1", "v2")) == 401
        assert handled(out) == 0
        assert await sent(url, OLD) == Retry("HTTP 401")
        assert await sent(url) == Retry("HTTP 401")


@each_receiver
@pytest.mark.anyio
async def test_any_bytes_are_taken_and_huge_bodies_are_not(receiver: Any, tmp_path: Path) -> None:
    event = delivery().event
    name = "학습 \x00 ' \" $(id) `id` \\ %s 🚀"
    event = replace(event, id="wide", subject={**(event.subject or {}), "name": name})
    with receiver(tmp_path, NEW) as (url, out):
        assert await sent(url, NEW, event=event, id="dlv-w") == Accepted("HTTP 204")
        assert handled(out) == 1
        large = replace(event, id="large", details={"reason": "x" * 1_100_000})
        assert await sent(url, NEW, event=large, id="dlv-l") != Accepted("HTTP 204")
        assert handled(out) == 1


@needs_openssl
@pytest.mark.anyio
async def test_what_the_shells_handler_fails_at_is_tried_again(tmp_path: Path) -> None:
    handler = tmp_path / "on-event"
    handler.write_text(f"#!/bin/sh\n[ -e {tmp_path}/mended ] && cat >{tmp_path}/got\n")
    handler.chmod(0o755)
    with shell_receiver(tmp_path, NEW, str(handler)) as (url, _):
        assert await sent(url, NEW) == Retry("HTTP 500")
        (tmp_path / "mended").touch()
        assert await sent(url, NEW) == Accepted("HTTP 204")
    assert json.loads((tmp_path / "got").read_text())["type"] == "task.failed"


@needs_openssl
@pytest.mark.anyio
@pytest.mark.parametrize("broken", ["openssl is missing", "openssl fails", "the secret is none"])
async def test_a_shell_receiver_that_cannot_verify_accepts_nothing(broken: str, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "od", "tr", "head", "mkdir", "date", "mktemp", "rm"):
        (folder / name).symlink_to(shutil.which(name) or name)
    if broken == "openssl fails":
        (folder / "openssl").write_text("#!/bin/sh\nexit 1\n")
        (folder / "openssl").chmod(0o755)
    if broken == "the secret is none":
        (folder / "openssl").symlink_to(shutil.which("openssl") or "")
    secret = "whsec_" if broken == "the secret is none" else NEW
    with shell_receiver(tmp_path, secret, path=str(folder)) as (url, out):
        assert [await post(url, BODY, webhook_signature=each) for each in ("v1,", "v1")] == [401, 401]
        assert await post(url, BODY) == 401
    assert handled(out) == 0


@needs_openssl
@pytest.mark.anyio
async def test_an_id_that_leads_elsewhere_makes_no_file_though_it_is_signed(tmp_path: Path) -> None:
    now = int(time.time())
    signed = {"webhook_timestamp": str(now), "webhook_signature": Webhook(NEW).sign("../x", at(now), BODY)}
    with shell_receiver(tmp_path, NEW) as (url, out):
        assert await post(url, BODY) == 204
        assert await post(url, BODY, webhook_id="../x", **signed) == 401
    assert handled(out) == 1
    assert not (tmp_path / "x").exists()


def test_the_same_event_twice_at_the_same_time_is_handled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = runpy.run_path(str(FOLDER / "receiver.py"))
    handling, times = threading.Event(), []
    seen = made["Seen"](tmp_path / "seen.txt")

    def handle(event: Any) -> None:
        times.append(event["id"])
        handling.wait(0.1)

    monkeypatch.setitem(made["Seen"].once.__globals__, "handle", handle)
    threads = [threading.Thread(target=seen.once, args=({"id": "1"},)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    seen._file.close()
    assert times == ["1"]


@pytest.mark.anyio
async def test_eight_at_once_are_handled_once_each(tmp_path: Path) -> None:
    with python_receiver(tmp_path, NEW) as (url, out):
        events = [replace(delivery().event, id=f"event-{n % 4}") for n in range(8)]
        outcomes = await asyncio.gather(*(sent(url, NEW, event=e, id=f"dlv-{n}") for n, e in enumerate(events)))
        assert outcomes == [Accepted("HTTP 204")] * 8
        assert handled(out) == 4


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!", f"{NEW} whsec_AAAA"])
def test_a_receiver_without_a_usable_secret_does_not_start(secret: str) -> None:
    command = [sys.executable, str(FOLDER / "receiver.py"), "--port", "0"]
    environment = {**os.environ, "WEBHOOK_SECRET": secret}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1
    assert "WEBHOOK_SECRET" in ended.stderr
