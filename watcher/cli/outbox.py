"""`watcher deliveries` and `watcher redeliver`: the outbox."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from watcher.cli.options import delivery_state, json_option, suggestion
from watcher.cli.printing import Cell, Row, local, print_json, print_table, say, warn
from watcher.cli.reading import load, reading, silence, utc_now
from watcher.errors import UsageError

if TYPE_CHECKING:
    from watcher.models import Delivery
    from watcher.settings import Settings
    from watcher.state.reader import Reader

FAILED = ("refused", "expired", "parked")
HEADERS = ("DELIVERY", "EVENT", "TASK", "CHANNEL", "STATE", "TRIES", "NEXT TRY", "REASON")
_STYLES = {"delivered": "green", "waiting": "yellow", "refused": "red", "expired": "red", "parked": "red"}


def deliveries_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--failed", action="store_true", help=f"only those that were given up: {', '.join(FAILED)}")
    parser.add_argument("--channel", metavar="NAME", help="only those of a channel")
    parser.add_argument(
        "--state", metavar="STATE", action="append", type=delivery_state, default=[], help="only these; repeatable"
    )
    json_option(parser)


def deliveries(arguments: Namespace) -> int:
    settings = load(arguments)
    states = tuple(arguments.state) + (FAILED if arguments.failed else ())
    with reading(settings) as reader:
        channels = _channels_meant(arguments.channel, settings, reader)
        found = reader.deliveries(states=states, channels=channels)
    if arguments.json:
        from watcher.views import delivery_json

        print_json(map(delivery_json, found))
    elif found:
        print_table(HEADERS, [_row(delivery, settings.timezone) for delivery in found])
    else:
        say("no failed deliveries" if arguments.failed else "no such delivery")
    return 0


def redeliver_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", metavar="ID", nargs="*", help="a delivery's id, as `watcher deliveries` shows it")
    parser.add_argument("--failed", action="store_true", help="all that were refused, have expired or are parked")


def redeliver(arguments: Namespace) -> int:
    if bool(arguments.ids) == arguments.failed:
        raise UsageError("name deliveries, or write --failed", "watcher deliveries --failed lists them")
    settings = load(arguments)
    with reading(settings) as reader:
        known = {delivery.id: delivery for delivery in reader.deliveries()}
        silent = silence(reader.alive(), utc_now())
    made = _redeliver(settings, list(dict.fromkeys(arguments.ids)))
    for id_ in made:
        say(f"{id_} goes out again: {_what(known[id_])}" if id_ in known else f"{id_} goes out again")
    if not made:
        say("nothing has failed")
    elif silent:
        warn(f"Note: {silent}; start it with: watcher run")
    return 0


def _redeliver(settings: Settings, ids: list[str]) -> list[str]:
    """Those named, or all that failed; beside the daemon, which notices within 2 s."""
    from watcher.state import outbox
    from watcher.state.store import open_beside

    database = open_beside(settings.store.get_secret_value())
    try:
        chosen = ids or database.write_now(outbox.failed_ids)
        return database.write_now(outbox.redeliver, chosen, utc_now())
    finally:
        database.close()


def _channels_meant(name: str | None, settings: Settings, reader: Reader) -> list[str]:
    """All that were made of a channel with several recipients, also of one that has left the configuration."""
    if name is None:
        return []
    from watcher.settings.recipients import meant

    known = {*settings.channels, *(channel for channel, _ in reader.counts())}
    found = meant(name, known)
    if not found:
        raise UsageError(f"there is no channel {name}{suggestion(name, known)}", f"known: {', '.join(sorted(known))}")
    return found


def _row(delivery: Delivery, zone: str) -> Row:
    event = delivery.event
    return (
        Cell(delivery.id),
        Cell(event.type),
        Cell(event.task or ""),
        Cell(delivery.channel),
        Cell(delivery.state, _STYLES.get(delivery.state, "")),
        Cell(str(delivery.attempts)),
        Cell(local(delivery.next_at, zone) if delivery.next_at and delivery.state in ("waiting", "held") else ""),
        Cell(delivery.reason),
    )


def _what(delivery: Delivery) -> str:
    about = f" of {delivery.event.task}" if delivery.event.task else ""
    return f"{delivery.event.type}{about} to {delivery.channel}"
