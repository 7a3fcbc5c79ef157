"""What an answer's headers say of the rate limit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from watcher.clova.dates import parse_http_date
from watcher.clova.wire import RateHint, read_int

RawHeaders = Iterable[tuple[bytes, bytes]]

_LONGEST = 366 * 86400.0
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)


def rate_hint(headers: RawHeaders) -> RateHint | None:
    """From `X-RateLimit-*`, `RateLimit-*` and `x-ratelimit-*-requests`; None when there is none of them."""
    found = {name.lower(): value for name, value in headers if b"ratelimit" in name.lower()}
    if not found:
        return None
    return RateHint(
        limit=read_int(_pick(found, b"limit")),
        remaining=read_int(_pick(found, b"remaining")),
        reset=seconds(_pick(found, b"reset"), datetime.now(UTC)),
    )


def retry_after(headers: RawHeaders, now: datetime | None = None) -> float | None:
    """Seconds to wait: `Retry-After` (seconds or a date), else when the limit is reset; None when nothing is said."""
    known = {name.lower(): value for name, value in headers}
    # A date is meant by the server's own clock, which the answer carries along.
    clock = parse_http_date(_text(known.get(b"date"))) or now or datetime.now(UTC)
    said = seconds(_text(known.get(b"retry-after")), clock)
    if said is None:
        said = seconds(_text(known.get(b"retry-after-ms")) + "ms", clock)
    return seconds(_pick(known, b"reset"), clock) if said is None else said


def seconds(text: str, now: datetime) -> float | None:
    """`30`, `1.5`, `6m0s`, `250ms`, an HTTP date or a Unix time, as seconds from `now`; at least 0."""
    text = text.strip()
    if not text:
        return None
    moment = parse_http_date(text) if text[-1].isalpha() and " " in text else None
    if moment is not None:
        return _bounded((moment - now).total_seconds())
    if match := _SPAN.fullmatch(text):
        return _bounded(sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part))
    try:
        value = float(text)
    except ValueError:
        return None
    if value > 1e12:
        value /= 1000
    return _bounded(value - now.timestamp() if value > 1e9 else value)


def _bounded(value: float) -> float | None:
    return max(0.0, value) if value <= _LONGEST else None


def _pick(headers: dict[bytes, bytes], word: bytes) -> str:
    # Limits of tokens stand beside those of requests: only the latter are ours.
    for name in (b"x-ratelimit-%s-requests", b"x-ratelimit-%s", b"ratelimit-%s"):
        if name % word in headers:
            return _text(headers[name % word])
    return ""


def _text(value: bytes | None) -> str:
    return (value or b"")[:100].decode("latin-1").strip()
