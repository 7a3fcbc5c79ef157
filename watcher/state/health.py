"""When an account or a channel counts as troubled: pure rules over the row that the store keeps.

Spans are measured in `uptime`: seconds that the watcher has been running, over all its lives. So neither a stop nor a
jump of the wall clock makes trouble look longer than it was, and a restart doesn't begin the count anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from watcher.models import Draft, Window

REJECTED_TWICE_AFTER = 9.0
"""Seconds between the first refusal of a key and the second that settles it; the poll is repeated after 10."""

FAILED_POLLS = 3
FAILED_TRIES = 3
FAILING_AFTER = 60.0
GAVE_UP_EVERY = 3600.0

Poll = Literal["good", "failed", "rejected", "disowned"]
"""`rejected`: the upstream refuses the key; `disowned`: it takes the key, which sees none of the known tasks."""


@dataclass(frozen=True, slots=True)
class AccountHealth:
    """How an account's polls go. `last_good` is wall time; the other times are uptime in seconds. `reason` is what the
    last failed poll said, `hint` what to do about it."""

    name: str
    last_good: datetime | None = None
    failed: int = 0
    failing_since: float | None = None
    unreachable: bool = False
    rejected_since: float | None = None
    rejected: bool = False
    reason: str = ""
    hint: str = ""

    @property
    def well(self) -> bool:
        return not (self.failed or self.rejected_since is not None or self.unreachable or self.rejected)


def after_poll(
    health: AccountHealth, poll: Poll, reason: str, *, time: datetime, uptime: float, patience: float
) -> tuple[AccountHealth, tuple[Draft, ...]]:
    """The account after one poll, and what to tell. `patience` is rules.unreachable_after in seconds."""
    if poll == "good":
        return _good(health, time)
    window = Window(min(health.last_good, time) if health.last_good else None, time)
    if poll in ("rejected", "disowned"):
        return _rejected(health, reason, window, uptime, at_once=poll == "disowned")
    since = health.failing_since if health.failing_since is not None else uptime
    failed = replace(
        health,
        failed=health.failed + 1,
        failing_since=since,
        reason=reason,
        rejected_since=health.rejected_since if health.rejected else None,
    )
    tell = failed.failed >= FAILED_POLLS and uptime - since >= patience and not (health.unreachable or health.rejected)
    if not tell:
        return failed, ()
    draft = Draft("account.unreachable", window, account=health.name, details={"reason": reason})
    return replace(failed, unreachable=True), (draft,)


def _good(health: AccountHealth, time: datetime) -> tuple[AccountHealth, tuple[Draft, ...]]:
    well = AccountHealth(health.name, last_good=time)
    if not (health.unreachable or health.rejected):
        return well, ()
    window = Window(min(health.last_good, time) if health.last_good else None, time)
    was = "rejected" if health.rejected else "unreachable"
    return well, (Draft("account.recovered", window, account=health.name, details={"was": was}),)


def _rejected(
    health: AccountHealth, reason: str, window: Window, uptime: float, *, at_once: bool
) -> tuple[AccountHealth, tuple[Draft, ...]]:
    since = health.rejected_since if health.rejected_since is not None else uptime
    refused = replace(health, rejected_since=since, reason=reason)
    if health.rejected or (uptime - since < REJECTED_TWICE_AFTER and not at_once):
        return refused, ()
    draft = Draft("account.rejected", window, account=health.name, details={"reason": reason})
    return replace(refused, rejected=True), (draft,)


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """How a channel's tries go. Times are uptime in seconds, but `paused_until`: until then the channel asked us to
    stay away."""

    name: str
    failures: int = 0
    failing_since: float | None = None
    failing: bool = False
    reason: str = ""
    given_up: int = 0
    given_up_reason: str = ""
    gave_up_told: float | None = None
    paused_until: datetime | None = None


def after_try(
    health: ChannelHealth, *, ok: bool, reason: str, time: datetime, uptime: float
) -> tuple[ChannelHealth, tuple[Draft, ...]]:
    """The channel after one try; a refusal counts as ok, since the channel answered."""
    window = Window(None, time)
    if ok:
        well = replace(health, failures=0, failing_since=None, failing=False, reason="", paused_until=None)
        draft = Draft("channel.recovered", window, channel=health.name)
        return well, (draft,) if health.failing else ()
    since = health.failing_since if health.failing_since is not None else uptime
    failed = replace(health, failures=health.failures + 1, failing_since=since, reason=reason)
    return tell_failing(failed, time=time, uptime=uptime)


def tell_failing(health: ChannelHealth, *, time: datetime, uptime: float) -> tuple[ChannelHealth, tuple[Draft, ...]]:
    """Three failed tries and a minute since the first of them: the channel fails, which is told once."""
    since = health.failing_since
    if health.failing or since is None or health.failures < FAILED_TRIES or uptime - since < FAILING_AFTER:
        return health, ()
    details = {"reason": health.reason, "count": health.failures}
    draft = Draft("channel.failing", Window(None, time), channel=health.name, details=details)
    return replace(health, failing=True), (draft,)


def tell_given_up(health: ChannelHealth, *, time: datetime, uptime: float) -> tuple[ChannelHealth, tuple[Draft, ...]]:
    """What was refused or has expired is told at most hourly, with the count since the last time."""
    told = health.gave_up_told
    if not health.given_up or (told is not None and 0 <= uptime - told < GAVE_UP_EVERY):
        return health, ()
    details = {"reason": health.given_up_reason, "count": health.given_up}
    draft = Draft("channel.gave_up", Window(None, time), channel=health.name, details=details)
    return replace(health, given_up=0, gave_up_told=uptime), (draft,)
