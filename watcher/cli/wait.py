"""`watcher wait TASK...`: for scripts that go on when trainings have ended."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from watcher.cli.options import duration, json_option
from watcher.cli.printing import print_json, say, warn
from watcher.cli.reading import Known, find_task, known_tasks, load, reading, silence, utc_now
from watcher.cli.status import Overview, look, obstacle, state_of, task_item
from watcher.errors import StoreStalled
from watcher.models import FAILED, SUCCEEDED, TaskKey

if TYPE_CHECKING:
    from watcher.settings import Settings
    from watcher.state.reader import Reader

EVERY = 0.5
"""Seconds between two looks at the store."""

TIMED_OUT = 3
DETAILS = """\
Exit codes: 0 all succeeded, 1 one failed or is gone (at once, the others may still train), 3 --timeout has passed.
It reads what a running watcher stores, and costs no queries.

Example: watcher wait czf9fbky oi55o2ej --timeout 6h && ./deploy.sh"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("tasks", metavar="TASK", nargs="+", help="a task's id, or ACCOUNT/TASK")
    parser.add_argument("--timeout", metavar="DURATION", type=duration, help="such as 6h; without it, for ever")
    json_option(parser)


def wait(arguments: Namespace) -> int:
    settings = load(arguments)
    deadline = None if arguments.timeout is None else time.monotonic() + arguments.timeout
    with reading(settings) as reader:
        known = known_tasks(settings, reader.tasks())
        wanted = list(dict.fromkeys(find_task(text, known) for text in arguments.tasks))
        _warn_when_silent(reader)
        ended = _Ended(wanted, _keep_quiet if arguments.json else say)
        code = _until_ended(reader, settings, ended, deadline)
    if arguments.json:
        print_json(task_item(ended.known[key]) for key in wanted)
    elif code == TIMED_OUT:
        warn(f"Error: timed out; not ended yet: {', '.join(key.id for key in ended.open)}")
        warn("Try: see how far they are with: watcher status")
    return code


class _Ended:
    """Which of the wanted tasks have ended; each is told once."""

    def __init__(self, wanted: Sequence[TaskKey], tell: Callable[[str], None]) -> None:
        self.open = list(wanted)
        self.known: Mapping[TaskKey, Known] = {}
        self.failed = False
        self._tell = tell
        self._noted: set[TaskKey] = set()

    def look(self, seen: Overview) -> None:
        self.known = known = {task.key: task for task in seen.tasks}
        for key in list(self.open):
            task = known.get(key)
            if task is not None and _has_ended(task):
                self.open.remove(key)
                self.failed = self.failed or not _succeeded(task)
                self._tell(_line(task))
            elif task is not None and key not in self._noted and (why := obstacle(task, seen)):
                self._noted.add(key)
                warn(f"Note: {key.id}: {why}. That may change, so the waiting goes on")


def _until_ended(reader: Reader, settings: Settings, ended: _Ended, deadline: float | None) -> int:
    while True:
        with suppress(StoreStalled):  # for a moment only; the next look tells
            ended.look(look(settings, reader, utc_now()))
        if ended.failed:
            return 1
        if not ended.open:
            return 0
        left = EVERY if deadline is None else min(EVERY, deadline - time.monotonic())
        if left <= 0:
            return TIMED_OUT
        time.sleep(left)


def _has_ended(task: Known) -> bool:
    return task.snapshot is not None and (bool(task.snapshot.gone) or task.snapshot.status in (SUCCEEDED, FAILED))


def _succeeded(task: Known) -> bool:
    return task.snapshot is not None and not task.snapshot.gone and task.snapshot.status == SUCCEEDED


def _line(task: Known) -> str:
    fields = task.snapshot.fields if task.snapshot else {}
    said = f"{state_of(task).text} · {task.key.id}" + (f" {task.name}" if task.name != task.key.id else "")
    why = [fields.get("statusInfo.failureReason"), fields.get("statusInfo.message")]
    if fields.get("status") == FAILED and any(why):
        said += " · " + ": ".join(str(part) for part in why if part)
    if fields.get("status") == SUCCEEDED and fields.get("statusInfo.sendWeightSuccess") is False:
        said += " · but its weights weren't saved: there is no usable model"
    return said


def _keep_quiet(_line: str) -> None:
    """With --json the one answer is all that is printed."""


def _warn_when_silent(reader: Reader) -> None:
    silent = silence(reader.alive(), utc_now())
    if silent:
        warn(f"Note: {silent}, so nothing new is seen until it does")
