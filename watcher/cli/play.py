"""`watcher simulate` and `watcher demo`: without a key."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from watcher.cli.options import duration, port, speed, suggestion
from watcher.cli.printing import say
from watcher.errors import UsageError


def simulate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("scenario", metavar="SCENARIO", help="a YAML file, or the name of one that comes along")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
    parser.add_argument("--port", type=port, default=8090, help="0 for any free one (default: 8090)")
    parser.add_argument("--speed", type=speed, default=1.0, help="how many times as fast, such as 60 (default: 1)")


def simulate(arguments: Namespace) -> int:
    import asyncio

    return asyncio.run(_play(_scenario(arguments.scenario), arguments.host, arguments.port, arguments.speed))


def demo_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--language", default="en", help="en, ja or ko (default: en)")
    parser.add_argument("--keep", action="store_true", help="leave it running at the end, with its page")
    parser.add_argument("--port", type=port, help="of the page (default: any free one)")
    parser.add_argument("--seconds", type=duration, help="how long the story takes (default: about a minute)")


def demo(arguments: Namespace) -> int:
    from watcher.simulator.demo import main

    return main(language=arguments.language, keep=arguments.keep, port=arguments.port, seconds=arguments.seconds)


async def _play(scenario: str, host: str, port: int, speed: float) -> int:
    import asyncio
    import signal

    from watcher.simulator import serve

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(scenario, host, port, speed) as simulator:
        say(f"listening on {simulator.base_url}")
        say("keys: " + ", ".join(sorted(simulator.keys)))
        await stop.wait()
    return 0


def _scenario(name: str) -> str:
    """A file's path, or the file of a scenario that comes along."""
    from pathlib import Path

    from watcher.simulator import shipped

    if Path(name).exists() or "/" in name:
        return name
    known = shipped()
    if name not in known:
        raise UsageError(
            f"there is no file and no scenario {name}{suggestion(name, known)}",
            f"write a file's path, or one of {', '.join(known)}",
        )
    return str(known[name])
