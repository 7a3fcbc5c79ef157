"""The delivering half: take what is due from the outbox, send it, decide, record.

    claim (committed) ─▶ channel.send ─▶ decide ─▶ record, and claim the next in the same transaction

Each channel has a lane of its own, so a dead one delays no other. What is due goes out one by one, or, where there is
much of it for a chat, as a digest. A lane never cancels a transaction: it is asked to stop, and what has no answer by
then is recorded as unknown.
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
from watcher.models import Accepted, Delivery, Digest, Outcome, Refused, Retry
from watcher.notifier.channels import Channel, keeps_cards
from watcher.notifier.decide import LONGEST_RETRY_AFTER, Decision, decide, retry_delay
from watcher.notifier.pace import Pace
from watcher.state.claim import Terms
from watcher.state.ledger import Ledger
from watcher.state.outbox import Finished, shut_down, turn
from watcher.state.record import load_channel

log = structlog.get_logger()

STALLED_PAUSE = 2.0


class Lane:
    """Delivers to one channel. `give_up_after` in seconds, `digest_after` as in the settings; `quiet_until` gives the
    end of the quiet hours that hold at a moment; `chance` spreads retries."""

    def __init__(
        self,
        channel: Channel,
        ledger: Ledger,
        *,
        give_up_after: float,
        digest_after: int | None = None,
        quiet_until: Callable[[datetime], datetime | None] = lambda _now: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.channel = channel
        self.pace = Pace(channel.spacing)
        self.digest_after = digest_after
        self._quiet_until = quiet_until
        self.in_flight: dict[str, Delivery] = {}
        self.failures = 0
        self._ledger = ledger
        self.give_up_after = give_up_after
        self._chance = chance
        self._finished: list[Finished] = []
        self._tries: set[asyncio.Task[None]] = set()
        self._under_way: set[str] = set()
        self._wake = asyncio.Event()
        self._round = 0
        self._paused_until = 0.0
        self._next_at: datetime | None = None
        self._looked = False
        self._stopping = False
        self._recording = asyncio.Lock()
        self._released = False

    @property
    def idle(self) -> bool:
        """Nothing is under way, and nothing has just failed."""
        return not (self._under_way or self._finished or self.failures or self._stopping)

    def wake(self) -> None:
        """Something may be due: look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until asked to stop."""
        resumed = False
        while not self._stopping:
            self._wake.clear()
            try:
                resumed = resumed or await self._resume_pause()
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
            await asyncio.sleep(self.pace.wait())
            claimed = await self._turn(until=began)
            if self._looked and not claimed and not self._tries and not self._finished:
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
        self._looked = room > 0
        if not room and not self._finished:
            return 0
        claimed = await self._record(room, until or datetime.now(tz=UTC))
        for sending in () if self._stopping else claimed:
            attempt = asyncio.create_task(self._try(sending), name=f"send {sending.id}")
            self._tries.add(attempt)
            attempt.add_done_callback(self._tries.discard)
        return len(claimed)

    async def _record(self, room: int, now: datetime) -> tuple[Delivery | Digest, ...]:
        # The lane's loop and its stop may both come here: nothing is recorded twice.
        async with self._recording:
            finished = list(self._finished)
            terms = self._terms(now)
            result = await self._ledger.take(turn, self.channel.name, finished, room, now, self.give_up_after, terms)
            self._released = terms.quiet_until is None
            for one in finished:
                self._finished.remove(one)
                self.in_flight.pop(one.delivery.id, None)
            claimed: tuple[Delivery | Digest, ...] = (*result.digests, *result.claimed)
            self.in_flight.update((each.id, each) for sending in claimed for each in _members(sending))
            self._next_at = result.next_at
            self._under_way.update(sending.id for sending in claimed)
            if claimed:
                self.pace.take()
            return claimed

    def _terms(self, now: datetime) -> Terms:
        after = self.digest_after if self.channel.kind == "chat" else None
        return Terms(after, self._quiet_until(now), self._released, keeps_cards(self.channel))

    def _room(self, *, once: bool = False) -> int:
        """How many more may be under way: after a failure one probe at a time, when its pause is over.

        `once`: there is no later, so pauses don't count.
        """
        busy = len(self._under_way)
        if self._stopping or self.pace.wait():
            return 0
        if self.failures:
            paused = time.monotonic() < self._paused_until and not once
            return 0 if busy or paused else 1
        return max(0, (1 if self.pace.spacing else self.channel.parallel) - busy)

    async def _try(self, sending: Delivery | Digest) -> None:
        started, round_, chance = time.monotonic(), self._round, self._chance()
        digest = sending if isinstance(sending, Digest) else None
        outcome = await self._send(sending)
        decisions = {each.id: self._decide(each, outcome, chance) for each in _members(sending)}
        self._count(outcome, chance, round_)
        ended = datetime.now(tz=UTC)
        for each in _members(sending):
            self._say(each, decisions[each.id], time.monotonic() - started, digest)
            card = None if digest else outcome.card
            self._finished.append(Finished(each, decisions[each.id], ended, card, digest.id if digest else None))
        self._under_way.discard(sending.id)
        self._wake.set()

    async def _send(self, sending: Delivery | Digest) -> Outcome:
        if isinstance(sending, Digest):
            return await self.channel.send_digest(sending)
        return await self.channel.send(sending)

    def _decide(self, delivery: Delivery, outcome: Outcome, chance: float) -> Decision:
        age = self._ledger.settled().uptime - delivery.born
        return decide(outcome, attempts=delivery.attempts, age=age, give_up_after=self.give_up_after, chance=chance)

    def _count(self, outcome: Outcome, chance: float, round_: int) -> None:
        """Tries that were under way together fail together: that is one failure of the channel, not eight."""
        after = outcome.after if isinstance(outcome, Retry) else None
        if isinstance(outcome, Accepted | Refused):
            self.failures, self._paused_until = 0, 0.0
            return
        if round_ == self._round:
            self._round += 1
            self.failures += 1
        pause = retry_delay(self.failures, chance, after)
        self._paused_until = max(self._paused_until, time.monotonic() + pause)

    # ── waiting and telling ──

    async def _resume_pause(self) -> bool:
        """A channel that asked an earlier process to stay away is believed still."""
        health = await self._ledger.database.write(load_channel, self.channel.name)
        until = health.paused_until
        pause = (until - datetime.now(tz=UTC)).total_seconds() if until is not None else 0.0
        if 0 < pause <= LONGEST_RETRY_AFTER:
            self.failures, self._paused_until = 1, time.monotonic() + pause
        return True

    def _until_next(self) -> float | None:
        """Seconds until something may be due; None: until woken."""
        pause = self._paused_until - time.monotonic() if self.failures else 0.0
        if pause > 0:
            return pause
        if self.pace.wait() and not self._stopping:
            return self.pace.wait()
        if not self._room():
            return None
        if not self._looked:
            return 0.0  # the pause was over while the last turn, which had no room for what is due, was written
        if self._next_at is None:
            return None
        return max((self._next_at - datetime.now(tz=UTC)).total_seconds(), 0.005)

    async def _rest(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _say(self, delivery: Delivery, decision: Decision, seconds: float, digest: Digest | None) -> None:
        # A channel that is down is said once; its further failures are counted in the store and said at debug.
        once = self.failures == 1 and (digest is None or delivery is digest.members[0])
        say = log.info if decision.answered else (log.warning if once else log.debug)
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
            **({"digest": digest.id, "members": len(digest.members)} if digest else {}),
        )


def _members(sending: Delivery | Digest) -> tuple[Delivery, ...]:
    return sending.members if isinstance(sending, Digest) else (sending,)
