"""What the web server asks of the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that isn't as it should be.

    `name` is shown to everybody and tells nothing private (`store-stalled`); `text` is for the operator.
    `fatal`: a restart would mend it.
    """

    name: str
    text: str
    fatal: bool = False


class Status(Protocol):
    """The daemon as the web server sees it. All three answer at once, from memory."""

    def conditions(self) -> list[Condition]:
        """Everything that is wrong now; an empty list when all is well."""

    def ready(self) -> bool:
        """The store answers and each account's first poll has ended, well or not."""

    def metrics(self) -> str:
        """Prometheus text."""
