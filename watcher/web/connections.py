"""uvicorn's HTTP/1.1 connection, with the limits that it lacks: on waiting for headers, on slow readers, on number."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 10.0
"""Seconds: from the start of a connection, or the end of an answer, to the next complete headers; and for a reader
who takes nothing of an answer."""

MOST = 256
SPARE = 16
"""Connections above the limit that are still taken, for health probes only."""


def connection_limit() -> int:
    """A quarter of the file descriptors that the process may have: polling and sending need the rest."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(4, min(MOST, soft // 4))


class Crowd:
    """The open connections, oldest first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[Connection, None] = {}

    def full(self) -> bool:
        return len(self._open) > self._limit

    def admit(self, connection: Connection) -> bool:
        """Silent connections give way to new ones. False: there is no room at all."""
        if len(self._open) >= self._limit:
            for other in self._open:
                if not other.answering:
                    other.abort()
                    break
        self._open[connection] = None
        return len(self._open) <= self._limit + SPARE

    def leave(self, connection: Connection) -> None:
        self._open.pop(connection, None)

    def all(self) -> list[Connection]:
        return list(self._open)


class Connection(H11Protocol):
    """One connection; it is either answering a request or running out of patience."""

    def __init__(self, *args: Any, crowd: Crowd, patience: float = PATIENCE, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._crowd = crowd
        self._patience = patience
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def abort(self) -> None:
        # Not close(): that waits until a reader who may never read has taken what is buffered.
        self._crowd.leave(self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()
        if not self._crowd.admit(self):
            self.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.answering:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()  # which begins the next answer if its request is already here
        if self.answering:
            self._stop_waiting()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.answering:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._crowd.leave(self)
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(self._patience, self.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
