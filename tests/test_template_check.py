"""What `check` and `test-notify` say of templates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from watcher.cli.main import main
from watcher.notifier import templates
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
        f"Error: {file}:3:1: channels.filed.template: Expected an expression, got 'end of statement block'",
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
    assert errors[1] == f"Error: {tmp_path}/x.j2:2:1: channels.post.template: 'nam' is undefined"


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
