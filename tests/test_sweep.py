"""The observing half over real HTTP: the fake upstream on one side, a real store on the other."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import set_read_only, url
from tests.support.sweeping import Play, Watch, settings_for, watching
from tests.support.upstream import KEY as API_KEY
from watcher.engine.core import build_core
from watcher.errors import KeyRejected
from watcher.models import TaskKey
from watcher.redact import Redactor
from watcher.scheduler import sweep as module
from watcher.scheduler import watched
from watcher.scheduler.cadence import Goals
from watcher.scheduler.clock import Clock, Wake
from watcher.scheduler.sweep import Sweeper
from watcher.simulator import Simulator
from watcher.state.reader import Reader
from watcher.state.store import open_reader, open_store

pytestmark = pytest.mark.anyio

TASK = "czf9fbky"
RUNNING = [{"status": "RUNNING", "steps": 100, "until": 1_000_000}]


def tasks(*ids: str, **more: Any) -> dict[str, Any]:
    """A scenario of tasks that stay RUNNING until the test changes them."""
    listed = [{"id": id_, "timeline": RUNNING, **more} for id_ in ids or (TASK,)]
    return {"keys": [API_KEY], "tasks": listed}


# ── seeing changes ──


async def test_a_change_of_status_is_told_with_the_times_between_which_it_happened(play: Play, tmp_path: Path) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        sim.set_task(TASK, status="FAILED", statusInfo={"failureReason": "clops.error"})
        await watch.look()
        event = watch.reader.events()[-1]
        assert (event.type, event.failure and event.failure.reason) == ("task.failed", "clops.error")
        assert event.window.after is not None
        assert event.window.after <= event.window.before


async def test_a_restart_in_between_tells_the_change_once(play: Play, tmp_path: Path) -> None:
    async with play(tasks()) as sim:
        async with watching(sim, tmp_path, TASK) as watch:
            await watch.look()
        sim.set_task(TASK, status="SUCCEEDED")
        for _ in range(2):
            async with watching(sim, tmp_path, TASK) as watch:
                await watch.look()
        async with watching(sim, tmp_path, TASK) as watch:
            assert watch.told() == ["task.succeeded"]


# ── unchanged answers (RULE 9) ──


async def test_unchanged_answers_cost_no_transaction(play: Play, tmp_path: Path) -> None:
    async with play(tasks("a", "b", "c")) as sim, watching(sim, tmp_path, "a", "b", "c") as watch:
        await watch.look()
        writes, queries = watch.writes, len(sim.log)
        for _ in range(5):
            await watch.look()
        assert (watch.writes, len(sim.log)) == (writes, queries + 15)


async def test_an_unchanged_answer_is_still_remembered_as_last_seen(play: Play, tmp_path: Path) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        assert watch.sweeper.unwritten() == []
        await watch.look()
        (unwritten,) = watch.sweeper.unwritten()
        stored = watch.task()
        assert stored is not None
        assert unwritten.seen is not None
        assert unwritten.seen > stored.seen


async def test_the_first_change_after_unchanged_answers_has_a_narrow_window(play: Play, tmp_path: Path) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        await watch.look()
        last = watch.sweeper.unwritten()[0].seen
        sim.set_task(TASK, status="FAILED")
        await watch.look()
        after = watch.reader.events()[-1].window.after
        assert last is not None
        assert after is not None
        assert abs((after - last).total_seconds()) < 0.002


async def test_what_couldnt_be_written_isnt_believed_and_is_seen_again(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "STALLED_PAUSE", 0.0)
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        sim.set_task(TASK, status="FAILED")
        set_read_only(watch.database, True)
        for _ in range(3):
            assert (await watch.look()).failed == 1
        set_read_only(watch.database, False)
        assert watch.told() == []
        await watch.look()
        assert watch.told() == ["task.failed"]


async def test_a_store_that_stalls_drops_the_digest_so_that_the_old_answer_is_compared_again(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "STALLED_PAUSE", 0.0)
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        sim.set_task(TASK, name="renamed")
        set_read_only(watch.database, True)
        await watch.look()
        set_read_only(watch.database, False)
        assert watch.sweeper.tracked[TaskKey("main", TASK)].digest == b""


@pytest.mark.parametrize("kind", ["http_503", "unauthorized"])
async def test_a_stalled_store_ends_no_loop_whatever_the_upstream_answers(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(watched, "STALLED_PAUSE", 0.0)
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        sim.fault(kind)
        set_read_only(watch.database, True)
        await watch.look()


@pytest.mark.parametrize("kind", ["http_503", "unauthorized"])
async def test_a_stalled_store_ends_no_loop_of_an_idle_account_either(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(watched, "STALLED_PAUSE", 0.0)
    async with play(tasks()) as sim, watching(sim, tmp_path) as watch:
        sim.fault(kind)
        set_read_only(watch.database, True)
        await watch.look()


# ── a stale upstream (RULE 2) ──


async def test_an_older_answer_is_settled_by_one_get_that_counts_as_true(play: Play, tmp_path: Path) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        sim.set_task(TASK, status="WAIT", updatedDate="2020-01-01T00:00:00+0900")
        queries = len(sim.log)
        await watch.look()
        assert watch.told() == ["task.requeued"]
        assert watch.asked()[queries:] == [f"/{TASK}"] * 2


async def test_once_settled_an_older_date_costs_no_second_get(play: Play, tmp_path: Path) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        sim.set_task(TASK, updatedDate="2020-01-01T00:00:00+0900")
        await watch.look()
        queries = len(sim.log)
        await watch.look()
        assert len(sim.log) == queries + 1


# ── answers that aren't (RULE 4) ──

GARBAGE = [
    "wrong_id", "no_status", "no_result", "duplicate_keys", "bad_json", "deep_json", "invalid_utf8", "garbage",
    "truncated", "html", "html_404", "html_502", "empty", "empty_502", "redirect", "reset", "close", "oversized",
    "bad_request", "request_timeout", "rate_limited", "server_error", "not_implemented", "gateway_timeout",
    "envelope_50000", "envelope_42901",
]  # fmt: skip


@pytest.mark.parametrize("kind", GARBAGE)
async def test_an_answer_that_is_none_changes_nothing_and_the_next_counts(
    play: Play, tmp_path: Path, kind: str
) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        before = watch.task()
        sim.fault(kind)
        report = await watch.look()
        assert (report.failed, watch.told(), watch.task()) == (1, [], before)
        sim.clear_faults()
        sim.set_task(TASK, status="SUCCEEDED")
        await watch.look()
        assert watch.told() == ["task.succeeded"]


async def test_one_poisonous_task_blinds_no_other(play: Play, tmp_path: Path) -> None:
    async with play(tasks("a", "b", "c")) as sim, watching(sim, tmp_path, "a", "b", "c") as watch:
        await watch.look()
        sim.fault("wrong_id", task="b")
        for id_ in ("a", "b", "c"):
            sim.set_task(id_, status="SUCCEEDED")
        await watch.look()
        assert {event.task for event in watch.reader.events() if event.type == "task.succeeded"} == {"a", "c"}


@pytest.mark.parametrize(
    "info",
    [
        {"trainLoss": float("nan")},
        {"trainLoss": float("inf")},
        {"currStep": 2**70},
        {"currStep": -(2**63)},
        {"totalTrainSteps": 0},
        {"message": "\u0000\u202e\x1b[31m"},
        {"endDatetime": "2026-99-99T99:99:99+0900"},
        {"currStep": "7,"},
    ],
    ids=str,
)
async def test_hostile_values_are_stored_and_invent_no_change(play: Play, tmp_path: Path, info: dict[str, Any]) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        sim.set_task(TASK, statusInfo={"currEpoch": None, **info})
        report = await watch.look()
        assert (report.failed, watch.told()) == (0, [])


# ── gone (RULE 5) ──


async def test_gone_needs_two_404s_a_minute_apart_and_no_list_that_shows_the_task(play: Play, tmp_path: Path) -> None:
    async with play(tasks(TASK, "other")) as sim, watching(sim, tmp_path, TASK, "other", lists=True) as watch:
        await watch.settle()
        sim.delete(TASK)
        await watch.settle()
        await watch.settle()
        assert watch.told() == []
        await watch.a_minute_passes(TASK)
        await watch.settle()
        assert watch.told() == ["task.gone"]
        assert watch.reader.events()[-1].details["reason"] == "not_found"
        assert "?page=0&size=100" in watch.asked()


async def test_gone_is_told_once_over_a_restart_and_its_return_is_told(play: Play, tmp_path: Path) -> None:
    async with play(tasks(TASK, "other")) as sim:
        async with watching(sim, tmp_path, TASK, "other", lists=True) as watch:
            await watch.settle()
            sim.delete(TASK)
            await watch.settle()
        async with watching(sim, tmp_path, TASK, "other", lists=True) as watch:
            await watch.a_minute_passes(TASK)
            await watch.settle()
            await watch.settle()
            assert watch.told() == ["task.gone"]
        sim.create({"id": TASK, "timeline": RUNNING})
        async with watching(sim, tmp_path, TASK, "other", lists=True) as watch:
            await watch.settle()
            assert watch.told()[1] == "task.returned"


async def test_a_404_from_a_gateway_is_never_gone(play: Play, tmp_path: Path) -> None:
    async with play(tasks(TASK, "other")) as sim, watching(sim, tmp_path, TASK, "other") as watch:
        await watch.look()
        sim.fault("html_404", task=TASK)
        for _ in range(4):
            await watch.look()
            await watch.a_minute_passes(TASK)
        stored = watch.task()
        assert watch.told() == []
        assert stored is not None
        assert stored.missing_since is None


async def test_a_task_that_a_list_still_shows_isnt_gone(play: Play, tmp_path: Path) -> None:
    async with play(tasks(TASK, "other")) as sim, watching(sim, tmp_path, TASK, "other") as watch:
        await watch.look()
        sim.fault("not_found", task=TASK)
        for _ in range(4):
            await watch.look()
            await watch.a_minute_passes(TASK)
        assert watch.told() == []


async def test_no_task_is_gone_while_all_gets_of_the_account_answer_so(play: Play, tmp_path: Path) -> None:
    ids = ("a", "b", "c")
    async with play(tasks(*ids)) as sim, watching(sim, tmp_path, *ids) as watch:
        await watch.look()
        for id_ in ids:
            sim.delete(id_)
        for _ in range(4):
            await watch.look()
            await watch.a_minute_passes(*ids)
        assert watch.told() == []


async def test_a_list_that_cant_be_had_leaves_the_doubt(play: Play, tmp_path: Path) -> None:
    async with play(tasks(TASK, "other")) as sim, watching(sim, tmp_path, TASK, "other", lists=True) as watch:
        await watch.settle()
        sim.delete(TASK)
        sim.fault("http_503", on="list")
        for _ in range(3):
            await watch.settle()
            await watch.a_minute_passes(TASK)
        assert watch.told() == []
        sim.clear_faults()
        watch.sweeper.watched.pages.answered(0)  # its rest is over
        for _ in range(3):
            await watch.settle()
            await watch.a_minute_passes(TASK)
        assert watch.told() == ["task.gone"]


async def test_seen_again_between_two_404s_the_minute_begins_anew(play: Play, tmp_path: Path) -> None:
    async with play(tasks(TASK, "other")) as sim, watching(sim, tmp_path, TASK, "other") as watch:
        await watch.look()
        for _ in range(3):
            sim.fault("not_found", task=TASK)
            await watch.look()
            await watch.a_minute_passes(TASK)
            sim.clear_faults()
            await watch.look()
        sim.delete(TASK)
        await watch.look()
        assert watch.told() == []


async def test_a_gone_task_is_looked_for_every_fifteen_minutes(play: Play, tmp_path: Path) -> None:
    async with play(tasks(TASK, "other")) as sim, watching(sim, tmp_path, TASK, "other", lists=True) as watch:
        await watch.settle()
        sim.delete(TASK)
        await watch.settle()
        await watch.a_minute_passes(TASK)
        await watch.settle()
        planned = watch.planned()
        assert planned is not None
        assert 800 < planned <= 900


# ── 403 with 40301 ──


async def test_a_task_of_another_owner_is_gone_when_the_list_answers(play: Play, tmp_path: Path) -> None:
    async with play(tasks(TASK, "other")) as sim, watching(sim, tmp_path, TASK, "other") as watch:
        await watch.look()
        sim.fault("no_ownership", task=TASK)
        queries = len(sim.log)
        await watch.look()
        event = watch.reader.events()[-1]
        assert (watch.told(), event.details["reason"]) == (["task.gone"], "no_ownership")
        assert [path for path in watch.asked()[queries:] if path.startswith("?")] == ["?page=0&size=1"]
        assert watch.sweeper.health.well


async def test_a_task_of_another_owner_isnt_gone_when_the_list_refuses_the_key(play: Play, tmp_path: Path) -> None:
    async with play(tasks(TASK, "other")) as sim, watching(sim, tmp_path, TASK, "other") as watch:
        await watch.look()
        sim.fault("no_ownership", task=TASK)
        sim.fault("unauthorized", on="list")
        await watch.look()
        assert watch.told() == []
        assert watch.sweeper.health.rejected_since is not None or watch.sweeper.health.failed == 0


# ── tasks that the account never knew ──


@pytest.mark.parametrize("kind", ["not_found", "no_ownership"])
async def test_a_listed_task_that_its_account_never_knew_makes_no_event_and_is_reported(
    play: Play, tmp_path: Path, kind: str
) -> None:
    async with play(tasks("other")) as sim, watching(sim, tmp_path, TASK, "other") as watch:
        sim.fault(kind, task=TASK)
        report = await watch.look()
        assert (list(report.unknown), report.failed, watch.told()) == ([TaskKey("main", TASK)], 0, [])
        planned = watch.planned()
        assert planned is not None
        assert planned > 800


async def test_a_task_that_appears_later_is_discovered(play: Play, tmp_path: Path) -> None:
    async with play(tasks("other")) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        sim.create({"id": TASK, "timeline": RUNNING})
        await watch.look()
        assert [event.type for event in watch.reader.events()] == ["task.discovered"]


# ── accounts ──


@pytest.mark.parametrize("kind", ["unauthorized", "token_expired", "no_subscription", "forbidden", "envelope_40104"])
async def test_an_account_is_rejected_after_two_refusals_ten_seconds_apart_and_told_once(
    play: Play, tmp_path: Path, kind: str
) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        sim.fault(kind)
        for watch.uptime in (0.0, 10.0, 310.0, 610.0):
            await watch.look()
        assert watch.told() == ["account.rejected"]
        assert watch.sweeper.health.rejected


async def test_a_task_that_the_key_may_not_see_blinds_nobody_to_the_others(play: Play, tmp_path: Path) -> None:
    async with play(tasks("a", "b")) as sim, watching(sim, tmp_path, "a", "b") as watch:
        await watch.look()
        sim.fault("forbidden", on="get", task="b")
        for watch.uptime in (0.0, 10.0, 20.0, 30.0, 40.0):
            await watch.look()
        assert watch.told() == []
        assert watch.sweeper.health.rejected_since is None
        sim.set_task("a", status="FAILED")
        for watch.uptime in (50.0, 60.0):
            await watch.look()
        assert watch.told() == ["task.failed"]


async def test_a_task_that_fails_beside_a_healthy_one_backs_off(play: Play, tmp_path: Path) -> None:
    async with play(tasks("a", "b")) as sim, watching(sim, tmp_path, "a", "b") as watch:
        await watch.look()
        sim.fault("http_500", on="get", task="b")
        for _ in range(6):
            await watch.look()
        b = watch.sweeper.tracked[TaskKey("main", "b")]
        assert b.failures == 6
        assert watch.sweeper.tracked[TaskKey("main", "a")].failures == 0


async def test_asking_all_once_goes_on_after_a_task_that_the_key_may_not_see(play: Play, tmp_path: Path) -> None:
    ids = [f"t{n}" for n in range(6)]
    async with play(tasks(*ids)) as sim, watching(sim, tmp_path, *ids) as watch:
        watch.sweeper._most = lambda: 2  # type: ignore[method-assign]
        sim.fault("forbidden", on="get", task="t0")
        await watch.sweeper.look_at_all()
        assert {task.key.id for task in watch.reader.tasks()} == set(ids) - {"t0"}


async def test_two_refusals_at_once_are_one(play: Play, tmp_path: Path) -> None:
    async with play(tasks("a", "b")) as sim, watching(sim, tmp_path, "a", "b") as watch:
        sim.fault("unauthorized")
        await watch.look()
        await watch.look()
        assert watch.told() == []


async def test_a_refused_key_isnt_tried_on_every_other_task(play: Play, tmp_path: Path) -> None:
    ids = [f"t{n}" for n in range(6)]
    async with play(tasks(*ids)) as sim, watching(sim, tmp_path, *ids) as watch:
        watch.sweeper.watched.pacer.share(400)  # slower than answers come
        sim.fault("unauthorized")
        report = await watch.look()
        assert isinstance(report.error, KeyRejected)
        assert len(sim.log) <= 2


async def test_while_a_key_is_refused_only_slow_probes_are_sent_one_query_each(play: Play, tmp_path: Path) -> None:
    async with play(tasks("a", "b", "c")) as sim, watching(sim, tmp_path, "a", "b", "c") as watch:
        await watch.look()
        sim.fault("unauthorized")
        await watch.look()
        delays = [_delay(watch)]
        watch.uptime = 10.0
        queries = len(sim.log)
        await watch.look()
        delays.append(_delay(watch))
        assert delays == [10.0, 300.0]
        assert len(sim.log) == queries + 1


async def test_a_rejected_account_recovers_with_the_first_good_answer(play: Play, tmp_path: Path) -> None:
    async with play(tasks()) as sim:
        async with watching(sim, tmp_path, TASK) as watch:
            sim.fault("unauthorized")
            for watch.uptime in (0.0, 10.0):
                await watch.look()
        async with watching(sim, tmp_path, TASK) as watch:
            watch.uptime = 20.0
            await watch.look()
            assert watch.told() == ["account.rejected"]
            sim.clear_faults()
            await watch.look()
            await watch.look()
            assert watch.told() == ["account.rejected", "account.recovered"]


@pytest.mark.parametrize("kind", ["http_503", "html", "rate_limited", "close"])
async def test_an_account_is_unreachable_after_three_failures_in_five_minutes(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        monkeypatch.setattr(watch.sweeper.watched.pacer, "limited", lambda *_: None)  # no waiting in a test
        await watch.look()
        sim.fault(kind)
        for watch.uptime in (0.0, 150.0, 299.0):
            await watch.look()
        assert watch.told() == []
        for watch.uptime in (300.0, 900.0):
            await watch.look()
        assert watch.told() == ["account.unreachable"]
        sim.clear_faults()
        await watch.look()
        assert watch.told() == ["account.unreachable", "account.recovered"]


async def test_one_task_that_fails_doesnt_make_an_account_unreachable(play: Play, tmp_path: Path) -> None:
    async with play(tasks("a", "b")) as sim, watching(sim, tmp_path, "a", "b") as watch:
        sim.fault("http_503", task="a")
        for watch.uptime in (0.0, 150.0, 300.0, 450.0):
            await watch.look()
        assert watch.told() == []


async def test_failed_polls_are_planned_further_and_further_apart_and_soon_after_the_first_good_one(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: 1.0)
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        await watch.look()
        sim.fault("http_503")
        planned = []
        for _ in range(5):
            await watch.look()
            planned.append(round(watch.planned() or 0))
        sim.clear_faults()
        await watch.look()
        planned.append(round(watch.planned() or 0))
        assert planned[:5] == [60, 120, 240, 300, 300]
        assert 28 <= planned[5] <= 30


async def test_an_account_without_tasks_that_are_due_is_asked_for_one_list_item(play: Play, tmp_path: Path) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path) as watch:
        await watch.sweeper.sweep()
        assert watch.asked() == ["?page=0&size=1"]
        assert _delay(watch) == 300.0


async def test_a_settled_task_is_never_asked_for_again(play: Play, tmp_path: Path) -> None:
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK) as watch:
        sim.set_task(TASK, status="SUCCEEDED")
        await watch.look()
        tracked = watch.sweeper.tracked[TaskKey("main", TASK)]
        assert tracked.ended_at is not None
        tracked.ended_at -= 600
        watch.sweeper.watched.due.plan(tracked.key, 0.0)
        for _ in range(3):
            await watch.sweeper.sweep()
        assert watch.asked() == [f"/{TASK}", f"/{TASK}", "?page=0&size=1", "?page=0&size=1"]


# ── the loop ──


class Hasty(Clock):
    """Rings a little early, as a clock may that is being corrected: its own tolerance is half a second."""

    def after(self, name: str, delay: float, wake: Wake) -> None:
        super().after(name, delay * 0.7, wake)


async def swept(sim: Simulator, watch: Watch, clock: Clock) -> None:
    """The loop runs until it has asked a dozen times."""
    watch.sweeper.watched.goals = Goals(0.06, 0.06, 600.0)
    loops = [asyncio.create_task(loop) for loop in (clock.run(), watch.sweeper.run())]
    async with asyncio.timeout(5):
        while len(sim.log) < 12:  # noqa: ASYNC110 - the upstream's log has nothing to wait for
            await asyncio.sleep(0.02)
    for loop in loops:
        loop.cancel()
    await asyncio.wait(loops)


async def test_an_alarm_that_rings_a_moment_early_costs_no_query(play: Play, tmp_path: Path) -> None:
    clock = Hasty()
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK, clock=clock) as watch:
        await swept(sim, watch, clock)
        assert set(watch.asked()) == {f"/{TASK}"}


async def test_a_busy_machine_wakes_no_sweep_before_its_task_is_due(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Sweeper.next_sweep

    def preempted(sweeper: Sweeper) -> float:
        time.sleep(0.01)
        return really(sweeper)

    monkeypatch.setattr(Sweeper, "next_sweep", preempted)
    clock = Clock()
    async with play(tasks()) as sim, watching(sim, tmp_path, TASK, clock=clock) as watch:
        await swept(sim, watch, clock)
        assert set(watch.asked()) == {f"/{TASK}"}


# ── a changed key (RULE 6) ──


@pytest.mark.parametrize("kind", ["not_found", "no_ownership"])
async def test_a_changed_key_that_sees_no_known_task_is_a_rejected_account_and_no_task_event(
    play: Play, tmp_path: Path, kind: str
) -> None:
    ids = ("a", "b", "c")
    other_key = API_KEY + "-of-another-account"
    async with play({**tasks(*ids), "keys": [API_KEY, other_key]}) as sim:
        await _one_sweep(sim.base_url, tmp_path, *ids, key=API_KEY)
        for id_ in ids:
            if kind == "not_found":
                sim.delete(id_)
        if kind != "not_found":
            sim.fault(kind, on="get")
        await _one_sweep(sim.base_url, tmp_path, *ids, key=other_key)
    reader = open_reader(url(tmp_path))
    told = _told(reader)
    reader.close()
    assert told == ["account.rejected"]


async def test_a_changed_key_isnt_judged_by_the_few_tasks_that_one_sweep_has_time_for(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ("a", "b", "c")
    other_key = API_KEY + "-the-new-one"
    async with play({**tasks(*ids), "keys": [API_KEY, other_key]}) as sim:
        await _one_sweep(sim.base_url, tmp_path, *ids, key=API_KEY)
        sim.delete("a")
        monkeypatch.setattr(module, "SWEEP_SECONDS", 0.0)  # one task a sweep
        await _one_sweep(sim.base_url, tmp_path, *ids, key=other_key)
    reader = open_reader(url(tmp_path))
    told = _told(reader)
    reader.close()
    assert told == []


async def _one_sweep(base_url: str, folder: Path, *ids: str, key: str) -> None:
    """A whole core, built over the store as the daemon does, that sweeps once."""
    settings = settings_for(base_url, *ids, folder=folder, key=key)
    with open_store(url(folder)) as store:
        core = await build_core(settings, store.database, {}, Redactor([key]))
        sweeper = core.sweepers["main"]
        sweeper.watched.pages.failed(times=1_000_000)  # each task by itself
        sweeper.plan_all()
        await sweeper.sweep()
        await core.release_quota()  # what this core reserved isn't the matter here
        await core.aclose()


def _delay(watch: Watch) -> float:
    return round(watch.sweeper.next_sweep() - time.monotonic())


def _told(reader: Reader) -> list[str]:
    return [event.type for event in reader.events() if event.type != "task.discovered"]
