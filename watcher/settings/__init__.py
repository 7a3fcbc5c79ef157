"""The configuration: YAML with places, environment and secret files, as frozen settings."""

from watcher.settings.load import environment_settings, load_settings
from watcher.settings.quiethours import Quiet
from watcher.settings.schema import Settings
from watcher.settings.secretfile import NoSecretError, read_key
from watcher.settings.secretfile import read as read_secret
from watcher.settings.sections import (
    Account,
    Channel,
    Delivery,
    Discover,
    Group,
    Heartbeat,
    Http,
    Log,
    Loss,
    Poll,
    Retention,
    Route,
    Rules,
    Task,
)

__all__ = [
    "Account",
    "Channel",
    "Delivery",
    "Discover",
    "Group",
    "Heartbeat",
    "Http",
    "Log",
    "Loss",
    "NoSecretError",
    "Poll",
    "Quiet",
    "Retention",
    "Route",
    "Rules",
    "Settings",
    "Task",
    "environment_settings",
    "load_settings",
    "read_key",
    "read_secret",
]
