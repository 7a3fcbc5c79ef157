"""From the answers that `watcher init` got to the text of a configuration. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from watcher.cli.options import suggestion
from watcher.errors import UsageError
from watcher.models import TERMINAL, Fields
from watcher.notifier.text import clean

CHANNEL = "team"
"""What the one channel of a new configuration is called."""


def newest_open_first(task: tuple[str, Fields]) -> tuple[bool, float]:
    from watcher.clova.dates import parse_instant

    _, fields = task
    created = parse_instant(fields.get("createdDate"))
    return fields.get("status") in TERMINAL, -created.timestamp() if created else 0.0


def pick(text: str, ids: Sequence[str]) -> list[str]:
    """The ids that numbers (from 1), ranges, ids or `all` mean; [] for no text. Raises UsageError."""
    chosen: list[str] = []
    for word in text.replace(",", " ").split():
        first, dash, last = word.partition("-")
        if word == "all":
            chosen += ids
        elif word in ids:
            chosen.append(word)
        elif first.isdigit() and (last.isdigit() if dash else True) and len(first + last) < 10:
            chosen += _range(int(first), int(last or first), ids)
        else:
            raise UsageError(f"{word} is neither a number nor a task of the list{suggestion(word, ids)}")
    return list(dict.fromkeys(chosen))


def configuration(
    chosen: Sequence[str], tasks: Mapping[str, Fields], key_path: str, base_url: str | None, url_path: str
) -> str:
    """The YAML. Values are written as JSON strings, which YAML reads as they are."""
    lines = ["# Written by `watcher init`. See what is wrong: watcher check. All keys: watcher schema"]
    if key_path or base_url:
        key = f"api_key_file: {json.dumps(key_path)}" if key_path else "api_key: ${CLOVA_API_KEY}"
        lines += ["accounts:", "  default:", f"    {key}"]
        lines += [f"    base_url: {json.dumps(base_url)}"] if base_url else []
    lines.append("tasks:")
    for id_ in chosen:
        fields = tasks.get(id_, {})
        about = " · ".join(clean(fields[name]) for name in ("name", "model") if fields.get(name))
        lines.append(f"  - {json.dumps(id_)}" + (f"  # {about}" if about else ""))
    channel = f"  {CHANNEL}: {{url_file: {json.dumps(url_path)}}}" if url_path else '  terminal: "console://"'
    return "\n".join([*lines, "channels:", channel, ""])


def _range(first: int, last: int, ids: Sequence[str]) -> Sequence[str]:
    if not 1 <= first <= last <= len(ids):
        raise UsageError(f"the numbers go from 1 to {len(ids)}")
    return ids[first - 1 : last]
