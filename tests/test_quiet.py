"""Quiet hours as a table: who is held until when, on clocks that are set forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from watcher.events import EVENT_TYPES
from watcher.notifier.quiet import is_urgent, quiet_until
from watcher.notifier.samples import sample_event
from watcher.settings.quiethours import DAY, Quiet, quiet

SEOUL, BERLIN, NEW_YORK, HAVANA = "Asia/Seoul", "Europe/Berlin", "America/New_York", "America/Havana"
LORD_HOWE, APIA, SAO_PAULO = "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"


@pytest.mark.parametrize(
    ("hours", "zone", "now", "until"),
    [
        # hours                       zone       now (UTC)            held until (UTC)
        # Nothing is quiet.
        ("", SEOUL, "2026-03-02 13:00", None),
        # On one day: the start belongs to them, the end doesn't.
        ("12:00-13:00", SEOUL, "2026-03-02 02:59:59", None),
        ("12:00-13:00", SEOUL, "2026-03-02 03:00", "2026-03-02 04:00"),
        ("12:00-13:00", SEOUL, "2026-03-02 03:59:59", "2026-03-02 04:00"),
        ("12:00-13:00", SEOUL, "2026-03-02 04:00", None),
        # Over midnight: before it and after it.
        ("22:00-08:00", SEOUL, "2026-03-02 12:59:59", None),
        ("22:00-08:00", SEOUL, "2026-03-02 13:00", "2026-03-02 23:00"),
        ("22:00-08:00", SEOUL, "2026-03-02 22:59:59", "2026-03-02 23:00"),
        ("22:00-08:00", SEOUL, "2026-03-02 23:00", None),
        # The same moment on another clock.
        ("22:00-08:00", BERLIN, "2026-03-02 13:00", None),
        ("22:00-08:00", "UTC", "2026-03-02 23:00", "2026-03-03 08:00"),
        # To midnight, from midnight, over New Year.
        ("22:00-24:00", "UTC", "2026-12-31 23:59", "2027-01-01 00:00"),
        ("22:00-24:00", "UTC", "2027-01-01 00:00", None),
        ("00:00-06:00", "UTC", "2027-01-01 00:00", "2027-01-01 06:00"),
        ("22:00-08:00", "UTC", "2026-12-31 23:00", "2027-01-01 08:00"),
        # All but a minute.
        ("08:00-07:59", "UTC", "2026-03-02 07:59", None),
        ("08:00-07:59", "UTC", "2026-03-02 08:00", "2026-03-03 07:59"),
        # Several: each for itself, overlapping, following upon each other in any order.
        ("22:00-08:00 12:00-13:00", "UTC", "2026-03-02 12:30", "2026-03-02 13:00"),
        ("22:00-08:00 07:00-09:00", "UTC", "2026-03-02 06:00", "2026-03-02 09:00"),
        ("00:00-08:00 22:00-24:00", "UTC", "2026-03-02 23:00", "2026-03-03 08:00"),
        ("08:00-09:00 09:00-10:00 07:00-08:00", "UTC", "2026-03-02 07:30", "2026-03-02 10:00"),
        ("10:00-20:00 12:00-13:00", "UTC", "2026-03-02 12:30", "2026-03-02 20:00"),
        # Berlin, 29 March 2026: 02:00 becomes 03:00 (at 01:00 UTC). The night is an hour shorter.
        ("22:00-08:00", BERLIN, "2026-03-28 21:00", "2026-03-29 06:00"),
        ("22:00-02:30", BERLIN, "2026-03-29 00:30", "2026-03-29 01:00"),
        ("22:00-02:30", BERLIN, "2026-03-29 01:00", None),
        ("02:30-06:00", BERLIN, "2026-03-29 00:59:59", None),
        ("02:30-06:00", BERLIN, "2026-03-29 01:00", "2026-03-29 04:00"),
        ("02:15-02:45", BERLIN, "2026-03-29 01:00", None),
        # Berlin, 25 October 2026: 03:00 becomes 02:00 (at 01:00 UTC). Both hours from 2 to 3 are quiet.
        ("22:00-08:00", BERLIN, "2026-10-24 20:00", "2026-10-25 07:00"),
        ("22:00-02:30", BERLIN, "2026-10-25 00:15", "2026-10-25 01:30"),
        ("22:00-02:30", BERLIN, "2026-10-25 00:45", "2026-10-25 01:30"),
        ("22:00-02:30", BERLIN, "2026-10-25 01:29:59", "2026-10-25 01:30"),
        ("22:00-02:30", BERLIN, "2026-10-25 01:30", None),
        ("02:30-06:00", BERLIN, "2026-10-25 00:29:59", None),
        ("02:30-06:00", BERLIN, "2026-10-25 00:30", "2026-10-25 05:00"),
        ("02:30-06:00", BERLIN, "2026-10-25 01:15", "2026-10-25 05:00"),
        # New York, west of Greenwich; 8 March 2026 at 07:00 UTC.
        ("22:00-08:00", NEW_YORK, "2026-03-08 03:00", "2026-03-08 12:00"),
        ("22:00-08:00", NEW_YORK, "2026-03-09 02:00", "2026-03-09 12:00"),
        # Havana, where midnight itself is skipped: 8 March 2026, 00:00 becomes 01:00 (at 05:00 UTC).
        ("22:00-24:00", HAVANA, "2026-03-08 04:30", "2026-03-08 05:00"),
        ("00:00-06:00", HAVANA, "2026-03-08 05:00", "2026-03-08 10:00"),
        # Sao Paulo, 18 February 2018: midnight becomes 23:00 of the day before (at 02:00 UTC).
        ("22:00-23:30", SAO_PAULO, "2018-02-18 01:45", "2018-02-18 02:30"),
        ("22:00-23:30", SAO_PAULO, "2018-02-18 02:30", None),
        ("00:00-06:00", SAO_PAULO, "2018-02-18 02:30", None),
        # Lord Howe, by half an hour: 4 October 2026, 02:00 becomes 02:30 (at 15:30 UTC of the 3rd).
        ("22:00-02:15", LORD_HOWE, "2026-10-03 15:00", "2026-10-03 15:30"),
        ("02:15-03:00", LORD_HOWE, "2026-10-03 15:30", "2026-10-03 16:00"),
        # Apia, 30 December 2011: a whole day is skipped (at 10:00 UTC). Its quiet hours follow upon the last ones.
        ("22:00-08:00", APIA, "2011-12-30 09:00", "2011-12-30 18:00"),
        ("12:00-13:00", APIA, "2011-12-30 10:00", None),
    ],
)  # fmt: skip
def test_messages_are_held_until_the_quiet_hours_are_over(hours: str, zone: str, now: str, until: str | None) -> None:
    ranges = [quiet(each) for each in hours.split()]
    expected = datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None
    assert quiet_until(ranges, zone, datetime.fromisoformat(now).replace(tzinfo=UTC)) == expected


def test_the_time_may_come_in_any_zone() -> None:
    now = datetime(2026, 3, 2, 23, 0, tzinfo=ZoneInfo(SEOUL))
    assert quiet_until([quiet("22:00-08:00")], SEOUL, now) == datetime(2026, 3, 2, 23, 0, tzinfo=UTC)


@pytest.mark.parametrize("zone", [BERLIN, HAVANA, LORD_HOWE])
def test_through_a_whole_year_what_is_held_is_held_by_the_clock_on_the_wall(zone: str) -> None:
    """Every 24 minutes; only what the clock shows twice may be held longer than the clock says."""
    hours = quiet("23:10-02:20")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(365 * 60):
        wall = now.astimezone(ZoneInfo(zone))
        minute = wall.hour * 60 + wall.minute
        within = (minute - hours.start_minute) % DAY < hours.minutes
        twice = wall.replace(fold=0).utcoffset() != wall.replace(fold=1).utcoffset()
        until = quiet_until([hours], zone, now)
        assert (until is not None) == within or (twice and until is not None), wall
        assert until is None or timedelta(0) < until - now < timedelta(hours=5)
        now += timedelta(minutes=24)


def test_hours_show_themselves_as_they_are_written() -> None:
    assert [str(quiet(each)) for each in ("22:00-08:00", "9:05-24:00")] == ["22:00-08:00", "09:05-00:00"]
    assert Quiet(1320, 480).minutes == 600


def test_only_failures_are_urgent() -> None:
    urgent = {name for name in EVENT_TYPES if is_urgent(sample_event(name))}
    assert urgent == {name for name, kind in EVENT_TYPES.items() if kind.severity == "failure"}
    assert {"task.failed", "account.rejected"} <= urgent
