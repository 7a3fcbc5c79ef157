"""What no single value can tell: references between the parts of a configuration, and what a whole one needs."""

from __future__ import annotations

import os
from collections.abc import Mapping as Environment
from typing import Any

from watcher.settings import recipients, secretfile
from watcher.settings.notes import Notes
from watcher.settings.tree import Path, Place, dotted
from watcher.settings.values import channel_url, did_you_mean

KEY = "CLOVA_API_KEY"
DEFAULT = "default"
FEW = 12
"""How many names an error lists."""

MISSING = {
    "api_key": "missing; write api_key: ${CLOVA_API_KEY}, or api_key_file: /path",
    "id": "missing; write the task's id as CLOVA Studio shows it",
    "events": "missing; write which events, such as [task.failed], or [notable]",
    "channels": "missing; write which channels hear them",
    "url": "missing; write url, or url_file: /path",
    "name": "missing; write a name, such as lr-sweep",
    "match": 'missing; write which task names belong to it, such as "exp-lr-*"',
}


def default_account(data: dict[str, Any], notes: Notes, env: Environment[str, str], *, secrets: bool) -> None:
    """Without `accounts` there is one called default, and that one's key is CLOVA_API_KEY."""
    if ("accounts",) in notes.bad or _lost(data, notes, "accounts"):
        return
    accounts = data.setdefault("accounts", {}) or data.update(accounts={}) or data["accounts"]
    if not accounts:
        accounts[DEFAULT] = {"name": DEFAULT}
    path = ("accounts", DEFAULT, "api_key")
    account = accounts.get(DEFAULT)
    if account is None or "api_key" in account or path in notes.bad:
        return
    key = _key(notes, env) if env.get(KEY) or env.get(f"{KEY}_FILE") else ""
    if key or not secrets:
        account["api_key"] = key
        notes.places[path] = Place(KEY)
    elif path not in notes.bad:
        text = f"set {KEY} to the CLOVA Studio API key, or write accounts: {{main: {{api_key_file: /path}}}}"
        notes.report(path, f"no API key; {text}", Place("environment"))


def _key(notes: Notes, env: Environment[str, str]) -> str:
    if env.get(KEY):
        return env[KEY]
    notes.secret_files[f"accounts.{DEFAULT}.api_key"] = env[f"{KEY}_FILE"]
    try:
        return secretfile.read(env[f"{KEY}_FILE"], notes.inputs.content)
    except secretfile.NoSecretError as error:
        notes.report(("accounts", DEFAULT, "api_key"), str(error), Place(f"{KEY}_FILE"))
        return ""


def _lost(data: dict[str, Any], notes: Notes, section: str) -> bool:
    """Whether a section is empty only because all it had was wrong."""
    return not data.get(section) and notes.has_items((section,))


def references(data: dict[str, Any], notes: Notes) -> None:
    """Accounts of tasks and rules, channels of routes, and what stands twice."""
    tasks, accounts = data.get("tasks") or [], data.get("accounts") or {}
    for index, task in enumerate(tasks):
        _task_account(task, notes.as_written(("tasks", index)), accounts, notes)
    _listed_once(tasks, notes)
    for index, rule in enumerate(data.get("discover") or []):
        _rule(rule, notes.as_written(("discover", index)), accounts, notes)
    _groups(data.get("groups") or [], notes)
    known, unread = _nameable(data), _unread(data, notes)
    for index, route in enumerate(data.get("routes") or []):
        _nothing_in_route(route, notes.as_written(("routes", index)), notes)
        for position, channel in enumerate(route.get("channels") or []):
            path = notes.as_written(("routes", index, "channels", position))
            if not channel.startswith(unread):
                _known(channel, path, "channel", known, notes)


def _nameable(data: dict[str, Any]) -> dict[str, Any]:
    """The channels that a route can name: those that are written, and the one of each recipient of a mail address."""
    known: dict[str, Any] = {}
    for name, channel in (data.get("channels") or {}).items():
        known |= dict.fromkeys([name, *recipients.names_made(name, channel.get("url"))], channel)
    return known


def _unread(data: dict[str, Any], notes: Notes) -> tuple[str, ...]:
    """How the names of recipients begin where the address is a secret that isn't here, or is wrong and told already."""
    channels = data.get("channels") or {}
    written = {str(path[1]) for path in notes.places if path[0] == "channels" and len(path) > 1}
    return tuple(f"{name}." for name in written if not _is_read(name, channels.get(name) or {}))


def _is_read(name: str, channel: dict[str, Any]) -> bool:
    try:
        url = channel_url(channel.get("url") or "")
    except ValueError:
        url = ""
    return channel.get("slack_token") is not None or bool(recipients.names_made(name, url))


def _rule(rule: dict[str, Any], path: Path, accounts: dict[str, Any], notes: Notes) -> None:
    if not rule and not any(each.key.startswith(f"{dotted(path)}.") for each in notes.problems):
        notes.report(path, 'empty; write {name: "*"} to adopt every task')
    if rule.get("account") is not None and accounts:
        _known(rule["account"], (*path, "account"), "account", accounts, notes)
    for key in ("name", "model"):
        if rule.get(key) == [] and not notes.has_items((*path, key)):
            notes.report((*path, key), "empty; leave it out for any")


def _groups(groups: list[dict[str, Any]], notes: Notes) -> None:
    named: dict[str, Path] = {}
    for index, group in enumerate(groups):
        path = notes.as_written(("groups", index))
        if group.get("match") == [] and not notes.has_items((*path, "match")):
            notes.report((*path, "match"), MISSING["match"])
        first = named.setdefault(group.get("name", path), path)
        if first != path:
            text = f"a group is called so already: {notes.at(first)}; give each its own name"
            notes.report((*path, "name"), text)


def _nothing_in_route(route: dict[str, Any], path: Path, notes: Notes) -> None:
    for key in ("events", "channels"):
        if route.get(key) == [] and not notes.has_items((*path, key)):
            notes.report((*path, key), MISSING[key])


def _task_account(task: dict[str, Any], path: Path, accounts: dict[str, Any], notes: Notes) -> None:
    if (*path, "account") in notes.bad or not accounts:
        return
    if "account" in task:
        _known(task["account"], (*path, "account"), "account", accounts, notes)
    elif len(accounts) == 1 or DEFAULT in accounts:
        task["account"] = next(iter(accounts)) if len(accounts) == 1 else DEFAULT
    else:
        text = f"missing; with several accounts write which one: {', '.join(accounts)}"
        notes.report((*path, "account"), text)


def _known(name: str, path: Path, what: str, known: dict[str, Any], notes: Notes) -> None:
    section = f"{what}s"
    if name in known or any(found[:2] == (section, name) for found in notes.places):
        return
    if _lost({section: known}, notes, section):
        return
    names = ", ".join(list(known)[:FEW]) or "none"
    more = f" and {len(known) - FEW} more" if len(known) > FEW else ""
    mean = did_you_mean(name, known) or did_you_mean(name.rpartition(".")[0], known)
    notes.report(path, f"no {what} is called so.{mean} Known {section}: {names}{more}")


def _listed_once(tasks: list[dict[str, Any]], notes: Notes) -> None:
    seen: dict[tuple[Any, Any], Path] = {}
    for index, task in enumerate(tasks):
        path, key = notes.as_written(("tasks", index)), (task.get("account"), task.get("id"))
        if key[1] is None:
            continue
        first = seen.setdefault(key, path)
        if first != path:
            notes.report((*path, "id"), f"the same task as {notes.at(first)}; list it once per account")


def something_to_watch(data: dict[str, Any], notes: Notes, place: Place) -> None:
    """A configuration without any task or rule would be silent for ever."""
    touched = any(path[0] in ("tasks", "discover") for path in (*notes.bad, *notes.places) if len(path) > 1)
    if not (data.get("tasks") or data.get("discover") or touched or notes.bad & {("tasks",), ("discover",)}):
        ways = 'tasks: [ID], with ids as CLOVA Studio shows them, or discover: [{name: "*"}] to adopt what appears'
        notes.report(("tasks",), f"no task to watch; write {ways}", place)


def ca_file(data: dict[str, Any], notes: Notes) -> None:
    """The certificates must be there at start, not at the first request."""
    if not data.get("ca_file"):
        return
    try:
        found = b"-----BEGIN" in notes.inputs.content(data["ca_file"])
    except (OSError, ValueError):
        notes.report(("ca_file",), f"can't be read; name a PEM file (relative ones start at {os.getcwd()})")
        return
    if not found:
        notes.report(("ca_file",), "holds no certificate; name a PEM file, with -----BEGIN CERTIFICATE-----")
