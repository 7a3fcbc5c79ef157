"""`watcher check`, `watcher routes` and `watcher schema`: what the configuration means."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from watcher.cli.options import event_type, json_option
from watcher.cli.printing import Cell, print_json, print_table, say
from watcher.cli.reading import Known, find_task, known_tasks, load, reading
from watcher.errors import StoreError
from watcher.models import TaskKey

if TYPE_CHECKING:
    from watcher.models import Event
    from watcher.redact import Redactor
    from watcher.settings import Settings

ENDINGS = ("task.succeeded", "task.failed")
NAMED = 5
"""How many tasks a warning names."""


def check_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--online", action="store_true", help="ask accounts and channels too, without sending anything")


def check(arguments: Namespace) -> int:
    import asyncio

    settings = load(arguments, secrets=True)
    asyncio.run(_build_channels(settings, arguments.redactor))
    _try_templates(settings)
    for line in _read(settings):
        say(f"✓ {line}")
    for warning, hint in _warnings(settings):
        say(f"⚠ {warning}. Try: {hint}")
    if not arguments.online:
        return 0
    from watcher import app

    return 0 if asyncio.run(app.preflight(settings, say, arguments.redactor)) else 1


def routes_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="a task's id, or ACCOUNT/TASK")
    parser.add_argument("event", metavar="EVENT", type=event_type, help="such as task.failed")
    json_option(parser)


def routes(arguments: Namespace) -> int:
    settings = load(arguments)
    known = _known(settings)
    task = known[find_task(arguments.task, known)]
    heard = _hearers(settings, _sample(arguments.event, task))
    if arguments.json:
        print_json({"channel": channel, "because": because} for channel, because in heard.items())
    elif heard:
        print_table(("CHANNEL", "BECAUSE OF"), [(Cell(name, "bold"), Cell(why)) for name, why in heard.items()])
    else:
        say(f"no channel hears {arguments.event} of {task.key.id}")
    return 0


def schema(_arguments: Namespace) -> int:
    from watcher.settings.jsonschema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0


def _known(settings: Settings) -> dict[TaskKey, Known]:
    """With what the store knows of names and models, where there is one."""
    try:
        with reading(settings) as reader:
            return known_tasks(settings, reader.tasks())
    except StoreError:
        return known_tasks(settings, ())


def _hearers(settings: Settings, event: Event) -> dict[str, str]:
    """Without its url (a secret that isn't here) a channel may be a chat or a webhook: then the answer says so."""
    from dataclasses import replace

    from watcher.notifier import audience
    from watcher.notifier.route import hearers

    listeners, rules = audience.listeners(settings), audience.routes(settings)
    unknown = {name for name, each in settings.channels.items() if not (each.url and each.url.get_secret_value())}
    webhooks = tuple(replace(each, kind="webhook") if each.name in unknown else each for each in listeners)
    certain = hearers(event, webhooks, rules)
    return {
        name: why if name in certain else f"kind unknown without its url; unless it is a webhook: {why}"
        for name, why in hearers(event, listeners, rules).items()
    }


def _sample(type_: str, task: Known) -> Event:
    """An event of this type about this task, or about its account."""
    from dataclasses import replace

    from watcher.notifier.samples import sample_event

    sample = sample_event(type_)
    about = {"account": task.key.account if sample.account else None, "channel": None}
    if sample.task is None:
        return replace(sample, **about)  # type: ignore[arg-type]
    return replace(sample, task=task.key.id, subject=task.json(), **about)  # type: ignore[arg-type]


def _read(settings: Settings) -> Iterator[str]:
    from watcher.notifier.channels import channel_kind

    yield f"read {', '.join(settings.sources)}"
    if settings.tasks:
        accounts = ", ".join(sorted({task.account for task in settings.tasks}))
        yield f"{_count(len(settings.tasks), 'task')} of {accounts}"
    if settings.discover:
        accounts = ", ".join(dict.fromkeys(rule.account or "all accounts" for rule in settings.discover))
        yield f"{_count(len(settings.discover), 'discover rule')}: adopts tasks of {accounts}"
    if settings.groups:
        yield f"{_count(len(settings.groups), 'group')}: {', '.join(group.name for group in settings.groups)}"
    channels = ", ".join(f"{name} ({channel_kind(channel)})" for name, channel in settings.channels.items())
    yield f"{_count(len(settings.channels), 'channel')}{': ' if channels else ''}{channels}"


def _warnings(settings: Settings) -> Iterator[tuple[str, str]]:
    if not settings.channels:
        yield "no channel: nobody hears anything", 'write channels: {team: "https://..."}, or console: "console://"'
        return
    from dataclasses import replace

    from watcher.notifier import audience
    from watcher.notifier.route import hearers

    listeners, rules = audience.listeners(settings), audience.routes(settings)
    known = _known(settings)
    # Names and models of what will be adopted aren't known yet, so routes that ask for some may hear it.
    loosely = tuple(replace(rule, tasks=(), models=()) for rule in rules)
    for type_ in ENDINGS:
        unheard = [
            f"discover[{number}]"
            for number, task in enumerate(_examples(settings))
            if not hearers(_sample(type_, task), listeners, loosely)
        ]
        if unheard:
            yield (
                f"no channel hears {type_} of what {_names(unheard)} adopts",
                f"add {type_} to a channel's events, or to a route that asks for the rule's labels",
            )
        silent = [key.id for key in settings.task_keys() if not hearers(_sample(type_, known[key]), listeners, rules)]
        if silent:
            yield (
                f"no channel hears {type_} of {_names(silent)}",
                f"add {type_} to a channel's events or to a route; watcher routes {silent[0]} {type_} explains",
            )


def _examples(settings: Settings) -> Iterator[Known]:
    """For each `discover` rule a task as it might adopt it."""
    for rule in settings.discover:
        account = rule.account or next(iter(settings.accounts))
        yield Known(TaskKey(account, "adopted"), None, None, adopted=True, labels=rule.labels)


async def _build_channels(settings: Settings, redactor: Redactor) -> None:
    """Raises ConfigError with every channel whose address nobody takes."""
    from watcher import app

    for channel in (await app.build_channels(settings, redactor)).values():
        await channel.aclose()


def _try_templates(settings: Settings) -> None:
    """Raises ConfigError with every template that fails with a sample of an event that it is for."""
    from watcher.cli.rehearsal import problems
    from watcher.errors import ConfigError

    found = tuple(dict.fromkeys(problems(settings)))
    if found:
        raise ConfigError(found)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _names(ids: list[str]) -> str:
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more
