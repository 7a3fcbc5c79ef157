"""The sections `discover` and `groups`: what may be written, and what an error says instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configs import KEY, TASKS, load, only_problem, problems
from watcher.settings import Discover, Group, load_settings

TWO = "accounts: {main: {api_key: k1}, lab: {api_key: k2}}\n"


def test_a_rule_is_enough_to_watch(tmp_path: Path) -> None:
    settings = load(tmp_path, 'discover: [{name: "*"}]')
    assert (settings.tasks, settings.discover) == ((), (Discover(name=("*",)),))


def test_a_rule_has_patterns_an_age_and_labels(tmp_path: Path) -> None:
    text = (
        TWO + 'discover:\n- {account: main, name: "support-*", model: ["HCX-*", b], max_age: 7d, labels: {team: nlp}}'
    )
    (rule,) = load(tmp_path, text).discover
    assert (rule.account, rule.name, rule.model) == ("main", ("support-*",), ("HCX-*", "b"))
    assert (rule.max_age, rule.labels) == (7 * 86400, {"team": "nlp"})


def test_a_rule_without_account_is_for_all_of_them(tmp_path: Path) -> None:
    first, second = load(tmp_path, TWO + "discover: [{max_age: 1h}, {account: lab}]").discover
    assert (first.account, first.name, first.model) == (None, (), ())
    assert second == Discover(account="lab")


def test_null_means_any_where_it_is_written(tmp_path: Path) -> None:
    text = "discover: [{account: null, name: null, model: ~, max_age: null, labels: null}]"
    assert load(tmp_path, text).discover == (Discover(),)


def test_groups_have_a_name_and_patterns(tmp_path: Path) -> None:
    settings = load(tmp_path, TASKS + 'groups: [{name: lr-sweep, match: "exp-lr-*"}, {name: 7, match: [x, "y*"]}]')
    assert settings.groups == (Group(name="lr-sweep", match=("exp-lr-*",)), Group(name="7", match=("x", "y*")))


def test_empty_sections_and_missing_ones_are_the_same(tmp_path: Path) -> None:
    for text in (TASKS, TASKS + "discover:\ngroups:\n", TASKS + "discover: []\ngroups: null\n"):
        settings = load(tmp_path, text, {"WATCHER_GROUPS": "[]"})
        assert (settings.discover, settings.groups) == ((), ())


def test_rules_and_groups_of_several_files_add_up_and_the_environment_replaces_them(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("discover: [{name: a}]\ngroups: [{name: a, match: a}]")
    text, more = "discover: [{name: b}]\ngroups: [{name: b, match: b}]", str(tmp_path / "a.yaml")
    both = load(tmp_path, text, {"WATCHER_DISCOVER": "[{name: c, account: default}]"})
    assert both.discover == (Discover(name=("c",), account="default"),)
    settings = load_settings([more, str(tmp_path / "watcher.yaml")], env=KEY)
    assert [rule.name for rule in settings.discover] == [("a",), ("b",)]
    assert [group.name for group in settings.groups] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("discover: x", "1:11: discover: ", "must be a list: - one line each"),
        ("discover: {name: x}", "1:11: discover: ", "must be a list: - one line each"),
        ("discover: [support-*]", "1:12: discover[0]: ", 'must be a mapping: {name: "support-*"}'),
        ("discover:\n- {}\n", "2:3: discover[0]: ", 'empty; write {name: "*"} to adopt every task'),
        ("discover:\n-\n", "discover[0]: ", 'empty; write a mapping: {name: "support-*"}; {name: "*"} adopts every'),
        ("discover: [{name: }]", "discover[0].name: ", "empty; leave it out for any"),
        ("discover: [{name: []}]", "1:19: discover[0].name: ", "empty; leave it out for any"),
        ("discover: [{model: []}]", "1:20: discover[0].model: ", "empty; leave it out for any"),
        ("discover:\n- name:  #support\n", "2:8: discover[0].name: ", 'empty; # starts a comment. Write "#support"'),
        ("discover: [{name: x, account: , }]", "discover[0].account: ", "empty; leave it out for any"),
        ("discover: [{name: x, labels: , model: y}]", "discover[0].labels: ", "empty; leave it out for any"),
        ("discover:\n- name: x\n  max_age: # 3d\n", "3:11: discover[0].max_age: ", "empty; # starts a comment"),
        (TASKS + "groups: [{name: x, match: }]", "groups[0].match: ", "missing; write which task names belong to it"),
        ("discover: [{name: ['']}]", "1:20: discover[0].name[0]: ", "empty"),
        ("discover: [{name: {a: b}}]", "1:19: discover[0].name: ", "must be one text, or a list"),
        ("discover: [{names: x}]", "1:13: discover[0].names: ", "unknown key. Did you mean name?"),
        ("discover: [{max_age: 0}]", "1:22: discover[0].max_age: ", "must be from 100ms to 3650d; write 30s, 5m, 6h"),
        ("discover: [{max_age: 7 days}]", "1:22: discover[0].max_age: ", "not a duration; write 30s"),
        ("discover: [{max_age: [1]}]", "1:22: discover[0].max_age: ", "must be one text or number, not a list"),
        ("discover: [{labels: x}]", "1:21: discover[0].labels: ", "must be a mapping"),
        ("discover: [{account: [main]}]", "1:22: discover[0].account: ", "not a list"),
        (TASKS + "groups: {lr: x}", "2:9: groups: ", "must be a list"),
        (TASKS + "groups: [x]", "2:10: groups[0]: ", 'must be a mapping: {name: lr-sweep, match: "exp-lr-*"}'),
        (TASKS + "groups: [{name: x}]", "2:10: groups[0].match: ", 'missing; write which task names belong to it'),
        (TASKS + "groups: [{match: x}]", "2:10: groups[0].name: ", "missing; write a name, such as lr-sweep"),
        (TASKS + "groups: [{name: x, match: []}]", "2:27: groups[0].match: ", "missing; write which task names"),
        (TASKS + "groups: [{name: a b, match: x}]", "2:17: groups[0].name: ", "a name is letters"),
        (TASKS + "groups:\n-\n", "groups[0]: ", "empty; write a mapping: {name: lr-sweep"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_to_write(tmp_path: Path, text: str, place: str, words: str) -> None:
    found = only_problem(tmp_path, text)
    assert place in found
    assert found.startswith("watcher.yaml:")
    assert words in found


def test_an_unknown_account_of_a_rule_is_named_with_a_near_one(tmp_path: Path) -> None:
    found = only_problem(tmp_path, TWO + "discover:\n- {name: x}\n- {account: mian}")
    assert found == (
        "watcher.yaml:4:13: discover[1].account: no account is called so. Did you mean main? Known accounts: main, lab"
    )


def test_two_groups_of_one_name_are_refused_with_both_lines(tmp_path: Path) -> None:
    text = "groups:\n- {name: a, match: x}\n- {name: b, match: x}\n- {name: a, match: y}\n"
    found = only_problem(tmp_path, TASKS + text)
    assert found.startswith("watcher.yaml:5:10: groups[2].name: a group is called so already: groups[0] (")
    assert found.endswith("watcher.yaml:3); give each its own name")


def test_all_mistakes_are_told_at_once_at_the_positions_that_are_written(tmp_path: Path) -> None:
    rules = "discover: [x, {account: mian}, {max_age: 0, name: []}]\n"
    text = rules + "groups: [x, {name: a, match: b}, {name: a, match: c}]\n"
    assert [found.split(": ")[1] for found in problems(tmp_path, TWO + text)] == [
        "discover[0]", "discover[1].account", "discover[2].max_age", "discover[2].name", "groups[0]", "groups[2].name",
    ]  # fmt: skip


def test_a_rule_of_which_all_is_wrong_isnt_missing_as_well(tmp_path: Path) -> None:
    assert "discover[0].nmae" in only_problem(tmp_path, "discover: [{nmae: x}]")
    assert "discover[0]: must be" in only_problem(tmp_path, "discover: [x]")


def test_accounts_without_task_and_rule_are_no_mistake(tmp_path: Path) -> None:
    assert problems(tmp_path, TWO + "tasks: [{id: a, account: main}]\ndiscover: [{account: main}]") == []
