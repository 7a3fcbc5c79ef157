"""Which tasks the `discover` rules adopt, which they keep, and with which labels."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from watcher.models import TaskKey
from watcher.scheduler.adoption import Adoption
from watcher.settings import Discover

NOW = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
DAY = 86400.0
TASK = {"name": "support-bot v3", "model": "HCX-DASH-002", "createdDate": "2026-03-08T21:00:00+0900"}


def adoption(*rules: dict[str, Any]) -> Adoption:
    return Adoption([Discover(**rule) for rule in rules])


def adopts(rule: dict[str, Any], account: str = "main", **fields: Any) -> bool:
    return adoption(rule).adopts(TaskKey(account, "a"), {**TASK, **fields}, NOW)


@pytest.mark.parametrize(
    ("rule", "adopted"),
    [
        ({}, True),
        ({"account": "main"}, True),
        ({"account": "lab"}, False),
        ({"account": "MAIN"}, False),
        ({"name": ("support-*",)}, True),
        ({"name": ("Support-*",)}, False),
        ({"name": ("support-*", "nothing")}, True),
        ({"name": ("nothing", "*v3")}, True),
        ({"name": ("support",)}, False),
        ({"name": ("upport-bot v3",)}, False),
        ({"name": ("support-bot v?",)}, True),
        ({"name": ("support-bot v[1-3]",)}, True),
        ({"name": ("support-bot v[!3]",)}, False),
        ({"model": ("HCX-*",)}, True),
        ({"model": ("hcx-*",)}, False),
        ({"name": ("support-*",), "model": ("HCX-003",)}, False),
        ({"name": ("x",), "model": ("HCX-*",)}, False),
        ({"account": "lab", "name": ("support-*",)}, False),
        ({"max_age": 2 * DAY}, True),
        ({"max_age": DAY}, True),
        ({"max_age": DAY - 1}, False),
    ],
)
def test_a_rule_adopts_what_fits_all_that_it_says(rule: dict[str, Any], adopted: bool) -> None:
    assert adopts(rule) is adopted


def test_without_rules_nothing_is_adopted() -> None:
    key = TaskKey("main", "a")
    assert not adoption().adopts(key, TASK, NOW)
    assert not adoption().keeps(key, TASK)
    assert not adoption().discovers("main")


def test_only_accounts_that_a_rule_is_about_are_discovered() -> None:
    assert [adoption({"account": "main"}).discovers(account) for account in ("main", "lab")] == [True, False]
    assert adoption({"account": "main"}, {"name": ("x",)}).discovers("lab")


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "2026-03-01T00:00:00", "2026-02-30T00:00:00+0900", 20260301, "2027-01-01T00:00:00Z"]
)
def test_a_date_that_says_no_age_doesnt_hold_adoption_back(date: object) -> None:
    assert adopts({"max_age": 1.0}, createdDate=date)


def test_a_missing_date_doesnt_hold_adoption_back() -> None:
    fields = {key: value for key, value in TASK.items() if key != "createdDate"}
    assert adoption({"max_age": 1.0}).adopts(TaskKey("main", "a"), fields, NOW)


def test_an_adopted_task_is_kept_whatever_its_age_but_not_under_another_name() -> None:
    rules, key = adoption({"name": ("support-*",), "max_age": 60.0}), TaskKey("main", "a")
    assert (rules.adopts(key, TASK, NOW), rules.keeps(key, TASK)) == (False, True)
    assert not rules.keeps(key, {**TASK, "name": "other"})
    assert not rules.keeps(TaskKey("main", "a"), {})


def test_the_age_limit_of_one_rule_isnt_that_of_another() -> None:
    young, old = {"name": ("support-*",), "max_age": 60.0}, {"model": ("HCX-*",), "max_age": 2 * DAY}
    for rules in (adoption(young, old), adoption(old, young)):
        assert rules.adopts(TaskKey("main", "a"), TASK, NOW)


@pytest.mark.parametrize("fields", [{}, {"name": None, "model": None}, {"name": 7, "model": ["HCX-x"]}])
def test_a_task_without_name_fits_only_rules_that_fit_everything(fields: dict[str, Any]) -> None:
    key = TaskKey("main", "a")
    assert adoption({"name": ("*",), "model": ("*",)}).adopts(key, fields, NOW)
    assert not adoption({"name": ("?*",)}).adopts(key, fields, NOW)
    assert not adoption({"model": ("HCX-*",)}).adopts(key, fields, NOW)


def test_names_are_taken_as_they_are() -> None:
    assert adopts({"name": ("서포트-*",)}, name="서포트-봇")
    assert adopts({"name": ("a*b",)}, name="a\nb")
    assert adopts({"name": ("a.b|c",)}, name="a.b|c")
    assert not adopts({"name": ("a.b|c",)}, name="axb")


def test_labels_come_from_every_rule_that_fits_and_the_earlier_one_wins() -> None:
    rules = adoption(
        {"name": ("support-*",), "max_age": 1.0, "labels": {"team": "nlp", "kind": "bot"}},
        {"name": ("other-*",), "labels": {"team": "none"}},
        {"labels": {"team": "all", "where": "seoul"}},
        {"account": "lab", "labels": {"where": "lab"}},
    )
    assert rules.labels(TaskKey("main", "a"), TASK) == {"team": "nlp", "kind": "bot", "where": "seoul"}
    assert rules.labels(TaskKey("lab", "a"), {"name": "x"}) == {"team": "all", "where": "seoul"}
    assert adoption({"account": "lab"}).labels(TaskKey("main", "a"), TASK) == {}


def test_a_pattern_that_is_meant_to_be_slow_isnt() -> None:
    began = time.process_time()
    assert not adopts({"name": ("*a" * 60 + "b",)}, name="a" * 200)
    assert time.process_time() - began < 1


def test_ten_thousand_items_against_ten_rules_take_a_moment() -> None:
    rules = adoption(*({"name": (f"exp-{number}-*",), "model": ("HCX-*",), "max_age": DAY} for number in range(10)))
    items = [(TaskKey("main", f"t{number}"), {**TASK, "name": f"exp-{number % 20}-x"}) for number in range(10_000)]
    began = time.process_time()
    adopted = sum(rules.adopts(key, fields, NOW) for key, fields in items)
    assert adopted == 5_000
    assert time.process_time() - began < 1
