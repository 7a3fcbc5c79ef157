"""What a changed configuration changes: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watcher.settings import Channel, Settings

AT_RESTART = ("store", "http.host", "http.port")
"""Keys that a running process can't change."""

SECTIONS = (
    "poll", "rules", "channels", "routes", "mentions", "discover", "groups", "delivery", "retention", "language",
    "timezone", "heartbeat", "http", "log", "proxy", "ca_file", "tasks",
)  # fmt: skip
"""Sections that are named in the log when they have changed."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names of accounts or channels; for channels `new` has also those that must be made anew."""

    new: tuple[str, ...]
    gone: tuple[str, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """`changed` are accounts that stay, but not as they were; `reconnected` those that need another client: key,
    address, time-out, proxy or certificates; `moved` those with another key or address; `rechosen` those of which other
    tasks may be watched. `certificates`: the bundle of `ca_file` is another one. `tasks`: how many are listed more and
    less."""

    accounts: Names
    channels: Names
    changed: tuple[str, ...]
    reconnected: frozenset[str]
    moved: frozenset[str]
    rechosen: frozenset[str]
    certificates: bool
    tasks: tuple[int, int]
    sections: tuple[str, ...]

    @property
    def to_load(self) -> tuple[str, ...]:
        """The accounts of which it must be known what the store has."""
        return (*self.accounts.new, *(n for n in self.accounts.kept if n in self.reconnected | self.rechosen))

    def summary(self) -> dict[str, Any]:
        """For the log: only what is worth a word."""
        facts = {
            "accounts_new": self.accounts.new,
            "accounts_gone": self.accounts.gone,
            "accounts_changed": self.changed,
            "channels_new": self.channels.new,
            "channels_gone": self.channels.gone,
            "tasks_new": self.tasks[0],
            "tasks_gone": self.tasks[1],
            "changed": self.sections,
        }
        return {name: list(fact) if isinstance(fact, tuple) else fact for name, fact in facts.items() if fact}


def difference(old: Settings, new: Settings) -> Difference:
    """What `new` changes of `old`."""
    certificates = old.ca_file != new.ca_file or new.ca_file in new.files_changed_since(old)
    everything = certificates or old.proxy != new.proxy
    accounts = _names(old.accounts, new.accounts)
    channels = _names(old.channels, new.channels)
    anew = everything or old.mentions != new.mentions
    remade = tuple(n for n in channels.kept if anew or _sending(old.channels[n]) != _sending(new.channels[n]))
    changed = tuple(name for name in accounts.kept if old.accounts[name] != new.accounts[name])
    moved = frozenset(name for name in changed if _upstream(old, name) != _upstream(new, name))
    impatient = (name for name in changed if old.accounts[name].timeout != new.accounts[name].timeout)
    before, after = set(old.task_keys()), set(new.task_keys())
    listed_otherwise = {key.account for key in before ^ after}
    rechosen = (n for n in accounts.kept if n in listed_otherwise or _adopting(old, n) != _adopting(new, n))
    return Difference(
        accounts=accounts,
        channels=Names(channels.new + remade, channels.gone, tuple(n for n in channels.kept if n not in remade)),
        changed=changed,
        reconnected=frozenset(accounts.kept) if everything else moved | frozenset(impatient),
        moved=moved,
        rechosen=frozenset(rechosen),
        certificates=certificates,
        tasks=(len(after - before), len(before - after)),
        sections=tuple(name for name in SECTIONS if getattr(old, name) != getattr(new, name)),
    )


def needs_restart(began_with: Settings, now: Settings) -> tuple[str, ...]:
    """The keys that a process which began with other settings can't take over."""
    return tuple(key for key in AT_RESTART if _at(began_with, key) != _at(now, key))


def _names(old: Mapping[str, object], new: Mapping[str, object]) -> Names:
    return Names(
        new=tuple(name for name in new if name not in old),
        gone=tuple(name for name in old if name not in new),
        kept=tuple(name for name in new if name in old),
    )


def _upstream(settings: Settings, name: str) -> tuple[str, str]:
    account = settings.accounts[name]
    return account.api_key.get_secret_value(), account.base_url


def _adopting(settings: Settings, name: str) -> tuple[object, ...]:
    """What decides which tasks are adopted, and when they leave."""
    rules = tuple(rule for rule in settings.discover if rule.account in (None, name))
    return (rules, settings.poll.settle) if rules else ()


def _sending(channel: Channel) -> Channel:
    """Without what only decides which events it hears: who sends needn't know."""
    return channel.model_copy(update={"events": None})


def _at(settings: Settings, key: str) -> object:
    value: object = settings
    for part in key.split("."):
        value = getattr(value, part, None)
    return value
