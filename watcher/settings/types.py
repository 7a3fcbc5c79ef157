"""The kinds of value that a setting can be: the check of each, and what an editor is told about it.

A secret may be "": that is what a reading command gets instead of a missing one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr, WithJsonSchema

from watcher.events import EVENT_TYPES
from watcher.settings import messaging as m
from watcher.settings import values as v
from watcher.settings.quiethours import Quiet, not_all_day, quiet

VARIABLE = r"\$\{"


def _secretly(check: Callable[[str], str]) -> AfterValidator:
    def run(value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        return SecretStr(check(text)) if text else value

    return AfterValidator(run)


def _text_schema(**more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **more})


_ANY_SCALAR = WithJsonSchema({"type": ["string", "number", "boolean"]})
_ID = {"anyOf": [{"type": "string", "pattern": rf"^[A-Za-z0-9_-]+$|{VARIABLE}"}, {"type": ["number", "boolean"]}]}
_SECONDS = {"type": ["string", "number"], "pattern": rf"^(\s*[0-9.]+\s*(ms|s|m|h|d|w)?)+\s*$|{VARIABLE}"}
_HOURS = rf"^\s*[0-9:]+\s*-\s*[0-9:]+\s*$|{VARIABLE}"
_WEB = rf"^https?://|{VARIABLE}"


def _digits(lowest: int, highest: int) -> WithJsonSchema:
    whole = {"type": "integer", "minimum": lowest, "maximum": highest}
    return WithJsonSchema({"anyOf": [whole, {"type": "string", "pattern": rf"^[0-9]+$|{VARIABLE}"}]})


def _words(*words: str) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"enum": list(words)}, {"type": "string", "pattern": VARIABLE}]})


Seconds = Annotated[float, BeforeValidator(v.duration), WithJsonSchema(_SECONDS)]
Rate = Annotated[
    float,
    BeforeValidator(v.number),
    WithJsonSchema({"type": ["number", "string"], "exclusiveMinimum": 0, "pattern": rf"^[0-9.]+$|{VARIABLE}"}),
]
Port = Annotated[int, BeforeValidator(v.integer(0, 65535, "8080 (0: any free port)")), _digits(0, 65535)]
Count = Annotated[int, BeforeValidator(v.integer(1, 100_000, "10")), _digits(1, 100_000)]
Percent = Annotated[int, BeforeValidator(v.integer(1, 99, "50")), _digits(1, 99)]
Milestones = Annotated[tuple[Percent, ...], AfterValidator(v.milestones)]
Share = Annotated[float, BeforeValidator(v.percent_share), _text_schema(pattern=rf"^[0-9.]+\s*%$|{VARIABLE}")]
Boolean = Annotated[bool, BeforeValidator(v.boolean), WithJsonSchema({"type": ["boolean", "string"]})]
TaskId = Annotated[str, AfterValidator(v.task_id), WithJsonSchema(_ID)]
Name = Annotated[str, AfterValidator(v.plain_name), _ANY_SCALAR]
LabelKey = Annotated[str, AfterValidator(v.label_key)]
Shown = Annotated[str, AfterValidator(v.shown_text), _ANY_SCALAR]
Glob = Annotated[str, AfterValidator(v.glob), _ANY_SCALAR]
EventGlob = Annotated[str, AfterValidator(v.event_glob), _text_schema(examples=["notable", "*", *EVENT_TYPES])]
Language = Annotated[str, AfterValidator(v.language), _words(*v.LANGUAGES)]
TimeZone = Annotated[str, AfterValidator(v.time_zone), _text_schema(examples=["Asia/Seoul", "Asia/Tokyo", "UTC"])]
WebUrl = Annotated[str, AfterValidator(v.http_url), _text_schema(pattern=_WEB)]
BaseUrl = Annotated[str, AfterValidator(v.base_url), _text_schema(pattern=_WEB)]
Host = Annotated[str, AfterValidator(v.host), _text_schema()]
Level = Annotated[
    str, AfterValidator(v.one_of("debug", "info", "warning", "error")), _words("debug", "info", "warning", "error")
]
Format = Annotated[str, AfterValidator(v.one_of("auto", "console", "json")), _words("auto", "console", "json")]
Mode = Annotated[Literal["card", "messages"], BeforeValidator(v.one_of("card", "messages")), _words("card", "messages")]
SlackChannel = Annotated[str, AfterValidator(m.slack_channel), _text_schema(pattern=rf"{m.SLACK_CHANNEL}|{VARIABLE}")]
Template = Annotated[str, AfterValidator(m.template), _text_schema()]
ChatId = Annotated[str, AfterValidator(m.chat_id), _ANY_SCALAR]
QuietHours = Annotated[Quiet, BeforeValidator(quiet), _text_schema(pattern=_HOURS)]
Quiets = Annotated[tuple[QuietHours, ...], AfterValidator(not_all_day)]
ApiKey = Annotated[SecretStr, _secretly(v.header_safe), _text_schema()]
SigningSecret = Annotated[SecretStr, _secretly(v.signing_secret), _text_schema(pattern=rf"^whsec_|{VARIABLE}")]
SlackToken = Annotated[SecretStr, _secretly(m.slack_token), _text_schema(pattern=rf"^xox|{VARIABLE}")]
ChannelUrl = Annotated[SecretStr, _secretly(v.channel_url), _text_schema(pattern=rf"://|{VARIABLE}")]
SecretWebUrl = Annotated[SecretStr, _secretly(v.http_url), _text_schema(pattern=_WEB)]
StoreUrl = Annotated[SecretStr, _secretly(v.store_url), _text_schema(pattern=rf"^(sqlite|postgresql)|{VARIABLE}")]
