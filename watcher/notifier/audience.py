"""The configuration as routing needs it."""

from __future__ import annotations

from watcher.notifier.channels import channel_kind
from watcher.notifier.route import Listener, Route
from watcher.settings import Settings


def listeners(settings: Settings) -> tuple[Listener, ...]:
    return tuple(Listener(name, channel_kind(channel), channel.events) for name, channel in settings.channels.items())


def routes(settings: Settings) -> tuple[Route, ...]:
    return tuple(
        Route(route.events, route.channels, route.labels, route.tasks, route.models, route.accounts)
        for route in settings.routes
    )
