"""Quiet hours as they are written: `22:00-08:00`."""

from __future__ import annotations

import re
from dataclasses import dataclass

DAY = 24 * 60
"""Minutes."""

_RANGE = re.compile(r"\s*(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of every day, in minutes since midnight on the clock of the channel's zone: from 0 to 1439, never equal.

    An end before the start is on the next day.
    """

    start_minute: int
    end_minute: int

    @property
    def minutes(self) -> int:
        """How long they last where the clock isn't changed."""
        return (self.end_minute - self.start_minute) % DAY

    def __str__(self) -> str:
        return "{:02}:{:02}-{:02}:{:02}".format(*divmod(self.start_minute, 60), *divmod(self.end_minute, 60))


def quiet(value: object) -> Quiet:
    """From `22:00-08:00`; an end of 24:00 is midnight. Raises ValueError, which never repeats the value."""
    if isinstance(value, Quiet):
        return value
    example = 'write hours and minutes, such as "22:00-08:00"'
    found = _RANGE.fullmatch(str(value))
    if found is None:
        raise ValueError(f"not a range of hours; {example}")
    first, first_minute, last, last_minute = map(int, found.groups())
    start, end = first * 60 + first_minute, last * 60 + last_minute
    if max(first_minute, last_minute) > 59 or start >= DAY or end > DAY:
        raise ValueError(f"there is no such time of day; {example} (24:00 only as the end)")
    if (end - start) % DAY == 0:
        raise ValueError("starts when it ends; to hear nothing, leave the channel out, or write events: []")
    return Quiet(start, end % DAY)


def not_all_day(ranges: tuple[Quiet, ...]) -> tuple[Quiet, ...]:
    """The ranges, unless together they leave no minute. Raises ValueError."""
    held = {(each.start_minute + minute) % DAY for each in ranges for minute in range(each.minutes)}
    if len(held) == DAY:
        raise ValueError("leave no time for messages; leave some minutes of the day free, or write events: []")
    return ranges
