"""CPU per observation with single GETs, against a bare loop that gets and decodes the same answers."""

from __future__ import annotations

import asyncio
import json
import statistics

import httpx2

from bench.core import KEY, account, core_with, cpu
from bench.upstream import process, task_id

TASKS, ROUNDS, GOAL = 400, 5, 1.2


def run() -> None:
    asyncio.run(_compare("nothing changed", f"goal {GOAL}"))
    asyncio.run(_compare("every step changed", "no goal: one transaction each", "changing"))


async def _compare(title: str, goal: str, *options: str) -> None:
    tasks = [task_id(number) for number in range(TASKS)]
    with process(*options) as url:
        async with core_with({"accounts": {"main": account(url)}, "tasks": tasks}) as core:
            sweeper = core.sweepers["main"]
            async with httpx2.AsyncClient() as client:
                await sweeper.look_at_all()
                await _bare(client, url)
                pairs = []
                for _ in range(ROUNDS):
                    bare = await cpu(_bare(client, url))
                    ours = await cpu(sweeper.look_at_all())
                    pairs.append((ours / bare, ours, bare))
    ratio, ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"single GET, {title:18} {ratio:5.2f}x CPU per observation ({goal}): "
        f"{ours / TASKS * 1e6:.0f} µs against {bare / TASKS * 1e6:.0f} µs"
    )


async def _bare(client: httpx2.AsyncClient, url: str) -> None:
    for number in range(TASKS):
        address = f"{url}/tuning/v2/tasks/{task_id(number)}"
        json.loads((await client.get(address, headers={"Authorization": f"Bearer {KEY}"})).content)
