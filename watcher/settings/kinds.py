"""What the schema asks for at each place: the walk of `shape` and the JSON Schema follow it."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import AfterValidator, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from watcher.settings.schema import Settings
from watcher.settings.sections import Account, ByEvent, Channel, Discover, Group, Http, Later, Route, Task

INJECTED: dict[type[BaseModel], str] = {Account: "name", Channel: "name", Settings: "sources"}
"""What the loader fills in, and files can't write."""

EXAMPLES: dict[type[BaseModel], str] = {
    Account: "a mapping: {api_key_file: /path}",
    Task: "an id, or a mapping: {id: czf9fbky, name: support-bot}",
    Discover: 'a mapping: {name: "support-*"}; {name: "*"} adopts every task',
    Group: 'a mapping: {name: lr-sweep, match: "exp-lr-*"}',
    Channel: "a URL, or a mapping: {url_file: /path, events: [notable]}",
    Route: "a mapping: {events: [task.failed], channels: [mail]}",
    Http: "a mapping: {host: 127.0.0.1, port: 8080}; null for no page and no API",
}
"""What errors show of how a section may be written."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What an annotation asks for: `inner` is the model, or the annotation of a mapping's values or a list's items.

    `check` is that of a mapping's keys.
    """

    form: Literal["model", "mapping", "list", "secret", "text"]
    inner: Any = None
    nullable: bool = False
    check: Callable[[Any], Any] = str


def kind_of(annotation: Any) -> Kind:
    """The shape behind an annotation."""
    return _kind(annotation)


@cache
def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) is Annotated:
        return kind_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        first = kind_of(next(each for each in get_args(annotation) if each is not type(None)))
        return replace(first, nullable=True)
    if get_origin(annotation) is dict:
        key, inner = get_args(annotation)
        return Kind("mapping", inner, check=_check_of(key))
    if get_origin(annotation) is tuple:
        return Kind("list", get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Kind("model", annotation)
    return Kind("secret" if annotation is SecretStr else "text")


def _check_of(annotation: Any) -> Callable[[Any], Any]:
    found = next(each.func for each in get_args(annotation) if isinstance(each, AfterValidator))
    return cast("Callable[[Any], Any]", found)


@cache
def written_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the names that files use."""
    skipped = INJECTED.get(model)
    fields = model.model_fields.items()
    return {str(field.validation_alias or name): field for name, field in fields if name != skipped}


def has_twin(field: FieldInfo) -> bool:
    """Whether the value may come from a file named by the key with `_file` behind it."""
    kind = kind_of(field.annotation)
    return kind.form == "secret" or by_event(field) or (kind.form == "list" and kind_of(kind.inner).form == "secret")


def by_event(field: FieldInfo) -> bool:
    """Whether one text may stand for a mapping from patterns of events to texts."""
    return any(isinstance(mark, ByEvent) for mark in field.metadata)


def later(field: FieldInfo) -> Later | None:
    """The mark of a key that comes with a later version."""
    return next((mark for mark in field.metadata if isinstance(mark, Later)), None)
