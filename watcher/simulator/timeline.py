"""A task's face at a moment of the scenario: pure, and the same again for the same moment."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from random import Random
from typing import Any

from watcher.simulator.scenario import Step, Task

GONE = "GONE"
_KST = timezone(timedelta(hours=9))
_INFO = (
    "label", "dataRows", "numOfTokens", "currStep", "totalTrainSteps", "currEpoch", "totalTrainEpochs",
    "estimatedTime", "trainLoss", "sendWeightSuccess", "failureReason", "message", "endDatetime",
)  # fmt: skip

Dates = Callable[[float], datetime]
"""Scenario seconds to the moment that the upstream writes."""


@dataclass(frozen=True, slots=True)
class _Training:
    """How far a RUNNING step has come at some moment."""

    step: Step
    begin: float
    end: float
    done: int

    @property
    def changed(self) -> float:
        """When the step counter last moved."""
        return self.begin + (self.end - self.begin) * self.done / self.step.steps


def exists(task: Task, now: float) -> bool:
    """Whether the upstream knows the task at that moment."""
    step = current(task, now)
    return step is not None and step.status != GONE


def current(task: Task, now: float) -> Step | None:
    """The step of the timeline that holds at that moment."""
    return next((step for step in reversed(task.timeline) if step.at <= now), None)


def render(task: Task, now: float, dates: Dates) -> dict[str, Any]:
    """The task as the API shows it, with every field; only for a moment at which it exists."""
    step = current(task, now) or task.timeline[0]
    training = _training(task, now)
    updated = max(step.at, training.changed if training and training.step is step else step.at)
    shown: dict[str, Any] = {
        "id": task.id,
        "name": task.name or _default_name(task, dates),
        "model": task.model,
        "method": "LoRA",
        "taskType": task.taskType,
        "trainEpochs": _epochs(task),
        "learningRate": task.learningRate,
        "status": step.status,
        "statusInfo": _status_info(task, step, training, dates),
        "createdClientType": "API",
        "createdDate": written(dates(task.timeline[0].at - task.created)),
        "updatedDate": written(dates(updated)),
    }
    return overlay(shown, step.set)


def overlay(shown: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """`shown` with some fields replaced; `statusInfo.x` and a `statusInfo` mapping reach inside statusInfo."""
    made = {**shown, "statusInfo": dict(shown["statusInfo"])}
    for key, value in fields.items():
        if key.startswith("statusInfo."):
            made["statusInfo"][key.removeprefix("statusInfo.")] = number(value)
        elif key == "statusInfo" and isinstance(value, dict):
            made["statusInfo"] |= value
        else:
            made[key] = value
    return made


def number(value: Any) -> Any:
    """Scenario files are read as text: what looks like a number inside statusInfo is one there."""
    if not isinstance(value, str):
        return value
    for convert in (int, float):
        try:
            return convert(value)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(value, value)


def written(moment: datetime) -> str:
    """As the guide shows it: `2023-08-21T13:07:06+0900`."""
    return moment.astimezone(_KST).strftime("%Y-%m-%dT%H:%M:%S%z")


def _training(task: Task, now: float) -> _Training | None:
    """The last RUNNING step that has begun; once it is over, as far as it came."""
    begun = [index for index, step in enumerate(task.timeline) if step.at <= now and step.status == "RUNNING"]
    if not begun:
        return None
    step = task.timeline[begun[-1]]
    follower = next(iter(task.timeline[begun[-1] + 1 :]), None)
    end = step.until or (follower.at if follower else step.at + 3600.0)
    stop = min(now, end, follower.at if follower else math.inf)
    share = (stop - step.at) / (end - step.at) if end > step.at else 1.0
    return _Training(step, step.at, end, int(step.steps * share + 1e-9))


def _status_info(task: Task, step: Step, training: _Training | None, dates: Dates) -> dict[str, Any]:
    info: dict[str, Any] = dict.fromkeys(_INFO)
    if step.status == "WAIT" or (training is None and step.status != "SUCCEEDED"):
        info |= _ending(step, dates)
        return info
    info |= {"label": list(task.labels) if task.labels else None, "dataRows": task.rows, "numOfTokens": task.rows * 118}
    if training:
        info |= _progress(task, training)
    return info | _ending(step, dates)


def _progress(task: Task, training: _Training) -> dict[str, Any]:
    step, done = training.step, training.done
    return {
        "currStep": done,
        "totalTrainSteps": step.steps,
        "currEpoch": min(step.epochs, done * step.epochs // step.steps + 1),
        "totalTrainEpochs": step.epochs,
        "estimatedTime": round(training.end - training.begin),
        "trainLoss": _loss(task.id, step, done),
    }


def _loss(seed: str, step: Step, done: int) -> float | None:
    if not done or step.loss is None:
        return None
    high, low = step.loss
    fallen = low + (high - low) * math.exp(-4.0 * done / step.steps)
    # Seeded by task and step: two looks at one step see one loss.
    noise = Random(f"{seed}/{done}").gauss(0.0, 0.02)  # noqa: S311
    return round(fallen * (1.0 + noise), 4)


def _ending(step: Step, dates: Dates) -> dict[str, Any]:
    if step.status == "SUCCEEDED":
        return {"sendWeightSuccess": step.sendWeightSuccess, "endDatetime": written(dates(step.at))}
    if step.status == "FAILED":
        return {
            "sendWeightSuccess": False,
            "failureReason": step.failureReason,
            "message": step.message,
            "endDatetime": written(dates(step.at)),
        }
    return {}


def _epochs(task: Task) -> int:
    return next((step.epochs for step in task.timeline if step.status == "RUNNING"), task.timeline[0].epochs)


def _default_name(task: Task, dates: Dates) -> str:
    return dates(task.timeline[0].at - task.created).astimezone(_KST).strftime("%y%m%d-%H%M%S")
