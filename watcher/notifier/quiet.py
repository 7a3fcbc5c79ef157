"""Quiet hours: until when a channel's messages are held. Pure; the clock is the channel's own, set forward and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from watcher.models import Event
from watcher.settings import Quiet

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


def quiet_until(quiet: Sequence[Quiet], zone: str, now: datetime) -> datetime | None:
    """When the quiet hours that hold at `now` are over (UTC); None when none do.

    Hours that follow upon each other are one. `zone` is an IANA name, `now` any aware time.
    """
    where, end = ZoneInfo(zone), now.astimezone(UTC)
    # Where a day is skipped or comes twice, hours that leave some minutes may follow upon each other for a while.
    for _ in range(2 * len(quiet) + 1):
        later = max((each for each in _ends(quiet, where, end)), default=None)
        if later is None:
            break
        end = later
    return end if end > now else None


def is_urgent(event: Event) -> bool:
    """Whether it comes in quiet hours too, where channel or route says `urgent`."""
    return event.severity == "failure"


def _ends(quiet: Sequence[Quiet], zone: ZoneInfo, now: datetime) -> list[datetime]:
    """The ends of all hours that hold now; they began today or yesterday."""
    today = now.astimezone(zone).date()
    spans = [_span(each, day, zone) for each in quiet for day in (today - _DAY, today)]
    return [end for start, end in spans if start <= now < end]


def _span(quiet: Quiet, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """From when to when (UTC) the hours that begin on this day last. Of an hour that comes twice, both are quiet."""
    last = day if quiet.start_minute < quiet.end_minute else day + _DAY
    return _instants(day, quiet.start_minute, zone)[0], _instants(last, quiet.end_minute, zone)[1]


def _instants(day: date, minute: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When a clock in that zone shows this minute, for the first and the last time; if never, when it jumps over it."""
    wall = datetime.combine(day, time(*divmod(minute, 60)))
    early, late = sorted(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early == late or early.astimezone(zone).replace(tzinfo=None) == wall:
        return early, late
    jump = _jump(early, late, zone)
    return jump, jump


def _jump(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second of the new offset."""
    old = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        before, after = (middle, after) if middle.astimezone(zone).utcoffset() == old else (before, middle)
    return after
