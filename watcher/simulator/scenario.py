"""What the simulator plays: the values of a scenario file. Times are scenario time, which `speed` compresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from watcher.errors import ConfigError, Problem, WatcherError
from watcher.simulator import faults, yamlfile

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TRY = "watcher/simulator/scenarios/example.yaml shows every key"

Part = TypeVar("Part", bound=BaseModel)


def _seconds(value: object) -> object:
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if not match:
            raise ValueError(f"{value!r} isn't a duration; write 30s, 5m, 6h or 2d")
        return float(match[1]) * _UNITS[match[2]]
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Step(_Part):
    """From `at` on the task has this status. The status GONE deletes the task.

    RUNNING counts `steps` and `epochs` up until `until` (default: the next step of the timeline, else an hour) while
    the loss falls from the first to the second number of `loss`. `set` overrides single fields, such as
    `statusInfo.trainLoss: NaN`.
    """

    at: Seconds = 0.0
    status: str = Field(min_length=1)
    until: Seconds | None = None
    steps: int = Field(default=1000, ge=1)
    epochs: int = Field(default=4, ge=1, le=20)
    loss: tuple[float, float] | None = (2.0, 0.4)
    failureReason: str | None = None  # noqa: N815
    message: str | None = None
    sendWeightSuccess: bool | None = True  # noqa: N815
    set: dict[str, Any] = Field(default_factory=dict)


class Task(_Part):
    """A tuning task. Before the first step of its timeline it doesn't exist. `created` is how long before that step
    it was created. With `owner`, every other key gets 403 with code 40301."""

    id: str = Field(min_length=1)
    name: str | None = None
    model: str = "HCX-003"
    taskType: Literal["GENERATION", "CLASSIFICATION"] = "GENERATION"  # noqa: N815
    labels: tuple[str, ...] | None = None
    learningRate: float = 1e-4  # noqa: N815
    rows: int = Field(default=1200, ge=0)
    created: Seconds = 0.0
    owner: str | None = None
    timeline: tuple[Step, ...] = Field(default=(Step(status="WAIT"),), min_length=1)

    @field_validator("timeline")
    @classmethod
    def _in_order(cls, timeline: tuple[Step, ...]) -> tuple[Step, ...]:
        times = [step.at for step in timeline]
        if times != sorted(times):
            raise ValueError("the steps aren't in the order of their `at`; sort them")
        return timeline


class Fault(_Part):
    """From `from` until `until` (default: for ever) requests are answered wrongly, each with probability `rate`.

    `task` is a glob over ids, which leaves the list alone; `on: list` or `on: get` picks one endpoint. `times` ends the
    fault after so many answers. `retry_after` becomes the header, in seconds or as it stands.
    """

    kind: str
    start: Seconds = Field(default=0.0, alias="from")
    until: Seconds | None = None
    task: str | None = None
    on: Literal["get", "list"] | None = None
    rate: float = Field(default=1.0, ge=0, le=1)
    times: int | None = Field(default=None, ge=1)
    retry_after: str | None = None
    delay: float = Field(default=1.0, ge=0)
    """Real seconds that `slow` takes."""

    model_config = ConfigDict(populate_by_name=True, coerce_numbers_to_str=True)

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        faults.parse(kind)
        return kind


class ListOddities(_Part):
    """What the guide's samples show and real lists may do."""

    newest_first: bool = True
    text_numbers: bool = False
    """`"totalPages": "7,"`"""
    sparse: bool = True
    """statusInfo without message and endDatetime"""
    repeat: bool = False
    """each page begins with the last task of the page before, as when a task is created between two reads"""


class Scenario(_Part):
    """A whole play."""

    keys: tuple[str, ...] = Field(default=("nv-test",), min_length=1)
    queries_per_minute: int | None = Field(default=None, ge=1)
    """Of all keys together, in real time; null for no limit."""
    require_content_type: bool = True
    status_info: Literal["object", "array", "absent-while-waiting", "null-while-waiting", "empty-while-waiting"] = (
        "object"
    )
    dates: Literal["real", "scenario"] = "real"
    """real: compressed like everything, so that nothing lies in the future; scenario: as long as the story says"""
    list: ListOddities = ListOddities()
    tasks: tuple[Task, ...] = ()
    faults: tuple[Fault, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Scenario:
        ids = [task.id for task in self.tasks]
        for id_ in ids:
            if ids.count(id_) > 1:
                raise ValueError(f"the task {id_} stands twice; give each its own id")
        return self


def load_scenario(path: str | Path) -> Scenario:
    """Reads a scenario file; raises ConfigError with every problem (file, line, key, what to write)."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "isn't UTF-8"
        raise WatcherError(
            f"the scenario {path} can't be read: {reason}", f"write the path of a file; {_TRY}"
        ) from None
    data, places = yamlfile.read(text, str(path))
    return parse_scenario(data, str(path), places)


def parse_scenario(data: object, source: str = "scenario", places: yamlfile.Places | None = None) -> Scenario:
    """A scenario from plain data, such as a parsed file or a test's dictionary."""
    return validate(Scenario, data, source, places or {})


def validate(kind: type[Part], data: object, source: str, places: Mapping[Any, Any]) -> Part:
    """A part of a scenario from plain data; raises ConfigError."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problems = tuple(_problem(dict(each), source, places) for each in error.errors(include_url=False))
        raise ConfigError(problems, _TRY) from None


def shipped() -> dict[str, Path]:
    """The scenarios that come along, by name."""
    folder = Path(str(files(__package__))) / "scenarios"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _problem(error: Mapping[str, Any], source: str, places: Mapping[Any, Any]) -> Problem:
    loc = tuple(error["loc"])
    line, column = next((places[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in places), (0, 0))
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    text = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        text = "unknown key; remove it, or look it up in the example"
    elif error["type"] == "missing":
        text = "is missing; write it"
    return Problem(source, line, column, key, text)
