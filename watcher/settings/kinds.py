"""What the schema asks for at each place: the walk of `shape` and the JSON Schema follow it."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from watcher.settings.schema import Settings
from watcher.settings.sections import Account, Channel, Later

INJECTED: dict[type[BaseModel], str] = {Account: "name", Channel: "name", Settings: "sources"}
"""What the loader fills in, and files can't write."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What an annotation asks for: `inner` is the model, or the annotation of a mapping's values or a list's items."""

    form: Literal["model", "mapping", "list", "secret", "text"]
    inner: Any = None
    nullable: bool = False


def kind_of(annotation: Any) -> Kind:
    """The shape behind an annotation."""
    return _kind(annotation)


@cache
def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) is Annotated:
        return kind_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        first = kind_of(next(each for each in get_args(annotation) if each is not type(None)))
        return Kind(first.form, first.inner, nullable=True)
    if get_origin(annotation) is dict:
        return Kind("mapping", get_args(annotation)[1])
    if get_origin(annotation) is tuple:
        return Kind("list", get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Kind("model", annotation)
    return Kind("secret" if annotation is SecretStr else "text")


@cache
def written_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the names that files use."""
    skipped = INJECTED.get(model)
    fields = model.model_fields.items()
    return {str(field.validation_alias or name): field for name, field in fields if name != skipped}


def has_twin(field: FieldInfo, key: str) -> bool:
    """Whether the value may come from a file named by `<key>_file`."""
    kind = kind_of(field.annotation)
    return kind.form == "secret" or key == "template" or (kind.form == "list" and kind_of(kind.inner).form == "secret")


def later(field: FieldInfo) -> Later | None:
    """The mark of a key that comes with a later version."""
    return next((mark for mark in field.metadata if isinstance(mark, Later)), None)
