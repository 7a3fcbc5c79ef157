"""Native webhooks: CloudEvents 1.0 as JSON, signed by the Standard Webhooks rules."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from watcher import __version__
from watcher.errors import WatcherError
from watcher.models import Delivery, Digest, Outcome, Refused, Retry, Unknown
from watcher.notifier.channels.outcomes import of_status
from watcher.notifier.channels.trust import cause, reach, trust, why
from watcher.notifier.text import clean, cut
from watcher.views import cloud_event

if TYPE_CHECKING:
    from watcher import settings as config
    from watcher.models import ChannelKind, Event
    from watcher.redact import Redactor

TOTAL_TIMEOUT = 30.0
ENOUGH_BODY = 2048
"""Bytes of an answer that are read; its beginning is for people, the rest for nobody."""

# It logs every request's address at INFO, and addresses are secrets.
logging.getLogger("httpx2").setLevel(logging.WARNING)
logging.getLogger("httpcore2").setLevel(logging.WARNING)


class WebhookChannel:
    """Posts events to one http(s) address; 8 at once share one client."""

    kind: ChannelKind = "webhook"
    parallel = 8
    spacing = 0.0

    def __init__(
        self,
        settings: config.Channel,
        *,
        redactor: Redactor,
        proxy: str | None = None,
        ca_file: str | None = None,
        timeout: float = TOTAL_TIMEOUT,
    ) -> None:
        self.name = settings.name
        self._url = settings.url.get_secret_value() if settings.url else ""
        self._signers = _signers(settings)
        self._redactor = redactor
        self._proxy = proxy
        self._timeout = timeout
        self._trust = trust(self.name, ca_file)
        self._address = self._parse()
        self._client = self._open_client()

    async def send(self, delivery: Delivery) -> Outcome:
        content = _Content(delivery.event)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(self._request(delivery.id, content))
        except TimeoutError:
            reason = f"no answer within {self._timeout:g} s"
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, RuntimeError, ValueError) as error:
            reason = self._redactor(_described(error))
        return Unknown(reason) if content.sent else Retry(reason)

    async def send_digest(self, digest: Digest) -> Outcome:
        """Programs read whole events, each by itself; a refused digest is sent singly."""
        return Refused("a webhook takes no digest")

    async def probe(self) -> None:
        context = self._trust if urlsplit(self._proxy or self._url).scheme == "https" else None
        host, port = self._place()
        await reach(self.name, host, port, context)

    async def aclose(self) -> None:
        await self._client.aclose()

    def _parse(self) -> httpx2.URL:
        try:
            return httpx2.URL(self._url)
        except httpx2.InvalidURL:
            raise WatcherError(f"channel {self.name}: its url isn't an address", "write https://HOST/PATH") from None

    def _open_client(self) -> httpx2.AsyncClient:
        try:
            return httpx2.AsyncClient(
                verify=self._trust,
                proxy=self._open_proxy(),
                trust_env=False,
                follow_redirects=False,
                timeout=self._timeout,
                limits=httpx2.Limits(max_connections=self.parallel, max_keepalive_connections=self.parallel),
            )
        except (ValueError, httpx2.InvalidURL):
            raise WatcherError("proxy isn't an address", "write http://HOST:PORT") from None

    def _open_proxy(self) -> httpx2.Proxy | None:
        if not self._proxy:
            return None
        secure = self._proxy.lower().startswith("https://")
        return httpx2.Proxy(self._proxy, ssl_context=self._trust if secure else None)

    def _request(self, delivery_id: str, content: _Content) -> httpx2.Request:
        return self._client.build_request(
            "POST", self._address, content=content, headers=self._headers(delivery_id, content.body)
        )

    def _headers(self, delivery_id: str, body: bytes) -> dict[str, str]:
        now = datetime.now(UTC)
        headers = {
            "Content-Type": "application/cloudevents+json",
            "Content-Length": str(len(body)),
            "User-Agent": f"watcher/{__version__}",
            "webhook-id": delivery_id,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if self._signers:
            headers["webhook-signature"] = " ".join(
                signer.sign(delivery_id, now, body.decode()) for signer in self._signers
            )
        return headers

    async def _post(self, request: httpx2.Request) -> Outcome:
        response = await self._client.send(request, stream=True)
        try:
            body = await _beginning(response)
        finally:
            await response.aclose()
        said = "" if response.is_success else cut(clean(self._redactor(body.decode("utf-8", "replace"))), 200)
        return of_status(response.status_code, retry_after=response.headers.get("retry-after"), said=said)

    def _place(self) -> tuple[str, int]:
        """Where a connection goes first: the proxy, if there is one."""
        try:
            parts = urlsplit(self._proxy or self._url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise WatcherError(f"channel {self.name}: its url isn't an address", "write https://HOST/PATH") from None
        return parts.hostname or "", port


class _Content:
    """An event on its way. `sent`: it has gone out whole; only then may it have arrived without our knowing."""

    def __init__(self, event: Event) -> None:
        body = json.dumps(cloud_event(event), ensure_ascii=False, separators=(",", ":"))
        # What UTF-8 can't hold was replaced when it entered; a leftover mustn't block the queue for ever.
        self.body = body.encode("utf-8", "replace")
        self.sent = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.body
        self.sent = True  # who asks for more has written what it had


def _signers(settings: config.Channel) -> list[Webhook]:
    try:
        return [Webhook(secret.get_secret_value()) for secret in settings.secrets]
    except (ValueError, EmptyWebhookSecretError):
        raise WatcherError(
            f"channel {settings.name}: its signing secret isn't one", "write whsec_ and base64 of 24 to 64 bytes"
        ) from None


async def _beginning(response: httpx2.Response) -> bytes:
    """The first bytes of the answer. The status already says what matters, so a break in here loses nothing."""
    body = b""
    try:
        async with asyncio.timeout(5):
            async for chunk in response.aiter_bytes(ENOUGH_BODY):
                body += chunk
                if len(body) >= ENOUGH_BODY:
                    break
    except (httpx2.HTTPError, TimeoutError, ValueError):
        pass
    return body[:ENOUGH_BODY]


def _described(error: Exception) -> str:
    inner = cause(error)
    if inner is not None:
        return why(inner)
    if isinstance(error, httpx2.TimeoutException):
        return "it didn't answer in time"
    return f"the connection broke: {clean(error)}" if str(error) else f"the connection broke ({type(error).__name__})"
