"""`watcher health`: for HEALTHCHECK, every 30 s. So it reads three values and loads neither SQLAlchemy nor the rest."""

from __future__ import annotations

import json
import os
import sqlite3
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from watcher.cli.options import json_option
from watcher.cli.printing import print_json, say, span
from watcher.cli.reading import SILENT_AFTER, load, utc_now
from watcher.errors import StoreUnusable, UsageError
from watcher.state import files  # and not `store`, which loads SQLAlchemy

_QUERY = "SELECT name, value FROM meta WHERE name IN ('alive', 'health')"
"""What `watcher.state.budget.save_alive` writes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the running watcher is healthy, and why."""

    healthy: bool
    why: str
    conditions: tuple[Any, ...] = ()


def arguments(parser: ArgumentParser) -> None:
    json_option(parser)


def health(arguments: Namespace) -> int:
    url = _plain_url(os.environ) or load(arguments).store.get_secret_value()
    path = _path_of(url)
    found = judge(_read(path), files.held(path), utc_now())
    if arguments.json:
        print_json(found.conditions, healthy=found.healthy, why=found.why)
    else:
        say(f"{'healthy' if found.healthy else 'unhealthy'}: {found.why}")
    return 0 if found.healthy else 1


def judge(meta: Mapping[str, str], held: float | None, now: datetime) -> Verdict:
    """What the signs of life say: the one in the store, and the lock's (`held`), which a full disk doesn't silence.

    One from the future is as good as none: the clock may have been set back.
    """
    if held is None:
        return Verdict(False, "no watcher runs with this store")
    if "alive" not in meta:
        return Verdict(False, "the watcher hasn't finished its start yet")
    age = min((now.timestamp() - sign for sign in (held, _stored_sign(meta))), key=abs)
    if abs(age) > SILENT_AFTER:
        return Verdict(False, f"the last sign of life is {span(age)} old" if age > 0 else "the clock was set back")
    said = json.loads(meta.get("health") or "{}")
    fatal, conditions = said.get("fatal") or [], tuple(said.get("conditions") or ())
    if fatal:
        return Verdict(False, "; ".join(map(_words, fatal)), conditions)
    more = f"; {'; '.join(map(_words, conditions))}" if conditions else ""
    return Verdict(True, f"the last sign of life is {span(age)} old{more}", conditions)


def _stored_sign(meta: Mapping[str, str]) -> float:
    return datetime.fromisoformat(meta["alive"]).timestamp()


def _words(condition: object) -> str:
    if isinstance(condition, Mapping):
        return str(condition.get("text") or condition.get("name"))
    return str(condition)


def _plain_url(env: Mapping[str, str]) -> str:
    """The environment goes before every file, so with WATCHER_STORE no file needs to be read.

    A file that was broken while the watcher runs then can't make it look ill, either.
    """
    url = env.get("WATCHER_STORE", "")
    return "" if "${" in url or env.get("WATCHER_STORE_FILE") else url


def _path_of(url: str) -> Path:
    path = files.sqlite_path(url)
    if path is None:
        raise UsageError("this version keeps its store in SQLite only", "write store: sqlite:///watcher.db")
    return path


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        raise StoreUnusable(f"there is no store at {path}", "start the watcher first with: watcher run")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as database:
            return dict(database.execute(_QUERY).fetchall())
    except sqlite3.Error as error:
        raise StoreUnusable(f"the store {path} can't be read: {error}", "see what the watcher logs") from None
