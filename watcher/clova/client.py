"""The one door to CLOVA Studio: sends a GET, returns an answer or exactly one typed UpstreamError."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

import httpx2

from watcher import errors
from watcher.clova import breaks, codes, headers, wire
from watcher.clova.text import Redact
from watcher.models import Fields

if TYPE_CHECKING:
    from watcher.settings import Account

MAX_BODY = 4 * 1024 * 1024
"""Bytes, unpacked. A page of 100 tasks has about 80 KB."""

KEEPALIVE = 70.0
"""Seconds an idle connection is kept: longer than the slowest usual cadence (60 s), shorter than the 75 s after which
common gateways hang up, so that a poll neither reconnects each time nor runs into a socket that is just closing."""

REQUEST_ID = "X-NCP-CLOVASTUDIO-REQUEST-ID"

_TASKS = "/tuning/v2/tasks"
_LIMITS = httpx2.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=KEEPALIVE)

Gate = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP 200 for one task. `body` is raw: it may carry anything, so compare it, but never log or store it."""

    task_id: str
    body: bytes = field(repr=False)
    request_id: str
    rate_limit: wire.RateHint | None
    _redact: Redact = field(repr=False)

    def fields(self) -> Fields:
        """Parses the body, anew at each call; raises the UpstreamError of an error envelope, or BadAnswer."""
        try:
            return wire.parse_task(self.body, self.task_id, self._redact)
        except errors.UpstreamError as error:
            raise _traced(error, self.request_id) from None


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """HTTP 200 for one page of the list, not parsed yet: an unchanged body needs no parsing."""

    number: int
    body: bytes = field(repr=False)
    request_id: str
    rate_limit: wire.RateHint | None
    _redact: Redact = field(repr=False)

    def page(self) -> wire.Page:
        """Parses the body; raises the UpstreamError of an error envelope, or BadAnswer."""
        try:
            return wire.parse_page(self.body, self.number, self._redact, self.request_id, self.rate_limit)
        except errors.UpstreamError as error:
            raise _traced(error, self.request_id) from None


@dataclass(frozen=True, slots=True)
class _Reply:
    body: bytes
    request_id: str
    rate_limit: wire.RateHint | None


class Client:
    """An account's client: shares connections, never follows a redirect, reads no environment.

    `retry_gate` is awaited before the one retry of a broken connection, so that it too keeps to the quota; that wait
    isn't part of the account's timeout. Every call raises UpstreamError only; a ca_file or proxy that can't be used is
    a WatcherError at once.
    """

    def __init__(
        self,
        account: Account,
        *,
        redactor: Redact,
        proxy: str | None = None,
        ca_file: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        retry_gate: Gate | None = None,
    ) -> None:
        self._redact = redactor
        self._timeout = account.timeout
        self._retry_gate = retry_gate
        self._base = account.base_url.rstrip("/")
        self._proxied = proxy is not None
        self._key = account.api_key.get_secret_value().strip()
        self._headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": "watcher",
        }
        context = ssl_context or make_ssl_context(ca_file)
        self._transport = _transport(context, proxy)

    async def get_task(self, task_id: str) -> Answer:
        """One task as it is now. The answer is for HTTP 200 only; its `fields()` may still raise."""
        if not task_id:
            raise errors.RequestRefused("the task id is empty", "write the id that the console shows")
        reply = await self._get(f"{self._base}{_TASKS}/{_segment(task_id)}", "task")
        return Answer(task_id, reply.body, reply.request_id, reply.rate_limit, self._redact)

    async def list_tasks(self, page: int = 0, size: int = 100) -> wire.Page:
        """One page of the account's tasks, read; pages count from 0, `size` is 1 to 100."""
        return (await self.fetch_page(page, size)).page()

    async def fetch_page(self, page: int = 0, size: int = 100) -> ListAnswer:
        """One page of the account's tasks, unread."""
        reply = await self._get(f"{self._base}{_TASKS}?page={page}&size={size}", "list")
        return ListAnswer(page, reply.body, reply.request_id, reply.rate_limit, self._redact)

    async def aclose(self) -> None:
        """Closes the connections; the client can't be used afterwards."""
        await self._transport.aclose()

    async def _get(self, url: str, subject: codes.Subject) -> _Reply:
        self._check_key()
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            return await self._attempt(url, subject, self._timeout)
        except breaks.BrokenError:
            left = self._timeout - (clock() - started)
        if self._retry_gate is not None:
            await self._retry_gate()
        try:
            return await self._attempt(url, subject, max(left, 0.0))
        except breaks.BrokenError as broken:
            raise broken.error from None

    async def _attempt(self, url: str, subject: codes.Subject, seconds: float) -> _Reply:
        request_id = str(uuid4())
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(url, subject, request_id)
        except errors.UpstreamError as error:
            raise _traced(error, request_id) from None
        except TimeoutError:
            raise _traced(breaks.timed_out(self._timeout), request_id) from None
        except breaks.CAUGHT as error:
            found = _traced(breaks.explain(error, self._redact, proxied=self._proxied), request_id)
            if breaks.before_answer(error):
                raise breaks.BrokenError(found) from None
            raise found from None

    async def _exchange(self, url: str, subject: codes.Subject, request_id: str) -> _Reply:
        request = httpx2.Request("GET", url, headers={**self._headers, REQUEST_ID: request_id})
        response = await self._transport.handle_async_request(request)
        try:
            if response.status_code != 200:
                raise await self._refusal(response, subject)
            body = await _read(response)
        finally:
            await response.aclose()
        return _Reply(body, request_id, headers.rate_hint(response.headers.raw))

    async def _refusal(self, response: httpx2.Response, subject: codes.Subject) -> errors.UpstreamError:
        try:
            body = await _read(response)
        except errors.BadAnswer:
            body = b""  # the status alone says enough
        code, text = wire.read_error(body, self._redact)
        wait = headers.retry_after(response.headers.raw)
        return codes.error_for(response.status_code, code, text, subject=subject, retry_after=wait)

    def _check_key(self) -> None:
        if not self._key:
            raise errors.KeyRejected("no key is set", "put the account's key into CLOVA_API_KEY or its api_key_file")
        if not (self._key.isascii() and self._key.isprintable()):
            raise errors.KeyRejected(
                "the key contains characters that no key has", "copy the key anew: one line, letters, digits and signs"
            )


def make_ssl_context(ca_file: str | None = None) -> ssl.SSLContext:
    """The system's trusted certificates, and those of `ca_file` (PEM) on top. Costs 26 ms: share it."""
    context = httpx2.create_ssl_context(trust_env=False)
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # an ssl.SSLError is one, too
            reason = "isn't a PEM file of certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise errors.WatcherError(
                f"ca_file {ca_file}: {reason}", "write the path of a readable PEM file with your CA's certificate"
            ) from None
    return context


def _transport(context: ssl.SSLContext, proxy: str | None) -> httpx2.AsyncHTTPTransport:
    # The transport without httpx2.AsyncClient: no cookies, redirects, environment or logged addresses to turn off,
    # and a fifth less CPU per request.
    try:
        return httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=_LIMITS, proxy=proxy)
    except (ValueError, TypeError, ImportError, httpx2.InvalidURL):
        # The library's text may repeat the address, and with it a password.
        raise errors.WatcherError(
            "the proxy can't be used", "write it as http://host:port or https://host:port"
        ) from None


async def _read(response: httpx2.Response) -> bytes:
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > MAX_BODY:
        raise _too_big()
    chunks, size = [], 0
    try:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_BODY:
                raise _too_big()
            chunks.append(chunk)
    except breaks.CAUGHT as error:
        raise breaks.cut_off(error) from None
    return b"".join(chunks)


def _too_big() -> errors.BadAnswer:
    return errors.BadAnswer(f"the answer is larger than {MAX_BODY // 1024 // 1024} MiB", wire.GARBAGE_HINT)


def _segment(task_id: str) -> str:
    """One path segment; `.` and `..` would otherwise climb to another address."""
    return quote(task_id, safe="", errors="replace") if task_id.strip(".") else "%2E" * len(task_id)


def _traced(error: errors.UpstreamError, request_id: str) -> errors.UpstreamError:
    error.request_id = request_id
    return error
