"""Reading the file that a `_file` key names."""

from __future__ import annotations

import os
from collections.abc import Callable

from pydantic import SecretStr

from watcher.settings import inputs, values

MAX_BYTES = 64 * 1024


class NoSecretError(ValueError):
    """The file gives no secret; the text says why and what to do, and repeats nothing of the content."""


def read(path: str, content: Callable[[str], bytes] = inputs.content, *, what: str = "secret") -> str:
    """The file's text without one trailing newline, as it is now. Never waits. Raises NoSecretError.

    `what` is what errors call the text.
    """
    if not path.strip() or "\0" in path or "\n" in path or "://" in path:
        raise NoSecretError(f"must be the path of a file that holds the {what}, not the {what} itself")
    try:
        return _text(content(path), path, what)
    except inputs.NotRegularError:
        raise NoSecretError(f"{_named(path)} is no regular file; name a file that holds the {what}") from None
    except OSError as error:
        raise NoSecretError(f"{_named(path)} can't be read: {error.strerror}.{_hint(error, path)}") from None


def read_key(path: str) -> SecretStr:
    """The API key that the file holds now, fit for a header: what a load would take. Raises NoSecretError."""
    try:
        return SecretStr(values.header_safe(read(path)))
    except NoSecretError:
        raise
    except ValueError as error:
        raise NoSecretError(f"what {_named(path)} holds {error}") from None


def _text(content: bytes, path: str, what: str) -> str:
    if len(content) > MAX_BYTES:
        raise NoSecretError(f"{_named(path)} is larger than 64 KiB; that is no {what}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NoSecretError(f"{_named(path)} isn't UTF-8 text; write the {what} into it as text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise NoSecretError(f"{_named(path)} is empty; write the {what} into it")
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
