"""CPU per observation by list page, against bare loops that fetch and decode the same pages.

The goal is against a loop with the same client, which is the dearer of the two to beat; a plain httpx2.AsyncClient, as
one would write it at first, stands beside it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time

import httpx2

from bench.core import KEY, account, bare_client, core_with, cpu
from bench.upstream import process, task_id
from watcher.clova import Client
from watcher.scheduler.sweep import Report, Sweeper

TASKS, SIZE, ROUNDS = 1_000, 100, 15
PAGES = TASKS // SIZE
GOALS = {"nothing changed": 1.3, "every step changed": 3.0}


def run() -> None:
    asyncio.run(_compare("nothing changed"))
    asyncio.run(_compare("every step changed", "changing"))


async def _compare(title: str, *options: str) -> None:
    tasks = [task_id(number) for number in range(TASKS)]
    with process(f"tasks={TASKS}", *options) as url:
        async with (
            core_with({"accounts": {"main": account(url)}, "tasks": tasks}) as core,
            httpx2.AsyncClient() as http,
        ):
            client, rounds = bare_client(url), []
            for _ in range(ROUNDS + 2):
                ours, reports = await _measured(core.sweepers["main"])
                queries = sum(report.asked for report in reports)
                rounds.append((ours, await cpu(_same_client(client)), await cpu(_plain(http, url)), queries))
            await client.aclose()
    _print(title, rounds[2:])  # in the first ones it learns where the tasks are


def _print(title: str, rounds: list[tuple[float, float, float, int]]) -> None:
    ours, same, plain = (statistics.median(column) / TASKS * 1e6 for column in list(zip(*rounds, strict=True))[:3])
    ratio = statistics.median(mine / bare for mine, bare, _, _ in rounds)
    against_plain = statistics.median(mine / bare for mine, _, bare, _ in rounds)
    print(
        f"list page, {title:18} {ratio:5.2f}x CPU per observation (goal {GOALS[title]}): {ours:.1f} µs against "
        f"{same:.1f} µs; {against_plain:.2f}x of a plain httpx2 loop ({plain:.1f} µs)"
    )
    most = max(queries for *_, queries in rounds)
    if most != PAGES:
        print(f"  not by list page alone: {most} queries for {PAGES} pages")


async def _measured(sweeper: Sweeper) -> tuple[float, list[Report]]:
    started = time.process_time()
    reports = await sweeper.look_at_all()
    return time.process_time() - started, reports


async def _same_client(client: Client) -> None:
    for number in range(PAGES):
        json.loads((await client.fetch_page(number, SIZE)).body)


async def _plain(http: httpx2.AsyncClient, url: str) -> None:
    for number in range(PAGES):
        address = f"{url}/tuning/v2/tasks?page={number}&size={SIZE}"
        json.loads((await http.get(address, headers={"Authorization": f"Bearer {KEY}"})).content)
