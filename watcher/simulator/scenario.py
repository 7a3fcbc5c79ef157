"""What the simulator plays: a whole scenario, read from a file and checked with line numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, model_validator

from watcher.errors import ConfigError, Problem, WatcherError
from watcher.simulator import yamlfile
from watcher.simulator.template import expand
from watcher.simulator.values import Fault, Keys, Limits, ListForm, Part, Task, numbered

__all__ = ["Fault", "Keys", "Limits", "ListForm", "Scenario", "Task", "load_scenario", "parse_scenario", "shipped"]

_TRY = "watcher/simulator/scenarios/example.yaml shows every key"
_TAGS = ("one key", "many keys")

Some = TypeVar("Some", bound=BaseModel)


def _key_tag(entry: object) -> str:
    return _TAGS[isinstance(entry, (Mapping, Keys))]


KeyEntry = Annotated[Annotated[str, Tag(_TAGS[0])] | Annotated[Keys, Tag(_TAGS[1])], Discriminator(_key_tag)]


class Scenario(Part):
    """A whole play."""

    keys: tuple[KeyEntry, ...] = Field(default=("nv-test",), min_length=1)
    sees: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Keys that are shown other keys' tasks besides their own."""
    queries_per_minute: int | None = Field(default=None, ge=1)
    """In real time, of all keys together unless `limits.per_key`; null for no limit."""
    limits: Limits = Limits()
    require_content_type: bool = True
    status_info: Literal["object", "array", "absent-while-waiting", "null-while-waiting", "empty-while-waiting"] = (
        "object"
    )
    dates: Literal["real", "scenario"] = "real"
    """real: compressed like everything, so that nothing lies in the future; scenario: as long as the story says"""
    list: ListForm = ListForm()
    tasks: tuple[Task, ...] = ()
    faults: tuple[Fault, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Scenario:
        ids = Counter(task.id for task in self.all_tasks())
        if len(ids) < ids.total():
            raise ValueError(f"the task {ids.most_common(1)[0][0]} stands twice; give each its own id")
        return self

    def all_keys(self) -> tuple[str, ...]:
        """Every key, templates filled in, in the file's order."""
        return tuple(key for entry in self.keys for key in _written_out(entry))

    def all_tasks(self) -> Iterator[Task]:
        """Every task, templates filled in, in the file's order."""
        keys = self.all_keys()
        for task in self.tasks:
            yield from expand(task, keys)


def _written_out(entry: str | Keys) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    else:
        yield from (numbered(entry.key, n) for n in range(entry.count))


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


def validate(kind: type[Some], data: object, source: str, places: Mapping[Any, Any]) -> Some:
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
    loc = tuple(part for part in error["loc"] if part not in _TAGS)
    line, column = next((places[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in places), (0, 0))
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    text = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        text = "unknown key; remove it, or look it up in the example"
    elif error["type"] == "missing":
        text = "is missing; write it"
    return Problem(source, line, column, key, text)
