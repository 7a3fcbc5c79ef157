"""A fault turned into an ASGI answer, broken connections included."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from watcher.simulator.faults import Kind
from watcher.simulator.listen import hang_up

_PAGE = "<!DOCTYPE html><html><head><title>{0} {1}</title></head><body><h1>{0} {1}</h1></body></html>"
_HUGE = 5 * 1024 * 1024


class Breaking(Response):
    """An answer that isn't given as HTTP wants it."""

    def __init__(self, shape: str, body: bytes, delay: float) -> None:
        super().__init__(body, media_type="application/json")
        self.shape, self.delay = shape, delay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.shape == "slow":
            await asyncio.sleep(self.delay)
            return await super().__call__(scope, receive, send)
        if self.shape == "truncated":
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            half = bytes(self.body)[: len(self.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
        if self.shape != "hang":
            hang_up(scope, reset=self.shape == "reset")
        return await gone(receive)


async def gone(receive: Receive) -> None:
    """Waits until the other side has left, or the server stops."""
    while (await receive())["type"] != "http.disconnect":
        pass


def envelope(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """A refusal as the API words it."""
    body = json.dumps({"status": {"code": code, "message": message}})
    return Response(body, status, headers, media_type="application/json")


def faulty(kind: Kind, good: bytes, delay: float = 1.0, headers: dict[str, str] | None = None) -> Response:
    """The answer for a kind of fault; `good` is what would have been said."""
    if kind.shape == "envelope":
        return envelope(kind.status, kind.code, kind.message, headers)
    if kind.shape == "html":
        page = _PAGE.format(kind.status, "OK" if kind.status == 200 else "Gateway trouble")
        return Response(page, kind.status, headers, media_type="text/html")
    if kind.shape == "empty":
        return Response(b"", kind.status, headers)
    if kind.shape == "redirect":
        return Response(b"", 302, {"Location": "https://example.com/login"})
    if kind.shape in ("truncated", "hang", "slow", "reset", "close"):
        return Breaking(kind.shape, good, delay)
    body, more = _body(kind.shape, good)
    return Response(body, 200, more, media_type="application/json")


def _body(shape: str, good: bytes) -> tuple[bytes, dict[str, str]]:
    if shape == "gzip_bomb":
        return gzip.compress(b" " * (64 * 1024 * 1024), 9), {"Content-Encoding": "gzip"}
    if shape in ("wrong_id", "no_status", "no_result"):
        return _without(shape, json.loads(good)), {}
    fixed = {
        "garbage": bytes(range(256)) * 4,
        "bad_json": good[:-1] + b",}",
        "deep_json": b"[" * 200_000,
        "invalid_utf8": re.sub(rb'"id":\s*"', b'"id": "\xff\xfe', good),
        "oversized": b'{"status": {"code": "20000"}, "filler": "' + b"x" * _HUGE + b'"}',
        "duplicate_keys": re.sub(rb'"status":\s*"', b'"status": "FAILED", "status": "', good),
    }
    return fixed[shape], {}


def _without(shape: str, answer: dict[str, Any]) -> bytes:
    if shape == "no_result":
        answer.pop("result", None)
        return json.dumps(answer).encode()
    result = answer.get("result", {})
    for task in result.get("content", [result]):
        if shape == "wrong_id":
            task["id"] = "0therone"
        else:
            task["status"] = None
    return json.dumps(answer).encode()
