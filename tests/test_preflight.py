"""What `check --online` says about an account whose tasks are listed, adopted, or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.upstream import running_client, running_simulator
from watcher.models import TaskKey
from watcher.preflight import look_at_account, pacer_without_store
from watcher.scheduler.adoption import Adoption
from watcher.scheduler.census import Census
from watcher.settings import Discover

KEY = "nv-test-canary-0123456789"


def task(id_: str, name: str, *statuses: str) -> dict[str, Any]:
    return {"id": id_, "name": name, "timeline": [{"status": status} for status in statuses]}


UPSTREAM: Mapping[str, Any] = {
    "keys": [KEY],
    "tasks": [
        task("czf9fbky", "support-bot v3", "RUNNING"),
        task("explr001", "exp-lr-1", "RUNNING"),
        task("explr002", "exp-lr-2", "SUCCEEDED"),
        task("oi55o2ej", "other", "WAIT"),
    ],
}


async def said(wanted: list[str], *rules: Discover) -> tuple[bool, list[str]]:
    lines: list[str] = []
    keys = [TaskKey("main", id_) for id_ in wanted]
    async with running_simulator(UPSTREAM) as upstream, running_client(upstream.base_url) as client:
        census = Census(client, pacer_without_store(6000.0))
        well = await look_at_account("main", keys, census, lines.append, Adoption(rules))
    return well, lines


@pytest.mark.anyio
async def test_with_rules_alone_every_visible_task_counts_and_those_that_are_adopted() -> None:
    line = "✓ account main    4 tasks visible, discover adopts 2 (1 unfinished)"
    assert await said([], Discover(name=("exp-*",))) == (True, [line])


@pytest.mark.anyio
async def test_listed_tasks_arent_counted_as_adopted() -> None:
    line = "✓ account main    1 task visible, discover adopts 3 more (2 unfinished)"
    assert await said(["czf9fbky"], Discover(name=("*",))) == (True, [line])


@pytest.mark.anyio
async def test_rules_of_another_account_say_nothing_about_this_one() -> None:
    line = "✓ account main    1 task visible"
    assert await said(["czf9fbky"], Discover(account="lab", name=("*",))) == (True, [line])


@pytest.mark.anyio
async def test_a_listed_id_that_isnt_there_is_said_with_its_nearest() -> None:
    assert await said(["czf9fbk", "oi55o2ej"], Discover(name=("exp-*",))) == (
        False,
        [
            "✓ account main    1 of 2 tasks visible, discover adopts 2 more (1 unfinished)",
            "✗ task czf9fbk    unknown to main. Did you mean czf9fbky?",
        ],
    )
