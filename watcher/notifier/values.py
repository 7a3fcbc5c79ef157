"""Values from outside, read with care: what isn't one reads as None. And how numbers are written."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """The time zone, or UTC where the name means nothing."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return UTC


def instant(value: object) -> datetime | None:
    """A date as the upstream writes it (`2023-08-21T13:07:06+0900`); None where it can't be read."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def whole(value: object) -> int | None:
    """A count; None for everything else, also for what no store would hold."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def real(value: object) -> float | None:
    """A number; None for everything else. `nan` and infinity count, since a loss can be either."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def number(value: int | None) -> str:
    """From five digits on with commas."""
    if value is None:
        return "?"
    return f"{value:,}" if value >= 10_000 else str(value)
