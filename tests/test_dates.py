"""Dates as the upstream writes them."""

from datetime import UTC, datetime

import pytest

from watcher.clova.dates import parse_http_date, parse_instant
from watcher.clova.headers import rate_hint, retry_after, seconds
from watcher.clova.wire import RateHint

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-08-21T13:07:06+0900", datetime(2023, 8, 21, 4, 7, 6, tzinfo=UTC)),
        ("2023-08-21T13:07:06+09:00", datetime(2023, 8, 21, 4, 7, 6, tzinfo=UTC)),
        ("2023-08-21T04:07:06Z", datetime(2023, 8, 21, 4, 7, 6, tzinfo=UTC)),
        (" 2023-08-21t04:07:06.250z ", datetime(2023, 8, 21, 4, 7, 6, 250000, tzinfo=UTC)),
    ],
)
def test_a_date_with_an_offset_is_a_moment_in_utc(text: str, moment: datetime) -> None:
    assert parse_instant(text) == moment
    assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        None, "", "soon", 1692590826, ["2023-08-21T13:07:06+0900"],
        "2023-08-21T13:07:06",  # no offset: any of 27 moments
        "2023-02-30T00:00:00+0900", "2023-08-21T25:00:00+0900", "0001-01-01T00:00:00+0900", "9999-12-31T23:59:59-0900",
        "2023-08-21T13:07:06+0900" + " " * 100, "２０２３-08-21T13:07:06+0900",
    ],
)  # fmt: skip
def test_what_is_no_certain_moment_is_unknown(text: object) -> None:
    assert parse_instant(text) is None


@pytest.mark.parametrize("text", ["", "soon", "Wed", "Wed, 99 Oct 2015 07:28:00 GMT", "\x00", "1" * 5000])
def test_an_unreadable_http_date_is_unknown(text: str) -> None:
    assert parse_http_date(text) is None


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("30", 30.0),
        ("1.5", 1.5),
        ("6m0s", 360.0),
        ("250ms", 0.25),
        ("1h2m3.5s", 3723.5),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        (str(int(NOON.timestamp()) + 7), 7.0),
        (str((int(NOON.timestamp()) + 7) * 1000), 7.0),
        ("-5", 0.0),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("later", None),
        ("99999999999999999999999999", None),
    ],
)
def test_a_wait_is_read_from_any_spelling(text: str, wait: float | None) -> None:
    assert seconds(text, NOON) == wait


def test_a_retry_date_is_meant_by_the_servers_own_clock() -> None:
    headers = [(b"Date", b"Mon, 02 Mar 2026 00:00:00 GMT"), (b"Retry-After", b"Mon, 02 Mar 2026 00:00:09 GMT")]
    assert retry_after(headers, NOON) == 9.0


def test_without_retry_after_the_limits_reset_is_the_wait() -> None:
    assert retry_after([(b"x-ratelimit-reset-requests", b"4s"), (b"x-ratelimit-reset-tokens", b"90s")], NOON) == 4.0
    assert retry_after([(b"X-RateLimit-Reset", b"8")], NOON) == 8.0
    assert retry_after([(b"Content-Length", b"8")], NOON) is None


def test_the_limits_headers_are_read_under_their_usual_names() -> None:
    assert rate_hint([(b"Content-Type", b"text/html")]) is None
    named = [(b"X-RateLimit-Limit", b"60"), (b"X-RateLimit-Remaining", b"59"), (b"X-RateLimit-Reset", b"1s")]
    assert rate_hint(named) == RateHint(60, 59, 1.0)
    assert rate_hint([(b"RateLimit-Remaining", b"many")]) == RateHint(None, None, None)
