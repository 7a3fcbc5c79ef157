"""A faithful fake of CLOVA Studio's tuning API on a local port, told what to play by a scenario file.

    async with serve(load_scenario("scenario.yaml"), port=0, speed=60) as simulator:
        ...  # simulator.base_url, simulator.log, simulator.fault("http_503", seconds=10)

`python -m watcher.simulator SCENARIO.yaml` does the same for other processes.
"""

from watcher.simulator.scenario import Scenario, load_scenario, parse_scenario, shipped
from watcher.simulator.server import serve
from watcher.simulator.world import Request, Simulator

__all__ = ["Request", "Scenario", "Simulator", "load_scenario", "parse_scenario", "serve", "shipped"]
