"""Every event has words, for every reader, whatever is missing or hostile in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.support.messages import READERS
from watcher.errors import UsageError
from watcher.events import EVENT_TYPES
from watcher.i18n import translator
from watcher.models import Call, ChannelKind, Event, Failure, Message, Window
from watcher.notifier import facts
from watcher.notifier.facts import NAME_LIMIT
from watcher.notifier.render import OWNERS_LIMIT, TITLE_LIMIT, render, with_owners
from watcher.notifier.samples import sample_event
from watcher.notifier.wording import worded_types

NOON = datetime(2026, 3, 1, 5, 2, 40, tzinfo=UTC)  # 14:02:40 in Seoul
HALF_MINUTE = timedelta(seconds=30)
KINDS: tuple[ChannelKind, ...] = get_args(ChannelKind)


def read(event: Event, kind: ChannelKind = "chat", timezone: str = "Asia/Seoul", **more: Any) -> Message:
    return render(event, **({"kind": kind, "language": "en", "timezone": timezone} | more))


def bare(type_: str, **more: Any) -> Event:
    row = EVENT_TYPES.get(type_, EVENT_TYPES["task.failed"])
    return Event(
        id="1", type=type_, severity=row.severity, notable=True, window=Window(NOON - HALF_MINUTE, NOON), **more
    )


def failed(**failure: str) -> Event:
    subject = {"id": "czf9fbky", "name": "support-bot v3", "status": "FAILED", "statusInfo": None}
    told = Failure(**{"reason": "", "message": ""} | failure)
    return bare("task.failed", account="default", task="czf9fbky", failure=told, subject=subject)


def test_a_failure_reads_as_promised() -> None:
    sample = sample_event("task.failed", now=NOON)
    failure = Failure(
        "file.format",
        "Invalid dataset: required field empty. Completion",
        explanation="dataset column Completion is empty",
        fix="fill Completion in every row, upload, create a new training. Unchanged it fails again.",
    )
    assert read(replace(sample, failure=failure)) == Message(
        title="✖ support-bot v3 failed: dataset column Completion is empty",
        body="file.format: Invalid dataset: required field empty. Completion\n"
        "Fix: fill Completion in every row, upload, create a new training. Unchanged it fails again.\n"
        "HCX-003 · epoch 0/8 · step 0/2000\n"
        "Between 14:02:10 and 14:02:40 KST · czf9fbky · owner jiwon",
    )


@pytest.mark.parametrize(
    ("type_", "title"),
    [
        ("task.discovered", "● support-bot v3 is watched now: waiting"),
        ("task.started", "▶ support-bot v3 is training"),
        ("task.succeeded", "✔ support-bot v3 is ready · loss 0.41 · trained 3 h 05 m"),
        ("task.reopened", "↻ support-bot v3 was reopened: failed → training"),
        ("task.requeued", "↻ support-bot v3 waits again"),
        ("task.status_changed", "⚠ support-bot v3 went from training to PAUSED"),
        ("task.progress", "◐ support-bot v3 50 % · epoch 4/8 · step 1000/2000"),
        ("task.weights_missing", "✖ support-bot v3 has no usable model: its weights weren't saved"),
        ("task.gone", "⚠ support-bot v3 is gone: CLOVA Studio knows no such task any more"),
        ("task.returned", "● support-bot v3 is back: training"),
        (
            "account.rejected",
            "⚠ account default: the key is refused (401, 40104 Invalid key). Issue a new key and replace the secret",
        ),
        ("account.unreachable", "⚠ account default can't be watched: no answer within 10 s"),
        ("task.loss_anomaly", "⚠ support-bot v3 learns badly: the loss is not a number · step 1000/2000"),
        ("account.recovered", "✔ account default works again"),
        ("channel.failing", "⚠ channel team: messages don't get through (HTTP 503)"),
        ("channel.recovered", "✔ channel team works again"),
        ("channel.gave_up", "✖ channel team: messages given up: 2 (HTTP 503)"),
        (
            "watcher.started",
            "● Watching 12 tunings: 3 training, 1 waiting, 8 finished. You'll hear starts, ends and trouble.",
        ),
        ("watcher.gap", "● Nothing was watched for 1 h 30 m · changes found after it: 2"),
        ("task.unknown", "⚠ czf9fbk is unknown to account default. Did you mean czf9fbky?"),
        (
            "watcher.config_rejected",
            "⚠ The changed configuration is wrong, the old one stays in force: "
            "watcher.yaml:7:1: chanels: unknown key. Did you mean channels?",
        ),
    ],
)
def test_the_first_line_says_everything(type_: str, title: str) -> None:
    assert read(sample_event(type_, now=NOON)).title == title


def unknown(**details: Any) -> Message:
    subject = {"id": "czf9fbk", "account": "main", "name": None, "status": None, "statusInfo": None}
    return read(bare("task.unknown", account="main", task="czf9fbk", subject=subject, details=details))


def test_an_id_that_its_account_doesnt_know_is_told_with_what_to_do() -> None:
    assert unknown(reason="not_found", near=["czf9fbky", "czf8fbky"]) == Message(
        title="⚠ czf9fbk is unknown to account main. Did you mean czf9fbky / czf8fbky?",
        body="Fix: correct the id or its account in the configuration; the watcher takes it up by itself\n"
        "The watcher looks for it every 15 minutes, in case it appears\n"
        "Between 14:02:10 and 14:02:40 KST · czf9fbk · account main",
    )
    assert unknown(near=[]).title == "⚠ czf9fbk is unknown to account main. Compare it with the console"
    hidden = unknown(reason="no_ownership", near=["czf9fbky"])
    assert hidden.title == "⚠ czf9fbk: the key of account main may not see it"
    assert hidden.body.startswith("Fix: use a key of the account that owns it")


def test_an_unknown_id_was_never_seen_and_may_have_a_name_in_the_configuration() -> None:
    sample = sample_event("task.unknown", now=NOON)
    assert "First seen" not in read(sample).body
    assert sample.subject is not None
    named = replace(sample, subject={**sample.subject, "name": "support-bot v3"})
    assert "Listed as: support-bot v3" in read(named).body


def test_a_rejected_configuration_shows_every_problem_once() -> None:
    first, second = "watcher.yaml:7:1: chanels: unknown key", "watcher.yaml:9:12: tasks[2].id: too long"
    short = read(bare("watcher.config_rejected", details={"problems": [first, second, "and 3 more"]}))
    assert short.title == f"⚠ The changed configuration is wrong, the old one stays in force: {first}"
    assert short.body.splitlines()[:3] == [second, "and 3 more", "See all of it with: watcher check"]
    long = read(bare("watcher.config_rejected", details={"problems": [first + " x" * 60, second]}))
    assert long.title.startswith(f"⚠ The changed configuration is wrong, the old one stays in force: {first} x")
    assert long.body.splitlines()[:2] == [first + " x" * 60, second]


def test_every_type_has_words_and_a_sample() -> None:
    assert worded_types() == set(EVENT_TYPES)
    assert {sample_event(type_).type for type_ in EVENT_TYPES} == set(EVENT_TYPES)


def test_a_sample_of_an_unknown_type_says_which_there_are() -> None:
    with pytest.raises(UsageError) as raised:
        sample_event("task.exploded")
    assert "task.failed" in raised.value.hint


HOSTILE: list[Any] = [
    "\x1b[31m@everyone\r\n<!channel>\u202e",
    "{name} {0} %s %(x)s",
    float("nan"),
    10**400,
    -1,
    True,
    [],
    {"a": 1},
    "x" * 100_000,
    "\ud800",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("type_", [*EVENT_TYPES, "task.of_tomorrow", "nonsense"])
def test_an_event_with_nothing_in_it_still_makes_a_sensible_message(type_: str, kind: ChannelKind) -> None:
    for event in (bare(type_), bare(type_, account="a", task="t", channel="c", subject={})):
        message = read(event, kind)
        assert message.title.strip()
        assert "None" not in message.title + message.body
        assert "14:02" in message.body


@pytest.mark.parametrize("language", READERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("type_", [*EVENT_TYPES, "task.of_tomorrow"])
def test_hostile_values_never_break_a_message_nor_get_out_of_it(type_: str, kind: ChannelKind, language: str) -> None:
    keys = (
        "reason",
        "hint",
        "count",
        "percent",
        "tasks",
        "training",
        "missed",
        "seconds",
        "waited",
        "problems",
        "amends",
    )
    info = (
        "currStep",
        "totalTrainSteps",
        "currEpoch",
        "totalTrainEpochs",
        "trainLoss",
        "endDatetime",
        "sendWeightSuccess",
    )
    for value in HOSTILE:
        text = str(value) if not isinstance(value, int) else "9" * 400
        subject = dict.fromkeys(("name", "model", "status", "progress", "labels", "createdDate", "trainEpochs"), value)
        event = bare(
            type_,
            account=text,
            task=text,
            channel=text,
            from_=text,
            to=text,
            failure=Failure(text, text, text, text),
            details={**dict.fromkeys(keys, value), "missed": [value]},
            subject={**subject, "statusInfo": dict.fromkeys(info, value)},
        )
        message = read(event, kind, language=language)
        assert len(message.title) <= TITLE_LIMIT
        assert "\n" not in message.title
        shown = message.title + message.body.replace("\n", "") + message.html.replace("\n", "")
        assert shown.isprintable() or "\u200b" in shown or "\ufffd" in shown
        assert "\x1b" not in shown
        if kind == "chat":
            assert "@everyone" not in shown
            assert "<!channel>" not in shown
        if kind == "mail":
            assert "<!channel>" not in message.html


@pytest.mark.parametrize(
    ("failure", "title", "line"),
    [
        ({"reason": "resource.timeout", "message": "-"}, "resource.timeout", "Between"),
        ({"reason": "file.encoding", "message": "Unsupported charset"}, "Unsupported charset", "Reason: file.encoding"),
        ({"message": "Unsupported charset"}, "Unsupported charset", "Between"),
        ({}, "no reason given", "Between"),
        ({"reason": "clops.error", "explanation": "CLOps broke"}, "CLOps broke", "clops.error"),
    ],
)
def test_a_failure_is_told_as_well_as_it_is_known(failure: dict[str, str], title: str, line: str) -> None:
    message = read(failed(**failure))
    assert message.title == f"✖ support-bot v3 failed: {title}"
    assert message.body.startswith(line)


def test_a_reason_that_came_late_says_so() -> None:
    message = read(replace(failed(reason="clops.error"), details={"amends": "1"}))
    assert message.body.splitlines()[0] == "The reason came after the failure was told"


def test_what_the_first_line_cuts_stands_below_it() -> None:
    message = read(failed(reason="file.format", message="m" * 300))
    assert message.title.endswith("…")
    assert message.body.splitlines()[0] == "file.format: " + "m" * 300


WINTER = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("after", "before", "zone", "now", "line"),
    [
        (NOON - HALF_MINUTE, NOON, "Asia/Seoul", None, "Between 14:02:10 and 14:02:40 KST"),
        (NOON - HALF_MINUTE, NOON, "UTC", NOON, "Between 05:02:10 and 05:02:40 UTC"),
        (None, NOON, "Asia/Seoul", NOON, "First seen 14:02:40 KST"),
        (NOON, NOON, "Asia/Seoul", NOON, "14:02:40 KST"),
        (
            NOON - HALF_MINUTE,
            NOON,
            "Asia/Seoul",
            NOON + timedelta(days=2),
            "Between 2026-03-01 14:02:10 and 14:02:40 KST",
        ),
        (
            NOON - timedelta(hours=3, minutes=38),
            NOON,
            "Asia/Seoul",
            NOON,
            "Between 10:24 and 14:02 KST, not seen for 3 h 38 m",
        ),
        (
            NOON - timedelta(days=1, hours=15),
            NOON,
            "Asia/Seoul",
            NOON,
            "Between 2026-02-27 23:02 and 2026-03-01 14:02 KST, not seen for 1 d 15 h",
        ),
        (
            datetime(2026, 10, 25, 0, 55, tzinfo=UTC),
            datetime(2026, 10, 25, 1, 0, 30, tzinfo=UTC),
            "Europe/Berlin",
            None,
            "Between 02:55:00 CEST and 02:00:30 CET",
        ),
        (None, WINTER, "America/Sao_Paulo", None, "First seen 09:00:00 UTC-03"),
        (None, WINTER, "No/Where", None, "First seen 12:00:00 UTC"),
    ],
)
def test_the_window_is_told_in_the_readers_zone_and_no_more_exactly_than_it_was_seen(
    after: datetime | None, before: datetime, zone: str, now: datetime | None, line: str
) -> None:
    event = replace(sample_event("task.requeued"), window=Window(after, before))
    assert read(event, timezone=zone, now=now).body.splitlines()[-1] == f"{line} · czf9fbky · owner jiwon"


def test_a_change_that_nobody_saw_for_hours_says_so_in_its_first_line() -> None:
    event = replace(failed(reason="clops.error"), window=Window(NOON - timedelta(hours=3), NOON))
    assert read(event).title == "✖ support-bot v3 failed: clops.error (between 11:02 and 14:02 KST)"


def test_a_first_line_names_the_year_only_where_it_isnt_this_one() -> None:
    event = replace(failed(reason="x"), window=Window(NOON - timedelta(days=3), NOON - timedelta(days=2)))
    assert read(event, now=NOON).title.endswith("(between 02-26 14:02 and 02-27 14:02 KST)")
    assert read(event, now=NOON, language="ja").title.endswith("(2月26日 14:02〜2月27日 14:02 KST の間)")
    assert read(event, now=NOON + timedelta(days=365)).title.endswith(
        "(between 2026-02-26 14:02 and 2026-02-27 14:02 KST)"
    )
    assert "Between 2026-02-26 14:02 and 2026-02-27 14:02 KST" in read(event, now=NOON).body


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (21_600, "6 h"),
        (21_660, "6 h 01 m"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
        (86_460, "1 d"),
        (60, "1 m"),
        (0, "0 s"),
    ],
)
def test_a_duration_shows_nothing_that_is_zero(seconds: int, shown: str) -> None:
    event = sample_event("task.queued_long", now=NOON)
    title = read(replace(event, details={"seconds": seconds})).title
    assert title == f"⚠ support-bot v3 still waits for a GPU · waited {shown}"


def test_what_to_run_stands_on_lines_of_its_own() -> None:
    lines = read(sample_event("channel.gave_up", now=NOON)).body.splitlines()
    assert lines[:2] == [
        "See them with: watcher deliveries --failed",
        "Send them again with: watcher redeliver --failed",
    ]


def test_a_changed_clock_and_missed_states_are_told() -> None:
    event = replace(
        sample_event("task.succeeded", now=NOON), details={"clock_stepped": True, "missed": ["RUNNING", "X"]}
    )
    lines = read(event).body.splitlines()
    assert "Not seen in between: training, X" in lines
    assert lines[-1] == "Between 14:02:10 and 14:02:40 KST (the clock was changed meanwhile) · czf9fbky · owner jiwon"


def test_the_account_is_named_only_where_it_isnt_the_only_one() -> None:
    event = sample_event("task.started", now=NOON)
    assert read(replace(event, account="lab")).body.endswith("czf9fbky · account lab · owner jiwon")


@pytest.mark.parametrize(
    ("created", "told"),
    [
        ("2026-03-01T12:50:40+0900", "waited 1 h 12 m"),
        ("2026-03-01T03:50:40Z", "waited 1 h 12 m"),
        ("2026-03-01T15:00:00+0900", ""),
        ("not a date", ""),
        ("2026-03-01T12:50:40", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_wait_is_told_where_it_can_be_known(created: Any, told: str) -> None:
    event = sample_event("task.started", now=NOON)
    event = replace(event, details={}, subject={**(event.subject or {}), "createdDate": created})
    assert read(event).body.splitlines()[0] == " · ".join(filter(None, ("HCX-003", "epochs: 8", told)))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59, "59 s"), (60, "1 m"), (3599, "59 m"), (3900, "1 h 05 m"), (90_000, "1 d 1 h"), (-1, "")],
)
def test_durations_have_two_units_at_most(seconds: float, shown: str) -> None:
    assert facts.Facts(bare("task.started"), "chat", translator("en"), UTC).span(seconds) == shown


def test_numbers_are_readable() -> None:
    assert [facts.number(n) for n in (None, 7, 2000, 12_345)] == ["?", "7", "2000", "12,345"]


def test_a_success_without_weights_isnt_called_ready() -> None:
    event = sample_event("task.succeeded", now=NOON)
    subject = {**(event.subject or {}), "statusInfo": {"sendWeightSuccess": False}}
    assert read(replace(event, subject=subject)).title == "⚠ support-bot v3 has ended, but its weights weren't saved"


def test_a_mail_has_the_same_words_as_html() -> None:
    message = read(replace(sample_event("task.started", now=NOON), task="a<b>"), "mail")
    assert message.html.startswith("<p><strong>▶ support-bot v3 is training</strong></p>\n<p>HCX-003 ·")
    assert "a&lt;b&gt;" in message.html


def test_plain_text_is_ascii_and_needs_nothing_but_the_columns() -> None:
    event = replace(sample_event("task.failed", now=NOON), task="봇@everyone\x1b", subject={"name": object()})
    assert read(event, "chat", "No/Where", plain=True) == Message(
        "task.failed \\ubd07?everyone?: RUNNING -> FAILED",
        "2026-03-01T05:02:40+00:00 event sample account default",
        "<p>task.failed \\ubd07?everyone?: RUNNING -&gt; FAILED</p>"
        "<p>2026-03-01T05:02:40+00:00 event sample account default</p>",
    )


def test_a_catalogue_is_used_and_its_broken_places_fall_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Korean:
        def gettext(self, text: str) -> str:
            return {"{name} is training": "{name} 학습 중", "{name} waits again": "{nmae}"}.get(text, text)

    reader = facts.Facts(sample_event("task.started"), "chat", Korean(), UTC)  # type: ignore[arg-type]
    assert reader.say("{name} is training", name="봇") == "봇 학습 중"
    assert reader.say("{name} waits again", name="봇") == "봇 waits again"


MENTIONS = {"jiwon": "U012AB3CD"}
JIWON = Call("U012AB3CD", "jiwon")


@pytest.mark.parametrize(
    ("type_", "labels", "called"),
    [
        ("task.failed", {"owner": "jiwon"}, (JIWON,)),
        ("task.weights_missing", {"owner": "jiwon"}, (JIWON,)),
        ("task.failed", {"owner": "minho"}, ()),
        ("task.failed", {"team": "jiwon"}, ()),
        ("task.failed", {}, ()),
        ("task.failed", None, ()),
        ("task.failed", {"owner": ["jiwon"]}, ()),
        ("task.succeeded", {"owner": "jiwon"}, ()),
        ("task.stalled", {"owner": "jiwon"}, ()),
    ],
)
def test_a_failure_calls_its_owner_and_nothing_else_calls_anybody(
    type_: str, labels: Any, called: tuple[Call, ...]
) -> None:
    event = sample_event(type_, now=NOON)
    event = replace(event, subject={**(event.subject or {}), "labels": labels})
    message = read(event, mentions=MENTIONS)
    assert message.calls == called
    assert message.title == read(event).title
    assert read(event, mentions=MENTIONS, plain=True).calls == ()


def test_whose_task_it_is_stands_below_unless_the_first_line_calls_them() -> None:
    failed, ready = sample_event("task.failed", now=NOON), sample_event("task.succeeded", now=NOON)
    footers = [read(event, mentions=MENTIONS).body.splitlines()[-1] for event in (failed, ready)]
    assert [footer.endswith(" · owner jiwon") for footer in footers] == [False, True]
    assert read(failed).body.splitlines()[-1].endswith(" · owner jiwon")
    nobodys = replace(ready, subject={**(ready.subject or {}), "labels": {"owner": ["x"]}})
    assert "owner" not in read(nobodys).body


def test_where_nobody_can_be_called_the_first_line_has_the_names() -> None:
    calls = tuple(Call(f"U{n}", f"owner-{n}\x1b" + "이름" * 50) for n in range(50))
    assert with_owners(Message("down", "", calls=(JIWON, Call("U2", "민호")))) == "down  @jiwon @민호"
    assert with_owners(Message("down", "")) == "down"
    shown = with_owners(Message("down", "", calls=calls))
    assert len(shown) <= len("down  ") + OWNERS_LIMIT
    names = shown.split()[1:]
    assert names[-1] == f"+{50 - len(names) + 1}"
    assert all(len(name) <= 1 + NAME_LIMIT and "\x1b" not in name for name in names)


@pytest.mark.parametrize("type_", ["account.rejected", "channel.gave_up"])
def test_a_failure_of_no_task_calls_nobody(type_: str) -> None:
    assert read(sample_event(type_), mentions=MENTIONS).calls == ()


def test_what_to_do_about_a_key_stands_in_the_first_line_only_where_it_fits() -> None:
    event = replace(sample_event("account.rejected", now=NOON), account="account-of-a-team-with-a-long-name" * 2)
    assert read(event).title.endswith(": the key is refused (401, 40104 Invalid key)")
    assert "issue a new key" in read(event).body


def test_a_reason_isnt_said_twice() -> None:
    rejected = replace(sample_event("account.rejected"), details={"reason": "401, 40104"})
    assert read(rejected).title.startswith("⚠ account default: the key is refused (401, 40104).")
    gave_up = replace(
        sample_event("channel.gave_up"), details={"reason": "given up: no answer within 30 s", "count": 3}
    )
    assert read(gave_up).title == "✖ channel team: messages given up: 3 (no answer within 30 s)"
