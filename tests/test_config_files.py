"""The files in config/: they load, they show everything, and editors are told the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.configs import KEY
from watcher.errors import ConfigError
from watcher.settings import load_settings
from watcher.settings.jsonschema import json_schema

CONFIG = Path(__file__).parent.parent / "config"
ENV = {
    **KEY,
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/abc",
    "MAIL_URL": "mailto://user:password@mail.example.com?to=ops@example.com",
    "HOOK_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "SLACK_TOKEN": "xoxb-1-2-abc",
    "PHONE_URL": "tgram://123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI/12345",
    "HEARTBEAT_URL": "https://hc.example.com/ping",
}

EVERYTHING = """
accounts:
  main:
    api_key_file: /run/secrets/clova_api_key
    base_url: https://clovastudio.stream.ntruss.com
    queries_per_minute: 30
    timeout: 10s
tasks:
  - czf9fbky
  - {id: oi55o2ej, account: main, name: support-bot v3, labels: {team: nlp, owner: jiwon}}
discover:
  - {account: main, name: "support-*", model: "HCX-*", max_age: 7d, labels: {team: nlp}}
groups:
  - {name: lr-sweep, match: "exp-lr-*"}
poll: {interval: 30s, wait_interval: 60s, settle: 10m}
rules:
  progress: [25, 50, 75]
  stalled_after: 30m
  queued_longer_than: 6h
  unreachable_after: 5m
  loss: {nan: true, rise: null}
channels:
  team: "${SLACK_WEBHOOK_URL}"
  mail: {url_file: /run/secrets/mail_url, language: ko, timezone: Asia/Seoul, events: [notable]}
  ci:   {url: "https://ci.example.com/hooks/clova", secret_file: /run/secrets/hook, events: ["*"]}
  board: {slack_token_file: /run/secrets/slack, channel: "#ml", mode: card}
routes:
  - {events: [task.failed, task.stalled], labels: {team: nlp}, channels: [mail]}
mentions: {jiwon: U012AB3CD}
delivery: {give_up_after: 7d, digest_after: 10}
retention: {history: 90d, events: 400d}
language: en
timezone: Asia/Seoul
store: sqlite:///watcher.db
http: {host: 127.0.0.1, port: 8080, token: null, public_url: null}
proxy: null
heartbeat: {url_file: /run/secrets/ping, every: 5m}
log: {level: info, format: auto}
"""


def valid(text: str) -> bool:
    """Whether an editor with our schema has nothing to say."""
    return not list(jsonschema.Draft202012Validator(json_schema()).iter_errors(yaml.safe_load(text)))


def test_the_smallest_configuration_loads() -> None:
    settings = load_settings([str(CONFIG / "watcher.yaml")], env=ENV)
    assert [task.id for task in settings.tasks] == ["czf9fbky"]
    assert list(settings.channels) == ["team"]


def test_the_full_configuration_loads_and_shows_the_defaults() -> None:
    small = load_settings([str(CONFIG / "watcher.yaml")], env=ENV)
    full = load_settings([str(CONFIG / "watcher.full.yaml")], env=ENV)
    for key in ("poll", "rules", "delivery", "retention", "language", "timezone", "store", "http", "proxy", "log"):
        assert getattr(full, key) == getattr(small, key)
    (account,) = full.accounts.values()
    assert account.model_copy(update={"name": "default"}) == small.accounts["default"]


def test_the_full_configuration_shows_every_key_that_works() -> None:
    shown = set(_keys(yaml.safe_load((CONFIG / "watcher.full.yaml").read_text())))
    schema = json_schema()
    described = set(_properties({"properties": schema["properties"]})) | {
        key for name, node in schema["$defs"].items() if name != "Loss" for key in _properties(node)
    }
    twins = {key for key in described if key.endswith("_file") and key != "ca_file"}
    assert described - twins <= shown


@pytest.mark.parametrize("name", ["watcher.yaml", "watcher.full.yaml"])
def test_editors_find_nothing_wrong_with_our_files(name: str) -> None:
    assert valid((CONFIG / name).read_text())


def test_the_schema_file_is_current() -> None:
    written = json.loads((CONFIG / "watcher.schema.json").read_text())
    assert written == json_schema(), "run: watcher schema > config/watcher.schema.json"
    jsonschema.Draft202012Validator.check_schema(written)


def test_the_folder_of_examples_can_be_read_as_one_configuration() -> None:
    """`--config config/`: what lies there besides, such as the manifest of the Slack app, is no configuration."""
    settings = load_settings([str(CONFIG)], env=ENV)
    assert [Path(source).name for source in settings.sources] == ["watcher.full.yaml", "watcher.yaml"]
    assert {path.name for path in CONFIG.glob("slack-app-manifest.*")} == {"slack-app-manifest.json"}


def test_every_documented_key_has_its_place_in_the_schema() -> None:
    assert valid(EVERYTHING)


def test_of_everything_documented_only_what_comes_later_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "watcher.yaml"
    file.write_text(EVERYTHING)
    with pytest.raises(ConfigError) as caught:
        load_settings([str(file)], env=ENV, secrets=False)
    assert {problem.key for problem in caught.value.problems} == {
        "rules.stalled_after", "rules.queued_longer_than", "rules.loss",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "tasks: [01234567, 1e5, no, {id: 12}]",
        'tasks: ["${ID}"]\nhttp: {port: "${PORT:-80}"}\npoll: {interval: "${N}"}\nlanguage: "${L}"',
        "tasks: [a]\naccounts:\npoll:\nhttp: null\nchannels:\n",
        "tasks: [a]\nroutes: [{events: notable, channels: x, task: [a, b]}]",
        "discover: [{account: main}, {name: [a, 7], model: 'HCX-*', max_age: 3600, labels: {team: nlp}}]",
        "tasks: [a]\nchannels: {c: {url: 'json://x', quiet: '22:00-08:00', urgent: true, pace: 5, template: x}}",
        "tasks: [a]\nchannels: {c: {url: 'json://x', quiet: [1:00-2:00], template: {task.*: x}, template_file: y}}",
        "tasks: [a]\nchannels: {c: {slack_token: '${T}', channel: C012AB3CD, mode: card, template_file: {'*': x}}}",
        "tasks: [a]\nmentions: {jiwon: U012AB3CD, 김: 12}\ndelivery: {digest_after: null}\nlanguage: ja",
        "tasks: [a]\ndiscover:\ngroups: [{name: x, match: [a, b]}, {name: 3, match: y}]",
    ],
)
def test_the_schema_allows_what_the_watcher_reads(text: str) -> None:
    assert valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "chanels: {}", "tasks: a", "tasks: [a b]", "tasks: [{name: x}]", "http: {port: 70000}", "log: {level: loud}",
        "discover: [x]", "discover: [{}]", "discover: [{name: []}]", "discover: [{names: x}]",
        "discover: [{max_age: old}]",
        "groups: [{name: x}]", "groups: [{match: x}]", "groups: [{name: x, match: []}]", "groups: {x: y}",
        "channels: {c: {url: 'json://x', mode: cards}}", "channels: {c: {url: 'json://x', quiet: all day}}",
        "channels: {c: {url: 'json://x', urgent: [task.failed]}}", "channels: {c: {slack_token: x, channel: ml}}",
        "channels: {c: {url: 'json://x', template: [x]}}", "mentions: [x]", "delivery: {digest_after: 0}",
        "channels: {team: hello}", "accounts: {main: {name: x}}", "poll: {interval: soon}", "routes: [{events: [x]}]",
    ],
)  # fmt: skip
def test_the_schema_refuses_what_the_watcher_refuses(text: str) -> None:
    assert not valid(text)


def test_every_key_is_described() -> None:
    schema = json_schema()
    nodes = [schema, *(node for long in schema["$defs"].values() for node in (long, *long.get("anyOf", ())))]
    bare = [key for node in nodes for key, value in node.get("properties", {}).items() if not value.get("description")]
    assert bare == []


def _keys(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _keys(value)


def _properties(node: dict[str, Any]) -> Iterator[str]:
    for form in (node, *node.get("anyOf", ())):
        properties = form.get("properties", {})
        yield from (key for key, value in properties.items() if "Not in this version" not in value["description"])
