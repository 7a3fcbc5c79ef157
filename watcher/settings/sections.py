"""The sections of the configuration: what each means once it is read. Every value is frozen.

These classes are also the schema of the YAML. What a file may write otherwise (a channel as a bare URL, `api_key_file`
in place of `api_key`) is brought into this shape by `shape`. Durations are seconds.

To add a key: add its field with a description here, show it in `config/watcher.full.yaml`, and run
`watcher schema > config/watcher.schema.json`; `tests/test_config_files.py` tells what was forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from watcher.models import TaskKey
from watcher.settings import types as t

SOME: dict[str, JsonValue] = {"minItems": 1}
"""Tells editors that a list can't be empty; `checks` says it to everybody else."""

CLOVA_STUDIO = "https://clovastudio.stream.ntruss.com"


@dataclass(frozen=True, slots=True)
class Later:
    """Marks a key whose feature comes with a later version: `shape` refuses whatever is written but null or nothing."""

    instead: str = "leave it out"


@dataclass(frozen=True, slots=True)
class ByEvent:
    """Marks a mapping from patterns of events to texts, which may be written as one text: that one is for all events.

    Its `_file` twin has paths in the place of texts.
    """


class Frozen(BaseModel):
    """What all settings have in common; an error never prints its input, which may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)


class Account(Frozen):
    """A CLOVA Studio key and how hard it may be used."""

    name: t.Name = Field(description="The account's name.")
    api_key: t.ApiKey = Field(description="The CLOVA Studio API key, sent as a Bearer token.")
    base_url: t.BaseUrl = Field(default=CLOVA_STUDIO, description="Where the API is.")
    queries_per_minute: t.Rate = Field(
        default=30.0, description="The watcher's share of the account's limit; never exceeded, not even over restarts."
    )
    timeout: t.Seconds = Field(default=10.0, description="How long one request may take, all in.")


class Task(Frozen):
    """A tuning task to watch; a bare id is enough."""

    id: t.TaskId = Field(description="The task's id as CLOVA Studio shows it.")
    account: t.Name = Field(default="default", description="Which account it belongs to; needed with several accounts.")
    name: t.Shown | None = Field(default=None, description="What to call it, instead of its name in CLOVA Studio.")
    labels: dict[t.LabelKey, t.Shown] = Field(default_factory=dict, description="Words of yours, for routes.")

    @property
    def key(self) -> TaskKey:
        return TaskKey(self.account, self.id)


class Discover(Frozen):
    """Which tasks of an account to adopt as they appear."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    account: t.Name | None = Field(default=None, description="Which account; all of them if left out.")
    name: tuple[t.Glob, ...] = Field(default=(), description="Patterns of names.", json_schema_extra=SOME)
    model: tuple[t.Glob, ...] = Field(default=(), description="Patterns of models.", json_schema_extra=SOME)
    max_age: t.Seconds | None = Field(default=None, description="Leave out tasks created longer ago.")
    labels: dict[t.LabelKey, t.Shown] = Field(default_factory=dict, description="Labels for the adopted tasks.")


class Group(Frozen):
    """Tasks that are one experiment."""

    name: t.Name = Field(description="The group's name.")
    match: tuple[t.Glob, ...] = Field(description="Patterns of task names.", json_schema_extra=SOME)


class Poll(Frozen):
    """How often to look. These are goals: the account's quota comes first."""

    interval: t.Seconds = Field(default=30.0, description="How often to look at a task that is RUNNING.")
    wait_interval: t.Seconds = Field(default=60.0, description="How often to look at a task that is in WAIT.")
    settle: t.Seconds = Field(default=600.0, description="How long to keep looking after SUCCEEDED or FAILED.")


class Loss(Frozen):
    """When a loss is worth a message."""

    nan: t.Boolean = Field(default=True, description="Tell when the loss is no number any more.")
    rise: t.Share | None = Field(
        default=None, description="Tell when it is this much above the lowest seen, such as 50%."
    )


class Rules(Frozen):
    """When a fact becomes an event."""

    progress: t.Milestones = Field(default=(25, 50, 75), description="Percentages whose passing is told; [] for none.")
    stalled_after: Annotated[t.Seconds | None, Later()] = Field(
        default=None, description="Not in this version yet. RUNNING without a step for this long is told."
    )
    queued_longer_than: Annotated[t.Seconds | None, Later()] = Field(
        default=None, description="Not in this version yet. WAIT for longer than this is told."
    )
    unreachable_after: t.Seconds = Field(
        default=300.0, description="Tell that an account can't be reached after this long and at least 3 failed polls."
    )
    loss: Annotated[Loss | None, Later()] = Field(
        default=None, description="Not in this version yet. When a loss is worth a message."
    )


class Channel(Frozen):
    """Somewhere messages go; a bare URL is enough.

    `language` and `timezone` are the global ones unless it has its own. `events` is None where nothing is written.
    """

    name: t.Name = Field(description="The channel's name, as messages and logs show it.")
    url: t.ChannelUrl | None = Field(
        default=None,
        description="An https:// address that Apprise recognises (Slack, Discord, Google Chat, ...) is that chat; "
        "other http(s) addresses are signed webhooks; everything else is an Apprise URL; console:// prints.",
    )
    secrets: tuple[t.SigningSecret, ...] = Field(
        default=(),
        validation_alias="secret",
        description="Signs webhooks: whsec_ and base64; a list while changing it.",
    )
    language: t.Language = Field(default="en", description="The language of its messages.")
    timezone: t.TimeZone = Field(default="Asia/Seoul", description="The time zone of its messages, an IANA name.")
    events: tuple[t.EventGlob, ...] | None = Field(
        default=None,
        description='What it hears: patterns of events; notable (also if left out), or "*" for everything.',
    )
    slack_token: t.SlackToken | None = Field(
        default=None, description="The bot token of a Slack app; then `channel` says where, and `url` may be left out."
    )
    channel: t.SlackChannel | None = Field(
        default=None, description='The Slack channel of slack_token: "#ml", or an id such as C012AB3CD.'
    )
    mode: t.Mode | None = Field(
        default=None,
        description="card: one living Slack message per task; messages (the default): one message per event.",
    )
    template: Annotated[dict[t.EventGlob, t.Template], ByEvent()] = Field(
        default_factory=dict,
        description="Your own words: a Jinja2 template, or one per pattern of events. Its first line is the title.",
    )
    quiet: t.Quiets = Field(
        default=(),
        description='Hours in which messages are held, in its time zone: "22:00-08:00", or a list of such.',
    )
    urgent: t.Boolean = Field(default=False, description="Whether failures come in quiet hours, too.")
    pace: t.Seconds | None = Field(
        default=None, description="At least this long between two messages; what its service wants if left out."
    )


class Route(Frozen):
    """Who hears what, finer than a channel's own events. Empty matchers match everything; the rest are patterns."""

    events: tuple[t.EventGlob, ...] = Field(description="Patterns of events, or notable.")
    channels: tuple[t.Name, ...] = Field(description="The channels that hear them.")
    labels: dict[t.LabelKey, t.Glob] = Field(default_factory=dict, description="Only tasks with all these labels.")
    tasks: tuple[t.Glob, ...] = Field(
        default=(), validation_alias="task", description="Only tasks with these ids or names."
    )
    models: tuple[t.Glob, ...] = Field(default=(), validation_alias="model", description="Only tasks of these models.")
    accounts: tuple[t.Glob, ...] = Field(
        default=(), validation_alias="account", description="Only tasks of these accounts."
    )
    urgent: t.Boolean = Field(
        default=False, description="Whether failures that are heard because of it come in quiet hours, too."
    )


class Delivery(Frozen):
    """How long and how densely to deliver."""

    give_up_after: t.Seconds = Field(
        default=604800.0, description="A delivery that failed for this long expires, and is told."
    )
    digest_after: t.Count | None = Field(
        default=10, description="When more than this many are due for one chat, they become one message; null: never."
    )


class Retention(Frozen):
    """How long the store keeps what."""

    history: t.Seconds = Field(default=90 * 86400.0, description="How long to keep steps and losses.")
    events: t.Seconds = Field(default=400 * 86400.0, description="How long to keep events and what became of them.")


class Http(Frozen):
    """The page, the API and the health checks."""

    host: t.Host = Field(default="127.0.0.1", description="The address to listen on.")
    port: t.Port | None = Field(default=8080, description="The port to listen on; 0: any free one; null: none.")
    token: t.ApiKey | None = Field(default=None, description="Whoever asks must show it, except for the health checks.")
    public_url: Annotated[t.BaseUrl | None, Later()] = Field(
        default=None, description="Not in this version yet. The page's address from outside, for links in messages."
    )


class Heartbeat(Frozen):
    """An address that is asked while all is well, for a monitor that notices silence."""

    url: t.SecretWebUrl = Field(description="The address to ask.")
    every: t.Seconds = Field(default=300.0, description="How often.")


class Log(Frozen):
    """What is logged to stderr, and how."""

    level: t.Level = Field(default="info", description="The least severe lines to show.")
    format: t.Format = Field(default="auto", description="auto: console on a terminal, json otherwise.")
