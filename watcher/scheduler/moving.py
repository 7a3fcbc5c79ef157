"""The lane for pages on which trainings have only gone on: most pages of most sweeps.

    the same skeleton twice ─▶ learn where its values stand ─▶ from then on:
    skeleton, values ─▶ nothing has moved but trainings, and those forwards ─▶ one transaction without any reading

Any doubt sends the page the long way, which reads, compares and tells; so it alone makes events.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import compress

from sqlalchemy import Connection

from watcher.clova import Page, skeleton
from watcher.clova.client import ListAnswer
from watcher.clova.skeleton import Place, Skeleton
from watcher.errors import StoreError, StoreLost, StoreStalled, StoreUnusable, UpstreamError
from watcher.models import RUNNING, Fields, Observation
from watcher.scheduler.pages import PageSeen
from watcher.scheduler.report import Report
from watcher.scheduler.tracked import Tracked
from watcher.scheduler.watched import Watched
from watcher.state.moved import Doubt, Known, Moved, know, record_moved
from watcher.state.record import Recorded, Settled
from watcher.state.rows import milliseconds
from watcher.state.steps import Moving as Values

Pick = Callable[[Sequence[bytes]], Sequence[bytes]]

MOST_PAUSE = 64
"""Readings of a page after which a lane is tried again, however useless the earlier ones were."""


@dataclass(slots=True, eq=False)
class _Lane:
    """What is known of one page.

    It holds as long as `seen` is what is remembered of the page and its digest is `digest`: then all that its last body
    showed is what the store has. `picks` take the values of the tasks that train out of all values, by kind; `fixed`
    takes those that must stay as they `stood`. `moving` are the values of the tasks that train, as stored; `known` is
    what else the store has of them, None until the lane is used first. Until then `shown` is what the page showed.
    """

    seen: PageSeen
    digest: bytes
    bones: bytes
    picks: tuple[Pick, ...]
    fixed: Pick
    stood: Sequence[bytes]
    trains: tuple[Tracked, ...]
    others: tuple[Tracked, ...]
    moving: list[Values]
    shown: Mapping[str, Fields]
    known: Known | None = None
    used: bool = False


@dataclass(slots=True)
class _Sight:
    """A page without a lane: its skeleton at the last reading, and how many more readings to wait before trying."""

    bones: bytes = b""
    wait: int = 0
    pause: int = 0

    def again(self, bones: bytes) -> bool:
        """Whether it has that skeleton once more, and is worth a try."""
        self.wait, same, self.bones = self.wait - 1, self.bones == bones, bones
        return same and self.wait <= 0

    def gave_up(self, *, useless: bool) -> None:
        """On some pages more happens each time: making lanes for them costs about as much as reading them does."""
        self.pause = min(2 * self.pause + 1, MOST_PAUSE) if useless else 0
        self.wait = self.pause


@dataclass(slots=True)
class Moving:
    """The lanes of one account's pages."""

    _watched: Watched
    _lanes: dict[int, _Lane] = field(default_factory=dict)
    _sights: dict[int, _Sight] = field(default_factory=dict)

    async def read(
        self, page: int, body: bytes, digest: bytes, number: int, moment: datetime, at: float, report: Report
    ) -> Sequence[Tracked] | None:
        """Write down what has moved on a page, which was asked for `at` (monotonic), and return the watched tasks that
        it shows. None, and nothing is written, if it must be read at length."""
        lane = self._lanes.pop(page, None)
        if lane is None or self._watched.pages.seen.get(page) is not lane.seen or lane.seen.digest != lane.digest:
            return None
        values = _moved(lane, skeleton.take(body), number)
        if values is None or not await self._record(lane, values, number, moment, report):
            self._sights[page].gave_up(useless=not lane.used)
            return None
        if lane.seen.digest == lane.digest:  # otherwise there is a reason to read the page since
            lane.seen.at, lane.seen.digest, lane.digest, lane.used = at, digest, digest, True
            self._lanes[page] = lane
        return lane.seen.watched

    def learn(self, page: int, digest: bytes, answer: ListAnswer, read: Page) -> None:
        """All that the page shows is stored now. Where its skeleton is the same as the last time, it gets a lane."""
        seen, bones = self._watched.pages.seen.get(page), skeleton.take(answer.body)
        again = self._sights.setdefault(page, _Sight()).again(bones.digest)
        if not again or not bones.values or seen is None or seen.digest != digest:
            return
        places = _places(answer, read)
        if places is not None:
            items = dict(read.items)
            self._lanes[page] = _lane(seen, bones, items, dict(zip(items, places, strict=True)))

    async def _record(self, lane: _Lane, values: list[Values], number: int, moment: datetime, report: Report) -> bool:
        """Write what has moved, and remember it; False if that needs a closer look."""
        moved = list(map(operator.ne, values, lane.moving))
        if any(moved):
            what = Moved(number, milliseconds(moment), lane.moving, values)
            try:
                lane.known, lane.shown = await self._watched.ledger.take(_record_moved, lane, what, moment), {}
            except (StoreStalled, StoreLost, StoreUnusable):
                raise
            except (Doubt, StoreError):
                return False
        report.changed += sum(moved)
        lane.moving, at = values, time.monotonic()
        for tracked in compress(lane.trains, map(operator.not_, moved)):
            tracked.saw(number, moment)
        for tracked in lane.others:
            tracked.saw(number, moment)
        for tracked, now in compress(zip(lane.trains, values, strict=True), moved):
            tracked.moved(now[0], number, moment, at)
        return True


def _record_moved(
    tx: Connection, settled: Settled, lane: _Lane, what: Moved, moment: datetime
) -> tuple[Known, Recorded]:
    known = lane.known
    if known is None:
        trains, others = (
            [Observation(t.key, what.number, moment, "list", lane.shown[t.key.id]) for t in tracked]
            for tracked in (lane.trains, lane.others)
        )
        known = know(tx, settled, trains, others)
    return record_moved(tx, settled, known, what)


def _moved(lane: _Lane, bones: Skeleton, number: int) -> list[Values] | None:
    """The values of the tasks that train, in the order of state.rows.MOVING, if they and nothing else have moved."""
    if bones.digest != lane.bones or lane.fixed(bones.values) != lane.stood:
        return None
    if any(t.number >= number or t.single or t.completing for t in lane.seen.watched):
        return None
    steps, epochs, losses, dates, estimates = (pick(bones.values) for pick in lane.picks)
    try:
        values = list(
            zip(map(int, steps), map(int, epochs), map(float, losses), _texts(dates), map(int, estimates), strict=True)
        )
    except ValueError:
        return None  # a number where a date was, or the other way round
    # Dates of this form, all in one time zone, follow one another as their texts do.
    forwards = all(old[3] <= new[3] for old, new in zip(lane.moving, values, strict=True))
    return values if forwards else None


def _texts(dates: Sequence[bytes]) -> list[str]:
    """The dates without their quotes. With a number among them there are fewer, or none."""
    joined = b"".join(dates)
    # Only between two dates do two quotes meet.
    return joined[1:-1].decode().split('""') if joined[:1] == b'"' == joined[-1:] else []


def _places(answer: ListAnswer, read: Page) -> list[Place] | None:
    """Where the values of the page's items stand, if it is a usual page."""
    body = skeleton.marked(answer.body)
    if body is None or read.broken or len(dict(read.items)) < len(read.items):
        return None
    try:
        marked = replace(answer, body=body).page()
    except UpstreamError:
        return None
    return None if marked.broken else skeleton.places(read.items, marked.items)


def _lane(seen: PageSeen, bones: Skeleton, items: Mapping[str, Fields], places: dict[str, Place]) -> _Lane:
    trains, others, standing = list[Tracked](), list[Tracked](), list[tuple[int, ...]]()
    for tracked in seen.watched:
        place = places.pop(tracked.key.id)
        if None in place or items[tracked.key.id]["status"] != RUNNING:
            others.append(tracked)
        else:
            trains.append(tracked)
            standing.append(tuple(index for index in place if index is not None))
    # What tasks that nobody watches show may be anything; all else must stay.
    free = {index for place in (*places.values(), *standing) for index in place}
    fixed = _picker([index for index in range(len(bones.values)) if index not in free])
    return _Lane(
        seen=seen,
        digest=seen.digest,
        bones=bones.digest,
        picks=tuple(map(_picker, zip(*standing, strict=True))) or (_picker(()),) * len(skeleton.MOVING),
        fixed=fixed,
        stood=fixed(bones.values),
        trains=tuple(trains),
        others=tuple(others),
        moving=[tuple(items[tracked.key.id][name] for name in skeleton.MOVING) for tracked in trains],
        shown=items,
    )


def _picker(places: Sequence[int]) -> Pick:
    if len(places) > 1:
        return operator.itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)
