"""From the command line to an exit code: the one place where errors become words."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from watcher.cli import parsing
from watcher.errors import ConfigError, WatcherError, ours
from watcher.notifier.text import clean
from watcher.redact import Redactor

INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell reports for a program that SIGINT or SIGPIPE ended."""

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What printing raises where its target can't take it. Files of ours have names in their errors."""

UNEXPECTED = "run it again with WATCHER_LOG__LEVEL=debug and report what it prints, with: watcher --version"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _make_output_usable()
    redactor = Redactor([os.environ.get("CLOVA_API_KEY", "")])
    try:
        return _run(list(sys.argv[1:] if argv is None else argv), redactor)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:
        return _report(error, redactor)


def _run(argv: list[str], redactor: Redactor) -> int:
    if not argv:
        print(parsing.overview(), file=sys.stderr)
        return 2
    try:
        command, arguments = parsing.parse(argv)
    except SystemExit:  # after --help, which may have found no room either
        sys.stdout.flush()
        raise
    arguments.redactor = redactor
    code = command.run(arguments)
    sys.stdout.flush()
    return code


def _report(error: Exception, redactor: Redactor) -> int:
    known = ours(error) or _of_the_process(error)
    if known is None:
        _report_unexpected(error, redactor)
        return 1
    for line in known.message.splitlines() or [""]:
        _say("Error", line, redactor)
    hint = known.hint
    if isinstance(known, ConfigError):
        hint = hint or _count(known)
    if hint:
        _say("Try", hint, redactor)
    return known.exit_code


def _count(error: ConfigError) -> str:
    found = len(error.problems)
    what = "this problem" if found == 1 else f"these {found} problems"
    return f"mend {what}, then look again with: watcher check"


def _of_the_process(error: Exception) -> WatcherError | None:
    """Where the fault lies with the place or the output that the process was given."""
    if not isinstance(error, OSError):
        return None
    try:
        os.getcwd()
    except FileNotFoundError:
        return WatcherError("the working directory was deleted", "go to one that exists: cd PATH")
    if error.filename is not None or error.errno not in UNWRITABLE:
        return None
    _discard_output()
    return WatcherError(
        f"standard output can't be written: {error.strerror}", "look where the output goes: is the disk full?"
    )


def _report_unexpected(error: Exception, redactor: Redactor) -> None:
    said = str(error)
    _say("Error", f"unexpected {type(error).__name__}{': ' if said else ''}{said}", redactor)
    if os.environ.get("WATCHER_LOG__LEVEL", "").lower() == "debug":
        # The standard library's traceback: it shows no local variables, which may hold secrets.
        for line in "".join(traceback.format_exception(error)).splitlines():
            indent = line[: len(line) - len(line.lstrip())]
            print(indent + clean(redactor(line)), file=sys.stderr)
    _say("Try", UNEXPECTED, redactor)


def _say(label: str, text: str, redactor: Redactor) -> None:
    print(f"{label}: {clean(redactor(text))}", file=sys.stderr)


def _make_output_usable() -> None:
    """A terminal that knows no UTF-8 gets question marks rather than an exception, a closed one nothing."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the life of the process
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")


def _discard_output() -> None:
    """The reader has gone: without this, Python would complain once more at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
