"""Starting and stopping the fake."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from watcher.simulator import api
from watcher.simulator.listen import bind, listening, url_of
from watcher.simulator.scenario import Scenario, load_scenario, parse_scenario
from watcher.simulator.world import Simulator


@contextlib.asynccontextmanager
async def serve(
    scenario: Scenario | Mapping[str, Any] | str | Path, host: str = "127.0.0.1", port: int = 0, speed: float = 1.0
) -> AsyncIterator[Simulator]:
    """Plays a scenario (a value, plain data or a file) `speed` times as fast, until the block ends.

    Port 0 takes any free one. Raises ConfigError for the scenario and ListenError for the port.
    """
    if isinstance(scenario, (str, Path)):
        scenario = load_scenario(scenario)
    elif not isinstance(scenario, Scenario):
        scenario = parse_scenario(scenario)
    sock = bind(host, port)
    simulator = Simulator(scenario, speed, url_of(sock))
    async with listening(api.build(simulator), sock):
        yield simulator
