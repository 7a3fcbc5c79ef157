"""The files that `watcher init` writes: secrets for their owner's eyes only, and nothing overwritten by accident."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from watcher.errors import UsageError, WatcherError


def write_secret(path: Path, value: str) -> str:
    """Write a secret to a file of mode 0600 in a folder of mode 0700; returns the path as a configuration names it.

    The folder gets a .gitignore, so that no secret is committed along with the configuration.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            _create(path.parent / ".gitignore", "*\n", 0o644)
        _replace(path, f"{value}\n", 0o600)
    except OSError as error:
        raise _unwritable(path, error) from None
    # A relative path starts at the working directory, and so does the configuration's usual place.
    return f"./{path}" if not path.is_absolute() and len(path.parts) == 2 else str(path.absolute())


def write_config(path: Path, text: str, *, force: bool) -> None:
    """Write the configuration; an existing one only with `force`."""
    try:
        if force:
            _replace(path, text, 0o644)
        else:
            _create(path, text, 0o644)
    except FileExistsError:
        raise UsageError(f"{path} exists already", "write --force to overwrite it") from None
    except OSError as error:
        raise _unwritable(path, error) from None


def check_place(path: Path) -> None:
    """Raises WatcherError where no file can be made; its folder may still be missing."""
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if path.is_dir():
        raise WatcherError(f"{path} is a folder", "name a file with --output")
    try:
        with tempfile.TemporaryFile(dir=folder):
            """It vanishes again."""
    except OSError as error:
        raise _unwritable(path, error) from None


def _create(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _replace(path: Path, text: str, mode: int) -> None:
    """In one step, and never through a file that others may read already."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _create(fresh, text, mode)
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> WatcherError:
    return WatcherError(f"{path} can't be written: {error.strerror}", "choose another place with --output")
