"""Reading YAML: text stays text, every value knows its place, and bad documents are refused in plain words."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.configs import TASKS, load, only_problem, problems


@pytest.mark.parametrize(
    "written",
    ["1234e567", "01234567", "12345678", "no", "yes", "on", "null", "Null", "2024-01-01", "1_000", "0x10", "1e3"],
)
def test_a_task_id_is_what_was_written(tmp_path: Path, written: str) -> None:
    assert load(tmp_path, f"tasks: [{written}]").tasks[0].id == written
    assert load(tmp_path, f"tasks: [{{id: {written}}}]").tasks[0].id == written


def test_label_values_are_what_was_written(tmp_path: Path) -> None:
    text = "tasks: [{id: a, labels: {run: 1:30, deep: no, big: 1_000, day: 2024-01-01, x: .inf}}]"
    labels = load(tmp_path, text).tasks[0].labels
    assert labels == {"run": "1:30", "deep": "no", "big": "1_000", "day": "2024-01-01", "x": ".inf"}


def test_a_key_written_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    found = only_problem(tmp_path, "tasks: [a]\nlog: {level: info}\ntasks: [b]\n")
    assert found == "watcher.yaml:3:1: tasks: is written in line 1 already; keep one of the two"


def test_a_key_written_twice_is_named_with_its_whole_path(tmp_path: Path) -> None:
    found = only_problem(tmp_path, TASKS + 'channels:\n  team: "json://x"\n  team: "json://y"\n')
    assert found == "watcher.yaml:4:3: channels.team: is written in line 3 already; keep one of the two"
    found = only_problem(tmp_path, "tasks: [a, {id: b, name: x, name: y}]")
    assert found == "watcher.yaml:1:29: tasks[1].name: is written in line 1 already; keep one of the two"


def test_anchors_aliases_and_merge_keys_work(tmp_path: Path) -> None:
    text = """
        tasks:
          - &first {id: a, labels: &labels {team: nlp, owner: jiwon}}
          - {<<: *first, id: b}
          - {id: c, labels: {<<: [*labels], owner: mina}}
    """
    tasks = load(tmp_path, text).tasks
    assert [(task.id, task.labels["owner"]) for task in tasks] == [("a", "jiwon"), ("b", "jiwon"), ("c", "mina")]


def test_a_merge_key_takes_mappings_only(tmp_path: Path) -> None:
    assert "<< takes a mapping" in only_problem(tmp_path, "tasks: [{<<: x, id: a}]")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("tasks: [a]\nx: &x [*x]", "2:8", "contains itself"),
        ("tasks: *hidden", "1:8", "without its anchor"),
        ("tasks: !!python/object:os.system [a]", "1:8", "tag that isn't known"),
        ("tasks: [!secret a]", "1:9", "tag that isn't known"),
        ("tasks: [a]\n---\ntasks: [b]", "2:1", "second document"),
        ("tasks:\n\t- a", "2:1", "tab"),
        ("tasks: [a\nlog: {}", "2:4", "lacks a comma or its end"),
        ("tasks: 'a", "1:10", "quote isn't closed"),
        ("log: level: info", "1:11", '":" stands where none can'),
        ("tasks: [a]\nchannels: {team: ${URL}}", "2:19", 'needs quotes: "${VAR}"'),
        ("tasks: @a", "1:8", "put the value in quotes"),
        ("- a", "1:1", "must be a mapping"),
        ("tasks: [a]\n? [x]\n: y", "2:3", "a key must be a word"),
        ("tasks: [\x07a]", "1:9", "control character"),
    ],
)
def test_what_isnt_our_yaml_is_refused_with_its_place(tmp_path: Path, text: str, place: str, words: str) -> None:
    found = only_problem(tmp_path, text)
    assert found.startswith(f"watcher.yaml:{place}: ")
    assert words in found
    assert "hidden" not in found


def test_aliases_cant_grow_without_bound(tmp_path: Path) -> None:
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    started = time.monotonic()
    assert "aliases are written out" in only_problem(tmp_path, "\n".join(layers))
    assert time.monotonic() - started < 5


def test_nesting_cant_exhaust_the_stack(tmp_path: Path) -> None:
    assert "nested deeper" in only_problem(tmp_path, "tasks: " + "[" * 5000)


def test_an_empty_file_has_no_task(tmp_path: Path) -> None:
    for text in ("", "\n# nothing\n", "---\n", "null"):
        assert only_problem(tmp_path, text).startswith("watcher.yaml:1:1: tasks: no task to watch")


def test_the_encoding_is_utf_8_with_or_without_mark(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + TASKS.encode()).tasks[0].id == "czf9fbky"
    assert load(tmp_path, "tasks: [{id: a, name: 지원 봇}]").tasks[0].name == "지원 봇"
    assert "save it as UTF-8" in only_problem(tmp_path, TASKS.encode("utf-16"))
    assert "save it as UTF-8" in only_problem(tmp_path, TASKS.encode("utf-16-le"))
    assert only_problem(tmp_path, b"tasks: [a]\nx: \xff\n").startswith("watcher.yaml:2:4: isn't UTF-8")
    assert "4 MiB" in only_problem(tmp_path, b"#" * (4 * 1024 * 1024 + 1))


def test_an_empty_value_before_a_comment_says_that_a_comment_starts(tmp_path: Path) -> None:
    text = TASKS + "channels:\n  board:\n    url: json://example.com\n    channel: #ml\n"
    found = only_problem(tmp_path, text)
    assert found == 'watcher.yaml:5:13: channels.board.channel: empty; # starts a comment. Write "#ml"'
    assert "# starts a comment" in only_problem(tmp_path, "tasks:\n  - id: # the first\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TASKS + 'channels:\n  c: {url: "json://x", channel: #ml\n  }', "3:32: channels.c.channel: empty"),
        ("tasks:\n- {id: a, name: #foo\n  }", "2:16: tasks[0].name: empty"),
        (TASKS + "log: {level: #ko\n}", "2:13: log.level: empty"),
        (TASKS + "log: {level: #ko\n  , format: json}", "2:13: log.level: empty"),
    ],
)
def test_a_comment_is_found_in_braces_over_several_lines_too(tmp_path: Path, text: str, said: str) -> None:
    found = only_problem(tmp_path, text)
    assert found.startswith(f"watcher.yaml:{said}; # starts a comment. Write ")


def test_the_comment_behind_an_empty_secret_isnt_repeated(tmp_path: Path) -> None:
    found = only_problem(tmp_path, TASKS + "http:\n  token: #hidden\n")
    assert "# starts a comment. Put the value in quotes" in found
    assert "hidden" not in found


def test_a_section_whose_lines_are_commented_out_counts_as_not_written(tmp_path: Path) -> None:
    empty = "".join(
        f"{key}:\n" for key in ("accounts", "poll", "rules", "channels", "routes", "delivery", "log", "groups")
    )
    assert problems(tmp_path, TASKS + empty + "http: # default\n") == []
    assert load(tmp_path, TASKS + empty).poll.interval == 30
