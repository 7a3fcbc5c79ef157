"""Cards: what a reader sees of a task and of a group, whatever is missing or hostile in it."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.cards import HOSTILE, LOSSES, NOW, card, card_task, group_card, sample_cards, sweep
from tests.support.slack_blocks import called_in, problems, read
from watcher.models import Card, CardTask, Failure
from watcher.notifier.cards import card_blocks, card_digest
from watcher.notifier.cards_blocks import bar, sparkline, table

SEOUL: dict[str, Any] = {"language": "en", "timezone": "Asia/Seoul", "now": NOW}


def drawn(shown: Card, **more: Any) -> tuple[list[str], str]:
    blocks, text = card_blocks(shown, **SEOUL | more)
    assert problems(blocks) == []
    return read(blocks).split("\n"), text


def digest(shown: Card, **more: Any) -> str:
    return card_digest(shown, **SEOUL | more)


def test_a_training_shows_how_far_it_is_its_loss_and_when_it_ends() -> None:
    assert drawn(sample_cards()["training"]) == (
        [
            "◐ support-bot v3",
            "▓▓▓▓▓░░░ 62 % · epoch 5/8 · step 1240/2000",
            "Loss",
            "0.82 █▆▅▃▂▂▁▁",
            "Ends",
            "about 16:40 KST",
            "Model",
            "HCX-003",
            "Owner",
            "jiwon",
            "czf9fbky · seen 14:02 KST",
        ],
        "◐ support-bot v3 · 62 % · epoch 5/8 · step 1240/2000 · loss 0.82",
    )


@pytest.mark.parametrize(
    ("state", "title", "line", "text"),
    [
        ("waiting", "○ support-bot v3", "waiting · since 13:02 KST · epochs: 8", "○ support-bot v3 · waiting · since"),
        ("ready", "✔ support-bot v3 is ready", "2 h 55 m after it was created · epochs: 8", "is ready · loss 0.82"),
        ("without-weights", "✔ support-bot v3 is ready", "its weights weren't saved · since 13:02", "weren't saved"),
        ("failed", "✖ support-bot v3 failed", "dataset column Completion is empty", "failed · dataset column"),
        ("gone", "⚠ support-bot v3 is gone", "knows no such task any more · Last seen as: training", "is gone ·"),
        ("hidden", "⚠ support-bot v3 is hidden", "the account's key may no longer see it", "may no longer see it"),
        ("unknown-state", "● support-bot v3", "PAUSED · since 13:02 KST", "● support-bot v3 · PAUSED"),
    ],
)
def test_each_state_says_in_two_lines_and_in_its_notification_what_matters(
    state: str, title: str, line: str, text: str
) -> None:
    lines, notified = drawn(sample_cards()[state])
    assert lines[0] == title
    assert line in lines[1]
    assert text in notified


def test_a_failure_says_why_what_the_upstream_said_and_what_to_do() -> None:
    lines, _ = drawn(sample_cards()["failed"])
    assert lines[1:5] == [
        "dataset column Completion is empty",
        "file.format: Invalid dataset: required field empty. Completion",
        "Fix: fill Completion in every row, upload, create a new training. Unchanged it fails again.",
        "epoch 5/8 · step 1240/2000",
    ]


def test_a_failure_without_an_explanation_shows_the_upstreams_own_words_once() -> None:
    lines, _ = drawn(card(card_task("FAILED", failure=Failure("train.oom", "CUDA out of memory"))))
    assert lines[1:3] == ["CUDA out of memory", "Reason: train.oom"]
    lines, _ = drawn(card(card_task("FAILED", failure=Failure("-", "-"))))
    assert lines[1] == "no reason given"
    assert drawn(card(card_task("FAILED")))[0][1] == "no reason given"


def test_a_training_of_which_nothing_is_known_has_no_bar() -> None:
    lines, text = drawn(card(card_task(statusInfo=None, progress=None)))
    assert lines[1] == "training · since 13:02 KST"
    assert text == "◐ support-bot v3"


def test_what_is_missing_or_garbage_leaves_no_hole() -> None:
    bare = replace(card_task(), subject={}, since=None)
    assert drawn(card(bare))[0] == ["● czf9fbky", "unknown", "czf9fbky · seen 14:02 KST"]
    odd = card_task(name=7, model=[], labels="x", progress="half", eta=3, info={"currStep": -1, "trainLoss": "NaN"})
    lines, _ = drawn(card(odd, ref=None))
    assert lines[:2] == ["◐ 7", "training · epoch 5/8 · since 13:02 KST"]
    assert "NaN" in lines


def test_a_group_leads_with_the_lowest_loss_and_shows_only_what_differs() -> None:
    lines, text = drawn(group_card(*sweep()))
    assert lines == [
        "◐ lr-sweep",
        "2 training · 1 waiting · 1 ready · 1 failed",
        "             loss  state    learning rate  seed",
        "✔  exp-lr-2  0.41  ready    5e-05          2",
        "◐  exp-lr-1  0.44  70 %     2e-05          1",
        "◐  exp-lr-0  0.61  40 %     0.0001         0",
        "○  exp-lr-3        waiting  0.001          0",
        "✖  exp-lr-4  NaN   failed   0.1            1",
        "5 tunings · seen 14:02 KST",
    ]
    assert text == "◐ lr-sweep · 2 training · 1 waiting · 1 ready · 1 failed · Best: exp-lr-2, loss 0.41"


def test_a_card_of_which_no_task_is_left_says_whose_it_was() -> None:
    assert drawn(Card("task main/czf9fbky", ())) == (["main/czf9fbky"], "main/czf9fbky")
    assert drawn(group_card()) == (["lr-sweep"], "lr-sweep")


def test_states_that_are_new_to_this_version_are_counted_together() -> None:
    lines, _ = drawn(
        group_card(*(card_task(status, id=status) for status in ("PAUSED", "QUEUED")), card_task(gone="404"))
    )
    assert lines[1] == "1 gone · 2 other"


def test_a_label_that_repeats_a_parameter_is_shown_once() -> None:
    tasks = [card_task(id=f"t{n}", name=f"e{n}", learningRate=n / 10, labels={"lr": f"{n / 10}"}) for n in (1, 2)]
    lines, _ = drawn(group_card(*tasks))
    assert lines[2].split() == ["loss", "state", "learning", "rate"]


@pytest.mark.parametrize(
    ("statuses", "icon"),
    [
        ("WAIT RUNNING FAILED", "◐"),
        ("WAIT SUCCEEDED", "○"),
        ("SUCCEEDED FAILED", "✔"),
        ("FAILED FAILED", "✖"),
        ("PAUSED", "●"),
    ],
)
def test_a_groups_icon_tells_what_is_still_to_come(statuses: str, icon: str) -> None:
    tasks = [card_task(status, id=f"t{n}") for n, status in enumerate(statuses.split())]
    assert drawn(group_card(*tasks))[0][0] == f"{icon} lr-sweep"


def test_a_large_group_stays_within_slacks_limits_and_says_how_many_are_left_out() -> None:
    tasks = [
        card_task(
            id=f"t{n}", name=f"한국어 실험 이름이 아주 깁니다 {n}", learningRate=n / 1000, labels={"note": "가" * n}
        )
        for n in range(200)
    ]
    lines, _ = drawn(group_card(*tasks))
    assert lines[-2] == "and 160 more"
    assert len({line.split("  ")[1] for line in lines[3:-2]}) == 40, "what names share is left out, not their ends"


def test_a_group_with_many_wide_columns_drops_rows_rather_than_break_slacks_limit() -> None:
    accented = "e\u0301" * 20  # two characters in one column
    tasks = [
        card_task(id=f"t{n}", name=f"{n}{accented}", labels={c * 30: f"{c}{n}{accented}" for c in "abcdefg"})
        for n in range(60)
    ]
    lines, _ = drawn(group_card(*tasks))
    kept = len(lines) - 5
    assert 20 < kept < 40
    assert lines[-2] == f"and {60 - kept} more"


def test_a_table_is_cut_whoever_wrote_it() -> None:
    assert problems([table(["x" * 5000]), table([])]) == []


def test_hostile_values_in_a_group_keep_its_columns() -> None:
    tasks = [card_task(id=f"t{n}", name=name, labels={name[:60]: name}) for n, name in enumerate(HOSTILE)]
    lines, text = drawn(group_card(*tasks, name=HOSTILE[0] + "x" * 5000))
    assert len(lines) == 2 + 1 + len(HOSTILE) + 1
    assert called_in(card_blocks(group_card(*tasks), **SEOUL)[0], text) == set()


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_a_hostile_name_is_shown_as_written_and_calls_nobody(name: str, status: str) -> None:
    task = card_task(
        status, name=name, model=name, labels={"owner": name}, failure=Failure(name, name, name, name), losses=LOSSES
    )
    blocks, text = card_blocks(card(task), **SEOUL)
    assert problems(blocks) == []
    assert len(text) <= 3000
    assert called_in(blocks, text) == set()
    seen = read(blocks).replace("\u200b", "")
    beginning = name.split("\n")[0][:20].replace("\u202e", "").replace("\u200f", "").replace("\x1b", "␛")
    assert seen.split("\n")[0][2:].startswith(beginning)
    assert beginning[:12] in seen[seen.index("Owner") :]
    assert not set(seen) & {"\x1b", "\r", "\u202e", "\u200f"}
    assert "\n&gt;" not in str([block.get("fields") for block in blocks]).replace("\\n", "\n"), "a quotation, in mrkdwn"


def test_a_name_is_cut_between_characters() -> None:
    (title, *_), _ = drawn(card(card_task(name="가" * 70 + "👨‍👩‍👧‍👦" * 20)))
    assert title.endswith(("👦…", "가…"))


def test_a_card_changes_with_what_is_shown_and_hourly_with_when_it_was_seen() -> None:
    task = card_task()
    same = replace(task, seen=task.seen + timedelta(minutes=20))
    later = replace(task, seen=task.seen + timedelta(hours=1))
    further = replace(task, subject={**task.subject, "progress": 63})
    base = digest(card(task))
    assert base == digest(card(same))
    assert len({base, digest(card(later)), digest(card(further)), digest(card(task), language="ko-x")}) >= 3
    assert base == digest(replace(card(task), shown="earlier"))


def test_times_are_in_the_readers_zone_and_carry_the_day_when_it_is_another() -> None:
    old = card(card_task("WAIT", since=NOW - timedelta(days=2)))
    assert "since 02-27 14:02 KST" in drawn(old)[0][1]
    assert drawn(old, timezone="UTC")[0][-1] == "czf9fbky · seen 05:02 UTC"


@pytest.mark.parametrize(
    ("percent", "shown"),
    [(0, "░░░░░░░░"), (1, "▓░░░░░░░"), (50, "▓▓▓▓░░░░"), (99, "▓▓▓▓▓▓▓░"), (100, "▓▓▓▓▓▓▓▓"), (250, "▓▓▓▓▓▓▓▓")],
)
def test_the_bar_is_full_only_at_the_end(percent: int, shown: str) -> None:
    assert bar(percent) == shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((), ""),
        ((1.0,), ""),
        ((1.0, 1.0), "▁▁"),
        ((2.0, 1.0), "█▁"),
        ((2.0, float("nan"), 1.0), "█×▁"),
        ((float("nan"), float("inf")), "××"),
        ((1.7e308, -1.7e308), "█▁"),
        (tuple(range(12, 0, -1)), "█▇▇▆▅▅▄▄▃▂▂▁"),
    ],
)
def test_a_sparkline_shows_the_run_of_the_loss(values: tuple[float, ...], shown: str) -> None:
    assert sparkline(values) == shown


def test_a_long_run_ends_with_its_newest_value() -> None:
    shown = sparkline([*range(500, 0, -1)])
    assert (len(shown), shown[0], shown[-1]) == (12, "█", "▁")


def test_cards_are_json() -> None:
    for shown in sample_cards().values():
        assert json.loads(json.dumps(card_blocks(shown, **SEOUL)))


GARBAGE: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 1e308, float("nan"), "", "-", "NaN", "x" * 4000, "\ud800", [], [1], {}, {"a": []}, b"x",
)  # fmt: skip
KEYS = (
    "id",
    "account",
    "name",
    "model",
    "status",
    "statusInfo",
    "labels",
    "progress",
    "eta",
    "trainEpochs",
    "createdDate",
)
INFO = ("currStep", "totalTrainSteps", "currEpoch", "totalTrainEpochs", "trainLoss", "sendWeightSuccess", "endDatetime")


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_upstream_sends_there_is_a_card_within_the_limits(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        tasks = [_garbled(chance, n) for n in range(chance.choice((1, 1, 2, 9)))]
        drawn(card(tasks[0]) if len(tasks) == 1 else group_card(*tasks))
        assert digest(card(tasks[0]))


def _garbled(chance: random.Random, n: int) -> CardTask:
    task = card_task(chance.choice(("WAIT", "RUNNING", "SUCCEEDED", "FAILED")), id=f"t{n}", losses=(1.0, float("nan")))
    subject = dict(task.subject)
    subject["statusInfo"] = {key: chance.choice((*GARBAGE, 1, 2)) for key in INFO}
    for key in chance.sample(KEYS, chance.randint(0, 4)):
        subject[key] = chance.choice(GARBAGE)
    failure = Failure(*(chance.choice(("", "-", "x" * 5000, "<!here>")) for _ in range(4)))
    return replace(task, subject=subject, failure=chance.choice((None, failure)), gone=chance.choice(("", "404")))
