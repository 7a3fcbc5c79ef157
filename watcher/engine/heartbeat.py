"""The ping to a dead man's switch: sent only while the watcher does what it is for."""

from __future__ import annotations

import time
from ssl import SSLContext

import httpx2
import structlog

from watcher.clova import make_ssl_context
from watcher.engine.core import Core
from watcher.scheduler.standing import Standing
from watcher.settings import Settings
from watcher.settings.inputs import Input
from watcher.state.outbox import overdue

log = structlog.get_logger()

TIMEOUT = 10.0
OVERDUE = 300.0
"""Seconds that a delivery may wait for its next try, or an account for an answer beyond its cadence."""


class Heartbeat:
    """Asks an address every `every` seconds, unless polls fail or a delivery is overdue. `context` has the certificates
    to trust, if somebody has read them already."""

    def __init__(self, settings: Settings, context: SSLContext | None = None) -> None:
        heartbeat = settings.heartbeat
        if heartbeat is None:
            raise ValueError("the configuration has no heartbeat")
        self.every = heartbeat.every
        self._rests_on = _rests_on(settings)
        self._url = heartbeat.url.get_secret_value()
        self._client = httpx2.AsyncClient(
            trust_env=False,
            timeout=TIMEOUT,
            verify=context or make_ssl_context(settings.ca_file),
            proxy=settings.proxy.get_secret_value() if settings.proxy else None,
        )
        self._silent_because = ""

    def is_for(self, settings: Settings) -> bool:
        """Whether these settings make the same heartbeat."""
        return self._rests_on == _rests_on(settings)

    async def beat_if_well(self, core: Core) -> None:
        because = self._trouble(core) or await self._backlog(core)
        if because and because != self._silent_because:
            log.warning("heartbeat.withheld", because=because)
        self._silent_because = because
        if not because:
            await self._ping()

    async def aclose(self) -> None:
        await self._client.aclose()

    def _trouble(self, core: Core) -> str:
        """A key that is known to be refused has been told; polls that fail otherwise have not been mended by anyone."""
        for name, sweeper in core.sweepers.items():
            if not sweeper.health.rejected and (sweeper.health.failed or self._silent(sweeper.watched.standing, core)):
                return f"account {name} gives no answers"
        return ""

    def _silent(self, standing: Standing, core: Core) -> bool:
        return standing.last_answer is None or time.monotonic() - standing.last_answer > self._patience(core)

    def _patience(self, core: Core) -> float:
        return OVERDUE + max(core.settings.poll.interval, core.settings.poll.wait_interval)

    async def _backlog(self, core: Core) -> str:
        count = await core.database.write(overdue, OVERDUE)
        return f"{count} deliveries are overdue" if count else ""

    async def _ping(self) -> None:
        try:
            answer = await self._client.get(self._url)
            if answer.status_code >= 400:
                log.warning("heartbeat.failed", status=answer.status_code)
        except httpx2.HTTPError as error:
            log.warning("heartbeat.failed", error=type(error).__name__)


def _rests_on(settings: Settings) -> tuple[object, ...]:
    # The same file may hold other certificates than before.
    certificates = settings.found().get(Input(settings.ca_file)) if settings.ca_file else None
    return settings.heartbeat, settings.proxy, settings.ca_file, certificates
