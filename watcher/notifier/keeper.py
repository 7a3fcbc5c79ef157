"""Keeping cards up to date between events: a step further, a loss, an end that went out in a digest.

Nothing is promised here. What must be heard is a delivery; a card that can't be edited now is edited later.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from sqlalchemy import Connection

from watcher.errors import StoreStalled
from watcher.models import Card, Refused, Retry, Unknown
from watcher.notifier.channels import CardChannel
from watcher.notifier.deliver import Lane
from watcher.state.cards import card_behind, save_card
from watcher.state.ledger import Ledger
from watcher.state.record import Settled
from watcher.state.telling import Recorded

log = structlog.get_logger()

LOOK = 5.0
"""Seconds between two looks for cards that are behind, where there was none."""

REST = 30.0
"""Seconds that a card stays as it is at least: nobody reads faster, and each edit costs of what Slack allows."""


class Keeper:
    """Edits the cards of one channel while its lane has nothing to deliver."""

    def __init__(self, channel: CardChannel, lane: Lane, ledger: Ledger, *, rest: float = REST) -> None:
        self._channel, self._lane, self._ledger = channel, lane, ledger
        self._rest = rest
        self._failures = 0
        self._asked_to_wait = 0.0

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                edited = self._lane.idle and await self.edit_one()
            except StoreStalled:
                edited = False  # the lane says so
            if not edited:
                await asyncio.sleep(max(self._asked_to_wait, LOOK * 2 ** min(self._failures, 6)))

    async def edit_one(self) -> bool:
        """Bring the card that has been behind for longest up to date; False where there is none, or it failed."""
        card = await self._ledger.take(_behind, self._channel.name, self._rest)
        if card is None:
            return False
        outcome = await self._channel.refresh(card)
        failed = isinstance(outcome, Retry | Unknown)
        self._failures = self._failures + 1 if failed else 0
        self._asked_to_wait = (outcome.after or 0.0) if isinstance(outcome, Retry) else 0.0
        if isinstance(outcome, Retry | Unknown | Refused):
            log.debug("card.put_off", channel=self._channel.name, card=card.subject, reason=outcome.reason)
        # One that is refused isn't tried again as it is; what it is to show next may well be taken.
        kept = outcome.card or card
        kept = replace(kept, changed=None) if failed else kept
        await self._ledger.database.write(save_card, self._channel.name, kept, _now())
        return not failed


def _behind(tx: Connection, settled: Settled, channel: str, rest: float) -> tuple[Card | None, Recorded]:
    return card_behind(tx, settled, channel, _now(), rest), Recorded()


def _now() -> datetime:
    return datetime.now(tz=UTC)
