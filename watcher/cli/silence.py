"""`watcher silence`, `silences` and `unsilence`: quiet about a task or a label for a while."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from watcher.cli.options import duration, json_option, suggestion
from watcher.cli.printing import Cell, Row, local, print_json, print_table, say, span
from watcher.cli.reading import Known, find_task, known_tasks, load, reading, utc_now
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.models import TaskKey
    from watcher.settings import Settings
    from watcher.state.silences import Silence

HEADERS = ("SILENCE", "WHAT", "NAME", "ENDS", "LEFT", "REASON")
DETAILS = """\
Nothing of it goes to any channel until the time is over; `watcher deliveries --state silenced` shows what was left out,
and `watcher redeliver` sends it after all. What waits already goes out. The running watcher need not be told."""

_T = TypeVar("_T")


def silence_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", metavar="WHAT", help="a task (its id, or ACCOUNT/TASK), or label=value")
    parser.add_argument(
        "--for", metavar="TIME", dest="seconds", type=duration, required=True, help="how long, such as 30m, 2h or 3d"
    )
    parser.add_argument("--reason", metavar="TEXT", type=_reason, help="what others read in the list")
    json_option(parser)


def silence(arguments: Namespace) -> int:
    settings, now = load(arguments), utc_now()
    with reading(settings) as reader:
        target = _target(arguments.what, settings, known_tasks(settings, reader.tasks()))
    from watcher.state import silences as stored

    ends = now + timedelta(seconds=arguments.seconds)
    made = _beside(settings, stored.add, now=now, ends=ends, reason=arguments.reason or "", **target)
    if arguments.json:
        print_json([_json(made)])
    else:
        say(f"silence {made.id}: {_about(made, settings)} is quiet until {local(made.ends, settings.timezone)}")
    return 0


def silences(arguments: Namespace) -> int:
    settings, now = load(arguments), utc_now()
    with reading(settings) as reader:
        found = reader.silences(now)
        known = known_tasks(settings, reader.tasks()) if found and not arguments.json else {}
    if arguments.json:
        print_json(map(_json, found))
    elif found:
        names = {str(key): each.name for key, each in known.items()}
        rows = [_row(each, names, settings, (each.ends - now).total_seconds()) for each in found]
        print_table(HEADERS, rows)
    else:
        say("nothing is silenced")
    return 0


def unsilence_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", metavar="ID", nargs="+", help="a silence's id, as `watcher silences` shows it")


def unsilence(arguments: Namespace) -> int:
    from watcher.state import silences as stored

    settings = load(arguments)
    for ended in _beside(settings, stored.end, arguments.ids, now=utc_now()):
        say(f"silence {ended.id} is over: {_about(ended, settings)} is heard again")
    return 0


def _beside(settings: Settings, write: Callable[..., _T], *args: Any, **more: Any) -> _T:
    """One short write beside the daemon, into a store that is there."""
    from watcher.state.store import open_beside

    database = open_beside(settings.store.get_secret_value())
    try:
        return database.write_now(write, *args, **more)
    finally:
        database.close()


def _target(what: str, settings: Settings, known: Mapping[TaskKey, Known]) -> dict[str, str]:
    """What is meant. An id has no `=`, so it can't be taken for a label. Raises UsageError for what nothing has."""
    if "=" not in what:
        key = find_task(what, known)
        return {"account": key.account, "task": key.id}
    label, _, value = (part.strip() for part in what.partition("="))
    labels = [*(each.labels for each in known.values()), *(rule.labels for rule in settings.discover)]
    written = dict.fromkeys(f"{name}={text}" for each in labels for name, text in each.items())
    if f"{label}={value}" not in written:
        near = suggestion(f"{label}={value}", written)
        raise UsageError(f"no task has the label {label}={value}{near}", _labels_there_are(list(written)))
    return {"label": label, "value": value}


def _labels_there_are(written: list[str]) -> str:
    if not written:
        return "write labels in the configuration, under tasks or discover: labels: {team: nlp}"
    return f"there are: {', '.join(written[:8])}{', ...' if len(written) > 8 else ''}"


def _about(silence: Silence, settings: Settings) -> str:
    """Where there is one account, a task's id says it all."""
    return silence.task if silence.task and len(settings.accounts) == 1 else silence.about


def _row(silence: Silence, names: Mapping[str, str], settings: Settings, left: float) -> Row:
    name = names.get(f"{silence.account}/{silence.task}", "")
    return (
        Cell(silence.id),
        Cell(_about(silence, settings)),
        Cell(name if name != silence.task else ""),
        Cell(local(silence.ends, settings.timezone)),
        Cell(span(left)),
        Cell(silence.reason),
    )


def _json(silence: Silence) -> dict[str, Any]:
    from watcher.views import rfc3339

    return {
        "id": silence.id,
        "account": silence.account,
        "task": silence.task,
        "label": silence.label,
        "value": silence.value,
        "made": rfc3339(silence.made),
        "ends": rfc3339(silence.ends),
        "reason": silence.reason,
    }


def _reason(text: str) -> str:
    from watcher.settings.values import shown_text

    try:
        return shown_text(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
