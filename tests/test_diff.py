"""What a new look at a task means, given what was known: the tables of the status events and of the observing rules.

Each row reads: the task was stored like this, it is seen like that, so these events are told. Noon is when it was
stored, a minute past is when it is seen.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.builders import at, events_of, look, seen, stored, told, written
from watcher.models import TERMINAL, Failure, Snapshot, Window
from watcher.state.diff import Rules, compare, failure_of, still_missing
from watcher.state.rows import BOOKKEEPING, MOVING, TaskRow, dumps, fields_of, milliseconds, snapshot_of
from watcher.state.steps import step

# ── first sight ──


@pytest.mark.parametrize("status", ["WAIT", "RUNNING", "PAUSED"])
def test_a_task_seen_for_the_first_time_is_discovered_and_nothing_else(status: str) -> None:
    change = look(None, seen(status))
    assert told(change) == ["task.discovered"]
    assert (change.because, change.drafts[0].to, change.drafts[0].from_) == ("first_sight", status, None)


@pytest.mark.parametrize(("status", "event"), [("SUCCEEDED", "task.succeeded"), ("FAILED", "task.failed")])
def test_a_task_first_seen_at_its_end_is_discovered_and_then_told_as_ended(status: str, event: str) -> None:
    change = look(None, seen(status, updated=written(0)))
    assert told(change) == ["task.discovered", event]
    assert change.drafts[1].details["first_sight"] is True


@pytest.mark.parametrize(
    ("listed", "updated", "notable"),
    [
        pytest.param(True, written(60 - 3600), True, id="listed, an hour ago"),
        pytest.param(True, written(60 - 86400), True, id="listed, exactly a day ago"),
        pytest.param(True, written(60 - 86401), False, id="listed, more than a day ago"),
        pytest.param(False, written(60 - 3600), False, id="adopted by a rule, an hour ago"),
        pytest.param(True, None, False, id="listed, without a date"),
        pytest.param(True, "2026-02-30T00:00:00+0900", False, id="listed, with an impossible date"),
    ],
)
def test_an_end_at_first_sight_is_notable_only_for_a_listed_task_updated_within_a_day(
    listed: bool, updated: str | None, notable: bool
) -> None:
    change = look(None, seen("FAILED", updated=updated), listed=listed)
    assert change.drafts[1].notable is notable


def test_at_first_sight_the_window_has_no_beginning() -> None:
    change = look(None, seen("SUCCEEDED", updated=written(0)))
    assert {draft.window for draft in change.drafts} == {Window(None, at(60))}


def test_milestones_passed_at_first_sight_count_as_told() -> None:
    first, later = seen(step=60, steps=100), seen(step=74, steps=100, number=3)
    assert events_of(None, first, later) == [["task.discovered"], []]


def test_a_task_discovered_at_60_percent_still_tells_75() -> None:
    first, later = seen(step=60, steps=100), seen(step=75, steps=100, number=3)
    assert events_of(None, first, later)[1] == ["task.progress"]


# ── the status events: the first matching row wins ──

STATUS_EVENTS = [
    # stored       seen          told
    ("WAIT", "RUNNING", ["task.started"]),
    ("WAIT", "SUCCEEDED", ["task.succeeded"]),
    ("WAIT", "FAILED", ["task.failed"]),
    ("RUNNING", "SUCCEEDED", ["task.succeeded"]),
    ("RUNNING", "FAILED", ["task.failed"]),
    ("PAUSED", "SUCCEEDED", ["task.succeeded"]),
    ("PAUSED", "FAILED", ["task.failed"]),
    ("SUCCEEDED", "FAILED", ["task.failed"]),
    ("FAILED", "SUCCEEDED", ["task.succeeded"]),
    ("SUCCEEDED", "WAIT", ["task.reopened"]),
    ("SUCCEEDED", "RUNNING", ["task.reopened"]),
    ("SUCCEEDED", "PAUSED", ["task.reopened"]),
    ("FAILED", "WAIT", ["task.reopened"]),
    ("FAILED", "RUNNING", ["task.reopened"]),
    ("FAILED", "PAUSED", ["task.reopened"]),
    ("RUNNING", "WAIT", ["task.requeued"]),
    ("WAIT", "PAUSED", ["task.status_changed"]),
    ("RUNNING", "PAUSED", ["task.status_changed"]),
    ("PAUSED", "WAIT", ["task.status_changed"]),
    ("PAUSED", "RUNNING", ["task.status_changed"]),
    ("PAUSED", "STOPPED", ["task.status_changed"]),
    ("running", "RUNNING", ["task.status_changed"]),
    ("WAIT", "WAIT", []),
    ("RUNNING", "RUNNING", []),
    ("SUCCEEDED", "SUCCEEDED", []),
    ("FAILED", "FAILED", []),
    ("PAUSED", "PAUSED", []),
]


@pytest.mark.parametrize(("before", "after", "events"), STATUS_EVENTS, ids=lambda part: str(part))
def test_what_a_change_of_status_is_called(before: str, after: str, events: list[str]) -> None:
    assert told(look(stored(before), seen(after))) == events


def test_an_event_says_where_the_task_came_from_where_it_went_and_when() -> None:
    event = look(stored("WAIT"), seen("RUNNING")).drafts[0]
    assert (event.from_, event.to, event.window) == ("WAIT", "RUNNING", Window(at(0), at(60)))
    assert event.changes["status"] == {"old": "WAIT", "new": "RUNNING"}


def test_states_missed_between_two_looks_make_one_event_from_what_was_seen_before() -> None:
    event = look(stored("WAIT"), seen("SUCCEEDED")).drafts[0]
    assert (event.type, event.from_, event.to) == ("task.succeeded", "WAIT", "SUCCEEDED")


def test_a_failure_carries_its_reason_and_message() -> None:
    event = look(stored(), seen("FAILED", reason="file.format", message="Invalid json format. line 7")).drafts[0]
    assert event.failure == Failure("file.format", "Invalid json format. line 7")


def test_only_a_failed_task_has_a_failure() -> None:
    assert look(stored(), seen("SUCCEEDED", reason="left over")).drafts[0].failure is None
    assert failure_of({"status": "FAILED"}) == Failure("", "")


def test_looking_twice_at_the_same_tells_nothing_the_second_time() -> None:
    ending = seen("FAILED", reason="clops.error")
    again = seen("FAILED", reason="clops.error", number=3)
    assert events_of(stored(), ending, ending, again) == [["task.failed"], [], []]


# ── reopened, another end, another life (RULES 7 and 8) ──


@pytest.mark.parametrize("status", ["WAIT", "RUNNING", "PAUSED"])
def test_the_same_id_with_another_creation_date_is_reopened(status: str) -> None:
    change = look(stored(status, created=written(-100)), seen(status, created=written(30)))
    assert told(change) == ["task.reopened"]
    assert change.snapshot is not None
    assert change.snapshot.life == 2


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        ("WAIT", "RUNNING", ["task.reopened"]),
        ("RUNNING", "WAIT", ["task.reopened"]),
        ("RUNNING", "FAILED", ["task.failed"]),
        ("FAILED", "FAILED", ["task.reopened", "task.failed"]),
        ("SUCCEEDED", "SUCCEEDED", ["task.reopened", "task.succeeded"]),
        ("FAILED", "RUNNING", ["task.reopened"]),
    ],
)
def test_a_new_life_in_another_status(before: str, after: str, events: list[str]) -> None:
    assert told(look(stored(before, created=written(-100)), seen(after, created=written(30)))) == events


@pytest.mark.parametrize(
    "created",
    [
        pytest.param("2026-03-02T03:00:00+0000", id="the same instant in another zone"),
        pytest.param("2026-03-02T03:00:00Z", id="the same instant with Z"),
        pytest.param("soon", id="unreadable"),
        pytest.param(None, id="null"),
    ],
)
def test_it_is_the_same_life_while_the_creation_instant_is_the_same_or_unknown(created: str | None) -> None:
    change = look(stored(created="2026-03-02T12:00:00+0900"), seen(created=created))
    assert told(change) == []


def test_a_new_life_starts_milestones_and_told_flags_anew_and_forgets_old_fields() -> None:
    before = stored(created=written(-100), milestone=75, step=80, steps=100, loss=0.4, name="old")
    change = look(before, seen(created=written(30), step=26, steps=100))
    assert told(change) == ["task.reopened", "task.progress"]
    assert change.snapshot is not None
    assert change.snapshot.milestone == 25
    assert "statusInfo.trainLoss" not in change.snapshot.fields


def test_a_new_life_can_miss_its_weights_again() -> None:
    before = stored("SUCCEEDED", created=written(-100), weights=False, weights_told=True)
    change = look(before, seen("SUCCEEDED", created=written(30), weights=False))
    assert told(change) == ["task.reopened", "task.succeeded", "task.weights_missing"]


def test_failed_with_another_end_is_reopened_then_failed() -> None:
    before = stored("FAILED", end=written(-60), reason="clops.error")
    change = look(before, seen("FAILED", end=written(30), reason="train.unknown"))
    assert told(change) == ["task.reopened", "task.failed"]
    assert change.drafts[1].failure == Failure("train.unknown", "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, written(-5), id="the end becomes known"),
        pytest.param(written(-5), None, id="the end is emptied"),
        pytest.param("2026-03-02T12:00:00+0900", "2026-03-02T03:00:00Z", id="the same end, written otherwise"),
        pytest.param(written(-5), "never", id="unreadable"),
    ],
)
def test_an_end_that_isnt_another_instant_is_no_second_failure(before: str | None, after: str | None) -> None:
    assert told(look(stored("FAILED", end=before, reason="x"), seen("FAILED", end=after))) == []


def test_a_reopened_task_forgets_how_its_earlier_run_ended() -> None:
    before = stored("FAILED", reason="clops.error", message="no", end=written(-60))
    change = look(before, seen("RUNNING"))
    assert change.snapshot is not None
    assert change.snapshot.fields["statusInfo.failureReason"] is None
    assert (change.snapshot.ended, change.snapshot.ending) == (None, "")


def test_a_second_failure_of_a_reopened_task_has_no_reason_of_the_first() -> None:
    looks = seen("RUNNING"), seen("FAILED", number=3)
    change = look(look(stored("FAILED", reason="clops.error"), looks[0]).snapshot, looks[1])
    assert change.drafts[0].failure == Failure("", "")


# ── progress ──

PROGRESS = [
    # milestones told, step of 100, told now
    (0, 24, None),
    (0, 25, 25),
    (25, 49, None),
    (25, 50, 50),
    (0, 99, 75),
    (75, 100, None),
    (50, 10, None),
    (50, 30, None),
    (0, 250, 75),
]


@pytest.mark.parametrize(("already", "step", "milestone"), PROGRESS)
def test_a_milestone_is_told_once_the_highest_even_if_the_step_goes_back(
    already: int, step: int, milestone: int | None
) -> None:
    drafts = look(stored(milestone=already), seen(step=step, steps=100)).drafts
    assert [draft.details["milestone"] for draft in drafts] == ([] if milestone is None else [milestone])


def test_a_step_that_goes_back_and_forth_tells_its_milestone_once() -> None:
    steps = (30, 10, 30, 55)
    looks = [seen(step=step, steps=100, number=n) for n, step in enumerate(steps, 2)]
    assert events_of(stored(), *looks) == [["task.progress"], [], [], ["task.progress"]]


def test_leaving_running_starts_the_milestones_anew() -> None:
    looks = seen("WAIT", number=2), seen(step=30, steps=100, number=3), seen(step=60, steps=100, number=4)
    assert events_of(stored(milestone=75, step=80, steps=100), *looks) == [
        ["task.requeued"],
        ["task.started", "task.progress"],
        ["task.progress"],
    ]


def test_without_milestones_nothing_is_told_of_progress() -> None:
    assert told(look(stored(), seen(step=99, steps=100), milestones=())) == []


def test_only_a_running_task_makes_progress() -> None:
    assert told(look(stored(step=10, steps=100), seen("SUCCEEDED", step=100, steps=100))) == ["task.succeeded"]
    assert told(look(stored("WAIT"), seen("WAIT", step=90, steps=100))) == []


# ── late reasons and missing weights ──


def test_a_late_reason_makes_one_follow_up_that_amends_the_first() -> None:
    change = look(stored("FAILED", ending="77"), seen("FAILED", reason="file.size", message="too big"))
    assert told(change) == ["task.failed"]
    assert change.drafts[0].details["amends"] == "77"
    assert change.drafts[0].failure == Failure("file.size", "too big")


def test_a_reason_is_amended_only_once() -> None:
    before = stored("FAILED", ending="77")
    looks = seen("FAILED", reason="file.size"), seen("FAILED", number=3), seen("FAILED", reason="other", number=4)
    assert events_of(before, *looks) == [["task.failed"], [], []]
    assert events_of(stored("FAILED", ending="77", amended=True), looks[0]) == [[]]


def test_a_reason_that_was_told_isnt_amended_by_another() -> None:
    assert told(look(stored("FAILED", reason="clops.error"), seen("FAILED", reason="train.unknown"))) == []


LATE_FACTS = [
    # told with             then seen with                       follow-up
    ({}, {"message": "too big"}, True),
    ({"reason": "file.size"}, {"message": "too big"}, True),
    ({"message": "too big"}, {"reason": "file.size"}, True),
    ({"reason": "", "message": None}, {"message": "too big"}, True),
    ({"reason": "file.size", "message": "too big"}, {"message": "bigger"}, False),
    ({"reason": "file.size"}, {"message": ""}, False),
    ({"reason": "file.size"}, {"message": None}, False),
    ({"message": "too big"}, {"message": "too big"}, False),
    ({"reason": "file.size"}, {"end": written(30)}, False),
    ({"reason": "file.size", "amended": True}, {"message": "too big"}, False),
]


@pytest.mark.parametrize(("told_with", "now", "follows"), LATE_FACTS)
def test_a_failure_told_without_its_reason_or_message_is_amended_when_one_comes(
    told_with: dict[str, Any], now: dict[str, Any], follows: bool
) -> None:
    change = look(stored("FAILED", ending="77", **told_with), seen("FAILED", **now))
    assert [draft.details.get("amends") for draft in change.drafts] == (["77"] if follows else [])


def test_one_ending_has_one_follow_up_and_a_later_ending_its_own() -> None:
    looks = [
        seen("FAILED", message="no GPU", number=2), seen("FAILED", reason="resource.timeout", number=3),
        seen("RUNNING", number=4), seen("FAILED", number=5),
    ]  # fmt: skip
    assert events_of(stored("FAILED", ending="77"), *looks) == [
        ["task.failed"], [], ["task.reopened"], ["task.failed"]
    ]  # fmt: skip


def test_a_succeeded_task_gets_no_follow_up() -> None:
    assert told(look(stored("SUCCEEDED", ending="77"), seen("SUCCEEDED", message="all well", end=written(0)))) == []


@pytest.mark.parametrize(
    ("listed", "updated", "ended", "notable"),
    [
        pytest.param(True, written(-3600), 0, None, id="told when it happened"),
        pytest.param(True, written(-3600), None, True, id="first seen an hour after"),
        pytest.param(True, written(-90_000), None, False, id="first seen long after"),
        pytest.param(True, None, None, False, id="first seen without a date"),
        pytest.param(False, written(-3600), None, False, id="first seen and adopted by a rule"),
    ],
)
def test_a_follow_up_is_as_notable_as_what_it_amends(
    listed: bool, updated: str | None, ended: float | None, notable: bool | None
) -> None:
    before = stored("FAILED", updated=updated, ended=at(0))
    if ended is not None:
        before = replace(before, first_seen=at(-100))
    change = look(before, seen("FAILED", message="no", updated=updated, when=86400), listed=listed)
    assert [draft.notable for draft in change.drafts] == [notable]


def test_an_amendment_leaves_the_first_end_alone() -> None:
    change = look(stored("FAILED", ending="77"), seen("FAILED", reason="file.size"))
    assert change.snapshot is not None
    assert (change.snapshot.ending, change.snapshot.ended, change.snapshot.amended) == ("77", at(0), True)


@pytest.mark.parametrize(
    ("before", "status", "weights", "events"),
    [
        ("RUNNING", "SUCCEEDED", False, ["task.succeeded", "task.weights_missing"]),
        ("RUNNING", "SUCCEEDED", True, ["task.succeeded"]),
        ("RUNNING", "SUCCEEDED", None, ["task.succeeded"]),
        ("RUNNING", "FAILED", False, ["task.failed"]),
        ("RUNNING", "RUNNING", False, []),
        ("SUCCEEDED", "SUCCEEDED", False, ["task.weights_missing"]),
    ],
)
def test_missing_weights_are_told_when_a_succeeded_task_says_so_explicitly(
    before: str, status: str, weights: bool | None, events: list[str]
) -> None:
    assert told(look(stored(before), seen(status, weights=weights))) == events


def test_missing_weights_are_told_once() -> None:
    looks = seen("SUCCEEDED", weights=False), seen("SUCCEEDED", weights=False, number=3)
    assert events_of(stored(), *looks) == [["task.succeeded", "task.weights_missing"], []]


def test_weights_missing_at_first_sight_are_told_with_the_end() -> None:
    change = look(None, seen("SUCCEEDED", weights=False, updated=written(0)))
    assert told(change) == ["task.discovered", "task.succeeded", "task.weights_missing"]


# ── own order and stale upstream (RULES 1 and 2) ──


@pytest.mark.parametrize("number", [4, 5])
def test_a_request_that_isnt_younger_than_the_stored_one_changes_nothing(number: int) -> None:
    change = look(stored("RUNNING", number=5), seen("FAILED", number=number, trusted=True))
    assert (change.because, change.snapshot, change.drafts) == ("older_request", None, ())


def test_an_older_update_date_changes_nothing() -> None:
    change = look(stored("RUNNING", updated=written(-10)), seen("WAIT", updated=written(-11)))
    assert (change.because, change.snapshot, change.drafts) == ("stale", None, ())


def test_a_look_that_settles_the_doubt_counts_even_when_older() -> None:
    change = look(stored("RUNNING", updated=written(-10)), seen("WAIT", updated=written(-11), trusted=True))
    assert told(change) == ["task.requeued"]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(written(-10), written(-10), id="equal"),
        pytest.param(written(-10), None, id="null now"),
        pytest.param(None, written(-10), id="null before"),
        pytest.param(written(-10), "yesterday", id="unreadable now"),
        pytest.param("0000-00-00T00:00:00+0900", written(-99), id="unreadable before"),
        pytest.param("2026-03-02T12:00:00+0900", "2026-03-02T03:00:00Z", id="equal in another zone"),
        pytest.param("2026-03-02T12:00:00", written(-99999), id="without a zone before"),
    ],
)
def test_equal_missing_and_unreadable_dates_hold_nothing_back(before: str | None, now: str | None) -> None:
    assert told(look(stored("WAIT", updated=before), seen("RUNNING", updated=now))) == ["task.started"]


# ── absent isn't null (RULE 3) ──


def test_a_field_that_the_answer_doesnt_carry_keeps_its_value() -> None:
    change = look(stored(name="support-bot", loss=0.8), seen(loss=0.7))
    assert change.snapshot is not None
    assert change.snapshot.fields["name"] == "support-bot"
    assert change.changes == {"statusInfo.trainLoss": {"old": 0.8, "new": 0.7}}


def test_null_clears_a_field() -> None:
    change = look(stored(loss=0.8), seen(loss=None))
    assert change.snapshot is not None
    assert change.snapshot.fields["statusInfo.trainLoss"] is None


@pytest.mark.parametrize("empty", [None, ""])
def test_a_list_page_never_empties_how_a_task_ended(empty: str | None) -> None:
    before = stored("FAILED", reason="file.size", message="too big", end=written(-5))
    change = look(before, seen("FAILED", source="list", reason=empty, message=empty, end=empty))
    assert change.snapshot is not None
    assert (change.because, change.snapshot.fields) == ("unchanged", before.fields)


def test_a_get_may_empty_it() -> None:
    change = look(stored("FAILED", message="too big"), seen("FAILED", message=None))
    assert change.changes == {"statusInfo.message": {"old": "too big", "new": None}}


def test_a_list_page_of_another_status_may_empty_it_too() -> None:
    change = look(stored("FAILED", message="too big"), seen("SUCCEEDED", source="list", message=None))
    assert change.snapshot is not None
    assert change.snapshot.fields["statusInfo.message"] is None


def test_a_list_page_may_still_change_what_it_does_say() -> None:
    change = look(stored("FAILED", message="too big"), seen("FAILED", source="list", message="bigger"))
    assert change.changes == {"statusInfo.message": {"old": "too big", "new": "bigger"}}


# ── hostile values (RULE 4): odd numbers are facts, never events ──


@pytest.mark.parametrize(
    "more",
    [
        {"loss": "NaN"},
        {"loss": "Infinity"},
        {"loss": "-Infinity"},
        {"step": 2**63 - 1, "steps": 1},
        {"step": -1, "steps": 100},
        {"step": 99, "steps": 0},
        {"step": 99, "steps": -100},
        {"step": None, "steps": 100},
        {"step": 5, "steps": None},
        {"step": True, "steps": True},
        {"updated": "9999-12-31T23:59:59+0000"},
        {"created": "2026-13-99T99:99:99+0900"},
    ],
    ids=str,
)
def test_odd_values_are_kept_as_they_are_and_invent_no_change_of_status(more: dict[str, Any]) -> None:
    change = look(stored(milestone=75), seen(**more))
    assert told(change) == []
    assert change.snapshot is not None
    assert change.because == "changed"


def test_a_loss_that_is_no_number_is_a_change_that_the_history_shows() -> None:
    change = look(stored(loss=0.4), seen(loss="NaN"))
    assert change.changes == {"statusInfo.trainLoss": {"old": 0.4, "new": "NaN"}}


# ── gone and returned (RULE 5) ──


def test_the_first_answer_that_a_task_isnt_there_only_notes_it() -> None:
    change = still_missing(stored(), at(60), "not_found", confirmed=False)
    assert change.drafts == ()
    assert change.snapshot is not None
    assert change.snapshot.missing_since == at(60)


@pytest.mark.parametrize(
    ("later", "confirmed", "events"),
    [
        pytest.param(60, True, ["task.gone"], id="a minute later, no list shows it"),
        pytest.param(900, True, ["task.gone"], id="much later"),
        pytest.param(59, True, [], id="less than a minute later"),
        pytest.param(60, False, [], id="a list still shows it, or all GETs answer so"),
        pytest.param(-5, True, [], id="the clock went back in between"),
    ],
)
def test_the_second_answer_a_minute_later_tells_that_it_is_gone(
    later: float, confirmed: bool, events: list[str]
) -> None:
    noted = stored(missing_since=at(60))
    assert told(still_missing(noted, at(60 + later), "not_found", confirmed=confirmed)) == events


def test_gone_is_told_once() -> None:
    gone = stored(missing_since=at(60), gone="not_found")
    change = still_missing(gone, at(9999), "not_found", confirmed=True)
    assert (change.snapshot, change.drafts) == (None, ())


def test_gone_says_why_and_since_when_the_task_wasnt_seen() -> None:
    event = still_missing(stored(missing_since=at(60)), at(120), "not_found", confirmed=True).drafts[0]
    assert (event.details["reason"], event.window) == ("not_found", Window(at(0), at(120)))


def test_a_task_of_another_owner_is_gone_at_once_when_the_list_answers() -> None:
    event = still_missing(stored(), at(60), "no_ownership", confirmed=True, at_once=True).drafts[0]
    assert (event.type, event.details["reason"]) == ("task.gone", "no_ownership")


def test_a_task_of_another_owner_isnt_gone_while_the_list_doesnt_answer() -> None:
    assert told(still_missing(stored(), at(60), "no_ownership", confirmed=False, at_once=True)) == []


@pytest.mark.parametrize(
    ("status", "notable"),
    [("WAIT", True), ("RUNNING", True), ("SUCCEEDED", False), ("FAILED", False), ("PAUSED", False)],
)
def test_gone_and_returned_are_notable_from_wait_and_running_only(status: str, notable: bool) -> None:
    gone = still_missing(stored(status, missing_since=at(0)), at(60), "not_found", confirmed=True)
    back = look(gone.snapshot, seen(status, when=120))
    assert (told(gone), told(back)) == (["task.gone"], ["task.returned"])
    assert (gone.drafts[0].notable, back.drafts[0].notable) == (notable, notable)


def test_a_task_that_returns_in_another_status_tells_both() -> None:
    change = look(stored("RUNNING", gone="not_found", missing_since=at(0)), seen("FAILED"))
    assert told(change) == ["task.returned", "task.failed"]


def test_a_task_seen_again_before_it_counted_as_gone_tells_nothing_and_is_noted_anew() -> None:
    change = look(stored(missing_since=at(30)), seen())
    assert told(change) == []
    assert change.snapshot is not None
    assert change.snapshot.missing_since is None


# ── windows (RULE 11) ──


@pytest.mark.parametrize(
    ("stored_at", "seen_at", "window"),
    [
        pytest.param(0, 60, Window(at(0), at(60)), id="the usual"),
        pytest.param(0, 12_000, Window(at(0), at(12_000)), id="the watcher was down"),
        pytest.param(500, 60, Window(at(60), at(60)), id="the clock went back"),
    ],
)
def test_a_window_never_ends_before_it_begins(stored_at: float, seen_at: float, window: Window) -> None:
    assert look(stored("WAIT", when=stored_at), seen("RUNNING", when=seen_at)).drafts[0].window == window


@pytest.mark.parametrize(
    ("stored_number", "number", "stepped_at", "stepped"),
    [
        pytest.param(5, 9, 0, False, id="it never jumped"),
        pytest.param(5, 9, 7, True, id="it jumped between the two looks"),
        pytest.param(5, 9, 9, True, id="it jumped just before the second"),
        pytest.param(7, 9, 7, False, id="it jumped before the first"),
        pytest.param(5, 9, 10, False, id="it jumped after the second"),
    ],
)
def test_an_event_says_when_the_wall_clock_jumped_within_its_window(
    stored_number: int, number: int, stepped_at: int, stepped: bool
) -> None:
    event = look(stored("WAIT", number=stored_number), seen("RUNNING", number=number), stepped_at=stepped_at).drafts[0]
    assert event.details.get("clock_stepped", False) is stepped


def test_time_that_runs_backwards_is_a_jump_of_the_clock() -> None:
    assert look(stored("WAIT", when=500), seen("RUNNING", when=60)).drafts[0].details == {"clock_stepped": True}


# ── what is kept ──


def test_an_unchanged_look_only_moves_last_seen() -> None:
    change = look(stored(loss=0.5), seen(loss=0.5))
    assert change.because == "unchanged"
    assert change.snapshot is not None
    assert (change.snapshot.seen, change.snapshot.number, change.snapshot.changed) == (at(60), 2, at(0))


def test_the_end_keeps_its_first_time_while_the_task_settles() -> None:
    first = look(stored(), seen("SUCCEEDED", when=60)).snapshot
    later = look(first, seen("SUCCEEDED", number=3, when=600, name="renamed")).snapshot
    assert later is not None
    assert (later.ended, later.changed) == (at(60), at(60) + timedelta(seconds=540))


# ── how long it trained ──


@pytest.mark.parametrize(
    ("end", "trained"),
    [
        pytest.param(None, 1740, id="as seen, without an endDatetime"),
        pytest.param(written(1500), 1440, id="by the upstream's endDatetime"),
        pytest.param(written(30), 1740, id="an end before its start is nonsense"),
        pytest.param(written(9000), 1740, id="an end in the future is nonsense"),
    ],
)
def test_an_end_tells_how_long_the_training_took(end: str | None, trained: int) -> None:
    running = look(stored("WAIT"), seen("RUNNING", when=60)).snapshot
    info = {} if end is None else {"statusInfo.endDatetime": end}
    ending = look(running, seen("SUCCEEDED", when=1800, number=3, **info)).drafts[0]
    assert ending.details["trained"] == trained


def test_nobody_knows_how_long_a_training_took_that_had_begun_before_it_was_seen() -> None:
    ending = look(look(None, seen("RUNNING")).snapshot, seen("SUCCEEDED", when=1800, number=3)).drafts[0]
    assert "trained" not in ending.details


def test_a_second_wait_is_counted_from_the_requeue() -> None:
    training = look(stored("WAIT"), seen("RUNNING", when=60)).snapshot
    waiting = look(training, seen("WAIT", when=600, number=3)).snapshot
    started = look(waiting, seen("RUNNING", when=3000, number=4)).drafts[0]
    assert (started.type, started.details["waited"]) == ("task.started", 2400)


# ── a step, decided cheaply, means what a comparison says ──


def row_of(task: Snapshot, chance: random.Random) -> TaskRow:
    """The task as the database may have it: what moves in the fields, or beside older ones."""
    values = {name: getattr(task, name) for name in BOOKKEEPING}
    row = {name: milliseconds(value) if hasattr(value, "tzinfo") else value for name, value in values.items()}
    fields = dict(task.fields)
    moving: list[Any] = [None] * len(MOVING)
    moved = chance.random() < 0.5 and not isinstance(fields.get("statusInfo.trainLoss"), str)
    if moved:
        moving = [fields.get(name) for name in MOVING]
        fields |= {name: 5 for name in MOVING if name in fields}
    return (7, task.key.account, task.key.id, dumps(fields), *row.values(), moved, *moving)


STATUSES = ("WAIT", "RUNNING", "RUNNING", "RUNNING", "SUCCEEDED", "FAILED", "PAUSED")
SAID: dict[str, tuple[Any, ...]] = {
    "step": (0, 10, 30, 60, 99, 100, None, -1, True, "7"),
    "steps": (100, 100, 100, 0, None),
    "epoch": (0, 1, 2, None),
    "epochs": (4, None),
    "loss": (2.5, 1.25, 0.5, None, "NaN", 1),
    "updated": (written(-5), written(0), written(5), "2026-03-02T03:00:00Z", None, "soon", 5),
    "statusInfo.estimatedTime": (60, 50, None),
    "name": ("bot", "bot", "bot", "renamed"),
    "created": (written(-99), written(-99), written(-98)),
    "reason": (None, None, "clops.error", ""),
    "message": (None, None, "no", ""),
    "end": (None, None, written(-1), written(1)),
    "weights": (None, None, True, False),
}


def random_fields(chance: random.Random) -> dict[str, Any]:
    return {name: chance.choice(values) for name, values in SAID.items() if chance.random() < 0.9}


def random_pair(chance: random.Random) -> tuple[Snapshot, Any]:
    status = chance.choice(STATUSES)
    known = random_fields(chance)
    kept: dict[str, Any] = {
        "milestone": chance.choice((0, 25, 50)) if status == "RUNNING" or chance.random() < 0.1 else 0,
        "weights_told": status == "SUCCEEDED" and known.get("weights") is False and chance.random() < 0.9,
        "missing_since": at(-3) if chance.random() < 0.05 else None,
        "gone": "not_found" if chance.random() < 0.05 else "",
        "amended": chance.random() < 0.2,
        "life": chance.randrange(1, 3),
    }
    task = stored(status, number=chance.choice((1, 1, 1, 5)), **known, **kept)
    if chance.random() < 0.3:
        task = replace(task, status_since=at(-50), ended=at(-9) if status in TERMINAL else None)
    now = dict(known)
    for name in chance.sample(list(SAID), chance.choice((0, 1, 1, 2, 3))):
        now[name] = chance.choice(SAID[name])
    if chance.random() < 0.5:
        now |= {name: chance.choice(SAID[name]) for name in ("step", "loss", "updated") if name in now}
    for name in chance.sample(list(now), chance.choice((0, 0, 1, 2))):
        del now[name]
    status = status if chance.random() < 0.9 else chance.choice(STATUSES)
    trusted, source = chance.random() < 0.1, chance.choice(("get", "list"))
    return task, seen(status, number=chance.choice((2, 2, 2, 9)), source=source, trusted=trusted, **now)


def test_a_step_decided_cheaply_is_what_a_comparison_says() -> None:
    chance = random.Random(41)
    decided = {"changed": 0, "unchanged": 0}
    for _ in range(30_000):
        task, now = random_pair(chance)
        milestones = chance.choice(((25, 50, 75), (75, 25), ()))
        row = row_of(task, chance)
        assert snapshot_of(row, fields_of(row)) == task
        quick = step(row, now, milestones)
        if quick is not None:
            said = compare(task, now, Rules(milestones))
            assert quick.change == said, (task, now)
            assert dict(quick.change.changes or {}) == said.changes
            assert (
                dict(zip(MOVING, quick.now, strict=True)).items()
                >= {
                    name: value
                    for name, value in said.snapshot.fields.items()
                    if name in MOVING  # type: ignore[union-attr]
                }.items()
            )
            decided[quick.change.because] += 1
    assert min(decided.values()) > 2000


def test_a_usual_step_is_decided_cheaply() -> None:
    chance = random.Random(1)
    task = stored(step=10, steps=100, epoch=0, loss=2.5, updated=written(0), **{"statusInfo.estimatedTime": 60})
    now = seen(step=11, steps=100, epoch=0, loss=2.4, updated=written(9), **{"statusInfo.estimatedTime": 59})
    quick = step(row_of(task, chance), now, (25, 50, 75))
    assert quick is not None
    assert quick.change.because == "changed"
    assert len(quick.change.changes or {}) == 4
