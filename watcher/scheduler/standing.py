"""How an account stands with its upstream: whether its polls succeed, whether its key is believed."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from watcher.clova.quota import Pacer
from watcher.errors import KeyRejected, RateLimited, StoreStalled, UpstreamError
from watcher.models import TaskKey
from watcher.state.budget import save_key_mark
from watcher.state.health import AccountHealth, Poll
from watcher.state.ledger import Ledger
from watcher.state.record import record_poll

log = structlog.get_logger()

SILENCE = 300.0
"""Seconds without it after which a failure is said again."""


@dataclass(slots=True)
class Trial:
    """A key that isn't the one with which the known tasks were seen.

    `mark` stands for the key in the store, `hidden` are the tasks that it hasn't shown.
    """

    mark: str
    hidden: set[TaskKey] = field(default_factory=set)


class Standing:
    """Keeps the account's health in the store, and tells what follows from it. `last_answer` (a good one) and
    `last_asked` are monotonic."""

    def __init__(
        self, name: str, ledger: Ledger, pacer: Pacer, health: AccountHealth, trial: Trial | None = None
    ) -> None:
        self.name = name
        self.health = health
        self.trial = trial
        self.last_good = health.last_good
        self.last_answer: float | None = None
        self.last_asked: float | None = None
        self._ledger, self._pacer = ledger, pacer
        self._said: dict[str, float] = {}

    async def good(self, moment: datetime, *, proof: bool = True) -> None:
        """A poll succeeded. `proof`: the key showed what it should show."""
        trial = self.trial
        if trial is not None and proof:
            await self._ledger.database.write(save_key_mark, self.name, trial.mark)
            # Meanwhile another key may have come, whose own trial begins.
            self.trial = None if self.trial is trial else self.trial
        self.last_answer = self.last_asked = time.monotonic()
        if self.health.unreachable or self.health.rejected:
            self._said.clear()
        if not self.health.well:
            await self._polled("good", None, moment)
        self.last_good = moment if self.last_good is None else max(self.last_good, moment)

    async def failed(self, error: UpstreamError, moment: datetime, started: float, *, its_own: bool = False) -> None:
        """A poll that began at `started` (monotonic) failed; a rate limit also slows the pace. `its_own`: a refusal
        that is about the task, not the key."""
        self.last_asked = time.monotonic()
        if isinstance(error, RateLimited):
            self._pacer.limited(started, error.retry_after)
        self.say_once("poll.failed", error, request_id=error.request_id)
        rejected = isinstance(error, KeyRejected) and not its_own
        await self._polled("rejected" if rejected else "failed", error, moment)

    async def judge_trial(self, known: int) -> None:
        """A changed key saw none of the `known` unfinished tasks in a whole round: then the account has changed, and no
        task of it. Nothing is told before each of them was asked for."""
        if self.trial is None or not self.trial.hidden or len(self.trial.hidden) < known:
            return
        error = KeyRejected(
            f"this key sees none of the {known} known tasks",
            "put back a key of the account that owns them, or list the tasks of the new key's account",
        )
        self.say_once("poll.failed", error)
        with contextlib.suppress(StoreStalled):
            await self._polled("disowned", error, datetime.now(tz=UTC))

    def say_once(self, what: str, error: UpstreamError | StoreStalled, **facts: str) -> None:
        """The same failure is said once, until it hasn't come for a while or the account has recovered."""
        now = time.monotonic()
        last = self._said.get(error.message)
        self._said[error.message] = now
        say = log.warning if last is None or now - last > SILENCE else log.debug
        say(what, account=self.name, error=error.message, hint=error.hint, **facts)

    async def _polled(self, poll: Poll, error: UpstreamError | None, moment: datetime) -> None:
        self.health = await self._ledger.take(record_poll, self.name, poll, error, moment, self.last_good)
