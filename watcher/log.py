"""One way out for log lines: ours, and those of the libraries, redacted last.

Everybody logs with `structlog.get_logger()`: a dotted event name and fields, one line per unit of work. On a terminal
the lines are for people, elsewhere each is a JSON object: `timestamp` (RFC 3339, UTC, milliseconds), `level`, `event`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from watcher.redact import MASK, Redactor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

QUIET = ("alembic", "apprise", "apscheduler", "asyncio", "httpcore2", "httpx2", "requests", "sqlalchemy", "uvicorn")
"""Libraries of which only warnings are of interest. httpx2 logs every URL at INFO, and webhook URLs are secrets."""

_SECRET_WORDS = frozenset({"authorization", "cookie", "credential", "credentials", "password", "secret", "token"})
_SECRET_NAMES = frozenset({"api_key", "apikey", "private_key", "signing_key"})
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_SEVERAL_LINES = frozenset({"exception", "stack"})


def configure(level: str, format: str, redactor: Redactor, stream: TextIO | None = None) -> None:  # noqa: A002
    """Send every log line of the process to `stream` (standard error unless given).

    `level`: debug, info, warning or error. `format`: console, json, or auto (console on a terminal, else JSON).
    May be called again, after a reload.
    """
    out = stream if stream is not None else sys.stderr
    pretty = format == "console" or (format == "auto" and out.isatty())
    structlog.configure(
        processors=_chain(redactor, pretty, colors=pretty and out.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: _Lines(out),
        cache_logger_on_first_use=False,
    )
    _bridge_libraries()


def catch_uncaught() -> None:
    """Log what would otherwise be printed unredacted: exceptions that leave the main or another thread."""
    sys.excepthook = _uncaught

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            _uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    threading.excepthook = in_thread


def neutral(text: str) -> str:
    """Control, bidi and invisible characters become escapes, so that a terminal shows them instead of obeying them."""
    return _CONTROL.sub(lambda match: _escape(match[0]), text)


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _chain(redactor: Redactor, pretty: bool, colors: bool) -> list[Processor]:
    clean = _Cleaner(redactor, pretty)
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # the standard library's traceback: it has no local variables
        structlog.processors.TimeStamper("%H:%M:%S", utc=False) if pretty else _timestamp,
        clean,
        # An own formatter, since the default takes rich with local variables when it is installed.
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
        if pretty
        else _json_line,
    ]


class _Lines:
    """Writes one line at a time and never raises: a full disk or a closed pipe mustn't end what is being logged."""

    _lock = threading.Lock()

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            with self._lock:
                self._stream.write(line + "\n")
                self._stream.flush()
        except (OSError, ValueError):
            pass

    debug = info = warning = error = critical = exception = msg


class _Cleaner:
    """The last processor but the renderer: no secret passes, by the name of its key or by its value."""

    def __init__(self, redactor: Redactor, pretty: bool) -> None:
        self._redactor = redactor
        self._pretty = pretty

    def __call__(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {str(key): self._field(str(key), value) for key, value in line.items()}

    def _field(self, key: str, value: Any) -> Any:
        if _names_a_secret(key) and value:
            return MASK
        return self._clean(value, several_lines=key in _SEVERAL_LINES)

    def _clean(self, value: Any, several_lines: bool = False) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self._text(str(key)): self._field(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item) for item in value]
        if isinstance(value, datetime):
            return rfc3339(value)
        if isinstance(value, bytes):
            value = value.decode(errors="backslashreplace")
        return self._text(str(value), several_lines)

    def _text(self, text: str, several_lines: bool = False) -> str:
        text = self._redactor(text)
        if not self._pretty:
            return text  # JSON has its own escapes
        return "\n".join(map(neutral, text.split("\n"))) if several_lines else neutral(text)


def _names_a_secret(key: str) -> bool:
    name = key.lower().replace("-", "_")
    return name in _SECRET_NAMES or name.endswith("_api_key") or not _SECRET_WORDS.isdisjoint(name.split("_"))


def _timestamp(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {"timestamp": rfc3339(datetime.now(UTC)), "level": line.pop("level"), "event": line.pop("event"), **line}


def _json_line(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> str:
    text = json.dumps(line, ensure_ascii=False, default=str)
    # Only strings can hold these characters, so escaping them in the finished line keeps it JSON.
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _escape(char: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char) or (
        f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{ord(char):04x}"
    )


class _Bridge(logging.Handler):
    """Hands the libraries' log records to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        line = structlog.get_logger().bind(logger=record.name)
        try:
            text = record.getMessage()
        except Exception:
            # Formatting is the library's doing; the standard handler would print its arguments unredacted.
            line.warning("log.unreadable", line=record.lineno)
        else:
            line.log(_level(record.levelno), text, exc_info=record.exc_info or None)


def _level(number: int) -> int:
    """structlog knows the five standard levels only."""
    return max(logging.DEBUG, min(logging.CRITICAL, number // 10 * 10))


def _bridge_libraries() -> None:
    root = logging.getLogger()
    # Exactly these two: a plain stream handler would print unredacted, a subclass (a test runner's) isn't ours.
    root.handlers = [handler for handler in root.handlers if type(handler) not in (_Bridge, logging.StreamHandler)]
    root.addHandler(_Bridge())
    root.setLevel(logging.WARNING)
    for name in QUIET:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.WARNING)
        logger.propagate = True
    logging.captureWarnings(True)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().error("process.uncaught", exc_info=(kind, error, trace))
