"""`watcher demo`: the real watcher lives through a day in a minute, with an outage and a SIGKILL in it.

`story` says what happens, `stage` has the processes, `director` plays, `tally` counts, `screen` shows.
"""

from __future__ import annotations

from watcher.errors import UsageError

LANGUAGES = ("en", "ja", "ko")
SHORTEST, USUAL, LONGEST = 40.0, 60.0, 3600.0
"""Seconds that the story may take. Processes really start and die in it, which can't be hurried."""


def main(*, language: str = "en", keep: bool = False, port: int | None = None, seconds: float | None = None) -> int:
    """Play it; returns the exit code: 0 when every change was told. Raises WatcherError when it can't be played.

    `port` is the health page's (None: any free one); `keep` leaves everything running until Ctrl-C.
    """
    import asyncio

    if language not in LANGUAGES:
        raise UsageError(f"there is no language {language}", f"write one of {', '.join(LANGUAGES)}")
    length = USUAL if seconds is None else seconds
    if not SHORTEST <= length <= LONGEST:
        raise UsageError(
            f"the story can't take {length:g} s: processes really start and die in it",
            f"write --seconds from {SHORTEST:g} to {LONGEST:g}",
        )
    from watcher.simulator.demo.director import perform

    return asyncio.run(perform(language=language, keep=keep, port=port or 0, seconds=length))
