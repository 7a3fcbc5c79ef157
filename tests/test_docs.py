"""What the documents say is so: every name is there, every block loads or runs, every link leads somewhere."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from pydantic import BaseModel

from tests.support.channels import delivery, setting
from watcher.cli import parsing
from watcher.cli.commands import COMMANDS
from watcher.engine.condition import _Metrics
from watcher.events import EVENT_TYPES
from watcher.models import Failure
from watcher.notifier.channels import build_channel
from watcher.notifier.render import render
from watcher.notifier.samples import sample_event
from watcher.redact import Redactor
from watcher.settings import load_settings
from watcher.settings.kinds import kind_of, written_fields
from watcher.settings.schema import Settings
from watcher.settings.values import duration
from watcher.simulator.receiver import receiving
from watcher.views import cloud_event

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
ENV = {
    "CLOVA_API_KEY": "nv-test",
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T00000000/B00000000/abcdefghijklmnopqrstuvwx",
    "HOOK_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}
NOW = datetime(2026, 3, 2, 5, 2, 40, tzinfo=UTC)
LATER = {
    "task.stalled",
    "task.resumed",
    "task.queued_long",
    "task.loss_anomaly",
    "group.finished",
}


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(language: str) -> list[Any]:
    """Every code block of that language in every document, named by its document."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        pytest.param(found, id=f"{path.relative_to(ROOT)}-{number}")
        for path in DOCUMENTS
        for number, found in enumerate(pattern.findall(path.read_text("utf-8")))
    ]


def rows(name: str) -> list[list[str]]:
    """The cells of every table row whose first cell is code."""
    lines = [line for line in text(name).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def fields(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Every key that a file may write, with its default and description; of later features the key alone."""
    for name, field in written_fields(model).items():
        path, kind, description = f"{prefix}{name}", kind_of(field.annotation), field.description or ""
        yield path, field.default, description
        if "Not in this version" in description:
            continue
        inner = kind if kind.form == "model" else kind_of(kind.inner) if kind.inner is not None else kind
        if inner.form == "model":
            yield from fields(
                inner.inner, {"list": f"{path}[].", "mapping": f"{path}.NAME."}.get(kind.form, f"{path}.")
            )


def test_every_setting_is_explained_and_none_is_invented() -> None:
    said = set(re.findall(r"`([\w.\[\]]+)`", text("docs/configuration.md")))
    known = {path for path, _, _ in fields()}
    sections = {path.rsplit(".", 1)[0] for path in known if "." in path}
    assert known - sections <= said
    assert {row[0].strip("`") for row in rows("docs/configuration.md")} <= known


def test_the_defaults_of_the_settings_are_the_codes() -> None:
    defaults = {path: default for path, default, _ in fields()}
    checked = 0
    for key, shown, *_ in rows("docs/configuration.md"):
        default, shown = defaults[key.strip("`")], shown.strip("`")
        if isinstance(default, float):
            assert duration(shown) == default, key
        elif isinstance(default, str | int) and re.fullmatch(r"[\w:/.]+", shown) and shown != "timezone":
            assert shown in (str(default), "language"), key
        else:
            continue
        checked += 1
    assert checked > 15


def test_every_command_is_in_the_readme_and_the_changelog() -> None:
    readme = text("README.md")
    assert [name for name in COMMANDS if not re.search(rf"`(watcher )?{name}[ `]", readme)] == []
    assert [name for name in COMMANDS if f"`{name}`" not in text("CHANGELOG.md")] == []


def test_every_event_type_is_explained_with_its_severity() -> None:
    shown = {row[0].strip("`"): row for row in rows("docs/events.md") if "." in row[0]}
    assert set(shown) == set(EVENT_TYPES) - LATER
    assert [name for name, row in shown.items() if row[1] != EVENT_TYPES[name].severity] == []
    always = {name for name, row in shown.items() if row[2] == "yes"}
    sometimes = {name for name, row in shown.items() if row[2] not in ("", "yes")}
    assert always | sometimes >= {name for name in shown if EVENT_TYPES[name].notable} >= always
    assert all(f"`{name}`" in text("docs/events.md") for name in LATER)


def test_every_metric_is_explained() -> None:
    exposed = generate_latest(_Metrics()._registry).decode()
    names = {name for name, kind in re.findall(r"^# TYPE (\w+) (\w+)", exposed, re.MULTILINE)}
    names = {name for name in names if not name.endswith("_created")}
    assert {row[0].strip("`") for row in rows("docs/operations.md") if row[0].startswith("`watcher_")} == names


@pytest.mark.parametrize("block", blocks("yaml"))
def test_every_yaml_block_loads(block: str, tmp_path: Path) -> None:
    path = tmp_path / "watcher.yaml"
    path.write_text(block, "utf-8")
    settings = load_settings([str(path)], env=ENV, secrets=False)
    assert settings.tasks or settings.discover
    assert settings.channels


@pytest.mark.parametrize("block", blocks("sh"))
def test_every_command_line_is_understood(block: str) -> None:
    for line in block.replace("\\\n", " ").splitlines():
        for command in re.split(r"&&|;", line):
            words = shlex.split(command, comments=True)
            if words[:1] == ["watcher"]:
                parsing.parse(words[1:])


def test_the_quick_starts_run_the_same_commands_as_the_readme() -> None:
    known = set(_shell_lines("README.md"))
    assert set(_shell_lines("README.ko.md")) <= known
    assert set(_shell_lines("README.ja.md")) == set(_shell_lines("README.ko.md"))


def _shell_lines(name: str) -> Iterator[str]:
    for block in re.findall(r"^```sh\n(.*?)^```", text(name), re.MULTILINE | re.DOTALL):
        yield from (" ".join(line.split("#")[0].split()) for line in block.splitlines())


def test_the_failed_message_is_what_a_chat_shows() -> None:
    failure = Failure("file.format", "Invalid dataset: required field empty. Completion")
    event = replace(sample_event("task.failed", now=NOW), failure=failure)
    message = render(event, kind="chat", language="en", timezone="Asia/Seoul", now=NOW)
    for name in ("README.md", "README.ko.md", "README.ja.md"):
        assert f"```\n{message.title}\n{message.body}\n```" in text(name)


def test_what_youll_hear_is_what_comes() -> None:
    block = text("README.md").split("## What you'll hear")[1].split("```")[1]
    titles = [render(sample_event(t), kind="chat", language="en", timezone="UTC").title for t in EVENT_TYPES]
    for line in block.strip().splitlines():
        assert any(title.startswith(line.split(" · ")[0]) for title in titles), line


def test_every_condition_of_the_health_check_is_explained() -> None:
    source = (ROOT / "watcher/engine/condition.py").read_text("utf-8")
    names = set(re.findall(r'Condition\("([\w-]+)"', source))
    assert names
    assert all(f"`{name}`" in text("docs/operations.md") for name in names)


def test_the_sample_events_are_what_the_code_makes() -> None:
    shown = [json.loads(block.values[0]) for block in blocks("json")]
    failed = sample_event("task.failed", now=NOW)
    assert failed.failure is not None
    failed = replace(failed, failure=replace(failed.failure, explanation="", fix=""))
    assert shown == [cloud_event(failed), cloud_event(sample_event("account.rejected", now=NOW))]


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_block_runs(block: str) -> None:
    exec(compile(block, "document", "exec"), {})


@pytest.mark.anyio
async def test_the_verification_sample_takes_our_messages_and_no_others() -> None:
    sample: dict[str, Any] = {}
    exec(blocks("python")[0].values[0], sample)
    secret = ENV["HOOK_SECRET"]
    async with receiving() as receiver:
        channel = build_channel(setting(receiver.base_url, secret=secret), redactor=Redactor())
        await channel.send(delivery())
        await channel.aclose()
    headers, body = receiver.received[0]["headers"], receiver.received[0]["body"].encode()
    assert sample["verify"](secret, headers, body)
    assert not sample["verify"](secret, headers, body + b" ")
    assert not sample["verify"](secret, headers | {"webhook-timestamp": "1"}, body)
    event = json.loads(body)
    assert (sample["is_new"](event), sample["is_new"](event)) == (True, False)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    said = path.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", said) if "://" not in link]
    for link in links:
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_quotes_a_line_of_code(path: Path) -> None:
    assert re.findall(r"\.py:\d+|#L\d+|\blines? \d+", path.read_text("utf-8")) == []
