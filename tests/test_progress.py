"""How far a training is, in whole percent, whatever the upstream's numbers look like."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import fields
from watcher.insight.progress import milestone_reached, progress_percent


@pytest.mark.parametrize(
    ("status", "numbers", "percent"),
    [
        pytest.param("RUNNING", {"step": 0, "steps": 2000}, 0, id="just begun"),
        pytest.param("RUNNING", {"step": 999, "steps": 2000}, 49, id="rounded down"),
        pytest.param("RUNNING", {"step": 1999, "steps": 2000}, 99, id="not done before the end"),
        pytest.param("RUNNING", {"step": 2000, "steps": 2000}, 100, id="all steps"),
        pytest.param("RUNNING", {"step": 2500, "steps": 2000}, 100, id="more steps than there are"),
        pytest.param("RUNNING", {"step": 500, "steps": 2000, "epoch": 7, "epochs": 8}, 25, id="steps before epochs"),
        pytest.param("RUNNING", {"epoch": 2, "epochs": 8}, 25, id="epochs where steps are unknown"),
        pytest.param("RUNNING", {"step": None, "steps": None, "epoch": 2, "epochs": 8}, 25, id="null steps"),
        pytest.param("RUNNING", {"step": 5, "steps": 0, "epoch": 2, "epochs": 8}, 25, id="no steps in all"),
        pytest.param("RUNNING", {}, None, id="nothing known"),
        pytest.param("RUNNING", {"step": -1, "steps": 10}, None, id="negative"),
        pytest.param("RUNNING", {"step": 1, "steps": -10}, None, id="negative total"),
        pytest.param("RUNNING", {"step": "5", "steps": 10}, None, id="text"),
        pytest.param("RUNNING", {"step": 5.0, "steps": 10}, None, id="a broken number"),
        pytest.param("RUNNING", {"step": True, "steps": 1}, None, id="a boolean"),
        pytest.param("RUNNING", {"step": 2**63 - 1, "steps": 2**63 - 1}, 100, id="huge"),
        pytest.param("WAIT", {"step": 5, "steps": 10}, None, id="a waiting task has none"),
        pytest.param("SUCCEEDED", {}, 100, id="a succeeded task is done"),
        pytest.param("FAILED", {"step": 5, "steps": 10}, 50, id="a failed task got so far"),
        pytest.param("PAUSED", {"step": 5, "steps": 10}, 50, id="an unknown status"),
    ],
)
def test_percent_done(status: str, numbers: dict[str, Any], percent: int | None) -> None:
    assert progress_percent(fields(status, **numbers)) == percent


@pytest.mark.parametrize(
    ("status", "step", "reached"),
    [("RUNNING", 24, 0), ("RUNNING", 25, 25), ("RUNNING", 74, 50), ("RUNNING", 100, 75), ("SUCCEEDED", 100, 0)],
)
def test_the_highest_milestone_that_a_running_task_has_passed(status: str, step: int, reached: int) -> None:
    assert milestone_reached(fields(status, step=step, steps=100), (25, 50, 75)) == reached


def test_the_order_of_the_milestones_doesnt_matter() -> None:
    assert milestone_reached(fields(step=60, steps=100), (75, 10, 50)) == 50
    assert milestone_reached(fields(), (1,)) == 0
