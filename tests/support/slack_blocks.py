"""Block Kit as Slack documents it: what it refuses, what a reader reads, and whom a message calls."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

Block = dict[str, Any]

_CALL = re.compile(r"<(@[UW][A-Z0-9]+|![a-z]+|!subteam\^S[A-Z0-9]+)(?:\|[^>]*)?>")
_MARKS = re.compile(r"(?<![\w\u200b])([*_~`])(?=\S)(.+?)(?<=\S)\1(?![\w\u200b])")
STYLED = {"bold", "italic", "strike", "code"}


def problems(blocks: object) -> list[str]:
    """What Slack would say about blocks that it doesn't take; nothing for good ones."""
    if not isinstance(blocks, list):
        return ["blocks must be an array"]
    found = [f"no more than 50 items allowed, not {len(blocks)}"] if len(blocks) > 50 else []
    for n, block in enumerate(blocks):
        found += [f"/blocks/{n}: {problem}" for problem in _block(block)]
    return found


def _block(block: Any) -> Iterator[str]:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "header":
        yield from _object(block.get("text"), 150, only_plain=True)
    elif kind == "section":
        if "text" not in block and not block.get("fields"):
            yield "must have text or fields"
        if "text" in block:
            yield from _object(block["text"], 3000)
        yield from _several(block.get("fields", []), 10, 2000)
    elif kind == "context":
        if not block.get("elements"):
            yield "must have elements"
        yield from _several(block.get("elements", []), 10, 2000)
    elif kind == "rich_text":
        for element in block.get("elements", []):
            yield from _rich(element)
    elif kind != "divider":
        yield f"unsupported type: {kind}"


def _several(objects: Sequence[Any], most: int, longest: int) -> Iterator[str]:
    if len(objects) > most:
        yield f"no more than {most} items allowed"
    for each in objects:
        yield from _object(each, longest)


def _object(text: Any, longest: int, *, only_plain: bool = False) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in (
        {"plain_text"} if only_plain else {"plain_text", "mrkdwn"}
    ):
        yield "must be a text object"
        return
    said = text.get("text")
    if not isinstance(said, str) or not said:
        yield "must be more than 0 characters"
    elif len(said.encode("utf-16-le")) // 2 > longest:
        yield f"must be less than {longest + 1} characters"
    allowed = {"type", "text", "emoji"} if text["type"] == "plain_text" else {"type", "text", "verbatim"}
    yield from (f"additional property: {key}" for key in text.keys() - allowed)


def _rich(element: Any) -> Iterator[str]:
    kind = element.get("type") if isinstance(element, dict) else None
    if kind not in {"rich_text_section", "rich_text_preformatted"}:
        yield f"unsupported type: {kind}"
        return
    for part in element.get("elements", []):
        if part.get("type") == "text":
            if not part.get("text") or len(part["text"]) > 3000:
                yield "text must have 1 to 3000 characters"
            if part.get("style", {}).keys() - STYLED:
                yield "unknown style"
        elif part.get("type") == "user":
            if not re.fullmatch(r"[UW][A-Z0-9]+", part.get("user_id", "")):
                yield "invalid user_id"
        elif part.get("type") != "usergroup":
            yield f"unsupported type: {part.get('type')}"


def read(blocks: Sequence[Block]) -> str:
    """What stands there, as a person reads it: marks that Slack takes away are gone."""
    return "\n".join(text for block in blocks for text in _read(block))


def _read(block: Block) -> Iterator[str]:
    for text in [block.get("text"), *block.get("fields", []), *block.get("elements", [])]:
        if not isinstance(text, dict):
            continue
        if text["type"] == "mrkdwn":
            yield html.unescape(_MARKS.sub(r"\2", text["text"]))
        elif text["type"] == "plain_text":
            yield html.unescape(text["text"])
        else:
            yield "".join(_part(part) for part in text["elements"])


def _part(part: Block) -> str:
    names = {"user": f"@{part.get('user_id')}", "usergroup": f"@{part.get('usergroup_id')}"}
    return names.get(part["type"]) or str(part["text"])


def called_in(blocks: Sequence[Block], text: str) -> set[str]:
    """Whom blocks and text call: people, groups, @channel and the like."""
    called = {match.removeprefix("@") for match in _CALL.findall(text)}
    for block in blocks:
        for each in [block.get("text"), *block.get("fields", []), *block.get("elements", [])]:
            if isinstance(each, dict) and each["type"] == "mrkdwn":
                called |= {match.removeprefix("@") for match in _CALL.findall(each["text"])}
            for part in each.get("elements", []) if isinstance(each, dict) else []:
                called |= {part[key] for key in ("user_id", "usergroup_id") if key in part}
    return called
