"""`watcher test-notify`: a sample to each channel, now. It never touches the store."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from watcher.cli.options import event_type, suggestion
from watcher.cli.printing import say
from watcher.cli.reading import load
from watcher.cli.rehearsal import trouble
from watcher.errors import UsageError, WatcherError
from watcher.models import Accepted, Outcome, Refused

if TYPE_CHECKING:
    from watcher.models import Delivery
    from watcher.redact import Redactor
    from watcher.settings import Channel, Settings


class Result(NamedTuple):
    """How one test ended; what is "" has nothing to say. `note` tells why the channel's template wasn't used."""

    name: str
    ok: bool
    reason: str
    hint: str
    note: str = ""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("channels", metavar="CHANNEL", nargs="*", help="names of channels; all without any")
    parser.add_argument(
        "--event", metavar="TYPE", type=event_type, default="task.started", help="default: task.started"
    )


def test_notify(arguments: Namespace) -> int:
    import asyncio

    settings = load(arguments, secrets=True)
    chosen = _chosen(arguments.channels, settings)
    return asyncio.run(send_samples(settings, chosen, arguments.event, arguments.redactor))


async def send_samples(settings: Settings, names: Sequence[str], type_: str, redactor: Redactor) -> int:
    """Send one to each, all at once, and print a line for each in order; 1 if any failed."""
    import asyncio

    tries = [asyncio.ensure_future(_send(settings, settings.channels[name], type_, redactor)) for name in names]
    width = max(map(len, names))
    failed = 0
    for each in tries:
        result = await each
        failed += not result.ok
        mark, said = ("✓", "ok") if result.ok else ("✗", result.reason)
        hint = f". Try: {result.hint}" if result.hint else ""
        note = f"; its template isn't used: {result.note}. Try: watcher check" if result.note else ""
        say(f"{mark} {result.name:<{width}}  {said}{hint}{note}")
    return 1 if failed else 0


def _chosen(wanted: Sequence[str], settings: Settings) -> list[str]:
    from watcher.settings.recipients import meant

    if not settings.channels:
        raise UsageError("the configuration has no channel", 'write channels: {team: "https://..."}')
    chosen: list[str] = []
    for name in wanted:
        found = meant(name, settings.channels)
        if not found:
            raise UsageError(
                f"there is no channel {name}{suggestion(name, settings.channels)}",
                f"known: {', '.join(settings.channels)}",
            )
        chosen += found
    return list(dict.fromkeys(chosen)) or list(settings.channels)


async def _send(settings: Settings, channel: Channel, type_: str, redactor: Redactor) -> Result:
    import asyncio

    from watcher.notifier.channels import build_channel

    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    try:
        built = await asyncio.to_thread(
            build_channel,
            channel,
            redactor=redactor,
            proxy=proxy,
            ca_file=settings.ca_file,
            mentions=settings.mentions,
        )
    except WatcherError as error:
        return Result(channel.name, False, error.message.removeprefix(f"channel {channel.name}: "), error.hint)
    try:
        result = _result(channel.name, await built.send(_sample(channel.name, type_)))
        return result._replace(note=await asyncio.to_thread(trouble, channel, type_))
    finally:
        await built.aclose()


def _sample(channel: str, type_: str) -> Delivery:
    """A delivery that says it is a test. Its ids are new each time, since receivers drop what they have seen."""
    import time
    import uuid
    from dataclasses import replace

    from watcher.models import Delivery
    from watcher.notifier.samples import sample_event

    event = sample_event(type_)
    subject = None if event.subject is None else {**event.subject, "name": _marked(event.subject.get("name"))}
    details = {key: _marked(value) if key == "group" else value for key, value in event.details.items()}
    event = replace(
        event,
        id=f"test-{time.time_ns() // 1000}",
        subject=subject,
        account=_marked(event.account) if event.task is None and event.account else event.account,
        channel=_marked(event.channel) if event.channel else None,
        details={**details, "test": True},
    )
    return Delivery(f"msg_{uuid.uuid4().hex}", event, channel, "sending", 1, None, "")


def _marked(name: object) -> str:
    """A name in which everybody reads that nothing has happened."""
    return f"{name} (test)"


def _result(name: str, outcome: Outcome) -> Result:
    if isinstance(outcome, Accepted):
        return Result(name, True, "", "")
    hint = "correct the channel's url" if isinstance(outcome, Refused) else "check its url and the network, then again"
    return Result(name, False, outcome.reason, hint)
