"""The settings as a whole: every section, and where it all comes from."""

from __future__ import annotations

from pydantic import Field, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from watcher.errors import Problem
from watcher.models import TaskKey
from watcher.settings import secretvalues
from watcher.settings import types as t
from watcher.settings.inputs import Found
from watcher.settings.origin import Origin
from watcher.settings.sections import (
    Account,
    Channel,
    Delivery,
    Discover,
    Group,
    Heartbeat,
    Http,
    Log,
    Poll,
    Retention,
    Route,
    Rules,
    Task,
)


class Settings(BaseSettings):
    """Everything that can be set. `sources` are the configuration files that were read."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix="WATCHER_",
        env_nested_delimiter="__",
        title="watcher",
    )

    accounts: dict[t.Name, Account] = Field(
        default_factory=dict,
        description="The CLOVA Studio accounts; without it, one called default with CLOVA_API_KEY.",
    )
    tasks: tuple[Task, ...] = Field(default=(), description="The tasks to watch.")
    discover: tuple[Discover, ...] = Field(
        default=(), description="Which tasks to adopt as they appear in an account, until they have ended and settled."
    )
    groups: tuple[Group, ...] = Field(default=(), description="Tasks that are one experiment, by patterns of names.")
    poll: Poll = Field(default=Poll(), description="How often to look.")
    rules: Rules = Field(default=Rules(), description="When a fact becomes an event.")
    channels: dict[t.Name, Channel] = Field(default_factory=dict, description="Where messages go: name and URL.")
    routes: tuple[Route, ...] = Field(default=(), description="Who hears what, finer than a channel's own events.")
    mentions: dict[t.Shown, t.ChatId] = Field(
        default_factory=dict,
        description="Who is called by name when a task fails: the task's label owner, and the person's id in the chat.",
    )
    delivery: Delivery = Field(default=Delivery(), description="How long to keep trying, and how densely.")
    retention: Retention = Field(default=Retention(), description="How long the store keeps what.")
    language: t.Language = Field(default="en", description="The language of messages: en, ja or ko.")
    timezone: t.TimeZone = Field(default="Asia/Seoul", description="The time zone of messages, an IANA name.")
    store: t.StoreUrl = Field(
        default=SecretStr("sqlite:///watcher.db"),
        description="Where everything is kept; relative to the working directory.",
    )
    http: Http | None = Field(default=Http(), description="The page, the API and the health checks; null for none.")
    proxy: t.SecretWebUrl | None = Field(
        default=None,
        description="A proxy for the upstream and all channels that speak HTTP; mail and MQTT go directly.",
    )
    ca_file: str | None = Field(
        default=None, description="A file of CA certificates for the upstream and all channels."
    )
    heartbeat: Heartbeat | None = Field(default=None, description="An address that is asked while all is well.")
    log: Log = Field(default=Log(), description="What is logged.")
    sources: tuple[str, ...] = Field(default=(), description="The files that were read.")
    _origin: Origin = PrivateAttr(default_factory=Origin)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the loader passes in: it has merged files and environment already, and knows each value's place."""
        return (init_settings,)

    def task(self, key: TaskKey) -> Task | None:
        """The listed task with this key."""
        return next((task for task in self.tasks if task.key == key), None)

    def task_keys(self) -> tuple[TaskKey, ...]:
        """The listed tasks in the order of the files."""
        return tuple(task.key for task in self.tasks)

    def files(self) -> tuple[str, ...]:
        """Every file whose content the settings rest on: configuration, secrets, certificates."""
        return tuple(each.path for each in self._origin.found if not each.folder)

    def secret_file(self, key: str) -> str | None:
        """The file behind a secret such as `accounts.main.api_key`; None if it doesn't come from one."""
        return self._origin.secret_files.get(key)

    def template_file(self, channel: str, pattern: str) -> str | None:
        """The file behind a channel's template for these events; None if it stands in the configuration itself."""
        return self._origin.template_files.get(f"channels.{channel}.template.{pattern}")

    def found(self) -> Found:
        """What the load found at everything that it read."""
        return self._origin.found

    def files_changed_since(self, earlier: Settings) -> tuple[str, ...]:
        """The files whose content isn't what `earlier` rests on, new ones included.

        Settings are equal when they say the same: the certificates in a changed `ca_file` show only here.
        """
        before = earlier.found()
        return tuple(each.path for each, found in self.found().items() if before.get(each) != found and not each.folder)

    def problem(self, key: str, text: str) -> Problem:
        """A problem with a value that was accepted, found later: it stands where the value is written."""
        return self._origin.place(key).problem(self._origin.written(key), text)

    def coming_from(self, origin: Origin) -> Settings:
        """The same settings, which know where they come from."""
        settings = self.model_copy()
        settings._origin = origin
        return settings

    def secret_values(self) -> frozenset[str]:
        """Every text that must never be shown."""
        return secretvalues.collect(self)
