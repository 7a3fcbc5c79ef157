"""The JSON Schema of the configuration, for editors: what a file may write, which is more than what it means."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from watcher.settings import sections
from watcher.settings.kinds import by_event, has_twin, kind_of, later, written_fields
from watcher.settings.schema import Settings

Json = dict[str, Any]
_MODELS: tuple[type[BaseModel], ...] = (
    sections.Account,
    sections.Task,
    sections.Discover,
    sections.Group,
    sections.Poll,
    sections.Loss,
    sections.Rules,
    sections.Channel,
    sections.Route,
    sections.Delivery,
    sections.Retention,
    sections.Http,
    sections.Heartbeat,
    sections.Log,
)
_LATER = " Until then nothing but null may be written."
_SHORT = {"Task": "id", "Channel": "url"}


def json_schema() -> Json:
    """The schema as `watcher schema` prints it."""
    root = Settings.model_json_schema(by_alias=True)
    definitions = root.pop("$defs")
    _as_written(root, Settings)
    for model in _MODELS:
        _as_written(definitions[model.__name__], model)
    for name, field in _SHORT.items():
        _with_short_form(definitions, name, field)
    root["properties"]["store"]["default"] = "sqlite:///watcher.db"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "watcher",
        "description": "The configuration of watcher. ${VAR}, ${VAR:-default} and $${ (a literal ${) work in values.",
        "type": "object",
        "properties": root["properties"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _as_written(node: Json, model: type[BaseModel]) -> None:
    """Leaves out what the loader fills in, adds `_file` twins, lets one text stand for a list, and null for nothing."""
    fields, properties = written_fields(model), node["properties"]
    node["description"] = node["description"].split("\n")[0]
    node["properties"] = {}
    required = node.pop("required", [])
    for key, field in fields.items():
        properties[key]["description"] = f"{field.description}{_LATER if later(field) else ''}"
        node["properties"][key] = _one_or_many(properties[key], kind_of(field.annotation).form == "list", field)
        if has_twin(field):
            what = f"A file that holds {key}: regular, UTF-8, at most 64 KiB; one newline at its end is cut off."
            forms = _texts_or_one() if by_event(field) else {"type": "string"}
            node["properties"][f"{key}_file"] = {**forms, "description": what}
    mandatory = [key for key in required if key in fields and not has_twin(fields[key])]
    if mandatory:
        node["required"] = mandatory


def _one_or_many(node: Json, is_list: bool, field: Any) -> Json:
    node.pop("title", None)
    items = node.get("items")
    if is_list and items and kind_of(kind_of(field.annotation).inner).form in ("text", "secret"):
        rest: Json = {key: node[key] for key in ("description", "default") if key in node}
        some = {key: node[key] for key in ("minItems",) if key in node}
        return {"anyOf": [{"type": "array", "items": items, **some}, items], **rest}
    if by_event(field):
        return {**_texts_or_one(), "description": node["description"]}
    if kind_of(field.annotation).form in ("model", "mapping") or (is_list and items):
        return _or_null(node)
    return node


def _texts_or_one() -> Json:
    """One text, or a mapping from patterns of events to texts."""
    text: Json = {"type": "string"}
    return {"anyOf": [text, {"type": "object", "additionalProperties": text}, {"type": "null"}]}


def _or_null(node: Json) -> Json:
    """A section whose lines are all commented out is null."""
    if "anyOf" in node:
        return node
    outside: Json = {key: node.pop(key) for key in ("description", "default") if key in node}
    return {"anyOf": [node, {"type": "null"}], **outside}


def _with_short_form(definitions: Json, name: str, field: str) -> None:
    long = definitions[name]
    short = {key: value for key, value in long["properties"][field].items() if key not in ("default", "description")}
    forms = [each for each in short.get("anyOf", [short]) if each != {"type": "null"}]
    definitions[name] = {"description": long.pop("description"), "anyOf": [*forms, long]}
