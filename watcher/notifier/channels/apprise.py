"""apprise, which speaks to chats and mail servers: the only module that imports it.

Loading it takes a while, so that happens when the first address needs it.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from watcher.errors import WatcherError
from watcher.notifier.channels import recorder
from watcher.notifier.channels.services import adapt
from watcher.notifier.text import clean, cut

READ_TIMEOUT = 30.0
CONNECT_TIMEOUT = 10.0
FORCED: dict[str, Any] = {
    "retry": 0,
    "wait": 0.0,
    "optional": False,
    "redirect": False,
    "overflow": "upstream",
    "emojis": False,
    "store": False,
    "rto": READ_TIMEOUT,
    "cto": CONNECT_TIMEOUT,
}
"""Options that the watcher decides, whatever the address says: they would hide failures or repeat messages."""

ASSET: dict[str, Any] = {
    "app_id": "watcher",
    "app_desc": "watcher",
    "app_url": "",
    "image_url_mask": "",
    "image_url_logo": "",
    "http_redirects": False,
    "interpret_emojis": False,
    "storage_mode": "memory",
    "pgp_autogen": False,
    "service_timeout": 0,
}

_loading = threading.Lock()


def recognises(url: str) -> bool:
    """Whether an https:// address is one that a chat service hands out. Loads apprise."""
    return any(plugin.parse_native_url(url.replace("/#", "/%23")) for plugin in loaded().manager.plugins())


def load(name: str, url: str) -> Any:
    """The plug-in for an address. Its own error texts quote tokens, so ours name the service and its manual."""
    schema = url.partition("://")[0].lower()
    native = schema == "https"
    plugin_class = loaded().manager[schema] if not native and schema in loaded().manager else None
    if plugin_class is None and not native:
        near = difflib.get_close_matches(schema, loaded().manager.schemas(), n=1)
        shown = f"{schema}://" if re.fullmatch(r"[a-z][a-z0-9+.-]{0,30}", schema) else "like that"
        raise WatcherError(
            f"channel {name}: no service has addresses that start {shown}",
            f"did you mean {near[0]}://?" if near else "see https://appriseit.com/services/",
        )
    parsed = loaded().parse(url)
    if parsed and plugin_class is not None:
        _check_arguments(name, parsed, plugin_class)
    try:
        plugin = _instantiate(parsed) if parsed else None
    except Exception:
        plugin = None
    if plugin is None:
        service = getattr(plugin_class, "service_name", None) or "the service"
        manual = getattr(plugin_class, "setup_url", None) or "https://appriseit.com/services/"
        raise WatcherError(f"channel {name}: {service} doesn't take this address", f"compare it with {manual}")
    _check_recipients(name, plugin)
    return plugin


def _check_arguments(name: str, parsed: dict[str, Any], plugin_class: Any) -> None:
    """Words after the `?` that apprise would silently ignore."""
    known = sorted(plugin_class.template_args)
    for argument in parsed.get("qsd") or {}:
        near = difflib.get_close_matches(argument, known, n=1, cutoff=0.7)
        if near and argument not in known and not _mentioned(plugin_class, argument):
            raise WatcherError(
                f"channel {name}: {plugin_class.service_name} knows no argument {cut(clean(argument), 40)}",
                f"did you mean {near[0]}?",
            )


def _mentioned(plugin_class: type, argument: str) -> bool:
    """Some plug-ins take arguments that they don't declare: those stand in their source."""
    modules = {base.__module__: sys.modules.get(base.__module__) for base in plugin_class.__mro__[:-1]}
    return any(module and f'"{argument}"' in inspect.getsource(module) for module in modules.values())


def _check_recipients(name: str, plugin: Any) -> None:
    """A retry sends to all recipients again, so each needs a delivery of its own."""
    others = len(getattr(plugin, "cc", ())) + len(getattr(plugin, "bcc", ()))
    recipients = len(plugin) + others if isinstance(plugin, loaded().email) else len(plugin)
    if recipients > 1:
        raise WatcherError(
            f"channel {name}: its address has {recipients} recipients",
            "write one channel per recipient, and name them all where you named this one",
        )
    if isinstance(plugin, loaded().email) and not plugin.targets:
        raise WatcherError(f"channel {name}: its address names no recipient", "write ?to=NAME@EXAMPLE.COM")


@dataclass(frozen=True)
class Library:
    """What we use of apprise."""

    manager: Any
    parse: Callable[[str], dict[str, Any] | None]
    asset: Any
    create: Callable[..., Any]
    email: Any
    smtp: Any
    html: Any
    text: Any
    markdown: Any


@cache
def loaded() -> Library:
    """apprise, loaded once with all its plug-ins (0.3 s of CPU and more), and kept from doing what we don't want."""
    with _loading:
        return _library()


def _library() -> Library:
    os.environ["NETRC"] = os.devnull  # a .netrc would replace the Authorization of a channel
    for noisy in ("apprise", "urllib3"):  # they log addresses and tokens
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    apprise: Any = import_module("apprise")
    email: Any = import_module("apprise.plugins.email.base")
    smtp: Any = import_module("apprise.plugins.email.smtp")
    recorder.install()
    recorder.install_mail(email, smtp)
    manager: Any = import_module("apprise.manager_plugins").NotificationManager()
    manager.load_modules()
    formats = apprise.NotifyFormat
    return Library(
        manager=manager,
        parse=import_module("apprise.plugins").url_to_dict,
        asset=apprise.AppriseAsset(**ASSET),
        create=apprise.Apprise.instantiate,
        email=email.NotifyEmail,
        smtp=smtp.AppriseSMTPController,
        html=formats.HTML,
        text=formats.TEXT,
        markdown=formats.MARKDOWN,
    )


def greet(plugin: Any) -> None:
    """Connect, secure, greet and log in as for a mail, and hang up."""
    with loaded().smtp(
        host=plugin.smtp_host,
        port=plugin.port,
        secure_mode=plugin.secure_mode,
        user=plugin.user,
        password=plugin.password,
        verify_certificate=plugin.verify_certificate,
        socket_connect_timeout=CONNECT_TIMEOUT,
    ) as server:
        server._socket.ehlo_or_helo_if_needed()


def _instantiate(parsed: dict[str, Any]) -> Any:
    parsed.pop("format", None)
    plugin = loaded().create(parsed | FORCED, asset=loaded().asset, suppress_exceptions=False)
    if plugin is not None:
        plugin.throttle = lambda *_args, **_kwargs: None  # the deliver loop keeps the pace
    if isinstance(plugin, loaded().email):
        plugin.socket_connect_timeout = READ_TIMEOUT  # for mail it bounds every answer
    adapt(plugin)
    return plugin


def uses_requests(plugin: type) -> bool:
    """Nothing else may be called only to see where it would go: it might send."""
    modules = (sys.modules.get(base.__module__) for base in plugin.__mro__)
    return any(hasattr(module, "requests") for module in modules)
