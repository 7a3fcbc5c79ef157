"""Lines on the terminal where the watcher runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TextIO

from watcher.models import Accepted, Delivery, Digest, Message, Outcome, Retry
from watcher.notifier.channels.base import Reader
from watcher.notifier.render import NOBODY, with_owners

if TYPE_CHECKING:
    from watcher import settings as config
    from watcher.models import ChannelKind


class ConsoleChannel:
    """Prints each message on standard output, or `stream`: the first line, then the rest indented."""

    kind: ChannelKind = "console"
    parallel = 1
    spacing = 0.0

    def __init__(
        self, settings: config.Channel, *, mentions: Mapping[str, str] = NOBODY, stream: TextIO | None = None
    ) -> None:
        self.name = settings.name
        self._reader = Reader(self.kind, settings.language, settings.timezone, mentions, settings.template)
        self._stream = stream
        # A template may take its time and a terminal may stand still: neither may hold up the loop.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"channel-{self.name}")

    async def send(self, delivery: Delivery) -> Outcome:
        return await self._in_thread(lambda: self._show(self._reader.message(delivery)))

    async def send_digest(self, digest: Digest) -> Outcome:
        return await self._in_thread(lambda: self._show(self._reader.digest(digest)))

    async def probe(self) -> None:
        """There is always a terminal, or a place where its output goes."""

    async def aclose(self) -> None:
        """Standard output isn't ours to close."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], Outcome]) -> Outcome:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _show(self, message: Message) -> Outcome:
        lines = [with_owners(message), *(f"  {line}" for line in (message.table or message.body).splitlines())]
        try:
            self._print("\n".join(lines) + "\n")
        except (OSError, ValueError) as error:
            return Retry(f"the terminal can't be written: {getattr(error, 'strerror', None) or error}")
        return Accepted("printed")

    def _print(self, text: str) -> None:
        stream = self._stream or sys.stdout
        # A terminal that knows no UTF-8 shows question marks rather than nothing.
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
