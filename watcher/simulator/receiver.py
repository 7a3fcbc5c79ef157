"""A webhook receiver over real HTTP: keeps every request it got, and misbehaves on demand.

    python -m watcher.simulator.receiver --port 0 --log received.jsonl

Prints `listening on http://127.0.0.1:PORT` first. Each POST becomes one JSON line {time, path, headers, body, status},
synced to disk before the answer goes out; `status` is what was answered, null where nothing was. Switched at run time:

    POST /receiver/control {"status": 503, "retry_after": 2, "delay": 0.5, "mode": "ok", "times": 3}

`mode` is ok, hang (never answers), reset (TCP reset) or down (hangs up before an answer); `times` returns to normal
after so many requests; {} is back to normal at once. GET /receiver/log gives the lines as {"items": [...]}.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from watcher.errors import ListenError
from watcher.simulator.answers import Breaking
from watcher.simulator.listen import bind, listening, url_of

_MODES = ("ok", "hang", "reset", "down")
_METHODS = ["POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How requests are answered. `delay` is in seconds, `times` counts down to normal (None: for good)."""

    status: int = 200
    retry_after: str | None = None
    delay: float = 0.0
    mode: str = "ok"
    times: int | None = None
    body: str = "ok"


def behaviour(orders: Mapping[str, Any]) -> Behaviour:
    """From the control endpoint's JSON; raises ValueError with what to write."""
    unknown = set(orders) - set(Behaviour.__slots__)
    if unknown:
        raise ValueError(f"unknown {sorted(unknown)}; write {', '.join(Behaviour.__slots__)}")
    wait = orders.get("retry_after")
    made = Behaviour(**{**orders, "retry_after": None if wait is None else str(wait)})
    if made.mode not in _MODES:
        raise ValueError(f"unknown mode {made.mode!r}; write {', '.join(_MODES)}")
    return made


class Receiver:
    """Everything received, in memory and (with `log`) in a file of JSON lines."""

    def __init__(self, log: Path | None = None) -> None:
        self.base_url = ""
        self.received: list[dict[str, Any]] = []
        self.behaviour = Behaviour()
        self._file = log.open("a", encoding="utf-8") if log else None

    def behave(self, **orders: Any) -> None:
        """The same orders as POST /receiver/control; none: back to normal."""
        self.behaviour = behaviour(orders)

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """The requests that were answered with 2xx."""
        return [entry for entry in self.received if entry["status"] is not None and 200 <= entry["status"] < 300]

    def app(self) -> Starlette:
        """The ASGI app."""
        return Starlette(
            routes=[
                Route("/receiver/control", self._control, methods=["POST"]),
                Route("/receiver/log", self._log, methods=["GET"]),
                Route("/{path:path}", self._receive, methods=_METHODS),
            ]
        )

    def close(self) -> None:
        """Closes the log file."""
        if self._file:
            self._file.close()

    async def _receive(self, request: Request) -> Response:
        body = await request.body()
        now = self._next()
        if now.delay:
            await asyncio.sleep(now.delay)
        status = now.status if now.mode == "ok" else None
        await self._keep(
            {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "path": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
                "headers": dict(request.headers),
                "body": body.decode("utf-8", "replace"),
                "status": status,
            }
        )
        if status is None:
            return Breaking("close" if now.mode == "down" else now.mode, b"", 0.0)
        return Response(now.body, status, {"Retry-After": now.retry_after} if now.retry_after else None)

    def _next(self) -> Behaviour:
        now = self.behaviour
        if now.times is not None:
            left = now.times - 1
            self.behaviour = Behaviour(**{**_as_dict(now), "times": left}) if left > 0 else Behaviour()
        return now

    async def _keep(self, entry: dict[str, Any]) -> None:
        if self._file:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._file.flush()
            await asyncio.to_thread(os.fsync, self._file.fileno())
        self.received.append(entry)

    async def _control(self, request: Request) -> Response:
        try:
            self.behaviour = behaviour(await request.json())
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"ok": True})

    async def _log(self, request: Request) -> Response:
        return JSONResponse({"items": self.received, "next": None})


@contextlib.asynccontextmanager
async def receiving(host: str = "127.0.0.1", port: int = 0, log: Path | None = None) -> AsyncIterator[Receiver]:
    """A receiver on a port (0: any free one) until the block ends."""
    receiver = Receiver(log)
    sock = bind(host, port)
    receiver.base_url = url_of(sock)
    try:
        async with listening(receiver.app(), sock):
            yield receiver
    finally:
        receiver.close()


def main(arguments: list[str] | None = None) -> int:
    """Runs until it is ended; exit code 1 when the port is in use."""
    parser = argparse.ArgumentParser(prog="python -m watcher.simulator.receiver", description="Receives webhooks.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    given = parser.parse_args(arguments)
    try:
        asyncio.run(_run(given.host, given.port, given.log))
    except ListenError as error:
        print(f"Error: {error.message}\nTry: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        pass
    return 0


async def _run(host: str, port: int, log: Path | None) -> None:
    async with receiving(host, port, log) as receiver:
        print(f"listening on {receiver.base_url}", flush=True)
        await asyncio.Event().wait()


def _as_dict(now: Behaviour) -> dict[str, Any]:
    return {name: getattr(now, name) for name in Behaviour.__slots__}


if __name__ == "__main__":
    sys.exit(main())
