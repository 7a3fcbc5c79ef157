"""What the documents say of webhooks holds: samples, schema, and receivers that take what the watcher really sends."""

from __future__ import annotations

import base64
import json
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from tests.support import webhook_docs
from tests.support.builders import NOON, at, events_of, look, seen, stored
from tests.support.daemon import Hook, Upstream, hook_settings, serving, until, watching
from watcher.events import EVENT_TYPES
from watcher.models import Draft, Event
from watcher.state.diff import still_missing
from watcher.state.health import AccountHealth, ChannelHealth, after_poll, after_try, tell_given_up
from watcher.views import cloud_event, task_json

SECRETS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
OLD, NEW = SECRETS
FOLDER = webhook_docs.FOLDER
STRICT = Draft202012Validator(webhook_docs.strict(webhook_docs.schema()))
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: apt install openssl")


def wrong(data: Mapping[str, Any]) -> list[str]:
    """What the schema says against a `data`, keys that it doesn't name included."""
    return [f"{data.get('type')}: {error.json_path}: {error.message}" for error in STRICT.iter_errors(data)]


# ── samples and schema ──


def test_the_files_are_what_the_code_makes() -> None:
    made = webhook_docs.files()
    assert {path.name for path in (FOLDER / "samples").iterdir()} == {f"{type_}.json" for type_ in EVENT_TYPES}
    different = [path.name for path, text in made.items() if path.read_text("utf-8") != text]
    assert different == [], "remake them with: python -m tests.support.webhook_docs"


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json.loads((FOLDER / "data.schema.json").read_text("utf-8")))


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_every_sample_agrees_with_the_schema(type_: str) -> None:
    event = json.loads((FOLDER / "samples" / f"{type_}.json").read_text("utf-8"))
    assert wrong(event["data"]) == []
    assert event["type"] == event["data"]["type"] == type_


BENT: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "a key is missing": ("task.started", lambda data: data.pop("window")),
    "an unknown type": ("task.started", lambda data: data.update(type="task.exploded")),
    "another severity": ("task.failed", lambda data: data.update(severity="info")),
    "a failure without its failure": ("task.failed", lambda data: data.pop("failure")),
    "a success with a failure": ("task.succeeded", lambda data: data.update(failure={})),
    "progress without a percentage": ("task.progress", lambda data: data.pop("percent")),
    "more than all": ("task.progress", lambda data: data.update(percent=101)),
    "a time without milliseconds": ("task.started", lambda data: data.update(time="2026-03-02T05:02:40Z")),
    "a start that nobody saw before": ("task.started", lambda data: data["window"].update(after=None)),
    "a task event without a task": ("task.started", lambda data: data.update(task=None)),
    "a task without its labels": ("task.started", lambda data: data["task"].pop("labels")),
    "a loss that is no number": ("task.started", lambda data: data["task"]["statusInfo"].update(trainLoss="low")),
    "a change without its end": ("task.started", lambda data: data["changes"]["status"].pop("new")),
    "a channel event without a channel": ("channel.failing", lambda data: data.pop("channel")),
    "an account event about a task": ("account.rejected", lambda data: data.update(task={})),
    "a reason that isn't one": ("task.gone", lambda data: data.update(reason="lost")),
    "a key that nobody knows": ("watcher.gap", lambda data: data.update(mood="good")),
}


@pytest.mark.parametrize("what", BENT)
def test_the_schema_tells_what_is_wrong(what: str) -> None:
    type_, bend = BENT[what]
    data = json.loads(json.dumps(webhook_docs.samples()[type_]["data"]))
    bend(data)
    assert wrong(data) != []


def test_keys_of_later_versions_pass_the_published_schema() -> None:
    data = webhook_docs.samples()["task.started"]["data"] | {"mood": "good"}
    assert list(Draft202012Validator(webhook_docs.schema()).iter_errors(data)) == []


# ── what the code makes agrees with the schema ──


def event_of(draft: Draft, subject: Mapping[str, Any] | None = None) -> Event:
    row = EVENT_TYPES[draft.type]
    shown = {name: getattr(draft, name) for name in Draft.__slots__ if name != "notable"}
    return Event(id="1772427760000000", severity=row.severity, notable=row.notable, subject=subject, **shown)


def test_whatever_a_task_does_agrees_with_the_schema() -> None:
    odd = {"loss": "NaN", "steps": None, "statusInfo.label": ["a", "b"], "learningRate": "Infinity", "name": None}
    looks = [
        seen("WAIT", number=2, when=60, trainEpochs=8, createdDate="2026-03-02T12:00:00+0900"),
        seen("RUNNING", number=3, when=120, step=600, loss=0.5, **{k: v for k, v in odd.items() if k != "loss"}),
        seen("FAILED", number=4, when=180, **odd),
        seen(
            "FAILED",
            number=5,
            when=240,
            reason="file.format",
            message="Invalid dataset",
            end="2026-03-02T12:04:00+0900",
        ),
        seen("RUNNING", number=6, when=300, step=1, steps=2000),
        seen("RUNNING", number=7, when=310, step=1600, steps=2000),
        seen("WAIT", number=8, when=320),
        seen("PAUSED", number=9, when=330),
        seen("SUCCEEDED", number=10, when=340, weights=False),
    ]
    before, told, problems = None, [], []
    for each in looks:
        change = look(before, each)
        before = change.snapshot or before
        for draft in change.drafts:
            event = event_of(draft, task_json(each.key, before.fields if before else {}, None, {"team": "nlp"}))
            told.append(draft.type)
            problems += wrong(cloud_event(event)["data"])
    assert problems == []
    assert {"task.discovered", "task.started", "task.failed", "task.progress", "task.weights_missing"} <= set(told)
    assert {"task.reopened", "task.requeued", "task.status_changed", "task.succeeded"} <= set(told)
    assert len(events_of(None, *looks)) == len(looks)


def test_whatever_is_lost_refused_or_fails_agrees_with_the_schema() -> None:
    gone = still_missing(stored(missing_since=at(0)), at(90), "not_found", confirmed=True)
    assert gone.snapshot is not None
    back = look(gone.snapshot, seen(number=9, when=120))
    subject = task_json(gone.snapshot.key, gone.snapshot.fields, None, {})
    problems = [wrong(cloud_event(event_of(d, subject))["data"]) for d in (*gone.drafts, *back.drafts)]
    told = [draft.type for draft in (*gone.drafts, *back.drafts)]
    for draft in _of_accounts_and_channels():
        told.append(draft.type)
        problems.append(wrong(cloud_event(event_of(draft))["data"]))
    assert [each for each in problems if each] == []
    assert told == [
        *("task.gone", "task.returned", "account.unreachable", "account.recovered", "account.rejected"),
        *("channel.failing", "channel.recovered", "channel.gave_up"),
    ]


def _of_accounts_and_channels() -> Iterator[Draft]:
    account, channel = (
        AccountHealth("main", last_good=NOON),
        ChannelHealth("team", given_up=2, given_up_reason="HTTP 410"),
    )
    for at_, poll in ((0, "failed"), (200, "failed"), (400, "failed"), (500, "good"), (600, "disowned")):
        time_ = NOON + timedelta(seconds=at_)
        account, drafts = after_poll(account, poll, "HTTP 503", time=time_, uptime=at_, patience=300)  # type: ignore[arg-type]
        yield from drafts
    for at_, ok in ((0, False), (40, False), (80, False), (100, True)):
        channel, drafts = after_try(channel, ok=ok, reason="HTTP 503", time=NOON, uptime=at_)
        yield from drafts
    yield from tell_given_up(channel, time=NOON, uptime=0.0)[1]


def test_what_the_daemon_sends_agrees_with_the_schema(tmp_path: Path) -> None:
    task, unknown = "czf9fbky", "czf9fbkz"
    upstream, hook, bad = Upstream(tmp_path, [task]), Hook(tmp_path), Hook(tmp_path, "bad")
    with serving(upstream, hook, bad):
        bad.behave(status=410)
        channels = {"hook": hook_settings(hook, secret=SECRETS), "bad": hook_settings(bad, ["task.started"])}
        watched = [{"id": task, "account": "main", "labels": {"team": "nlp"}}, unknown]
        with watching(tmp_path, upstream, watched, channels) as watcher:
            watcher.start_ready()
            until(lambda: watcher.events("task.discovered"), "it is seen")
            for type_, status, info in (
                ("task.started", "RUNNING", {"currStep": 0, "totalTrainSteps": 100, "trainLoss": 1.5}),
                ("task.progress", "RUNNING", {"currStep": 60, "totalTrainSteps": 100, "trainLoss": "NaN"}),
                ("task.failed", "FAILED", {"failureReason": "file.encoding", "message": "Unsupported charset"}),
                ("task.reopened", "WAIT", {}),
                ("task.weights_missing", "SUCCEEDED", {"sendWeightSuccess": False}),
            ):
                upstream.set(task, status=status, statusInfo=info)
                until(lambda type_=type_: watcher.events(type_), f"{type_} is told")
            path = watcher.folder / "watcher.yaml"
            path.write_text(path.read_text() + "\nchanels: {}\n")
            assert watcher.process is not None
            watcher.process.send_signal(signal.SIGHUP)
            wanted = {
                "watcher.started", "watcher.config_rejected", "task.discovered", "task.started", "task.progress",
                "task.failed", "task.reopened", "task.succeeded", "task.weights_missing", "task.unknown",
                "channel.gave_up",
            }  # fmt: skip
            until(lambda: wanted <= set(hook.types()), f"everything arrived: {watcher.said()[-1500:]}")
            watcher.stop()
    for receipt in hook.got():
        assert wrong(receipt.data) == []
        for secret in SECRETS:
            Webhook(secret).verify(receipt.body, dict(receipt.headers))
