"""Chats and mail: what apprise speaks, with answers that mean something.

apprise blocks, so each channel has a thread of its own. Its answers are yes or no; the recorder tells what happened
on the wire, and `of_attempt` makes one of our outcomes of both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import structlog

from watcher.errors import WatcherError
from watcher.models import ChannelKind, Delivery, Digest, Outcome, Retry, Unknown
from watcher.notifier.channels import apprise, mqtt, recorder
from watcher.notifier.channels.base import Reader
from watcher.notifier.channels.dialects import dialect, service, spacing, written
from watcher.notifier.channels.outcomes import of_attempt
from watcher.notifier.channels.recorder import Attempt, recording
from watcher.notifier.channels.services import OCTETS
from watcher.notifier.channels.trust import advice, certified, reach, trust, why
from watcher.notifier.mail import Letter, page
from watcher.notifier.text import clean, cut

if TYPE_CHECKING:
    from watcher import settings as config
    from watcher.redact import Redactor

log = structlog.get_logger()

TOTAL_TIMEOUT = 60.0
"""Seconds after which a thread that is still sending is given up, and a new one takes its place."""

_GRAVEST = ("failure", "warning", "success", "info")


class AppriseChannel:
    """One target of one service. Messages go one after the other, `spacing` seconds apart."""

    parallel = 1

    def __init__(
        self,
        settings: config.Channel,
        *,
        kind: ChannelKind,
        redactor: Redactor,
        proxy: str | None = None,
        ca_file: str | None = None,
        mentions: Mapping[str, str] | None = None,
        timeout: float = TOTAL_TIMEOUT,
    ) -> None:
        self.name = settings.name
        self.kind: ChannelKind = kind
        self._url = settings.url.get_secret_value() if settings.url else ""
        self._reader = Reader(kind, settings.language, settings.timezone, mentions or {}, settings.template)
        self._redactor = redactor
        self._proxy = proxy
        self._ca_file = ca_file
        self._timeout = timeout
        self._trust = trust(self.name, ca_file, shared=False)
        self._plugin = apprise.load(self.name, self._url)
        self.spacing = spacing(service(type(self._plugin).__module__)) if settings.pace is None else settings.pace
        self._thread = self._new_thread()
        self._connections = recorder.Connections()

    async def send(self, delivery: Delivery) -> Outcome:
        return await self._send(lambda: self._letter(delivery))

    async def send_digest(self, digest: Digest) -> Outcome:
        return await self._send(lambda: self._digest_letter(digest))

    async def _send(self, write: Callable[[], Letter]) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout):
                outcome: Outcome = await self._in_thread(self._deliver, self._plugin, write)
                return outcome
        except TimeoutError:
            self._start_over()
            return Unknown(f"not done after {self._timeout:g} s")
        except Exception as error:
            log.exception("channel.broke", channel=self.name)
            return Retry(f"the service's plug-in failed ({type(error).__name__})")

    async def probe(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                place = await self._in_thread(self._look, self._plugin)
        except TimeoutError as error:
            raise WatcherError(f"channel {self.name}: {why(error)}", advice(error)) from None
        if place is not None:
            scheme, host, port = place
            await reach(self.name, host, port, self._trust if scheme == "https" else None)

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._connections.close()

    def _start_over(self) -> None:
        """A fresh thread and plug-in; a thread that hangs keeps the old plug-in, and ends when it comes back."""
        self._thread.shutdown(wait=False)
        self._plugin = apprise.load(self.name, self._url)
        self._thread = self._new_thread()
        self._connections = recorder.Connections()

    def _new_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"channel-{self.name}")

    async def _in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _attempt(self, **more: Any) -> Attempt:
        return Attempt(self._trust, self._connections, self._ca_file, self._proxy, **more)

    def _letter(self, delivery: Delivery) -> Letter:
        event = delivery.event
        about = event.queue if event.queue != "watcher" else ""
        return Letter(self._reader.message(delivery), delivery.id, about, event.severity, self._reader.language)

    def _digest_letter(self, digest: Digest) -> Letter:
        severities = {member.event.severity for member in digest.members}
        gravest = next((severity for severity in _GRAVEST if severity in severities), "info")
        return Letter(self._reader.digest(digest), digest.id, "", gravest, self._reader.language)

    def _deliver(self, plugin: Any, write: Callable[[], Letter]) -> Outcome:
        letter = write()
        attempt = self._attempt(letter=letter)
        with recording(attempt):
            try:
                done = self._notify(plugin, letter, attempt)
            except Exception as error:
                attempt.error = attempt.error or error
                done = False
        return of_attempt(attempt, done, self._say)

    def _notify(self, plugin: Any, letter: Letter, attempt: Attempt) -> bool:
        arguments = self._arguments(plugin, letter) | {"notify_type": letter.severity}
        if service(type(plugin).__module__) != "mqtt":
            return bool(plugin.notify(**arguments))
        with mqtt.connected(plugin, attempt) as welcomed:
            return welcomed and bool(plugin.notify(**arguments))

    def _arguments(self, plugin: Any, letter: Letter) -> dict[str, Any]:
        library, message = apprise.loaded(), letter.message
        if self.kind == "mail":
            return {"title": message.title, "body": page(letter), "body_format": library.html}
        name = service(type(plugin).__module__)
        style = dialect(name, markdown_only=plugin.notify_format == library.markdown)
        title, body = written(
            message,
            style,
            title_limit=plugin.title_maxlen,
            body_limit=plugin.body_maxlen,
            lines=plugin.body_max_line_count,
            octets=OCTETS.get(name, 0),
        )
        return {"title": title, "body": body, "body_format": library.text if style.converted else None}

    def _say(self, text: object) -> str:
        return cut(clean(self._redactor(str(text))), 200)

    def _look(self, plugin: Any) -> tuple[str, str, int] | None:
        """Where the plug-in would send to; for mail, the whole way up to the message. None if that can't be told."""
        if isinstance(plugin, apprise.loaded().email):
            self._look_at_mail(plugin)
            return None
        if service(type(plugin).__module__) == "mqtt":
            self._look_at_broker(plugin)
            return None
        if not apprise.uses_requests(type(plugin)):
            return None
        attempt = self._attempt(dry=True)
        with recording(attempt):
            try:
                plugin.notify(title="", body="?")
            except Exception:
                log.debug("channel.probe_stopped", channel=self.name)
        return recorder.place(self._proxy) if self._proxy and attempt.place else attempt.place

    def _look_at_mail(self, plugin: Any) -> None:
        attempt = self._attempt()
        with recording(attempt):
            try:
                apprise.greet(plugin)
            except Exception as error:
                attempt.error = attempt.error or error
                outcome = of_attempt(attempt, False, self._say)
                hint = "check the mail server, port, mode, user and password in its url"
                raise WatcherError(
                    f"channel {self.name}: {getattr(outcome, 'reason', '')}", certified(attempt.error) or hint
                ) from None

    def _look_at_broker(self, plugin: Any) -> None:
        attempt = self._attempt()
        with mqtt.connected(plugin, attempt) as welcomed:
            if not welcomed:
                hint = "check the broker, port, user and password in its url; messages wait until it works"
                raise WatcherError(
                    f"channel {self.name}: {self._say(attempt.broker)}", certified(attempt.error) or hint
                )
