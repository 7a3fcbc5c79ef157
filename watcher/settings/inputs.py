"""What a load reads of the disk: everything once, bounded and without ever waiting, with a memory of what it found.

Whatever can change what a load says goes through here. So the settings know what they rest on, and a later look at the
same inputs tells whether a new load could say anything else.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, TypeVar

MAX_BYTES = 4 * 1024 * 1024
"""What no configuration, secret or bundle of certificates exceeds; of a larger file one byte more is read."""

_STARVED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_KEY = os.urandom(16)
_T = TypeVar("_T")


class Input(NamedTuple):
    """A file, or the names of a folder's *.yaml."""

    path: str
    folder: bool = False


Found = Mapping[Input, bytes]
"""What was found at each input: a digest of the content, or of why it couldn't be read. Means nothing elsewhere."""


class NotRegularError(OSError):
    """Something else stands where a file should: a folder, a named pipe, a device."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "is no regular file")


def content(path: str) -> bytes:
    """A regular file's bytes, at most MAX_BYTES and one more. Raises OSError, and ValueError for what is no path."""
    # A named pipe without writer would hold an ordinary open for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(MAX_BYTES + 1)
    finally:
        with suppress(OSError):
            os.close(descriptor)


def names(folder: str) -> list[str]:
    """The paths of a folder's *.yaml in the order of their names, but those that start with a dot. Raises OSError."""
    found = sorted(name for name in os.listdir(folder) if name.endswith(".yaml") and not name.startswith("."))
    return [str(path) for path in (Path(folder, name) for name in found) if not path.is_dir()]


class Inputs:
    """What one load reads. A file that is asked for twice is read once, so that the load sees one state of it."""

    def __init__(self) -> None:
        self.found: dict[Input, bytes] = {}
        self._contents: dict[str, bytes | OSError] = {}

    def content(self, path: str) -> bytes:
        """As the function `content`."""
        if path not in self._contents:
            self._contents[path] = _tried(content, path)
            self.found[Input(path)] = _digest(self._contents[path])
        return _or_raise(self._contents[path])

    def names(self, folder: str) -> list[str]:
        """As the function `names`."""
        listed = _tried(names, folder)
        self.found[Input(folder, folder=True)] = _digest(listed)
        return _or_raise(listed)


def look(inputs: Iterable[Input]) -> dict[Input, bytes]:
    """What is found there now. Raises OSError where this process can't look at all, which says nothing of the files."""
    found = {}
    for each in inputs:
        outcome = _tried(names, each.path) if each.folder else _tried(content, each.path)
        if isinstance(outcome, OSError) and outcome.errno in _STARVED:
            raise outcome
        found[each] = _digest(outcome)
    return found


def _tried(read: Callable[[str], _T], path: str) -> _T | OSError:
    try:
        return read(path)
    except OSError as error:
        return error


def _or_raise(outcome: _T | OSError) -> _T:
    if isinstance(outcome, OSError):
        raise outcome
    return outcome


def _digest(outcome: bytes | list[str] | OSError) -> bytes:
    if isinstance(outcome, OSError):
        return f"{type(outcome).__name__} {outcome.errno}".encode()
    found = outcome if isinstance(outcome, bytes) else os.fsencode("\0".join(outcome))
    # With a key of this process's own: the digest of a secret lets nobody try guesses on it.
    return blake2b(found, digest_size=16, key=_KEY).digest()
