"""The two endpoints of the tuning API, and the way of an answer: limit, fault, key, content."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from watcher.simulator import faults
from watcher.simulator.answers import envelope, faulty
from watcher.simulator.director import Director
from watcher.simulator.faces import shaped
from watcher.simulator.limits import Quota
from watcher.simulator.traffic import Request
from watcher.simulator.trouble import Endpoint
from watcher.simulator.values import Fault
from watcher.simulator.world import Simulator

Reply = tuple[Response, str]
"""The answer, and the word that the log has for it."""


def build(simulator: Simulator) -> Starlette:
    """The ASGI app over one simulator."""
    tuning, director = _Tuning(simulator), Director(simulator)
    return Starlette(
        routes=[
            Route("/tuning/v2/tasks", tuning.list, methods=["GET"]),
            Route("/tuning/v2/tasks/{task_id:path}", tuning.get, methods=["GET"]),
            Route("/simulator", director.overview, methods=["GET"]),
            Route("/simulator/traffic", director.traffic, methods=["GET"]),
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
        key = _key(request)
        quota = self._sim.spend(key)
        fault = self._sim.strike(endpoint, key, task_id)
        response, outcome = self._refusal(request, quota) or good()
        if fault is not None:
            response, outcome = _fault_reply(fault, bytes(response.body)), fault.kind
        if quota is not None:
            response.headers.update(self._sim.budgets.headers(quota))
        self._record(request, response, outcome)
        return response

    def _refusal(self, request: HttpRequest, quota: Quota | None) -> Reply | None:
        if quota is not None and quota.wait:
            return _refused("rate_exceeded", self._sim.budgets.refusal(quota))
        authorization = request.headers.get("authorization", "")
        if not authorization:
            return _refused("unauthorized")
        if not authorization.startswith("Bearer "):
            return _refused("invalid_token")
        if _key(request) not in self._sim.keys:
            return _refused("invalid_key")
        wants = self._sim.scenario.require_content_type
        if wants and request.headers.get("content-type", "").split(";")[0] != "application/json":
            return _refused("bad_request")
        return None

    def _task(self, request: HttpRequest, task_id: str) -> Reply:
        task = self._sim.task(task_id)
        if task is None:
            return _refused("not_found")
        if not self._sim.catalog.visible(task, _key(request)):
            return _refused("no_ownership")
        shown = shaped(self._sim.render(task), self._sim.scenario.status_info)
        return _ok(json.dumps({"status": {"code": "20000", "message": "OK"}, "result": shown}).encode())

    def _page(self, request: HttpRequest) -> Reply:
        number, size = _natural(request, "page", 0), _natural(request, "size", 20)
        if number is None or size is None or not 1 <= size <= 100:
            return _refused("bad_parameter")
        return _ok(self._sim.page(_key(request), number, size))

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


def _ok(body: bytes) -> Reply:
    return Response(body, media_type="application/json"), "ok"


def _refused(kind: str, headers: dict[str, str] | None = None) -> Reply:
    status, code, message = faults.TABLE[kind]
    return envelope(status, code, message, headers), code


def _fault_reply(fault: Fault, good: bytes) -> Response:
    kind = faults.parse(fault.kind)
    wait = fault.retry_after or ("1" if kind.status == 429 else "none")
    return faulty(kind, good, fault.delay, None if wait == "none" else {"Retry-After": wait})


def _natural(request: HttpRequest, name: str, default: int) -> int | None:
    text = request.query_params.get(name, str(default))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _key(request: HttpRequest) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")
