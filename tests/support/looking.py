"""An upstream with many tasks and accounts, a daemon over it, and what the daemon means to look at next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.daemon import KEY, Hook, Upstream, hook_settings, serving, until, watching
from tests.support.stage import OTHER, TASK, Stage
from watcher import local


@contextmanager
def played(
    folder: Path,
    *,
    tasks: Sequence[Any] = (TASK, OTHER),
    listed: Sequence[Any] = (),
    keys: Sequence[str] = (KEY,),
    accounts: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> Iterator[Stage]:
    """A fake upstream, a receiver, and a daemon that isn't started yet. `accounts` are written as far as they differ
    from the usual one."""
    folder.mkdir(exist_ok=True)
    upstream = Upstream(folder, tasks)
    with serving(upstream):
        upstream.control(keys=list(keys))
        hook = Hook(folder)
        plain = {"base_url": upstream.url, "queries_per_minute": 60000, "timeout": "5s"}
        whole = {
            name: {**plain, **({} if "api_key_file" in each else {"api_key": KEY}), **each}
            for name, each in (accounts or {"main": {}}).items()
        }
        channels = {"hook": hook_settings(hook)}
        with (
            serving(hook),
            watching(folder, upstream, listed, channels, accounts=whole, **settings) as watcher,
        ):
            yield Stage(folder, upstream, hook, watcher)


def many(count: int) -> list[str]:
    return [f"t{number:07d}" for number in range(count)]


def told_of(stage: Stage, task: str) -> list[str]:
    """What was told of the task, in order."""
    return stage.hook.types(task)


def until_asked(stage: Stage, more: int, *, about: str = "", seconds: float = 20.0) -> None:
    """Until the upstream was asked so many times more, about this part of its paths."""

    def count() -> int:
        return sum(about in entry["path"] for entry in stage.upstream.log())

    before = count()
    until(lambda: count() >= before + more, f"{more} more queries about {about!r}", seconds)


def planned(stage: Stage, task: str) -> dict[str, Any]:
    """When the daemon means to ask about the task, how and why."""
    (found,) = [each for each in plan(stage)["tasks"] if each["id"] == task] or [{"next_at": None, "because": "left"}]
    return dict(found)


def plan(stage: Stage) -> dict[str, Any]:
    """What `status --why` asks the daemon, without the time that a command needs to start."""
    said = local.ask(stage.watcher.store, "plan")
    assert isinstance(said, dict), "the daemon doesn't answer"
    return said


def looks_at(stage: Stage, task: str) -> bool:
    """Whether the daemon itself still plans to look at it."""
    return planned(stage, task)["next_at"] is not None


def seconds_until(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


def error_lines(said: str) -> list[str]:
    """What is wrong and what to try, without what a log says around it."""
    return [line for line in said.splitlines() if line.startswith(("Error: ", "Try: "))]
