"""Health, readiness and metrics."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from watcher.web.guard import Door, authorised
from watcher.web.problems import from_crash, from_http_exception
from watcher.web.status import Condition, Status

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def application(status: Status, door: Callable[[], Door]) -> Starlette:
    """The routes. 404 and 405 are problem+json, and no address is redirected to one with or without a slash."""

    async def healthz(request: Request) -> Response:
        conditions = status.conditions()
        failing = any(condition.fatal for condition in conditions)
        body = {"status": _word(conditions, failing), "conditions": _shown(conditions, authorised(request, door()))}
        return JSONResponse(body, 503 if failing else 200)

    async def readyz(_request: Request) -> Response:
        ready = status.ready()
        return JSONResponse({"status": "ready" if ready else "starting"}, 200 if ready else 503)

    async def metrics(_request: Request) -> Response:
        return Response(status.metrics(), media_type=METRICS_TYPE)

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    handlers = {404: from_http_exception, 405: from_http_exception, 500: from_crash}
    app = Starlette(exception_handlers=handlers)
    app.router = Router(routes, redirect_slashes=False)
    return app


def _word(conditions: list[Condition], failing: bool) -> str:
    if failing:
        return "failing"
    return "degraded" if conditions else "ok"


def _shown(conditions: list[Condition], with_text: bool) -> list[object]:
    if with_text:
        return [{"name": condition.name, "text": condition.text} for condition in conditions]
    return [condition.name for condition in conditions]
