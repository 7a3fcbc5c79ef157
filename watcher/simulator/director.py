"""/simulator/*: for whoever directs the play from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from watcher.errors import ConfigError
from watcher.simulator import traffic
from watcher.simulator.world import Simulator


class Director:
    """What happens now, who asked, and orders."""

    def __init__(self, simulator: Simulator) -> None:
        self._sim = simulator

    async def overview(self, request: Request) -> Response:
        """GET /simulator: the scenario's time and every task's status."""
        sim = self._sim
        tasks = {task.id: sim.status(task) for task in sim.tasks()}
        return JSONResponse({"now": round(sim.now(), 3), "speed": sim.speed, "tasks": tasks})

    async def traffic(self, request: Request) -> Response:
        """GET /simulator/traffic: for each key how often it asked, and how often in its busiest minute."""
        return JSONResponse({"busiest_minute": self._sim.busiest(), "keys": traffic.by_key(self._sim.log)})

    async def log(self, request: Request) -> Response:
        """GET /simulator/log: every request to the API, in order; `?key=KEY` for one key's."""
        key = request.query_params.get("key")
        items = [
            {
                "at": entry.at,
                "time": entry.time.isoformat(),
                "path": entry.path,
                "key": entry.key,
                "status": entry.status,
                "outcome": entry.outcome,
                "request_id": entry.request_id,
            }
            for entry in self._sim.log
            if key in (None, entry.key)
        ]
        return JSONResponse({"items": items, "next": None})

    async def control(self, request: Request) -> Response:
        """POST /simulator/control: {"fault": {...}, "clear_faults": true, "create": {...}, "delete": ID,
        "task": {"id": ID, "fields": {...}}, "keys": [...], "sees": {KEY: [KEY, ...]}, "list": {...}, "limits": {...},
        "queries_per_minute": N or null}"""
        try:
            orders = await request.json()
            for name, value in orders.items():
                self._obey(name, value)
        except ConfigError as error:
            return JSONResponse({"error": error.message}, 400)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            return JSONResponse({"error": f"not understood: {error}"}, 400)
        return JSONResponse({"ok": True})

    def _obey(self, name: str, value: Any) -> None:
        sim = self._sim
        orders: dict[str, Callable[[Any], object]] = {
            "fault": sim.add_fault,
            "clear_faults": lambda _: sim.clear_faults(),
            "create": sim.create,
            "delete": sim.delete,
            "task": lambda task: sim.set_task(task["id"], **task["fields"]),
            "keys": lambda keys: setattr(sim, "keys", set(keys)),
            "sees": sim.show,
            "list": lambda changes: sim.form_list(**changes),
            "limits": lambda changes: sim.limit(**changes),
            "queries_per_minute": lambda most: setattr(sim, "queries_per_minute", None if most is None else int(most)),
        }
        if name not in orders:
            raise ValueError(f"unknown order {name!r}; write one of {', '.join(orders)}")
        orders[name](value)
