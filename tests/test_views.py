"""The shapes that programs read, exactly as they are promised."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.support.builders import KEY, at, event, fields
from watcher.models import Delivery, Failure, Window
from watcher.views import cloud_event, delivery_json, event_json, rfc3339, task_json

SEOUL = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 2, 12, 0, tzinfo=UTC), "2026-03-02T12:00:00.000Z"),
        (datetime(2026, 3, 2, 12, 0, 0, 999_999, tzinfo=UTC), "2026-03-02T12:00:00.999Z"),
        (datetime(2026, 3, 2, 21, 0, 0, 5_000, tzinfo=SEOUL), "2026-03-02T12:00:00.005Z"),
        (None, None),
    ],
)
def test_times_are_utc_with_milliseconds_and_z(moment: datetime | None, text: str | None) -> None:
    assert rfc3339(moment) == text


def a_task(**more: Any) -> dict[str, Any]:
    return task_json(KEY, fields(name="230821-130704", model="HCX-003", **more), "support-bot v3", {"team": "nlp"})


FAILED = event(
    account="main",
    task="czf9fbky",
    from_="RUNNING",
    to="FAILED",
    changes={"status": {"old": "RUNNING", "new": "FAILED"}},
    failure=Failure("file.format", "Invalid json format."),
    details={"amends": "1772452850000000"},
    subject=a_task(step=5, steps=20, loss="NaN"),
)

SHOWN = {
    "id": "1772452860000000",
    "type": "task.failed",
    "severity": "failure",
    "notable": True,
    "time": "2026-03-02T12:01:00.000Z",
    "account": "main",
    "task": "czf9fbky",
    "from": "RUNNING",
    "to": "FAILED",
    "window": {"after": "2026-03-02T12:00:00.000Z", "before": "2026-03-02T12:01:00.000Z"},
    "changes": {"status": {"old": "RUNNING", "new": "FAILED"}},
    "failure": {"reason": "file.format", "message": "Invalid json format.", "explanation": "", "fix": ""},
    "amends": "1772452850000000",
}

SUBJECT = {
    "id": "czf9fbky",
    "account": "main",
    "name": "support-bot v3",
    "model": "HCX-003",
    "status": "RUNNING",
    "statusInfo": {"currStep": 5, "totalTrainSteps": 20, "trainLoss": "NaN"},
    "labels": {"team": "nlp"},
    "progress": 25,
    "eta": None,
}


def test_an_event_in_lists_and_the_api() -> None:
    assert event_json(FAILED) == SHOWN


def test_a_task_event_as_a_webhook_carries_it() -> None:
    assert cloud_event(FAILED) == {
        "specversion": "1.0",
        "id": "1772452860000000",
        "source": "/accounts/main",
        "type": "task.failed",
        "subject": "czf9fbky",
        "time": "2026-03-02T12:01:00.000Z",
        "datacontenttype": "application/json",
        "data": SHOWN | {"task": SUBJECT},
    }


def test_a_webhooks_body_is_strict_json() -> None:
    assert json.loads(json.dumps(cloud_event(FAILED), allow_nan=False)) == cloud_event(FAILED)


@pytest.mark.parametrize(
    ("about", "source"),
    [
        ({"type_": "account.rejected", "account": "main"}, "/accounts/main"),
        ({"type_": "channel.failing", "channel": "team"}, "/channels/team"),
        ({"type_": "watcher.gap"}, "/watcher"),
    ],
)
def test_events_that_arent_about_a_task_have_no_subject(about: dict[str, str], source: str) -> None:
    envelope = cloud_event(event(**about))
    assert (envelope["source"], "subject" in envelope, envelope["data"]["task"]) == (source, False, None)


def test_at_first_sight_the_window_has_no_beginning() -> None:
    assert event_json(event(window=Window(None, at(60))))["window"] == {
        "after": None,
        "before": "2026-03-02T12:01:00.000Z",
    }


def test_a_failure_stands_only_where_there_is_one() -> None:
    assert "failure" not in event_json(event("task.succeeded"))


# ── tasks ──


def test_a_task_of_which_little_is_known_has_null_for_the_rest() -> None:
    assert task_json(KEY, {"status": "WAIT"}, None, {}) == {
        "id": "czf9fbky",
        "account": "main",
        "name": None,
        "model": None,
        "status": "WAIT",
        "statusInfo": None,
        "labels": {},
        "progress": None,
        "eta": None,
    }


def test_the_name_of_the_configuration_goes_before_the_upstreams() -> None:
    assert a_task()["name"] == "support-bot v3"
    assert task_json(KEY, fields(name="upstream's"), None, {})["name"] == "upstream's"


# ── deliveries ──


def test_a_delivery_as_lists_and_the_api_show_it() -> None:
    waiting = Delivery("msg_1", FAILED, "team", "waiting", 2, at(0.5), "503")
    promised = {
        "id": "msg_1",
        "event": "1772452860000000",
        "channel": "team",
        "state": "waiting",
        "attempts": 2,
        "next_at": "2026-03-02T12:00:00.500Z",
        "reason": "503",
    }
    assert promised.items() <= delivery_json(waiting).items()


def test_a_delivery_without_reason_or_next_try_says_null() -> None:
    shown = delivery_json(Delivery("msg_1", FAILED, "team", "delivered", 1, None, ""))
    assert (shown["next_at"], shown["reason"]) == (None, None)
