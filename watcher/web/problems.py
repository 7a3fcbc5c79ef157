"""Errors over HTTP, as problem+json (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse


class Problem(JSONResponse):
    """`detail` says what is wrong and what to do; it never repeats what the request said."""

    media_type = "application/problem+json"

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
        super().__init__(content, status, headers)


_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address doesn't take that method.",
}


async def from_http_exception(_request: Request, error: Exception) -> Problem:
    assert isinstance(error, HTTPException)  # noqa: S101 - how it is registered
    return Problem(error.status_code, _DETAILS.get(error.status_code, error.detail), error.headers)


async def from_crash(_request: Request, _error: Exception) -> Problem:
    return Problem(500, "The watcher failed to answer; its log says why.")
