"""Noticing that the configuration has changed: by the content of all that it rests on, and by nothing else.

Content and paths are compared, never times or inodes: so it works for a file written in place (a bind mount of a single
file), for one renamed over it (editors), and for a link that is swapped (ConfigMaps). A change counts when two looks in
a row find the same, so a half-written file or one that is gone for a moment is neither loaded nor an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from threading import Lock

from watcher.errors import ConfigError
from watcher.settings.environment import SEARCH
from watcher.settings.inputs import Found, Inputs, look
from watcher.settings.load import load
from watcher.settings.schema import Settings


class ConfigWatch:
    """Looks at the configuration of a running process. Every method may wait for the disk: call it from a thread.

    `paths` are those of the command line. The environment is taken as it is now, since it can't change from outside.
    Where the configuration is searched (no paths, no WATCHER_CONFIG), what was found at start is watched: it is missed
    when it goes, and no other place takes over.
    """

    def __init__(self, paths: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> None:
        self._env = dict(os.environ if env is None else env)
        self._paths = tuple(paths or filter(None, [self._env.get(SEARCH)]))
        self._lock = Lock()
        self._told: Found | None = None
        """What the last outcome that was told rests on: while it is found unchanged, no load says anything else."""
        self._before: Found = {}
        """What the last look found, if it found a change."""

    def applied(self, settings: Settings) -> None:
        """These settings are in force from now on, the first ones included."""
        with self._lock:
            self._paths = self._paths or settings.sources
            self._settle(settings.found())

    def load(self) -> Settings | ConfigError:
        """What the configuration says now, changed or not; `look` won't tell the same again."""
        with self._lock:
            outcome, found = self._load()
            self._settle(found)
            return outcome

    def look(self) -> Settings | ConfigError | None:
        """The outcome of a changed configuration, once per content; None while there is nothing (more) to say.

        After an error the content that was in force before gives its settings again: equal to those in force, but the
        error is over.
        """
        with self._lock:
            try:
                now = look({*(self._told or ()), *self._before})
            except OSError:
                return None
            if self._told is not None and self._told.items() <= now.items():
                self._before = {}
                return None
            if now != self._before:
                self._before = now
                return None
            outcome, found = self._load()
            if not found.items() <= now.items():
                # Changed between look and load, or read for the first time: two looks must find that, too.
                self._before = {**now, **found}
                return None
            self._settle(found)
            return outcome

    def _load(self) -> tuple[Settings | ConfigError, Found]:
        inputs = Inputs()
        try:
            return load(self._paths, self._env, inputs), inputs.found
        except ConfigError as error:
            return error, inputs.found

    def _settle(self, found: Found) -> None:
        self._told, self._before = dict(found), {}
