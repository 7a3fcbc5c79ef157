"""What an answer means for a delivery: taken, refused for good, to be tried again, or unknown. Pure."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from watcher.models import Accepted, Outcome, Refused, Retry, Unknown
from watcher.notifier.channels.trust import cause, why

if TYPE_CHECKING:
    from watcher.notifier.channels.recorder import Attempt

REFUSALS = frozenset({400, 410, 413, 422})
"""The message itself will never be taken. 401, 403 and 404 are mended by an operator, so they are tried again."""

TOO_LATE = frozenset({"rcpt", "data", "content"})
"""SMTP commands whose 5xx is about this mail; an earlier one is about us, and can be mended."""

MENDABLE = {
    "channel_is_archived": "unarchive the channel, or put the URL of another one's webhook",
    "WorkflowTriggerIsNotEnabled": "turn the workflow on again in Teams",
    "chat not found": "put the chat's id, and add the bot to the chat",
    "group chat was upgraded": "put the chat's new id: the group has become a supergroup",
    "migrate_to_chat_id": "put the chat's new id: the group has become a supergroup",
}
"""Words of Slack's, Teams' and Telegram's that refuse the place and not the message, with what to do: then it is tried
again, since somebody will."""

LONGEST_WAIT = 3600.0
"""Seconds that a channel may ask us to stay away."""


def of_status(status: int, *, retry_after: str | None = None, said: str = "", now: datetime | None = None) -> Outcome:
    """The outcome of an HTTP answer; `said` is the beginning of its body, already redacted and cleaned."""
    reason = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if 200 <= status < 300:
        return Accepted(f"HTTP {status}")
    if status in REFUSALS:
        return Refused(reason)
    if 300 <= status < 400:
        return Retry(f"HTTP {status}: the address has moved, and redirects aren't followed")
    return Retry(reason, parse_retry_after(retry_after, now or datetime.now(UTC)))


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to stay away, at most an hour; None where nothing readable was said. Takes seconds or an HTTP date."""
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text) if text[:1].isdigit() else (parsedate_to_datetime(text) - now).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def of_attempt(attempt: Attempt, done: bool, say: Callable[[object], str]) -> Outcome:
    """What apprise's yes or no (`done`) means, knowing what happened on the wire.

    A service that neither requests nor smtplib nor MQTT carries (XMPP, IRC, ...) leaves no trace: its "no" is unknown.
    `say` redacts, cleans and cuts text from outside.
    """
    if attempt.statuses:
        return _of_http(attempt, done, say)
    if attempt.broker:
        return Retry(say(attempt.broker))
    if done:
        return Accepted("accepted")
    if attempt.smtp:
        return _of_smtp(attempt, say)
    said = f": {say(attempt.error)}" if attempt.error else ""
    return Unknown(f"the service didn't confirm it{said}")


def _of_http(attempt: Attempt, done: bool, say: Callable[[object], str]) -> Outcome:
    last = attempt.statuses[-1]
    if done and any(200 <= status < 300 for status in attempt.statuses):
        return Accepted(f"HTTP {last}")
    if attempt.error is not None:
        reason = _described(attempt.error, say)
        return Unknown(f"{reason}, after the message was sent") if attempt.sent else Retry(reason)
    if 200 <= last < 300:
        return Retry(f"HTTP {last}, but the service says no: {say(attempt.body)}")
    outcome = of_status(last, retry_after=attempt.retry_after or _patience(attempt.body), said=say(attempt.body))
    mending = next((advice for word, advice in MENDABLE.items() if word in attempt.body), "")
    if isinstance(outcome, Refused) and mending:
        return Retry(f"{outcome.reason}; {mending}")
    if isinstance(outcome, Refused) and len(attempt.statuses) > 1:
        # Which of several requests (a login, a look-up) was refused can't be told; only one's own message is final.
        return Retry(outcome.reason)
    return outcome


def _patience(body: str) -> str | None:
    """How many seconds Telegram and Discord say to wait, where they say it in words only."""
    found = re.search(r'"retry_after"\s*:\s*(\d{1,6}(?:\.\d{1,6})?)', body)
    return found[1] if found else None


def _of_smtp(attempt: Attempt, say: Callable[[object], str]) -> Outcome:
    if attempt.reply is not None:
        command, code, said = attempt.reply
        reason = f"SMTP {code} at {command.upper()}: {say(said)}"
        return Refused(reason) if code >= 500 and command in TOO_LATE else Retry(reason)
    if attempt.sent:
        return Unknown("the connection broke after the mail was sent")
    return Retry(_described(attempt.error, say) if attempt.error else "the mail server didn't take it")


def _described(error: BaseException, say: Callable[[object], str]) -> str:
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return why(TimeoutError()) if isinstance(cause(error), TimeoutError) else "the mail server hung up"
    if isinstance(error, smtplib.SMTPException):
        return say(error)
    # requests is one of the OSErrors itself: only what lies inside it says something.
    inner = cause(error)
    if inner is not None:
        return why(inner)
    name = type(error).__name__
    return "it didn't answer in time" if "Timeout" in name else f"the connection broke ({name})"
