"""Lines on the terminal where the watcher runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from watcher.models import Accepted, Delivery, Outcome, Retry
from watcher.notifier.channels.base import Reader

if TYPE_CHECKING:
    from watcher import settings as config
    from watcher.models import ChannelKind


class ConsoleChannel:
    """Prints each message on standard output, or `stream`: the first line, then the rest indented."""

    kind: ChannelKind = "console"
    parallel = 1

    def __init__(self, settings: config.Channel, *, stream: TextIO | None = None) -> None:
        self.name = settings.name
        self._reader = Reader(self.kind, settings.language, settings.timezone)
        self._stream = stream

    async def send(self, delivery: Delivery) -> Outcome:
        message = self._reader.message(delivery)
        lines = [message.title, *(f"  {line}" for line in message.body.splitlines())]
        try:
            self._print("\n".join(lines) + "\n")
        except (OSError, ValueError) as error:
            return Retry(f"the terminal can't be written: {getattr(error, 'strerror', None) or error}")
        return Accepted("printed")

    async def probe(self) -> None:
        """There is always a terminal, or a place where its output goes."""

    async def aclose(self) -> None:
        """Standard output isn't ours to close."""

    def _print(self, text: str) -> None:
        stream = self._stream or sys.stdout
        # A terminal that knows no UTF-8 shows question marks rather than nothing.
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
