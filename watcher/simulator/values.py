"""The parts of a scenario, as its file writes them. Times are scenario time, which `speed` compresses."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from watcher.simulator import faults

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MOST = 1_000_000


def _seconds(value: object) -> object:
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if not match:
            raise ValueError(f"{value!r} isn't a duration; write 30s, 5m, 6h or 2d")
        return float(match[1]) * _UNITS[match[2]]
    return value


def numbered(text: str, n: int, key: str = "") -> str:
    """A text with `{n}` (or `{n:07d}`) and `{key}` filled in; raises ValueError with what to write."""
    try:
        return text.format(n=n, key=key)
    except (LookupError, ValueError, AttributeError) as error:
        raise ValueError(f"{text!r} can't be filled in ({error}); write {{n}}, {{n:07d}} or {{key}}") from None


def _counted(text: str) -> str:
    if numbered(text, 0) == numbered(text, 1):
        raise ValueError(f"{text!r} is the same for each; write {{n}} or {{n:07d}} into it")
    return text


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]


class Part(BaseModel):
    """Frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Keys(Part):
    """Many keys at once: `{count: 100, key: "nv-{n:03d}"}`."""

    count: int = Field(ge=1, le=_MOST)
    key: Annotated[str, Field(min_length=1)]

    @field_validator("key")
    @classmethod
    def _distinct(cls, key: str) -> str:
        return _counted(key)


class Step(Part):
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


class Task(Part):
    """A tuning task. Before the first step of its timeline it doesn't exist. `created` is how long before that step
    it was created. With `owner`, every other key gets 403 with code 40301.

    With `count` it stands for so many tasks: `{n}` in id and name is each one's number from 0, `{key}` in owner deals
    them out over the scenario's keys in turn. Each begins `apart` after the one before, and what follows its
    beginning is later by its own share of `spread`.
    """

    count: int | None = Field(default=None, ge=1, le=_MOST)
    apart: Seconds = 0.0
    spread: Seconds = 0.0
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

    @field_validator("id")
    @classmethod
    def _distinct(cls, id_: str, info: ValidationInfo) -> str:
        return id_ if info.data.get("count") is None else _counted(id_)

    @field_validator("name", "owner")
    @classmethod
    def _fillable(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None and info.data.get("count") is not None:
            numbered(text, 0)
        return text

    @field_validator("apart", "spread")
    @classmethod
    def _of_many(cls, seconds: float, info: ValidationInfo) -> float:
        if info.data.get("count") is None:
            raise ValueError("belongs to a task with `count`; write count, or leave it out")
        return seconds


class Fault(Part):
    """From `from` until `until` (default: for ever) requests are answered wrongly, each with probability `rate`.

    `key` is a glob over keys; `on: list` or `on: get` picks one endpoint. `task` is a glob over ids: an answer's fault
    then leaves the list alone, while a list's (`list_...`) means these items. `times` ends the fault after so many
    answers. `retry_after` becomes the header, in seconds or as it stands; `none` leaves it out.
    """

    kind: str
    start: Seconds = Field(default=0.0, alias="from")
    until: Seconds | None = None
    key: str | None = None
    task: str | None = None
    on: Literal["get", "list"] | None = None
    rate: float = Field(default=1.0, ge=0, le=1)
    times: int | None = Field(default=None, ge=1)
    retry_after: str | None = None
    delay: float = Field(default=1.0, ge=0)
    """Real seconds that `slow` takes."""
    by: Seconds = 30.0
    """How far behind `list_lags` shows the tasks."""
    page: int = Field(default=0, ge=0)
    """The page that `list_stuck` gives for every number."""
    pages: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(1_000_000,), min_length=1)
    """What `list_pages` claims as totalPages: one number, or several that take turns from read to read."""
    item: Literal["nothing", "text", "number", "list", "no_id", "no_status", "null_status", "twice"] = "nothing"
    """How `list_broken_item` breaks an item: `task`'s, or one more in the middle of each page. `twice`: a key stands
    twice in it."""

    model_config = ConfigDict(populate_by_name=True, coerce_numbers_to_str=True)

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        faults.parse(kind)
        return kind

    @field_validator("pages", mode="before")
    @classmethod
    def _one_or_more(cls, pages: object) -> object:
        return (pages,) if isinstance(pages, (int, str)) else pages

    @field_validator("on")
    @classmethod
    def _fits(cls, on: str | None, info: ValidationInfo) -> str | None:
        if on == "get" and info.data.get("kind") in faults.LISTS:
            raise ValueError(f"{info.data['kind']} is a list's; leave `on` out")
        return on

    @property
    def of_list(self) -> bool:
        """Whether it changes what a list says, and not how an answer is given."""
        return self.kind in faults.LISTS


class ListForm(Part):
    """What the guide's samples show and real lists may do."""

    order: Literal["newest_first", "oldest_first", "by_id", "shuffled"] = "newest_first"
    """shuffled: anew at each read"""
    text_numbers: bool = False
    """`"totalPages": "7,"`"""
    sparse: bool = True
    """statusInfo without message and endDatetime"""
    repeat: bool = False
    """each page begins with the last task of the page before, as when a task is created between two reads"""


class Limits(Part):
    """How `queries_per_minute` is counted and told."""

    per_key: bool = False
    """each key has its own budget; else all keys are of one account and share one"""
    headers: Literal["x-ratelimit-requests", "x-ratelimit", "ratelimit", "none"] = "x-ratelimit-requests"
    retry_after: bool = True
    """whether a refusal carries Retry-After"""
    other_queries_per_minute: float = Field(default=0.0, ge=0)
    """evenly spaced queries of somebody else, who uses the same budget"""
