"""When an account or a channel counts as troubled, and what is told of it.

Spans are running time in seconds (`uptime`), so each table says at which second of it something happened.
"""

from __future__ import annotations

import pytest

from tests.support.builders import at
from watcher.models import Window
from watcher.state.health import AccountHealth, ChannelHealth, Poll, after_poll, after_try, tell_given_up

PATIENCE = 300.0

Polls = list[tuple[float, Poll]]


def polled(*polls: tuple[float, Poll], health: AccountHealth | None = None) -> tuple[AccountHealth, list[str]]:
    """The account after polls at these seconds of running time, and what was told on the way."""
    health, told = health or AccountHealth("main", last_good=at(-30)), []
    for uptime, poll in polls:
        health, drafts = after_poll(health, poll, "trouble", time=at(uptime), uptime=uptime, patience=PATIENCE)
        told += [draft.type for draft in drafts]
    return health, told


# ── accounts ──


@pytest.mark.parametrize(
    ("polls", "told"),
    [
        pytest.param([(0, "failed"), (299, "failed"), (299.9, "failed")], [], id="three failed, not for long"),
        pytest.param([(0, "failed"), (400, "failed")], [], id="for long, but only twice"),
        pytest.param([(0, "failed"), (150, "failed"), (300, "failed")], ["account.unreachable"], id="three, 5 min"),
        pytest.param([(0, "failed"), (200, "good"), (250, "failed"), (350, "failed")], [], id="one good between"),
        pytest.param(
            [(0, "failed"), (150, "failed"), (300, "failed"), (450, "failed"), (9000, "failed")],
            ["account.unreachable"],
            id="told once",
        ),
        pytest.param(
            [(0, "failed"), (150, "failed"), (300, "failed"), (310, "good"), (340, "good")],
            ["account.unreachable", "account.recovered"],
            id="recovered, once",
        ),
        pytest.param([(0, "failed"), (100, "failed"), (150, "good")], [], id="nothing told, nothing recovered"),
    ],
)
def test_an_account_is_unreachable_after_three_failed_polls_over_five_minutes(polls: Polls, told: list[str]) -> None:
    assert polled(*polls)[1] == told


@pytest.mark.parametrize(
    ("polls", "told"),
    [
        pytest.param([(0, "rejected")], [], id="once"),
        pytest.param([(0, "rejected"), (10, "rejected")], ["account.rejected"], id="twice, 10 s apart"),
        pytest.param([(0, "rejected"), (0.1, "rejected"), (5, "rejected")], [], id="twice at once"),
        pytest.param([(0, "rejected"), (5, "good"), (10, "rejected")], [], id="not in a row: good between"),
        pytest.param([(0, "rejected"), (5, "failed"), (10, "rejected")], [], id="not in a row: failed between"),
        pytest.param(
            [(0, "rejected"), (10, "rejected"), (310, "rejected"), (320, "failed"), (330, "rejected")],
            ["account.rejected"],
            id="told once until it works again",
        ),
        pytest.param(
            [(0, "rejected"), (10, "rejected"), (310, "good"), (340, "rejected"), (350, "rejected")],
            ["account.rejected", "account.recovered", "account.rejected"],
            id="told again after it worked",
        ),
        pytest.param([(0, "rejected"), (5, "good")], [], id="nothing told, nothing recovered"),
    ],
)
def test_an_account_is_rejected_after_two_refusals_in_a_row_ten_seconds_apart(polls: Polls, told: list[str]) -> None:
    assert polled(*polls)[1] == told


def test_an_account_that_is_rejected_isnt_told_as_unreachable_too() -> None:
    refused, _ = polled((0, "rejected"), (10, "rejected"))
    assert polled((20, "failed"), (200, "failed"), (400, "failed"), health=refused)[1] == []


def test_an_unreachable_account_whose_key_is_then_refused_tells_that_too_and_recovers_once() -> None:
    polls: Polls = [
        (0, "failed"),
        (150, "failed"),
        (300, "failed"),
        (310, "rejected"),
        (320, "rejected"),
        (400, "good"),
    ]
    assert polled(*polls)[1] == ["account.unreachable", "account.rejected", "account.recovered"]


def test_a_restart_neither_repeats_nor_restarts_the_count() -> None:
    before = AccountHealth("main", failed=2, failing_since=0.0)
    after, told = polled((300, "failed"), health=before)
    assert told == ["account.unreachable"]
    assert polled((301, "failed"), (999, "failed"), health=after)[1] == []


def test_an_account_event_says_since_when_no_poll_went_well_and_why() -> None:
    health = AccountHealth("main", last_good=at(0), failed=2, failing_since=0.0)
    _, drafts = after_poll(health, "failed", "timed out", time=at(300), uptime=300, patience=PATIENCE)
    assert (drafts[0].window, drafts[0].account) == (Window(at(0), at(300)), "main")
    assert drafts[0].details == {"reason": "timed out"}


def test_a_window_never_ends_before_it_begins_though_the_clock_went_back() -> None:
    health = AccountHealth("main", last_good=at(9999), failed=2, failing_since=0.0)
    _, drafts = after_poll(health, "failed", "x", time=at(300), uptime=300, patience=PATIENCE)
    assert drafts[0].window == Window(at(300), at(300))


@pytest.mark.parametrize(("flag", "was"), [("rejected", "rejected"), ("unreachable", "unreachable")])
def test_recovered_says_what_it_recovered_from(flag: str, was: str) -> None:
    troubled = AccountHealth("main", **{flag: True})  # type: ignore[arg-type]
    well, drafts = after_poll(troubled, "good", "", time=at(0), uptime=0, patience=PATIENCE)
    assert (drafts[0].type, drafts[0].details["was"], well.well) == ("account.recovered", was, True)


# ── channels ──


def tried(*tries: tuple[float, bool], health: ChannelHealth | None = None) -> tuple[ChannelHealth, list[str]]:
    health, told = health or ChannelHealth("team"), []
    for uptime, ok in tries:
        health, drafts = after_try(health, ok=ok, reason="503", time=at(uptime), uptime=uptime)
        told += [draft.type for draft in drafts]
    return health, told


@pytest.mark.parametrize(
    ("tries", "told"),
    [
        pytest.param([(0, False), (30, False), (59, False)], [], id="three, less than a minute"),
        pytest.param([(0, False), (90, False)], [], id="over a minute, but twice"),
        pytest.param([(0, False), (30, False), (60, False)], ["channel.failing"], id="three over a minute"),
        pytest.param([(0, False), (30, False), (60, False), (90, False)], ["channel.failing"], id="told once"),
        pytest.param([(0, False), (30, True), (60, False), (90, False)], [], id="one good between"),
        pytest.param(
            [(0, False), (30, False), (60, False), (90, True), (95, True)],
            ["channel.failing", "channel.recovered"],
            id="recovered, once",
        ),
        pytest.param([(0, False), (10, True)], [], id="nothing told, nothing recovered"),
    ],
)
def test_a_channel_is_failing_after_three_failed_tries_over_a_minute(
    tries: list[tuple[float, bool]], told: list[str]
) -> None:
    assert tried(*tries)[1] == told


def test_a_restart_doesnt_restart_the_channels_count() -> None:
    before = ChannelHealth("team", failures=2, failing_since=0.0)
    assert tried((60, False), health=before)[1] == ["channel.failing"]
    assert tried((60, False), health=ChannelHealth("team", failures=3, failing_since=0.0, failing=True))[1] == []


@pytest.mark.parametrize(
    ("told_at", "uptime", "count", "told"),
    [
        pytest.param(None, 0, 1, True, id="never told before: at once"),
        pytest.param(0, 3599, 5, False, id="told less than an hour ago"),
        pytest.param(0, 3600, 5, True, id="an hour later"),
        pytest.param(0, 9999, 0, False, id="nothing given up since"),
        pytest.param(5000, 100, 1, True, id="an uptime of another store"),
    ],
)
def test_giving_up_is_told_at_most_hourly(told_at: float | None, uptime: float, count: int, told: bool) -> None:
    health = ChannelHealth("team", given_up=count, given_up_reason="413", gave_up_told=told_at)
    _, drafts = tell_given_up(health, time=at(0), uptime=uptime)
    assert [draft.type for draft in drafts] == (["channel.gave_up"] if told else [])


def test_giving_up_says_how_many_and_why_and_counts_from_zero_again() -> None:
    health = ChannelHealth("team", given_up=7, given_up_reason="413")
    after, drafts = tell_given_up(health, time=at(0), uptime=10)
    assert drafts[0].details == {"reason": "413", "count": 7}
    assert (after.given_up, after.gave_up_told) == (0, 10)
