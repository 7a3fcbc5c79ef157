"""The configuration: YAML with places, environment and secret files, as frozen settings."""

from watcher.settings.load import environment_settings, load_settings
from watcher.settings.schema import (
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
    Settings,
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
    "Poll",
    "Retention",
    "Route",
    "Rules",
    "Settings",
    "Task",
    "environment_settings",
    "load_settings",
]
