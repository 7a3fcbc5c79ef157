"""The upstreams of the benchmarks answer as the API does, or their figures would say nothing."""

from __future__ import annotations

import pytest

from bench import __main__ as benchmarks
from bench.one_account import LIMIT, Account
from bench.upstream import Page, Steps, page_asked, task_id
from watcher.clova import wire

TASKS = "/tuning/v2/tasks"


def _page(answers: Steps | Account, number: int, prefix: str = "") -> wire.Page:
    status, body = answers("GET", f"{prefix}{TASKS}?page={number}&size=100", b"")
    assert status == 200
    return wire.parse_page(body, number, str, "", None)


def test_a_page_that_is_asked_for_is_told_from_a_task() -> None:
    assert page_asked(f"/a7{TASKS}?page=3&size=100") == Page(7, 3, 100)
    assert page_asked(f"{TASKS}?page=0&size=1") == Page(0, 0, 1)
    assert page_asked(f"{TASKS}/t0000001") is None


def test_the_pages_of_an_account_show_each_of_its_tasks_once() -> None:
    answers = Steps(250, changing=False)
    pages = [_page(answers, number, "/a1") for number in range(3)]
    assert [id_ for page in pages for id_, _ in page.items] == [task_id(number) for number in range(250, 500)]
    assert {(page.total_pages, page.total_elements, page.broken) for page in pages} == {(3, 250, 0)}


@pytest.mark.parametrize("changing", [False, True])
def test_every_step_changes_between_reads_or_none(changing: bool) -> None:
    answers = Steps(100, changing=changing)
    first, second = _page(answers, 0), _page(answers, 0)
    fields = [first.items[5][1], second.items[5][1]]
    assert (first.body != second.body) is changing
    assert (fields[0]["statusInfo.currStep"] != fields[1]["statusInfo.currStep"]) is changing
    assert (fields[0]["updatedDate"] != fields[1]["updatedDate"]) is changing


def test_a_query_too_many_in_a_minute_is_refused_and_counted() -> None:
    account = Account()
    answers = [account("GET", f"{TASKS}/{task_id(0)}", b"")[0] for _ in range(LIMIT + 2)]
    assert (answers.count(200), account.refused, account.busiest) == (LIMIT, 2, LIMIT + 2)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_change_shows_in_the_list_and_in_the_task(sparse: bool) -> None:
    account = Account()
    account.sparse = sparse
    while "task.failed" not in {event for _, event in account.changed}:
        account.change()
    task = next(task for task, event in account.changed if event == "task.failed")
    listed = dict(_page(account, int(task[1:]) // 100).items)[task]
    alone = wire.parse_task(account("GET", f"{TASKS}/{task}", b"")[1], task, str)
    assert (listed["status"], alone["status"], alone["statusInfo.message"]) == ("FAILED", "FAILED", "-")
    assert ("statusInfo.message" in listed, "statusInfo.endDatetime" in listed) == (not sparse, not sparse)


def test_an_unknown_benchmark_is_told_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmarks.main(["speed"]) == 2
    assert "list_mode" in capsys.readouterr().err
