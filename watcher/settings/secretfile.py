"""Reading the file that a `_file` key names."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

MAX_BYTES = 64 * 1024


class NoSecretError(ValueError):
    """The file gives no secret; the text says why, and what to do."""


def read(path: str) -> str:
    """The file's text without one trailing newline. Raises NoSecretError."""
    if not path.strip() or "\0" in path or "\n" in path or "://" in path:
        raise NoSecretError("must be the path of a file that holds the secret, not the secret itself")
    try:
        # A named pipe without writer would hold an ordinary open for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NoSecretError(f"{_named(path)} can't be read: {error.strerror}.{_hint(error, path)}") from None
    try:
        return _content(descriptor, path)
    except OSError as error:
        raise NoSecretError(f"{_named(path)} can't be read: {error.strerror}") from None
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _content(descriptor: int, path: str) -> str:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise NoSecretError(f"{_named(path)} is no regular file; name a file that holds the secret")
    with os.fdopen(os.dup(descriptor), "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise NoSecretError(f"{_named(path)} is larger than 64 KiB; that is no secret")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NoSecretError(f"{_named(path)} isn't UTF-8 text; write the secret into it as text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise NoSecretError(f"{_named(path)} is empty; write the secret into it")
    return text


def _named(path: str) -> str:
    """A path is shown only if it can't be the secret itself, written in the wrong place."""
    return path if path.startswith(("/", "./", "../")) else "the file"


def _hint(error: OSError, path: str) -> str:
    if not os.path.isabs(path):
        return f" A relative path starts at the working directory, {os.getcwd()}"
    if isinstance(error, PermissionError):
        return " Let the watcher's user read it"
    return " Create it, or correct the path"
