"""What delivering costs over a bare send, and what a dead channel costs the others."""

from __future__ import annotations

import asyncio
import json
import ssl
import statistics
import tempfile
import time
from datetime import UTC, datetime
from typing import Any

import httpx2
from sqlalchemy import Connection

from bench.core import account, core_with, cpu
from bench.upstream import Server, process
from watcher.app import build_channels
from watcher.engine.core import Core
from watcher.models import Draft, Window
from watcher.notifier.channels import apprise
from watcher.notifier.render import render
from watcher.state.record import record_drafts
from watcher.state.telling import Settled
from watcher.views import cloud_event

EVENTS, ROUNDS = 304, 5
EVENTS_TLS = 64
"""apprise by itself takes long to greet over TLS."""

GOALS = {"native webhook": 1.3, "through apprise": 1.2}
BACKLOG, GOAL_DELAY, GOAL_CORE = 10_000, 50, 1.0


def run() -> None:
    for tls in (False, True):
        asyncio.run(_overhead("native webhook", "http", tls=tls))
        asyncio.run(_overhead("through apprise", "json", tls=tls))
    asyncio.run(_dead_neighbour())


async def _overhead(title: str, scheme: str, *, tls: bool) -> None:
    """Ours beside a bare send, in turn. apprise by itself can't be told to trust a certificate of our own, so over
    TLS neither of the two checks it."""
    with tempfile.TemporaryDirectory() as folder, process(*([f"tls={folder}"] if tls else [])) as url:
        address = url.replace("http", scheme, 1) + "/hook" + ("?verify=no" if scheme == "json" else "")
        more = {"ca_file": f"{folder}/cert.pem"} if tls else {}
        async with _core(url, {"bench": {"url": address, "events": ["*"]}}, **more) as core:
            await _tell(core, 8)
            await core.lanes["bench"].drain()
            pairs, count = [], EVENTS_TLS if tls else EVENTS
            for _ in range(ROUNDS):
                await _tell(core, count)
                bare = await cpu(
                    _bare_webhook(url, count, more)
                    if scheme == "http"
                    else asyncio.to_thread(_bare_chat, address, count)
                )
                ours = await cpu(core.lanes["bench"].drain())
                pairs.append((ours / bare, ours, bare))
    ratio, ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"delivering, {title + (' over TLS' if tls else ''):24} {ratio:5.2f}x CPU per message (goal {GOALS[title]}): "
        f"{ours / count * 1e6:.0f} µs against {bare / count * 1e6:.0f} µs of a bare send",
        flush=True,
    )


async def _bare_webhook(url: str, count: int, trust: dict[str, str]) -> None:
    """Eight at once, as the lane has them: render, post, read the answer."""
    event = _example()
    context = ssl.create_default_context(cafile=trust.get("ca_file"))
    async with httpx2.AsyncClient(timeout=30.0, trust_env=False, verify=context) as client:

        async def some() -> None:
            for _ in range(count // 8):
                body = json.dumps(cloud_event(event)).encode()
                headers = {"Content-Type": "application/cloudevents+json"}
                (await client.post(f"{url}/hook", content=body, headers=headers)).raise_for_status()

        await asyncio.gather(*(some() for _ in range(8)))


def _bare_chat(address: str, count: int) -> None:
    """apprise by itself, with the same words."""
    shown = render(_example(), kind="chat", language="en", timezone="Asia/Seoul")
    target = apprise.load("bare", address)
    for _ in range(count):
        if not target.notify(title=shown.title, body=shown.body):
            raise RuntimeError("apprise didn't deliver")


async def _dead_neighbour() -> None:
    """A dead channel with a backlog beside one that is well: what it adds to each message, and what it costs alone."""
    arrived: dict[int, float] = {}

    def receive(_method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/dead":
            return 503, b"no"
        arrived.setdefault(len(arrived), time.monotonic())
        return 200, b"ok"

    server = await asyncio.to_thread(Server, receive)
    channels = {
        "dead": {"url": f"{server.url}/dead", "events": ["*"]},
        "well": {"url": f"{server.url}/well", "events": ["task.*"]},
    }
    try:
        async with _core(server.url, channels) as core:
            alone = await _delays(core, arrived, "well")
            await _tell(core, BACKLOG, "watcher.gap", hearers=("dead",))
            lane = asyncio.create_task(core.lanes["dead"].run())
            await asyncio.sleep(3.0)
            beside = await _delays(core, arrived, "well")
            idle = await cpu(asyncio.sleep(20.0))
            await core.lanes["dead"].stop(0.0)
            await lane
    finally:
        server.stop()
    added = _p99(beside) - _p99(alone)
    print(
        f"dead channel with {BACKLOG:,} waiting: delays a healthy one by {added:.1f} ms p99 (goal {GOAL_DELAY} ms; "
        f"{_p99(alone):.1f} ms alone), {idle / 20 * 100:.2f} % of a core (goal {GOAL_CORE} %)"
    )


async def _delays(core: Core, arrived: dict[int, float], channel: str) -> list[float]:
    """Milliseconds from the commit of each event to its arrival."""
    lane = asyncio.create_task(core.lanes[channel].run())
    delays = []
    for _ in range(200):
        count = len(arrived)
        await _tell(core, 1, hearers=(channel,))
        committed = time.monotonic()
        core.lanes[channel].wake()
        while len(arrived) == count:  # noqa: ASYNC110 - the receiver is on another thread
            await asyncio.sleep(0.0005)
        delays.append((arrived[count] - committed) * 1000)
    await core.lanes[channel].stop(1.0)
    await lane
    core.add_channel(core.lanes[channel].channel)
    return delays


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


class _core:  # noqa: N801 - reads as the context manager that it is
    """A core with its channels built."""

    def __init__(self, url: str, channels: dict[str, Any], **more: Any) -> None:
        self._made = core_with(
            {
                **more,
                "accounts": {"main": account(url)},
                "tasks": ["t0000001"],
                "channels": channels,
                "delivery": {"digest_after": None},
            }
        )

    async def __aenter__(self) -> Core:
        core = await self._made.__aenter__()
        for channel in (await build_channels(core.settings, core.redactor)).values():
            core.add_channel(channel)
        return core

    async def __aexit__(self, *error: Any) -> None:
        await self._made.__aexit__(*error)


async def _tell(core: Core, count: int, type_: str = "task.progress", hearers: tuple[str, ...] = ("bench",)) -> None:
    """So many events for these channels, about as many tasks."""

    def record(tx: Connection, settled: Settled) -> Any:
        from dataclasses import replace

        facts = replace(settled, hearers=lambda _event: dict.fromkeys(hearers, "bench"))
        return record_drafts(tx, facts, [_draft(type_, number) for number in range(count)])

    await core.ledger.record(record)


def _draft(type_: str, number: int) -> Draft:
    now = datetime.now(tz=UTC)
    if not type_.startswith("task."):
        return Draft(type_, Window(None, now), account=f"a{number}", details={"count": 1})
    return Draft(type_, Window(None, now), account="main", task=f"t{number:07d}", details={"percent": 50})


def _example() -> Any:
    from watcher.notifier.samples import sample_event

    return sample_event("task.progress")
