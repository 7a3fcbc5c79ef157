"""What the watcher itself writes into events as a reason or advice is read in the reader's language."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC
from itertools import chain
from pathlib import Path

import pytest

from tests.support.pot import PACKAGE
from watcher.i18n import translator
from watcher.notifier import reasons
from watcher.notifier.channels.slack_errors import _MEANINGS
from watcher.notifier.facts import Facts
from watcher.notifier.samples import sample_event


def own(text: str, language: str) -> str:
    return Facts(sample_event("channel.failing"), "chat", translator(language), UTC).own(text)


@pytest.mark.parametrize(
    ("text", "ko"),
    [
        ("the key is refused (401, 40104 Invalid key)", "키가 거부됨 (401, 40104 Invalid key)"),
        ("no answer within 10 s", "10초 안에 응답 없음"),
        ("no answer within 2.5 s, after the message was sent", "2.5초 안에 응답 없음 (메시지 전송 후)"),
        ("given up: it didn't answer in time", "포기: 제시간에 응답 없음"),
        ("HTTP 503: no healthy upstream", "HTTP 503: no healthy upstream"),
        ("too many queries (429) ", "too many queries (429) "),
        ("not_in_channel: the app isn't in #ml; invite it there with /invite @watcher",
         "not_in_channel: 앱이 #ml에 없음. /invite @watcher 명령으로 초대하세요"),
        ("x" * 100_000, "x" * 100_000),
        ("given up: " * 50 + "x", "포기: 포기: 포기: " + "given up: " * 47 + "x"),
        ("", ""),
    ],
)  # fmt: skip
def test_reasons_are_read_in_the_readers_language_as_far_as_they_are_ours(text: str, ko: str) -> None:
    assert own(text, "ko") == ko
    assert own(text, "en") == text


def test_every_reason_of_the_watcher_is_known_to_translators() -> None:
    """What is given to the errors of the upstream and to the outcomes of channels, with anything in its places."""
    files = [path for folder in ("clova", "scheduler", "notifier/channels") for path in (PACKAGE / folder).glob("*.py")]
    told = {text for path in files for text in reasons_in(path)}
    assert len(told) > 60
    assert sorted(text for text in told if not known(text)) == []


def test_every_advice_about_slack_is_known_to_translators() -> None:
    told = [text for text in chain.from_iterable(_MEANINGS.values()) if text]
    assert [text for text in told if not known(text)] == []


MAKERS = {
    "Meaning", "KeyRejected", "NotOwned", "TaskUnknown", "RateLimited", "ServerTrouble", "BadAnswer", "Unreachable",
    "RequestRefused", "Retry", "Refused", "Unknown", "SlackTrouble",
}  # fmt: skip
ELSEWHERE = {"HTTP x", "HTTP x: x", "x; x", "the service didn't confirm itx", "isn't a PEM file of certificates"}
"""Nothing in them is English, or they are put together from what is listed, or they stop the start."""


KEEPERS = {"reason", "broker"}
TELLERS = {"why", "_described", "_status"}
"""Names of what holds a reason, and of the functions that return one."""


def reasons_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and name_of(node.func) in MAKERS:
            arguments = [*node.args[:3], *(keyword.value for keyword in node.keywords if keyword.arg == "why")]
            yield from chain.from_iterable(map(filled, arguments))
        elif isinstance(node, ast.Assign) and name_of(node.targets[0]) in KEEPERS:
            yield from filled(node.value)
        elif isinstance(node, ast.FunctionDef) and node.name in TELLERS:
            returned = (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return) and inner.value)
            yield from chain.from_iterable(map(filled, returned))


def name_of(node: ast.expr) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


def filled(node: ast.expr) -> Iterator[str]:
    """A text, or both of a choice, as they may come: with `x` in their places."""
    if isinstance(node, ast.IfExp):
        yield from chain(filled(node.body), filled(node.orelse))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)


def known(text: str) -> bool:
    """`x` may stand for who it was that didn't answer."""
    choices = [text, text.replace("x ", "the proxy ", 1), text.replace("of x ", "of the upstream ", 1)]
    return text in ELSEWHERE or text.isidentifier() or any(map(reasons.find, choices))
