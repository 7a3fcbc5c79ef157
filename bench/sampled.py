"""`python -m bench.sampled FILE run --config ...`: the watcher, with a note of where its CPU goes.

After each millisecond of CPU the main thread's innermost frame of ours is counted by its package, and FILE has the
counts as JSON. A sampler costs next to nothing, while a tracing profiler would make many small calls look dear.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from watcher.cli import main

EVERY = 0.001
"""CPU seconds from sample to sample."""

OURS = f"{Path(main.__code__.co_filename).parent.parent}/"


class Sampler:
    """Counts samples by package of `watcher`: `scheduler`, `clova`, `state` ..."""

    def __init__(self, file: Path) -> None:
        self._file, self._counts = file, Counter[str]()

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        while frame is not None and not frame.f_code.co_filename.startswith(OURS):
            frame = frame.f_back
        where = frame.f_code.co_filename.removeprefix(OURS).split("/")[0] if frame else "elsewhere"
        self._counts[where] += 1
        if self._counts.total() % 20 == 0:
            self._file.write_text(json.dumps(self._counts))


if __name__ == "__main__":
    Sampler(Path(sys.argv.pop(1))).start()
    sys.exit(main())
