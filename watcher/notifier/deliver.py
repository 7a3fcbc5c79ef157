"""The delivering half: take what is due from the outbox, send it, decide, record.

    claim (committed) ─▶ channel.send ─▶ decide ─▶ record, and claim the next in the same transaction

Each channel has a lane of its own, so a dead one delays no other. A lane never cancels a transaction: it is asked to
stop, and what has no answer by then is recorded as unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from watcher.errors import StoreStalled
from watcher.models import Delivery, Outcome, Retry
from watcher.notifier.channels import Channel
from watcher.notifier.decide import Decision, decide, retry_delay
from watcher.state.ledger import Ledger
from watcher.state.outbox import Finished, shut_down, turn

log = structlog.get_logger()

STALLED_PAUSE = 2.0


class Lane:
    """Delivers to one channel. `give_up_after` in seconds; `chance` spreads retries."""

    def __init__(
        self,
        channel: Channel,
        ledger: Ledger,
        *,
        give_up_after: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.channel = channel
        self.in_flight: dict[str, Delivery] = {}
        self.failures = 0
        self._ledger = ledger
        self.give_up_after = give_up_after
        self._chance = chance
        self._finished: list[Finished] = []
        self._tries: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._round = 0
        self._paused_until = 0.0
        self._next_at: datetime | None = None
        self._stopping = False
        self._recording = asyncio.Lock()

    def wake(self) -> None:
        """Something may be due: look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until asked to stop."""
        while not self._stopping:
            self._wake.clear()
            try:
                await self._turn()
            except StoreStalled as error:
                # What is over stays in memory and isn't sent again; nothing new is sent without its committed try.
                log.warning("store.stalled", channel=self.channel.name, error=error.message, hint=error.hint)
                await self._rest(STALLED_PAUSE)
                continue
            await self._rest(self._until_next())

    async def drain(self) -> None:
        """Try once what is due now, and come back when all of it was tried (for `watcher once`)."""
        began = datetime.now(tz=UTC)
        while True:
            claimed = await self._turn(until=began)
            if not claimed and not self._tries and not self._finished:
                return
            if self._tries:
                await asyncio.wait(self._tries, return_when=asyncio.FIRST_COMPLETED)

    async def stop(self, grace: float) -> None:
        """Send nothing new, give what is under way `grace` seconds, record the rest as unknown."""
        self._stopping = True
        self._wake.set()
        async with self._recording:
            pass  # a claim that is being committed right now belongs to what isn't sent
        if self._tries:
            await asyncio.wait(self._tries, timeout=grace)
        for attempt in self._tries:
            attempt.cancel()
        unanswered = [d for d in self.in_flight.values() if all(d.id != one.delivery.id for one in self._finished)]
        try:
            if self._finished:
                await self._record(room=0, now=datetime.now(tz=UTC))
            if unanswered:
                await self._ledger.database.write(shut_down, unanswered, datetime.now(tz=UTC))
                self.in_flight.clear()
        except StoreStalled as error:
            log.warning("store.stalled", channel=self.channel.name, error=error.message, hint=error.hint)

    # ── one turn ──

    async def _turn(self, until: datetime | None = None) -> int:
        room = self._room(once=until is not None)
        if not room and not self._finished:
            return 0
        claimed = await self._record(room, until or datetime.now(tz=UTC))
        for delivery in () if self._stopping else claimed:
            attempt = asyncio.create_task(self._try(delivery), name=f"send {delivery.id}")
            self._tries.add(attempt)
            attempt.add_done_callback(self._tries.discard)
        return len(claimed)

    async def _record(self, room: int, now: datetime) -> tuple[Delivery, ...]:
        # The lane's loop and its stop may both come here: nothing is recorded twice.
        async with self._recording:
            finished = list(self._finished)
            result = await self._ledger.take(turn, self.channel.name, finished, room, now, self.give_up_after)
            for one in finished:
                self._finished.remove(one)
                self.in_flight.pop(one.delivery.id, None)
            self.in_flight.update((delivery.id, delivery) for delivery in result.claimed)
            self._next_at = result.next_at
            return result.claimed

    def _room(self, *, once: bool = False) -> int:
        """How many more may be under way: after a failure one probe at a time, when its pause is over.

        `once`: there is no later, so pauses don't count.
        """
        busy = len(self.in_flight) - len(self._finished)
        if self._stopping:
            return 0
        if self.failures:
            paused = time.monotonic() < self._paused_until and not once
            return 0 if busy or paused else 1
        return self.channel.parallel - busy

    async def _try(self, delivery: Delivery) -> None:
        started, round_ = time.monotonic(), self._round
        outcome = await self.channel.send(delivery)
        decision = self._decide(delivery, outcome, round_)
        self._say(delivery, decision, time.monotonic() - started)
        self._finished.append(Finished(delivery, decision, datetime.now(tz=UTC)))
        self._wake.set()

    def _decide(self, delivery: Delivery, outcome: Outcome, round_: int) -> Decision:
        chance = self._chance()
        age = self._ledger.settled().uptime - delivery.born
        decision = decide(outcome, attempts=delivery.attempts, age=age, give_up_after=self.give_up_after, chance=chance)
        after = outcome.after if isinstance(outcome, Retry) else None
        self._count(decision.answered, chance, after, round_)
        return decision

    def _count(self, answered: bool, chance: float, after: float | None, round_: int) -> None:
        """Tries that were under way together fail together: that is one failure of the channel, not eight."""
        if answered:
            self.failures, self._paused_until = 0, 0.0
            return
        if round_ == self._round:
            self._round += 1
            self.failures += 1
        pause = retry_delay(self.failures, chance, after)
        self._paused_until = max(self._paused_until, time.monotonic() + pause)

    # ── waiting and telling ──

    def _until_next(self) -> float | None:
        """Seconds until something may be due; None: until woken."""
        pause = self._paused_until - time.monotonic() if self.failures else 0.0
        if pause > 0:
            return pause
        if self._next_at is None or not self._room():
            return None
        return max((self._next_at - datetime.now(tz=UTC)).total_seconds(), 0.005)

    async def _rest(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _say(self, delivery: Delivery, decision: Decision, seconds: float) -> None:
        # A channel that is down is said once; its further failures are counted in the store and said at debug.
        troubled = not decision.answered
        say = log.info if not troubled else (log.warning if self.failures == 1 else log.debug)
        say(
            f"delivery.{decision.state if decision.state != 'waiting' else 'retried'}",
            channel=self.channel.name,
            delivery=delivery.id,
            event_id=delivery.event.id,
            type=delivery.event.type,
            task=delivery.event.task,
            attempt=delivery.attempts,
            reason=decision.reason or None,
            seconds=round(seconds, 3),
        )
