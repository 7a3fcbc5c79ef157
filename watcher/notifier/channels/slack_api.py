"""Slack's Web API: one call at a time, and troubles that mean something. The only module that imports slack_sdk."""

from __future__ import annotations

import base64
import http.client
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, Request

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from watcher import __version__
from watcher.errors import WatcherError
from watcher.notifier.channels.outcomes import parse_retry_after
from watcher.notifier.channels.slack_errors import SlackTrouble
from watcher.notifier.channels.trust import cause, trust, why
from watcher.notifier.text import clean, cut

if TYPE_CHECKING:
    from watcher.redact import Redactor

BASE = "https://slack.com/api/"
LARGEST = 16 * 1024 * 1024
"""Bytes of an answer. A page of messages with their blocks has some hundred thousand."""

# It logs addresses and what it sends.
_quiet = logging.getLogger("slack_sdk")
_quiet.setLevel(logging.CRITICAL)


class SlackApi:
    """Calls Slack with one token. Blocks: for a thread of its own.

    `name` is our channel's, for errors. Raises WatcherError for a proxy or `ca_file` that can't be used.
    """

    def __init__(
        self,
        name: str,
        token: str,
        base: str,
        *,
        redactor: Redactor,
        proxy: str | None = None,
        ca_file: str | None = None,
        timeout: float,
    ) -> None:
        self._redactor = redactor
        self._client = _Client(
            token=token,
            base_url=base,
            timeout=timeout,  # type: ignore[arg-type]  # seconds, passed on to the socket
            ssl=trust(name, ca_file),
            retry_handlers=[],
            logger=_quiet,
            user_agent_prefix=f"watcher/{__version__}",
        )
        self._client.through = _proxy(proxy)
        self.scopes: frozenset[str] = frozenset()
        """What the token may do, as far as Slack said so."""

    def call(self, method: str, **arguments: Any) -> Mapping[str, Any]:
        """One call, once; arguments that are None are left out. Raises SlackTrouble."""
        try:
            answer = getattr(self._client, method)(**arguments)
        except SlackApiError as error:
            raise self._trouble(error) from None
        except URLError as error:  # before all of the request was sent
            raise SlackTrouble(why=self._described(error)) from None
        except (OSError, http.client.HTTPException) as error:
            raise SlackTrouble(why=f"{self._described(error)}, after it was sent", maybe=True) from None
        except (SlackClientError, ValueError, AttributeError, TypeError, LookupError, RecursionError):
            raise SlackTrouble(why="the answer isn't Slack's; check url and proxy") from None
        self._learn(answer.headers)
        return answer.data if isinstance(answer.data, Mapping) else {}

    def _learn(self, headers: Mapping[str, str]) -> None:
        said = _header(headers, "x-oauth-scopes")
        if said:
            self.scopes = frozenset(filter(None, (scope.strip() for scope in said.split(","))))

    def _trouble(self, error: SlackApiError) -> SlackTrouble:
        answer = error.response
        status, headers = int(answer.status_code), answer.headers
        after = parse_retry_after(_header(headers, "retry-after"), datetime.now(UTC))
        code = answer.get("error")
        code = code if isinstance(code, str) and code.isascii() and code.replace("_", "").isalnum() else ""
        if status == 429:
            return SlackTrouble("ratelimited", after=after)
        if status != 200:
            return SlackTrouble(why=_status(status), after=after)
        needed = answer.get("needed")
        return SlackTrouble(
            self._say(code, 60),
            why="the answer isn't Slack's; check url and proxy",
            needed=self._say(needed, 100) if isinstance(needed, str) else "",
            after=after,
        )

    def _say(self, text: str, limit: int) -> str:
        return cut(clean(self._redactor(text)), limit)

    def _described(self, error: Exception) -> str:
        inner = cause(error)
        reason = getattr(error, "reason", None)
        inner = inner or (cause(reason) if isinstance(reason, BaseException) else None)
        if inner is not None:
            return self._say(why(inner), 200)
        return self._say(f"the connection broke ({type(error).__name__})", 200)


class _Client(WebClient):
    """The official client on a transport without surprises: no redirects, which would carry the token elsewhere, no
    proxy from the environment, and no answer without end."""

    through: tuple[str, str] | None = None
    """A proxy as HOST:PORT and its authorization."""

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        opener = OpenerDirector()
        opener.add_handler(HTTPHandler())
        opener.add_handler(HTTPSHandler(context=self.ssl))
        if self.through is not None:
            place, authorization = self.through
            req.set_proxy(place, "http")
            if authorization:
                req.add_header("Proxy-Authorization", authorization)
        answer = opener.open(req, timeout=self.timeout)
        if answer is None:
            raise ValueError("neither http nor https")
        with answer:
            body = answer.read(LARGEST + 1)
        if len(body) > LARGEST:
            raise ValueError("an answer without end")
        return {"status": answer.status, "headers": answer.headers, "body": body.decode("utf-8", "replace")}


def _proxy(url: str | None) -> tuple[str, str] | None:
    if not url:
        return None
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        place, scheme = f"{host}:{parts.port or 80}", parts.scheme.lower()
    except ValueError:
        place, scheme = "", ""
    if scheme == "https":
        raise WatcherError("proxy: Slack can't be reached through an https:// proxy", "write http://HOST:PORT")
    if scheme != "http" or not parts.hostname:
        raise WatcherError("proxy isn't an address", "write http://HOST:PORT")
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return place, "Basic " + base64.b64encode(user.encode()).decode() if parts.username else ""


def _header(headers: Mapping[str, Any], name: str) -> str | None:
    return next((str(value) for key, value in headers.items() if key.lower() == name), None)


def _status(status: int) -> str:
    if 300 <= status < 400:
        return f"HTTP {status}: the address has moved, and redirects aren't followed"
    return f"HTTP {status} from Slack" if status >= 500 else f"HTTP {status}: the address isn't Slack's API; check url"
