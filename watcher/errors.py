"""Every error of ours, and what a caller may do about it.

WatcherError                  says what is wrong (`message`) and what to do (`hint`); the command line prints both
├── UsageError                the command line is wrong (exit 2)
├── ConfigError               the configuration is wrong: all problems at once (exit 2)
├── StoreError                the store can't be used (exit 1)
│   ├── StoreBusy             another daemon holds it
│   ├── StoreUnusable         unwritable, foreign, newer, corrupt, or on a network file system
│   ├── StoreStalled          it can't be written just now (disk full, read-only): wait and try again
│   └── StoreLost             the file was deleted or replaced while it was open
├── ListenError               the port can't be opened (exit 1)
└── UpstreamError             CLOVA Studio gave no usable answer; `verdict` says what to do next
    ├── Unreachable           no answer at all: DNS, refused, broken, timed out            RETRY
    ├── BadAnswer             an answer that isn't the API's: HTML, cut off, wrong task    RETRY
    ├── ServerTrouble         408, 5xx                                                     RETRY
    ├── RateLimited           429; `retry_after` when the answer said so                   RETRY
    ├── RequestRefused        400, 501 and the like: the same request will fail again      STOP
    ├── TaskUnknown           404 with code 40400: deleted, or not of this key             STOP
    ├── NotOwned              403 with code 40301: this key may not see this task          STOP
    └── KeyRejected           401, other 403: the operator must mend the key               ASK
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class WatcherError(Exception):
    """Something went wrong that a person should read about; `hint` says what to do, without a final full stop."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def ours(error: BaseException | None) -> WatcherError | None:
    """The error of ours in `error`, also where a group of tasks wraps it."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := ours(each))), None)
    return error if isinstance(error, WatcherError) else None


class UsageError(WatcherError):
    """The command line asks for something that can't be."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a configuration. `line` and `column` count from 1; 0 where there is no file."""

    source: str
    line: int
    column: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}" if self.line else self.source
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigError(WatcherError):
    """The configuration is wrong; `problems` has every reason, in the order of the files."""

    exit_code = 2

    def __init__(self, problems: tuple[Problem, ...], hint: str = "") -> None:
        super().__init__("\n".join(map(str, problems)), hint)
        self.problems = problems


class StoreError(WatcherError):
    """The store can't be used."""


class StoreBusy(StoreError):
    """Another daemon holds the store."""


class StoreUnusable(StoreError):
    """The store is unwritable, foreign, newer than this version, corrupt, or lies where a database mustn't."""


class StoreStalled(StoreError):
    """The store can't be written just now (disk full, read-only, locked); the same write may succeed later."""


class StoreLost(StoreError):
    """The database file was deleted or replaced under the running process."""


class ListenError(WatcherError):
    """The HTTP address can't be listened on."""


class Verdict(Enum):
    """What a failed request asks of the watcher."""

    RETRY = "retry"
    STOP = "stop"
    ASK = "ask"


class UpstreamError(WatcherError):
    """CLOVA Studio gave no usable answer.

    `status` is the HTTP status (0: none), `code` the envelope's code ("" if none), `retry_after` seconds (None: not
    said), `request_id` the id that NAVER's support can trace.
    """

    verdict = Verdict.RETRY

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        status: int = 0,
        code: str = "",
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.request_id = request_id


class Unreachable(UpstreamError):
    """No answer at all."""


class BadAnswer(UpstreamError):
    """An answer that the API wouldn't give."""


class ServerTrouble(UpstreamError):
    """The upstream failed by its own account."""


class RateLimited(UpstreamError):
    """Too many requests."""


class RequestRefused(UpstreamError):
    """The same request will fail again."""

    verdict = Verdict.STOP


class TaskUnknown(UpstreamError):
    """The API itself says that there is no such task."""

    verdict = Verdict.STOP


class NotOwned(UpstreamError):
    """The key is good but may not see this task."""

    verdict = Verdict.STOP


class KeyRejected(UpstreamError):
    """The key is refused; only the operator can mend that."""

    verdict = Verdict.ASK
