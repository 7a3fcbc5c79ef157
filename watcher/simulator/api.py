"""The fake's endpoints: the two of the tuning API, and /simulator/* for whoever directs the play."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from watcher.errors import ConfigError
from watcher.simulator import faults
from watcher.simulator.answers import envelope, faulty
from watcher.simulator.scenario import Fault, Task
from watcher.simulator.world import Endpoint, Quota, Request, Simulator

Reply = tuple[Response, str]
"""The answer, and the word that the log has for it."""


def build(simulator: Simulator) -> Starlette:
    """The ASGI app over one simulator."""
    tuning, director = _Tuning(simulator), _Director(simulator)
    return Starlette(
        routes=[
            Route("/tuning/v2/tasks", tuning.list, methods=["GET"]),
            Route("/tuning/v2/tasks/{task_id:path}", tuning.get, methods=["GET"]),
            Route("/simulator", director.overview, methods=["GET"]),
            Route("/simulator/log", director.log, methods=["GET"]),
            Route("/simulator/control", director.control, methods=["POST"]),
        ]
    )


class _Tuning:
    def __init__(self, simulator: Simulator) -> None:
        self._sim = simulator

    async def get(self, request: HttpRequest) -> Response:
        """GET /tuning/v2/tasks/{taskId}"""
        task_id = str(request.path_params["task_id"])
        return self._answer(request, "get", task_id, lambda: self._task(request, task_id))

    async def list(self, request: HttpRequest) -> Response:
        """GET /tuning/v2/tasks?page=0&size=20"""
        return self._answer(request, "list", "", lambda: self._page(request))

    def _answer(self, request: HttpRequest, endpoint: Endpoint, task_id: str, good: Callable[[], Reply]) -> Response:
        quota = self._sim.spend()
        fault = self._sim.strike(endpoint, task_id)
        response, outcome = self._refusal(request, quota) or good()
        if fault is not None:
            response, outcome = _fault_reply(fault, bytes(response.body)), fault.kind
        if quota is not None:
            response.headers.update(_limit_headers(quota))
        self._record(request, response, outcome)
        return response

    def _refusal(self, request: HttpRequest, quota: Quota | None) -> Reply | None:
        if quota is not None and quota.wait:
            return _refused("rate_exceeded", {"Retry-After": str(math.ceil(quota.wait))})
        authorization = request.headers.get("authorization", "")
        if not authorization:
            return _refused("unauthorized")
        if not authorization.startswith("Bearer "):
            return _refused("invalid_token")
        if authorization.removeprefix("Bearer ") not in self._sim.keys:
            return _refused("invalid_key")
        wants = self._sim.scenario.require_content_type
        if wants and request.headers.get("content-type", "").split(";")[0] != "application/json":
            return _refused("bad_request")
        return None

    def _task(self, request: HttpRequest, task_id: str) -> Reply:
        task = self._sim.task(task_id)
        if task is None:
            return _refused("not_found")
        if task.owner is not None and _key(request) != task.owner:
            return _refused("no_ownership")
        return _ok(self._shape(self._sim.render(task)))

    def _page(self, request: HttpRequest) -> Reply:
        number, size = _natural(request, "page", 0), _natural(request, "size", 20)
        if number is None or size is None or not 1 <= size <= 100:
            return _refused("bad_parameter")
        oddities = self._sim.scenario.list
        tasks = [task for task in self._sim.tasks() if task.owner in (None, _key(request))]
        start = max(0, number * size - (1 if oddities.repeat and number else 0))
        content = [self._listed(task) for task in tasks[start : number * size + size][:size]]
        pages = math.ceil(len(tasks) / size)
        counts = {"totalPages": pages, "totalElements": len(tasks), "size": size, "number": number}
        shown = {key: f"{value}," for key, value in counts.items()} if oddities.text_numbers else counts
        return _ok({**shown, "content": content})

    def _listed(self, task: Task) -> dict[str, Any]:
        shown = self._sim.render(task)
        if self._sim.scenario.list.sparse:
            for key in ("message", "endDatetime"):
                shown["statusInfo"].pop(key, None)
        return self._shape(shown)

    def _shape(self, shown: dict[str, Any]) -> dict[str, Any]:
        form, info = self._sim.scenario.status_info, shown["statusInfo"]
        if form == "array":
            shown["statusInfo"] = [info]
        elif form != "object" and shown["status"] == "WAIT":
            shown["statusInfo"] = [] if form == "empty-while-waiting" else None
            if form == "absent-while-waiting":
                del shown["statusInfo"]
        return shown

    def _record(self, request: HttpRequest, response: Response, outcome: str) -> None:
        silent = outcome in ("hang", "reset", "close")
        query = f"?{request.url.query}" if request.url.query else ""
        self._sim.log.append(
            Request(
                at=time.monotonic(),
                time=datetime.now(UTC),
                path=bytes(request.scope["raw_path"]).decode("latin-1") + query,
                key=_key(request),
                status=0 if silent else response.status_code,
                outcome=outcome,
                request_id=request.headers.get("x-ncp-clovastudio-request-id", ""),
            )
        )


class _Director:
    def __init__(self, simulator: Simulator) -> None:
        self._sim = simulator

    async def overview(self, request: HttpRequest) -> Response:
        """GET /simulator: the scenario's time and every task's status."""
        tasks = {task.id: self._sim.render(task)["status"] for task in self._sim.tasks()}
        return JSONResponse({"now": round(self._sim.now(), 3), "speed": self._sim.speed, "tasks": tasks})

    async def log(self, request: HttpRequest) -> Response:
        """GET /simulator/log: every request to the API, in order."""
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
        ]
        return JSONResponse({"items": items, "next": None})

    async def control(self, request: HttpRequest) -> Response:
        """POST /simulator/control: {"fault": {...}, "clear_faults": true, "create": {...}, "delete": ID,
        "task": {"id": ID, "fields": {...}}, "keys": [...], "queries_per_minute": N or null}"""
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
        if name == "fault":
            sim.add_fault(value)
        elif name == "clear_faults":
            sim.clear_faults()
        elif name == "create":
            sim.create(value)
        elif name == "delete":
            sim.delete(value)
        elif name == "task":
            sim.set_task(value["id"], **value["fields"])
        elif name == "keys":
            sim.keys = set(value)
        elif name == "queries_per_minute":
            sim.queries_per_minute = None if value is None else int(value)
        else:
            raise ValueError(f"unknown order {name!r}")


def _ok(result: dict[str, Any]) -> Reply:
    body = json.dumps({"status": {"code": "20000", "message": "OK"}, "result": result})
    return Response(body, media_type="application/json"), "ok"


def _refused(kind: str, headers: dict[str, str] | None = None) -> Reply:
    status, code, message = faults.TABLE[kind]
    return envelope(status, code, message, headers), code


def _fault_reply(fault: Fault, good: bytes) -> Response:
    kind = faults.parse(fault.kind)
    wait = fault.retry_after or ("1" if kind.status == 429 else None)
    return faulty(kind, good, fault.delay, {"Retry-After": wait} if wait else None)


def _limit_headers(quota: Quota) -> dict[str, str]:
    return {
        "x-ratelimit-limit-requests": str(quota.limit),
        "x-ratelimit-remaining-requests": str(quota.remaining),
        "x-ratelimit-reset-requests": f"{quota.wait:.0f}s",
    }


def _natural(request: HttpRequest, name: str, default: int) -> int | None:
    text = request.query_params.get(name, str(default))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _key(request: HttpRequest) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")
