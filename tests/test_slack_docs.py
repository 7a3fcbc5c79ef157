"""What docs/slack.md and the app's manifest say is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.support.cards import NOW, sample_cards
from tests.support.slack import SCOPES
from tests.support.slack_blocks import read
from watcher.notifier.cards import card_blocks
from watcher.notifier.channels import slack_errors
from watcher.settings import Channel

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "slack.md").read_text("utf-8")
MANIFEST: dict[str, Any] = json.loads((ROOT / "config" / "slack-app-manifest.json").read_text("utf-8"))


def drawn(name: str) -> list[str]:
    blocks, _ = card_blocks(sample_cards()[name], language="en", timezone="Asia/Seoul", now=NOW)
    return read(blocks).split("\n")


def test_the_cards_on_the_page_are_what_the_code_draws() -> None:
    task, group = re.findall(r"```text\n(.*?)\n```", PAGE, re.DOTALL)
    first, line, _, values, _, more, last = task.split("\n")
    shown = drawn("training")
    assert [first, line, last] == [*shown[:2], shown[-1]]
    assert [each for pair in (values, more) for each in re.split(r" {3,}", pair)] == shown[3:10:2]
    assert group.split("\n") == drawn("group")[:-1]


def test_every_error_that_the_code_explains_is_on_the_page_and_none_is_invented() -> None:
    table = PAGE[PAGE.index("## Errors") :]
    told = set(re.findall(r"`([a-z]+(?:_[a-z]+)+|ratelimited)`", "\n".join(re.findall(r"^\| (.*?) \|", table, re.M))))
    known = {*slack_errors._MEANINGS, *slack_errors.LOST, *slack_errors.LIMITED, *slack_errors.TOO_MUCH}
    assert told <= known
    assert {"ratelimited", "not_in_channel", "channel_not_found", "token_revoked", "message_not_found"} <= told


def test_the_manifest_asks_for_the_scopes_that_the_page_explains_and_the_tests_grant() -> None:
    asked = MANIFEST["oauth_config"]["scopes"]["bot"]
    assert set(asked) == SCOPES
    assert all(f"`{scope}`" in PAGE for scope in asked)


def test_the_manifest_names_the_bot_that_the_page_invites() -> None:
    assert f"/invite @{MANIFEST['features']['bot_user']['display_name']}" in PAGE
    assert MANIFEST["settings"]["token_rotation_enabled"] is False, "a token that expires stops the messages"


def test_the_settings_on_the_page_exist() -> None:
    assert {"slack_token", "channel", "mode"} <= Channel.model_fields.keys()
    assert all(f"`{name}`" in PAGE or f"{name}:" in PAGE for name in ("slack_token", "channel", "mode"))
