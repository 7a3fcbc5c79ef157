"""`python -m watcher.simulator SCENARIO.yaml [--host H] [--port N] [--speed X]`: first line is where it listens."""

from __future__ import annotations

import argparse
import asyncio
import sys

from watcher.errors import WatcherError
from watcher.simulator.server import serve


async def play(scenario: str, host: str, port: int, speed: float) -> None:
    """Runs until cancelled."""
    async with serve(scenario, host, port, speed) as simulator:
        print(f"listening on {simulator.base_url}", flush=True)
        await asyncio.Event().wait()


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 after Ctrl-C, 1 for a port in use, 2 for a wrong scenario."""
    parser = argparse.ArgumentParser(prog="python -m watcher.simulator", description="A fake CLOVA Studio.")
    parser.add_argument("scenario")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--speed", type=float, default=1.0)
    given = parser.parse_args(arguments)
    try:
        asyncio.run(play(given.scenario, given.host, given.port, given.speed))
    except WatcherError as error:
        print(f"Error: {error.message}\nTry: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
