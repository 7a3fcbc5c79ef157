"""Looking at many tasks by list pages, over real HTTP: the fake upstream on one side, a real store on the other."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import set_read_only
from tests.support.sweeping import Play, Watch, settings_for, watching
from tests.support.upstream import KEY as API_KEY
from watcher.engine.core import build_core
from watcher.errors import StoreError
from watcher.models import TaskKey
from watcher.redact import Redactor
from watcher.scheduler import listing, watched
from watcher.scheduler.cadence import Goals
from watcher.scheduler.standing import Trial
from watcher.settings import Discover
from watcher.state import record
from watcher.state.store import open_store

pytestmark = pytest.mark.anyio

RUNNING = [{"status": "RUNNING", "steps": 100, "until": 1_000_000}]
IDS = tuple(f"t{n:04d}" for n in range(250))
FEW = ("a", "b", "c")


def tasks(*ids: str, **more: Any) -> dict[str, Any]:
    """A scenario of tasks that stay RUNNING until the test changes them."""
    return {"keys": [API_KEY], "tasks": [{"id": id_, "timeline": RUNNING} for id_ in ids], **more}


def queries(watch: Watch, since: int = 0) -> list[str]:
    """What was asked since then: `p0` for a page, an id for a GET."""
    asked = watch.asked()[since:]
    return [f"p{path.split('page=')[1].split('&')[0]}" if path.startswith("?") else path[1:] for path in asked]


# ── the cheapest queries ──


async def test_tasks_that_share_pages_are_looked_at_by_pages(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, *IDS, lists=True) as watch:
        await watch.settle()
        assert sorted(queries(watch)) == ["p0", "p1", "p2"]
        before = len(sim.log)
        await watch.settle()
        assert queries(watch, before) == ["p0", "p1", "p2"]
        assert {task.key.id for task in watch.reader.tasks()} == set(IDS)


async def test_a_task_alone_is_looked_at_by_itself(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, "t0100", lists=True) as watch:
        await watch.settle()
        await watch.settle()
        assert queries(watch) == ["t0100", "t0100"]


async def test_only_pages_with_due_tasks_are_read(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, *IDS, lists=True) as watch:
        await watch.settle()
        before = len(sim.log)
        shown = {page: [t.key for t in seen.watched] for page, seen in watch.sweeper.watched.pages.seen.items()}
        watch.sweeper.watched.due.plan_together(tuple(shown[1][:2]), 0.0)
        await watch.sweeper.sweep()
        assert queries(watch, before) == ["p1"]


async def test_what_the_list_doesnt_show_gets_a_get(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        sim.fault("list_hides", task="b")
        await watch.settle()
        assert queries(watch) == ["p0", "b"]
        assert {task.key.id for task in watch.reader.tasks()} == set(FEW)


async def test_tasks_are_followed_as_new_ones_push_them_down(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, *IDS, lists=True) as watch:
        await watch.settle()
        for n in range(40):
            sim.create({"id": f"new{n}", "timeline": RUNNING})
        await watch.settle()
        before = len(sim.log)
        await watch.settle()
        assert sorted(queries(watch, before)) == ["p0", "p1", "p2"]


@pytest.mark.parametrize("order", ["newest_first", "oldest_first", "by_id", "shuffled"])
async def test_every_task_is_seen_whatever_the_lists_order(play: Play, tmp_path: Path, order: str) -> None:
    scenario = tasks(*IDS, list={"order": order})
    async with play(scenario) as sim, watching(sim, tmp_path, *IDS, lists=True) as watch:
        await watch.settle()
        sim.set_task("t0123", status="WAIT")
        sim.set_task("t0001", status="WAIT")
        for _ in range(3):
            await watch.settle()
        assert watch.told() == ["task.requeued"] * 2
        assert {task.key.id for task in watch.reader.tasks()} == set(IDS)


# ── seeing changes ──


async def test_a_page_tells_changes_with_the_times_between_which_they_happened(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        await watch.settle()
        last = watch.sweeper.tracked[TaskKey("main", "b")].seen
        sim.set_task("b", status="WAIT")
        await watch.settle()
        event = watch.reader.events()[-1]
        assert (event.type, event.task) == ("task.requeued", "b")
        assert last is not None
        assert event.window.after is not None
        assert abs((event.window.after - last).total_seconds()) < 0.002
        assert event.window.after <= event.window.before


async def test_an_unchanged_page_costs_no_transaction_and_is_remembered_as_last_seen(
    play: Play, tmp_path: Path
) -> None:
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, *IDS, lists=True) as watch:
        sim.form_list(order="by_id")
        await watch.settle()
        await watch.settle()
        writes = watch.writes
        await watch.settle()
        assert watch.writes == writes
        assert len(watch.sweeper.unwritten()) == 250


async def test_a_page_is_one_transaction(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, *IDS, lists=True) as watch:
        await watch.settle()
        writes = watch.writes
        for id_ in IDS:
            sim.set_task(id_, statusInfo={"currStep": 7})
        await watch.settle()
        assert watch.writes == writes + 3


async def test_a_page_isnt_believed_to_be_known_before_it_is_written(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "STALLED_PAUSE", 0.0)
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        sim.set_task("b", status="WAIT")
        set_read_only(watch.database, True)
        watch.sweeper.plan_all()
        report = await watch.sweeper.sweep()
        assert report.stalled
        set_read_only(watch.database, False)
        await watch.settle()
        assert watch.told() == ["task.requeued"]


async def test_what_a_get_has_changed_is_no_reason_to_believe_an_old_page(play: Play, tmp_path: Path) -> None:
    """The list lags behind: its page looks as before, while the task has gone on."""
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        pages = watch.sweeper.watched.pages
        sim.set_task("b", status="WAIT")
        tracked = watch.sweeper.tracked[TaskKey("main", "b")]
        tracked.incomplete = True  # asks for a GET
        watch.sweeper.watched.due.plan(tracked.key, 0.0)
        await watch.sweeper.sweep()
        assert watch.told() == ["task.requeued"]
        assert pages.seen[0].digest == b""


async def test_an_older_copy_in_a_list_is_settled_by_a_get_that_counts(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        before = len(sim.log)
        sim.set_task("b", updatedDate="2001-01-01T00:00:00+0900", status="WAIT")
        await watch.settle()
        assert queries(watch, before) == ["p0", "b"]
        assert watch.told() == ["task.requeued"]


async def test_of_two_different_copies_on_a_page_a_get_decides(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        sim.fault("list_twice", task="b")
        sim.set_task("b", status="WAIT")
        await watch.settle()
        assert watch.told() == ["task.requeued"]


# ── an end without all its facts ──

FAILURE = {"failureReason": "file.format", "message": "Invalid dataset: required field empty. Completion"}


async def test_an_end_in_a_sparse_list_is_completed_by_one_get_before_it_is_told(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW, list={"sparse": True})) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        before = len(sim.log)
        sim.set_task("b", status="FAILED", statusInfo=FAILURE)
        await watch.settle()
        assert queries(watch, before) == ["p0", "b"]
        events = [event for event in watch.reader.events() if event.type == "task.failed"]
        assert [event.failure and event.failure.message for event in events] == [FAILURE["message"]]


async def test_a_list_that_says_everything_needs_no_get(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW, list={"sparse": False})) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        before = len(sim.log)
        sim.set_task("b", status="FAILED", statusInfo=FAILURE)
        await watch.settle()
        assert queries(watch, before) == ["p0"]
        assert watch.told() == ["task.failed"]


@pytest.mark.parametrize("fault", ["http_500", "hang", "rate_limited", "not_found"])
async def test_facts_that_cant_be_had_in_time_delay_no_event_and_amend_it_later(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(listing, "COMPLETED_WITHIN", 0.3)
    async with play(tasks(*FEW, list={"sparse": True})) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        sim.fault(fault, on="get")
        sim.set_task("b", status="FAILED", statusInfo=FAILURE)
        watch.sweeper.plan_all()
        await watch.sweeper.sweep()
        assert watch.told() == ["task.failed"]
        sim.clear_faults()
        watch.sweeper.watched.pacer._paused_until = 0.0  # what a 429 asked for isn't the matter here
        await watch.settle()
        first, amending = (event for event in watch.reader.events() if event.type == "task.failed")
        assert (first.failure and first.failure.reason, first.failure and first.failure.message) == ("file.format", "")
        assert amending.details["amends"] == first.id
        assert amending.failure is not None
        assert amending.failure.message == FAILURE["message"]
        await watch.settle()
        assert watch.told() == ["task.failed"] * 2


async def test_old_ends_that_nobody_will_be_told_of_cost_no_get_before_they_are_stored(
    play: Play, tmp_path: Path
) -> None:
    async with play(tasks(*FEW, list={"sparse": True})) as sim:
        for id_ in FEW:
            sim.set_task(id_, status="SUCCEEDED", updatedDate="2020-01-01T00:00:00+0900")
        async with watching(sim, tmp_path, *FEW, lists=True) as watch:
            await watch.settle()
            assert queries(watch) == ["p0"]


# ── odd lists ──


async def test_a_list_that_shrinks_to_nothing_loses_no_task(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        sim.fault("list_empty")
        before = len(sim.log)
        for _ in range(3):
            await watch.settle()
        assert watch.told() == []
        assert sorted(query for query in queries(watch, before) if query in FEW) == sorted([*FEW] * 3)
        sim.set_task("a", status="WAIT")
        await watch.settle()
        assert watch.told() == ["task.requeued"]


async def test_a_list_that_was_empty_for_a_while_is_asked_again_instead_of_every_task(
    play: Play, tmp_path: Path
) -> None:
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, *IDS, lists=True) as watch:
        await watch.settle()
        sim.fault("list_empty")
        for _ in range(3):
            watch.sweeper.plan_all()
            await watch.sweeper.sweep()
        sim.clear_faults()
        for page in watch.sweeper.watched.pages.seen.values():
            page.at -= 30.0
        before = len(sim.log)
        await watch.settle()
        await watch.settle()
        await watch.settle()
        assert sorted(queries(watch, before)[-3:]) == ["p0", "p1", "p2"]


async def test_a_list_that_lied_about_its_pages_for_a_while_is_read_again_instead_of_every_task(
    play: Play, tmp_path: Path
) -> None:
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, *IDS, lists=True) as watch:
        await watch.settle()
        sim.fault("list_pages", pages=1)
        watch.sweeper.plan_all()
        await watch.sweeper.sweep()
        sim.clear_faults()
        due = watch.sweeper.watched.due
        due.put_back({key: time.monotonic() - 500 for key in watch.sweeper.tracked})  # late, for lack of quota
        watch.sweeper.watched.pacer.share(240)
        before = len(sim.log)
        for _ in range(4):
            await watch.sweeper.sweep()
        assert {"p0", "p1", "p2"} <= set(queries(watch, before))


async def test_a_page_that_is_repeated_for_ever_is_read_no_further_than_it_tells_something(
    play: Play, tmp_path: Path
) -> None:
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, *IDS, lists=True) as watch:
        sim.fault("list_stuck", page=0)
        sim.fault("list_pages", pages=40)
        await watch.settle()
        assert {task.key.id for task in watch.reader.tasks()} == set(IDS)
        before = len(sim.log)
        await watch.settle()
        assert queries(watch, before).count("p0") == 1
        assert sum(query.startswith("p") for query in queries(watch, before)) <= 2
        assert watch.told() == []


@pytest.mark.parametrize("pages", [1_000_000, 0, 2**62, [3, 1, 7, 2]])
async def test_nonsense_about_the_number_of_pages_costs_few_queries_and_no_task(
    play: Play, tmp_path: Path, pages: Any
) -> None:
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, *IDS, lists=True) as watch:
        sim.fault("list_pages", pages=pages)
        for _ in range(3):
            await watch.settle()
        assert {task.key.id for task in watch.reader.tasks()} == set(IDS)
        assert watch.told() == []
        assert len(sim.log) < 3 * 250


@pytest.mark.parametrize("item", ["nothing", "text", "number", "list", "no_id", "no_status", "null_status", "twice"])
async def test_a_broken_item_among_good_ones_hides_no_other_and_is_asked_for_by_itself(
    play: Play, tmp_path: Path, item: str
) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        sim.fault("list_broken_item", task="b", item=item)
        await watch.settle()
        assert queries(watch) == ["p0", "b"]
        sim.set_task("a", status="WAIT")
        sim.set_task("b", status="WAIT")
        await watch.settle()
        assert watch.told() == ["task.requeued"] * 2


async def test_a_task_whose_facts_cant_be_stored_keeps_no_other_from_being_stored(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = record.record_observations

    def choking(tx: Any, settled: Any, seen: Any, unchanged: Any = ()) -> Any:
        if any(each.key.id == "b" for each in seen):
            raise StoreError("value too large")
        return really(tx, settled, seen, unchanged)

    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        monkeypatch.setattr(watched, "record_observations", choking)
        watch.sweeper.plan_all()
        await watch.sweeper.sweep()
        assert {task.key.id for task in watch.reader.tasks()} == {"a", "c"}
        assert watch.sweeper.tracked[TaskKey("main", "b")].failures == 1
        monkeypatch.undo()
        await watch.settle()
        assert {task.key.id for task in watch.reader.tasks()} == set(FEW)


# ── a list that can't be had ──


@pytest.mark.parametrize("fault", ["forbidden", "no_ownership", "html_404", "http_500", "garbage", "not_found"])
async def test_without_a_list_every_task_is_asked_for_by_itself(play: Play, tmp_path: Path, fault: str) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        sim.fault(fault, on="list")
        sim.set_task("b", status="WAIT")
        for _ in range(4):
            watch.sweeper.plan_all()
            await watch.sweeper.sweep()
        assert watch.told() == ["task.requeued"]
        assert watch.sweeper.health.well
        assert queries(watch).count("p0") <= 3


async def test_a_list_that_refuses_the_key_is_no_rejected_account_while_gets_work(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        sim.fault("forbidden", on="list")
        for watch.uptime in (0.0, 10.0, 20.0, 300.0):
            await watch.settle()
        assert watch.told() == []
        assert {task.key.id for task in watch.reader.tasks()} == set(FEW)


# ── gone (RULE 5) ──


async def test_a_deleted_task_is_gone_though_only_pages_were_read(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        sim.delete("b")
        await watch.settle()
        assert watch.told() == []
        await watch.a_minute_passes("b")
        await watch.settle()
        assert watch.told() == ["task.gone"]
        sim.create({"id": "b", "timeline": RUNNING})
        await watch.settle()
        assert watch.told()[1] == "task.returned"


async def test_a_list_that_hides_tasks_makes_none_of_them_gone(play: Play, tmp_path: Path) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        sim.fault("list_hides")
        for _ in range(3):
            await watch.settle()
            await watch.a_minute_passes(*FEW)
        assert watch.told() == []


# ── discovery ──

RULES = (Discover(name=("support-*",), labels={"team": "nlp"}),)


def named(*names: str, **more: Any) -> dict[str, Any]:
    listed = [{"id": f"x{n}", "name": name, "timeline": RUNNING} for n, name in enumerate(names)]
    return {"keys": [API_KEY], "tasks": listed, **more}


async def test_tasks_that_a_rule_fits_are_adopted_and_others_left_alone(play: Play, tmp_path: Path) -> None:
    async with (
        play(named("support-a", "other", "support-b")) as sim,
        watching(sim, tmp_path, lists=True, discover=RULES) as watch,
    ):
        await watch.settle()
        discovered = [e for e in watch.reader.events() if e.type == "task.discovered"]
        assert sorted(e.task or "" for e in discovered) == ["x0", "x2"]
        assert all(e.subject is not None and e.subject["labels"] == {"team": "nlp"} for e in discovered)


async def test_a_new_task_is_found_when_the_list_is_looked_at_next(play: Play, tmp_path: Path) -> None:
    async with play(named("support-a")) as sim, watching(sim, tmp_path, lists=True, discover=RULES) as watch:
        await watch.settle()
        left = watch.sweeper.next_sweep() - time.monotonic()
        assert 10 < left <= 30
        sim.create({"id": "new", "name": "support-new", "timeline": RUNNING})
        watch.sweeper.watched.pages.seen[0].at -= 60
        await watch.sweeper.sweep()
        assert {task.key.id for task in watch.reader.tasks()} == {"x0", "new"}


async def test_an_adopted_task_leaves_once_it_is_settled_and_isnt_adopted_again(play: Play, tmp_path: Path) -> None:
    async with play(named("support-a")) as sim, watching(sim, tmp_path, lists=True, discover=RULES) as watch:
        await watch.settle()
        sim.set_task("x0", status="SUCCEEDED")
        await watch.settle()
        tracked = watch.sweeper.tracked[TaskKey("main", "x0")]
        assert tracked.ended_at is not None
        tracked.ended_at -= 600
        watch.sweeper.watched.due.plan(tracked.key, 0.0)
        await watch.sweeper.sweep()
        assert not watch.sweeper.tracked
        watch.sweeper.watched.pages.seen[0].at -= 60
        watch.sweeper.watched.pages.distrust()
        await watch.settle()
        assert not watch.sweeper.tracked
        assert watch.told() == ["task.succeeded"]
        sim.set_task("x0", status="RUNNING")
        watch.sweeper.watched.pages.seen[0].at -= 60
        await watch.settle()
        assert watch.told() == ["task.succeeded", "task.reopened"]


async def test_adopted_tasks_are_watched_on_after_a_restart(play: Play, tmp_path: Path) -> None:
    async with play(named("support-a")) as sim:
        async with watching(sim, tmp_path, lists=True, discover=RULES) as watch:
            await watch.settle()
        from tests.support.builders import url

        with open_store(url(tmp_path)) as store:
            settings = settings_for(sim.base_url, folder=tmp_path, discover=RULES)
            core = await build_core(settings, store.database, {}, Redactor())
            assert [key.id for key in core.sweepers["main"].tracked] == ["x0"]
            await core.aclose()


async def test_a_listed_task_stays_whatever_the_rules_say(play: Play, tmp_path: Path) -> None:
    async with (
        play(named("support-a", "mine")) as sim,
        watching(sim, tmp_path, "x0", "x1", lists=True, discover=RULES) as watch,
    ):
        await watch.settle()
        for id_ in ("x0", "x1"):
            sim.set_task(id_, status="SUCCEEDED")
        await watch.settle()
        for tracked in watch.sweeper.tracked.values():
            tracked.ended_at = (tracked.ended_at or 0.0) - 600
        await watch.settle()
        assert {key.id for key in watch.sweeper.tracked} == {"x0", "x1"}
        told = [e for e in watch.reader.events() if e.type == "task.discovered" and e.task == "x0"]
        assert told[0].subject is not None
        assert told[0].subject["labels"] == {}


async def test_a_task_found_behind_the_first_page_is_adopted_too(play: Play, tmp_path: Path) -> None:
    """Nothing is assumed about the order: when the list grows and its first page shows nothing new, all are read."""
    scenario = tasks(*IDS, list={"order": "oldest_first"})
    rules = (Discover(name=("support-*",)),)
    async with play(scenario) as sim, watching(sim, tmp_path, lists=True, discover=rules) as watch:
        await watch.settle()
        assert sorted(queries(watch)) == ["p0", "p1", "p2"]
        sim.create({"id": "new", "name": "support-new", "timeline": RUNNING})
        watch.sweeper.watched.pages.seen[0].at -= 60
        await watch.settle()
        assert {task.key.id for task in watch.reader.tasks()} == {"new"}


async def test_a_list_that_claims_a_million_pages_is_read_no_further_than_it_shows_something(
    play: Play, tmp_path: Path
) -> None:
    async with (
        play(named("support-a")) as sim,
        watching(sim, tmp_path, lists=True, discover=RULES) as watch,
    ):
        sim.fault("list_pages", pages=1_000_000)
        await watch.settle()
        assert len(sim.log) <= 12
        before = len(sim.log)
        await watch.settle()
        assert len(sim.log) - before <= 2


# ── a changed key (RULE 6) ──


async def test_while_a_changed_key_is_on_trial_nothing_is_adopted_and_a_shown_task_ends_it(
    play: Play, tmp_path: Path
) -> None:
    async with (
        play(named("support-a", "support-b")) as sim,
        watching(sim, tmp_path, "x0", "x1", lists=True, discover=RULES) as watch,
    ):
        await watch.settle()
        watch.sweeper.watched.standing.trial = Trial("another")
        sim.create({"id": "foreign", "name": "support-foreign", "timeline": RUNNING})
        sim.fault("list_hides", task="x*")
        sim.fault("not_found", on="get")
        watch.sweeper.watched.pages.distrust()
        await watch.settle()
        assert watch.told() == ["account.rejected"]
        assert TaskKey("main", "foreign") not in watch.sweeper.tracked
        sim.clear_faults()
        await watch.sweeper.sweep()
        watch.sweeper.watched.pages.seen[0].at -= 60
        await watch.settle()
        assert watch.told() == ["account.rejected", "account.recovered"]
        assert TaskKey("main", "foreign") in watch.sweeper.tracked


async def test_an_end_whose_facts_are_slow_to_come_hides_no_other_change_of_its_page(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "COMPLETED_WITHIN", 1.0)
    async with play(tasks(*FEW, list={"sparse": True})) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        sim.fault("hang", on="get")
        sim.set_task("b", status="FAILED", statusInfo=FAILURE)
        watch.sweeper.plan_all()
        waiting = asyncio.create_task(watch.sweeper.sweep())
        while queries(watch)[-1] != "b":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        sim.set_task("a", status="WAIT")
        watch.sweeper.watched.due.plan(TaskKey("main", "a"), 0.0)
        watch.sweeper.watched.due.plan(TaskKey("main", "c"), 0.0)
        await watch.sweeper.sweep()
        assert watch.told() == ["task.requeued"]
        await waiting
        assert watch.told() == ["task.requeued", "task.failed"]


async def test_of_many_ends_at_once_only_those_wait_for_their_facts_that_there_is_time_for(
    play: Play, tmp_path: Path
) -> None:
    ids = IDS[:60]
    async with play(tasks(*ids, list={"sparse": True})) as sim, watching(sim, tmp_path, *ids, lists=True) as watch:
        await watch.settle()
        watch.sweeper.watched.pacer.share(120)
        for id_ in ids:
            sim.set_task(id_, status="FAILED", statusInfo=FAILURE)
        before, began = len(sim.log), time.monotonic()
        watch.sweeper.plan_all()
        await watch.sweeper.sweep()
        assert time.monotonic() - began < 7
        assert len(watch.told()) == 60
        assert 5 <= len(queries(watch, before)) <= 11


async def test_a_page_that_nobody_has_read_gets_its_turn_however_late_the_others_are(
    play: Play, tmp_path: Path
) -> None:
    """More tasks than the quota allows to look at as often as wanted: none of them stays undiscovered."""
    rules = (Discover(name=("*",)),)
    async with play(tasks(*IDS)) as sim, watching(sim, tmp_path, lists=True, discover=rules) as watch:
        watch.sweeper.watched.goals = Goals(0.05, 0.05, 600.0)
        watch.sweeper.watched.pacer.share(100)
        async with asyncio.timeout(20):
            while len(watch.sweeper.tracked) < len(IDS):
                await watch.sweeper.sweep()
        assert queries(watch).count("p2") >= 1


async def test_a_task_that_was_taken_out_while_its_page_failed_isnt_planned_any_more(
    play: Play, tmp_path: Path
) -> None:
    async with play(tasks(*FEW)) as sim, watching(sim, tmp_path, *FEW, lists=True) as watch:
        await watch.settle()
        account, key = watch.sweeper.watched, TaskKey("main", "b")
        due = list(account.tracked.values())
        account.unwatch(key)
        account.put_off(due, failures=1)
        assert key not in account.due
        assert TaskKey("main", "a") in account.due
