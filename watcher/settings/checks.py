"""What no single value can tell: references between the parts of a configuration, and what a whole one needs."""

from __future__ import annotations

import os
from collections.abc import Mapping as Environment
from typing import Any

from watcher.settings import secretfile
from watcher.settings.document import Place
from watcher.settings.kinds import Path, dotted
from watcher.settings.shape import Shaper
from watcher.settings.values import did_you_mean

KEY = "CLOVA_API_KEY"
DEFAULT = "default"
MISSING = {
    "api_key": "missing; write api_key: ${CLOVA_API_KEY}, or api_key_file: /path",
    "id": "missing; write the task's id as CLOVA Studio shows it",
    "events": "missing; write which events, such as [task.failed], or [notable]",
    "channels": "missing; write which channels hear them",
    "url": "missing; write url, or url_file: /path",
}


def default_account(data: dict[str, Any], shaper: Shaper, env: Environment[str, str], *, secrets: bool) -> None:
    """Without `accounts` there is one called default, and that one's key is CLOVA_API_KEY."""
    if ("accounts",) in shaper.bad or _lost(data, shaper, "accounts"):
        return
    accounts = data.setdefault("accounts", {}) or data.update(accounts={}) or data["accounts"]
    if not accounts:
        accounts[DEFAULT] = {"name": DEFAULT}
    path = ("accounts", DEFAULT, "api_key")
    account = accounts.get(DEFAULT)
    if account is None or "api_key" in account or path in shaper.bad:
        return
    key = _key(shaper, env) if env.get(KEY) or env.get(f"{KEY}_FILE") else ""
    if key or not secrets:
        account["api_key"] = key
        shaper.places[path] = Place(KEY)
    elif path not in shaper.bad:
        text = f"set {KEY} to the CLOVA Studio API key, or write accounts: {{main: {{api_key_file: /path}}}}"
        shaper.report(path, f"no API key; {text}", Place("environment"))


def _key(shaper: Shaper, env: Environment[str, str]) -> str:
    if env.get(KEY):
        return env[KEY]
    try:
        return secretfile.read(env[f"{KEY}_FILE"])
    except secretfile.NoSecretError as error:
        shaper.report(("accounts", DEFAULT, "api_key"), str(error), Place(f"{KEY}_FILE"))
        return ""


def _lost(data: dict[str, Any], shaper: Shaper, section: str) -> bool:
    """Whether a section is empty only because all it had was wrong."""
    return not data.get(section) and shaper.has_items((section,))


def references(data: dict[str, Any], shaper: Shaper) -> None:
    """Accounts of tasks, channels of routes, and tasks listed twice."""
    tasks = data.get("tasks") or []
    for index, task in enumerate(tasks):
        _task_account(task, original(("tasks", index), shaper), data.get("accounts") or {}, shaper)
    _listed_once(tasks, shaper)
    for index, route in enumerate(data.get("routes") or []):
        _nothing_in_route(route, original(("routes", index), shaper), shaper)
        for position, channel in enumerate(route.get("channels") or []):
            path = original(("routes", index, "channels", position), shaper)
            _known(channel, path, "channel", data.get("channels") or {}, shaper)


def _nothing_in_route(route: dict[str, Any], path: Path, shaper: Shaper) -> None:
    for key in ("events", "channels"):
        if route.get(key) == [] and not shaper.has_items((*path, key)):
            shaper.report((*path, key), MISSING[key])


def original(path: Path, shaper: Shaper) -> Path:
    """The path as written, where wrong items of lists were left out before."""
    found: Path = ()
    for part in path:
        kept = shaper.kept.get(found)
        found += (kept[part] if isinstance(part, int) and kept and part < len(kept) else part,)
    return found


def _task_account(task: dict[str, Any], path: Path, accounts: dict[str, Any], shaper: Shaper) -> None:
    if (*path, "account") in shaper.bad or not accounts:
        return
    if "account" in task:
        _known(task["account"], (*path, "account"), "account", accounts, shaper)
    elif len(accounts) == 1 or DEFAULT in accounts:
        task["account"] = next(iter(accounts)) if len(accounts) == 1 else DEFAULT
    else:
        text = f"missing; with several accounts write which one: {', '.join(accounts)}"
        shaper.report((*path, "account"), text)


def _known(name: str, path: Path, what: str, known: dict[str, Any], shaper: Shaper) -> None:
    section = f"{what}s"
    written = any(found[:2] == (section, name) for found in shaper.places)
    if name in known or written or _lost({section: known}, shaper, section):
        return
    names = ", ".join(known) or "none"
    shaper.report(path, f"no {what} is called so.{did_you_mean(name, known)} Known {section}: {names}")


def _listed_once(tasks: list[dict[str, Any]], shaper: Shaper) -> None:
    seen: dict[tuple[Any, Any], Path] = {}
    for index, task in enumerate(tasks):
        path, key = original(("tasks", index), shaper), (task.get("account"), task.get("id"))
        if key[1] is None:
            continue
        first = seen.setdefault(key, path)
        if first != path:
            place = shaper.place(first)
            where = f" ({place.source}:{place.line})" if place.line else ""
            shaper.report((*path, "id"), f"the same task as {dotted(first)}{where}; list it once per account")


def something_to_watch(data: dict[str, Any], shaper: Shaper, place: Place) -> None:
    """A configuration without any task would be silent for ever."""
    touched = any(path[0] in ("tasks", "discover") for path in (*shaper.bad, *shaper.places) if len(path) > 1)
    if not data.get("tasks") and not touched and not shaper.bad & {("tasks",), ("discover",)}:
        shaper.report(("tasks",), "no task to watch; write tasks: [ID], with ids as CLOVA Studio shows them", place)


def channels(data: dict[str, Any], shaper: Shaper) -> None:
    """Every channel needs its URL, and only webhooks are signed."""
    for name, channel in (data.get("channels") or {}).items():
        path = ("channels", name)
        url = channel.get("url")
        native = any((*path, key) in shaper.bad for key in ("slack_token", "channel"))  # a later version's, without url
        if "url" not in channel and (*path, "url") not in shaper.bad and not native:
            shaper.report((*path, "url"), f"missing; write {name}: URL, or url_file: /path")
        elif url and channel.get("secret") and not str(url).lower().startswith(("http://", "https://")):
            shaper.report((*path, "secret"), "signs http(s) webhooks only; this URL isn't one. Leave it out")


def ca_file(data: dict[str, Any], shaper: Shaper) -> None:
    """The certificates must be there at start, not at the first request."""
    if not data.get("ca_file"):
        return
    try:
        with open(data["ca_file"], "rb") as file:
            found = b"-----BEGIN" in file.read(4 * 1024 * 1024)
    except (OSError, ValueError):
        shaper.report(("ca_file",), f"can't be read; name a PEM file (relative ones start at {os.getcwd()})")
        return
    if not found:
        shaper.report(("ca_file",), "holds no certificate; name a PEM file, with -----BEGIN CERTIFICATE-----")
