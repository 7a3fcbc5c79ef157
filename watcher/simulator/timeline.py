"""A task's face at a moment of the scenario: pure, and the same again for the same moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple
from zlib import crc32

from watcher.simulator.values import Step, Task

GONE = "GONE"
_KST = timezone(timedelta(hours=9))
_INFO = (
    "label", "dataRows", "numOfTokens", "currStep", "totalTrainSteps", "currEpoch", "totalTrainEpochs",
    "estimatedTime", "trainLoss", "sendWeightSuccess", "failureReason", "message", "endDatetime",
)  # fmt: skip

MOVING = ("currStep", "currEpoch", "trainLoss")
"""What moves by itself in statusInfo while a task trains, in the order in which it is shown; updatedDate follows."""

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


class Pulse(NamedTuple):
    """`until`: when the task looks different next; `ends`: when the timeline's next step begins; `values`: what MOVING
    names and updatedDate, None where other things may move, too."""

    until: float
    ends: float
    values: tuple[str, str, str, str] | None


def exists(task: Task, now: float) -> bool:
    """Whether the upstream knows the task at that moment."""
    step = current(task, now)
    return step is not None and step.status != GONE


def current(task: Task, now: float) -> Step | None:
    """The step of the timeline that holds at that moment."""
    return next((step for step in reversed(task.timeline) if step.at <= now), None)


def edges(task: Task) -> Iterator[float]:
    """The moments at which the task appears or vanishes."""
    there = False
    for step in task.timeline:
        if (step.status != GONE) is not there:
            there = not there
            yield step.at


def created(task: Task) -> float:
    """When the task was created."""
    return task.timeline[0].at - task.created


def pulse(task: Task, now: float, dates: Dates) -> Pulse:
    """What moves by itself, and until when it stays so."""
    ends = next((step.at for step in task.timeline if step.at > now), math.inf)
    training = _training(task, now)
    if training is None or now >= min(training.end, ends):
        return Pulse(ends, ends, None)
    step, done = training.step, training.done
    if current(task, now) is not step:
        return Pulse(ends, ends, None)
    until = min(ends, training.begin + (training.end - training.begin) * (done + 1) / step.steps)
    if step.set:
        return Pulse(until, ends, None)
    loss, date = _loss(task.id, step, done), written(dates(max(step.at, training.changed)))
    return Pulse(until, ends, (str(done), str(_epoch(step, done)), "null" if loss is None else repr(loss), date))


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
        "createdDate": written(dates(created(task))),
        "updatedDate": written(dates(updated)),
    }
    return overlay(shown, step.set)


def overlay(shown: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
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
    text = moment.astimezone(_KST).isoformat(timespec="seconds")
    return f"{text[:-3]}{text[-2:]}"


def _training(task: Task, now: float) -> _Training | None:
    """The last RUNNING step that has begun; once it is over, as far as it came."""
    step = follower = None
    for each in reversed(task.timeline):
        if each.at <= now and each.status == "RUNNING":
            step = each
            break
        follower = each
    if step is None:
        return None
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
        "currEpoch": _epoch(step, done),
        "totalTrainEpochs": step.epochs,
        "estimatedTime": round(training.end - training.begin),
        "trainLoss": _loss(task.id, step, done),
    }


def _epoch(step: Step, done: int) -> int:
    return min(step.epochs, done * step.epochs // step.steps + 1)


def _loss(seed: str, step: Step, done: int) -> float | None:
    if not done or step.loss is None:
        return None
    high, low = step.loss
    fallen = low + (high - low) * math.exp(-4.0 * done / step.steps)
    # Out of task and step: two looks at one step see one loss.
    noise = (crc32(f"{seed}/{done}".encode()) / 2**32 - 0.5) * 0.06
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
    return dates(created(task)).astimezone(_KST).strftime("%y%m%d-%H%M%S")
