"""Where messages go: the channel of each setting.

How to add one: write a module here with a class that has `Channel`'s methods, and name it in `build_channel` and
`channel_kind`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, TypeGuard
from urllib.parse import urlsplit

from watcher.errors import WatcherError
from watcher.models import ChannelKind
from watcher.notifier.channels.base import CardChannel, Channel

if TYPE_CHECKING:
    from watcher import settings as config
    from watcher.redact import Redactor

__all__ = ["CardChannel", "Channel", "build_channel", "channel_kind", "keeps_cards"]


def keeps_cards(channel: Channel) -> TypeGuard[CardChannel]:
    """Whether it shows each task as a living message."""
    return getattr(channel, "keeps_cards", False) is True


def channel_kind(settings: config.Channel) -> ChannelKind:
    """How the channel reads: whole events (webhook), mails, chat lines, or lines on this terminal."""
    if settings.slack_token is not None:
        return "chat"
    url = settings.url.get_secret_value() if settings.url else ""
    scheme = url.partition("://")[0].lower()
    if scheme == "console":
        return "console"
    if scheme in {"mailto", "mailtos"}:
        return "mail"
    return "webhook" if _is_webhook(url, bool(settings.secrets)) else "chat"


def build_channel(
    settings: config.Channel,
    *,
    redactor: Redactor,
    proxy: str | None = None,
    ca_file: str | None = None,
    mentions: Mapping[str, str] | None = None,
) -> Channel:
    """The channel that a setting describes. `mentions` has the chat id of each owner who is called by name.

    Loads apprise (0.3 s and more) where the address needs it. Raises WatcherError for an address that nobody takes.
    """
    if settings.slack_token is not None:
        from watcher.notifier.channels.slack import SlackChannel

        return SlackChannel(settings, redactor=redactor, proxy=proxy, ca_file=ca_file, mentions=mentions or {})
    kind = channel_kind(settings)
    if settings.url is None or "://" not in settings.url.get_secret_value():
        raise WatcherError(
            f"channel {settings.name}: its url isn't an address",
            "write https://..., mailtos://... or another address from https://appriseit.com/services/",
        )
    if kind == "console":
        from watcher.notifier.channels.console import ConsoleChannel

        return ConsoleChannel(settings, mentions=mentions or {})
    if kind == "webhook":
        _refuse_signed_chat(settings)
        if settings.template:
            raise WatcherError(
                f"channel {settings.name}: a webhook carries whole events, which no template changes",
                "leave out template; its receiver finds every fact in `data`",
            )
        from watcher.notifier.channels.webhook import WebhookChannel

        return WebhookChannel(settings, redactor=redactor, proxy=proxy, ca_file=ca_file)
    from watcher.notifier.channels.chat import AppriseChannel

    return AppriseChannel(settings, kind=kind, redactor=redactor, proxy=proxy, ca_file=ca_file, mentions=mentions or {})


def _refuse_signed_chat(settings: config.Channel) -> None:
    """Slack and its like take no CloudEvents. Raises WatcherError for a secret on an address of their own.

    An address whose form alone is known (https://mattermost.*, https://HOST/notify/KEY), whatever the domain, may as
    well be anybody's webhook: there the secret decides.
    """
    url = settings.url.get_secret_value() if settings.url else ""
    if settings.secrets and url.lower().startswith("https://") and not _is_local(url) and _recognised(url):
        label = (urlsplit(url).hostname or "").partition(".")[0]
        elsewhere = urlsplit(url)._replace(netloc=f"{label}.invalid").geturl()
        if not _recognised(elsewhere):
            raise WatcherError(
                f"channel {settings.name}: its url is a chat's, which takes no signed webhooks", "leave out secret"
            )


def _is_webhook(url: str, signed: bool) -> bool:
    """A chat is an https:// address that apprise recognises. A signing secret says that it's a webhook."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() == "http" or (scheme.lower() == "https" and (signed or _is_local(url))):
        return True
    return scheme.lower() == "https" and bool(rest) and not _recognised(url)


def _is_local(url: str) -> bool:
    """This machine, or a bare IP address: no chat service lives there, so apprise needn't be loaded to know."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or bool(ipaddress.ip_address(host))
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def _recognised(url: str) -> bool:
    from watcher.notifier.channels.apprise import recognises

    return recognises(url)
