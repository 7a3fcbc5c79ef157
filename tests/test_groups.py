"""Which task belongs to which group."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configs import TASKS, load
from watcher.groups import Groups
from watcher.settings import Group

GROUPS = Groups(
    [
        Group(name="lr-sweep", match=("exp-lr-*",)),
        Group(name="experiments", match=("exp-*", "try [0-9]", "실험*")),
    ]
)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("exp-lr-1", "lr-sweep"),
        ("exp-batch-8", "experiments"),
        ("try 7", "experiments"),
        ("실험 3", "experiments"),
        ("Exp-lr-1", None),
        ("my exp-lr-1", None),
        ("", None),
    ],
)
def test_a_task_belongs_to_the_first_group_that_fits_its_name(name: str, group: str | None) -> None:
    assert GROUPS.of(name) == group


def test_without_groups_nothing_belongs_anywhere() -> None:
    assert Groups().of("x") is None


def test_groups_come_from_the_settings(tmp_path: Path) -> None:
    settings = load(tmp_path, TASKS + "groups: [{name: lr-sweep, match: 'exp-lr-*'}, {name: b, match: [x, y]}]")
    assert [Groups(settings.groups).of(name) for name in ("exp-lr-3", "y", "z")] == ["lr-sweep", "b", None]
