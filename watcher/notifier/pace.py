"""How densely a channel is written to. Monotonic, so no step of the clock makes it wait or hurry."""

from __future__ import annotations

import time


class Pace:
    """At least `spacing` seconds between the beginnings of two messages."""

    def __init__(self, spacing: float) -> None:
        self.spacing = spacing
        self._next = 0.0

    def wait(self) -> float:
        """Seconds until another one may begin; 0 at once."""
        return max(0.0, self._next - time.monotonic()) if self.spacing else 0.0

    def take(self) -> None:
        """One begins now."""
        self._next = time.monotonic() + self.spacing
