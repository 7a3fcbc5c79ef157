"""What `check`, `test-notify` and the log say of templates, and where they say it stands."""

from __future__ import annotations

import inspect
import re
import tracemalloc
from pathlib import Path

import pytest
from jinja2 import Environment

from tests.support.configs import TASKS, load
from tests.support.reloading import TASK, live
from tests.support.upstream import KEY, running_simulator
from watcher.cli.main import main
from watcher.notifier import templatecheck, templates
from watcher.notifier.templating import child
from watcher.notifier.templating.workshop import shared

TRUSTED = "The template of this channel isn't used: "


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    shared._resting.clear()
    templates._said.clear()


def config(folder: Path, channels: str) -> list[str]:
    path = folder / "watcher.yaml"
    path.write_text(f"tasks: [czf9fbky]\naccounts: {{default: {{api_key: nv-test}}}}\nchannels:\n{channels}")
    return ["--config", str(path)]


def test_check_renders_every_template_with_every_event_that_it_is_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mail.j2"
    file.write_text("{{ title }}\n\n{% if %}\n")
    channels = f"""\
  team:
    url: console://
    template: |
      {{{{ name }}}}
      {{{{ task.statusInfo.trainLos }}}}
  some:
    url: console://
    template:
      task.failed: "{{{{ event.failure.reson }}}}"
      "task.*": "{{{{ event.percent }}}}"
      "*": "fine"
  filed: {{url: "console://", template_file: {file}}}
  good: {{url: "console://", template: "{{{{ title }}}}"}}
"""
    assert main(["check", *config(tmp_path, channels)]) == 2
    yaml = tmp_path / "watcher.yaml"
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    absent = "'dict object' has no attribute"
    assert errors == [
        f"Error: {yaml}:8:15: channels.team.template: {absent} 'trainLos' (with task.discovered, task.started, "
        "task.succeeded and 13 more)",
        f"Error: {yaml}:8:15: channels.team.template: 'dict object' has no attribute 'statusInfo' (with "
        "account.rejected, account.unreachable, account.recovered and 7 more)",
        f"Error: {yaml}:12:20: channels.some.template.task.failed: line 1: {absent} 'reson'",
        f"Error: {yaml}:13:17: channels.some.template.task.*: line 1: {absent} 'percent' (with task.discovered, "
        "task.started, task.succeeded and 11 more)",
        f"Error: {file}:3:1: channels.filed.template_file: Expected an expression, got 'end of statement block'",
    ]


def test_check_is_content_with_good_templates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = '{{ title }}\\n{{ event.time | local(\\"%H:%M\\") }} {{ labels.get(\\"owner\\", \\"\\") }}'
    assert main(["check", *config(tmp_path, f'  team: {{url: "console://", template: "{good}"}}\n')]) == 0, capsys


def test_a_template_that_is_no_utf8_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.j2").write_bytes(b"\xff\xfe{{ title }}")
    assert main(["check", *config(tmp_path, f'  team: {{url: "console://", template_file: {tmp_path}/x.j2}}\n')]) == 2
    assert "channels.team.template_file" in capsys.readouterr().err


def test_test_notify_shows_the_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test-notify", *config(tmp_path, '  team: {url: "console://", template: "{{ nam }}"}\n')]) == 0
    out = capsys.readouterr().out
    assert f"  ⚠ {TRUSTED}line 1: 'nam' is undefined\n" in out
    assert "✓ team  ok; its template isn't used: line 1: 'nam' is undefined. Try: watcher check" in out


def test_one_mistake_of_several_recipients_is_said_once_where_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "mailto://127.0.0.1:2525?from=w@example.com&to=jiwon@example.com,minsu@example.com"
    (tmp_path / "x.j2").write_text("fine\n{{ nam }}")
    channels = f"""\
  mail: {{url: "{url}", template: "{{{{ nam }}}}"}}
  post: {{url: "{url.replace("example", "example2")}", template_file: {tmp_path}/x.j2}}
"""
    assert main(["check", *config(tmp_path, channels)]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 2
    assert re.fullmatch(r".*watcher\.yaml:4:\d+: channels\.mail\.template: line 1: 'nam' is undefined", errors[0])
    assert errors[1] == f"Error: {tmp_path}/x.j2:2:1: channels.post.template_file: 'nam' is undefined"


def test_a_channel_with_a_dot_in_its_name_is_placed_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *config(tmp_path, '  a.b: {url: "console://", template: "{{ nam }}"}\n')]) == 2
    assert re.search(r"watcher\.yaml:4:\d+: channels\.a\.b\.template: line 1", capsys.readouterr().err)


def test_test_notify_takes_the_written_name_of_several_recipients(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "mailto://127.0.0.1:1?from=w@example.com&to=jiwon@example.com,minsu@example.com"
    assert main(["test-notify", "mail", *config(tmp_path, f'  mail: {{url: "{url}"}}\n')]) == 1
    names = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert names == ["mail.jiwon", "mail.minsu"]


def broken(folder: Path, channels: str) -> list[str]:
    """What is said of templates at a start, the folder left out."""
    found = templatecheck.broken(load(folder, f"{TASKS}channels:\n{channels}"))
    return [str(each).replace(f"{folder}/", "") for each in found]


# A template, and what is wrong with it whatever the event.
UNREADABLE = [
    ("{{ name", "line 1: unexpected end of template, expected 'end of print statement'."),
    ("fine\n{% if name %}", "line 2: Unexpected end of template."),
    ("{% endfor %}", "line 1: Encountered unknown tag 'endfor'."),
    ("fine\n\n{{ name | uper }}", "line 3: No filter named 'uper'."),
    ("{{ name is odder }}", "line 1: No test named 'odder'."),
    ("{{" + "(" * 3000, "is nested too deeply"),
    ("{{" + "1" * 5000 + "}}", "ValueError: Exceeds the limit"),
    ("{{ '\x1b[31m\u202e", "line 1: "),
]


@pytest.mark.parametrize(("template", "said"), UNREADABLE)
def test_what_no_message_can_be_made_of_is_known_without_one(tmp_path: Path, template: str, said: str) -> None:
    (tmp_path / "x.j2").write_text(template)
    (from_file,) = broken(tmp_path, f"  team: {{url: 'console://', template_file: {tmp_path}/x.j2}}\n")
    line, words = re.findall(r"(?:line (\d+): )?(.*)", said)[0]
    assert from_file.startswith(f"x.j2:{line or 1}:1: channels.team.template_file: {words}")
    assert from_file.isprintable()


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{{ event.nothing.like.it }} {{ 1 / 0 }}",
        "{{ event.time | local('%H:%M') }} {{ event.waited | span }} {{ name | upper | default('x') }}",
        "{% for x in range(10 ** 9) %}{{ x }}{% endfor %}{{ 'a' * 10 ** 8 }}",
        "{{ a" + " + a" * 10_000 + " }}",
    ],
)
def test_nothing_is_run_or_calculated_to_know_it(tmp_path: Path, template: str) -> None:
    (tmp_path / "x.j2").write_text(template or "plain words")
    tracemalloc.start()
    assert broken(tmp_path, f"  team: {{url: 'console://', template_file: {tmp_path}/x.j2}}\n") == []
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 60_000_000


def test_the_filters_and_tests_are_those_that_templates_have() -> None:
    environment, plain = child._environment(), Environment(autoescape=True)
    assert (environment.filters.keys(), environment.tests.keys()) == (plain.filters.keys(), plain.tests.keys())
    assert set(re.findall(r'filters\["(\w+)"\]', inspect.getsource(child))) == templatecheck.OURS
    for name in templatecheck.OURS:
        assert shared.make(f"{{{{ none | {name} }}}}", {}, zone="UTC", spans={}) == ""


def test_a_broken_template_is_named_by_the_key_that_was_written_and_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.j2").write_text("fine\n{{ name")
    mail = "mailto://127.0.0.1:2525?from=w@example.com&to=jiwon@example.com,minsu@example.com"
    channels = f"""\
  a: {{url: console://, template: "{{{{ name"}}
  b:
    url: console://
    template:
      "*": "{{{{ title }}}}"
      task.failed: |
        fine
        {{{{ name
  c: {{url: console://, template_file: {{task.failed: {tmp_path}/x.j2, "*": {tmp_path}/x.j2}}}}
  d: {{url: "{mail}", template_file: {tmp_path}/x.j2}}
"""
    words = "unexpected end of template, expected 'end of print statement'."
    assert broken(tmp_path, channels) == [
        f"watcher.yaml:3:34: channels.a.template: line 1: {words}",
        f"watcher.yaml:10:20: channels.b.template.task.failed: {words}",
        f"x.j2:2:1: channels.c.template_file.task.failed: {words}",
        f"x.j2:2:1: channels.c.template_file.*: {words}",
        f"x.j2:2:1: channels.d.template_file: {words}",
    ]


def test_thousands_of_templates_hold_no_start_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templatecheck, "PATIENCE", -1.0)
    assert broken(tmp_path, "  a: {url: 'console://', template: '{{ name'}\n") == []


@pytest.mark.anyio
async def test_a_reload_takes_a_broken_template_with_a_warning(tmp_path: Path) -> None:
    good = {"team": {"url": "console://", "template": "{{ title }}"}}
    bad = {"team": {"url": "console://", "template": "fine\n{{ name"}}
    async with (
        running_simulator({"keys": [KEY], "tasks": [{"id": TASK}]}) as sim,
        live(tmp_path, sim, [TASK], good) as one,
    ):
        await one.reload(channels=bad)
        await one.until(lambda: one.said("template.broken"), "it is said")
        await one.reload(channels=good)
        await one.reload(rules={"progress": [10]})
        (line,) = one.said("template.broken")
        assert one.said("config.rejected") == []
    assert (line["log_level"], line["key"], line["file"]) == (
        "warning", "channels.team.template", f"{tmp_path}/watcher.yaml",
    )  # fmt: skip
    assert line["problem"] == "line 2: unexpected end of template, expected 'end of print statement'."
    assert line["line"] > 1
    assert "watcher check" in line["hint"]
