"""The upstream's dates, such as `2023-08-21T13:07:06+0900`, and the moments that HTTP headers name."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

_LONGEST = 64


def parse_instant(text: object) -> datetime | None:
    """The moment in UTC; None when there is none, or when it can't be read with certainty (no offset, impossible)."""
    return _read(text) if isinstance(text, str) and len(text) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _read(text: str) -> datetime | None:
    # The same few dates come again with every sweep.
    try:
        return _in_utc(datetime.fromisoformat(text.strip().upper()))
    except (ValueError, OverflowError):
        return None


def parse_http_date(text: str) -> datetime | None:
    """`Wed, 21 Oct 2015 07:28:00 GMT` in UTC; None when it can't be read."""
    try:
        moment = parsedate_to_datetime(text[:_LONGEST])
        return _in_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _in_utc(moment: datetime) -> datetime | None:
    # Without an offset a date names any of 27 moments: guessing one would make a false order of observations.
    return moment.astimezone(UTC) if moment.tzinfo else None
