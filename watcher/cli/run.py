"""`watcher run` and `watcher once`: the watching itself, which `watcher.app` puts together."""

from __future__ import annotations

import os
import signal
from argparse import Namespace
from contextlib import suppress
from typing import TYPE_CHECKING

from watcher.cli.printing import say
from watcher.cli.reading import load

if TYPE_CHECKING:
    from watcher.settings import Settings

RUN_DETAILS = """\
SIGTERM or Ctrl-C stops it within 8 s. Log lines go to standard error. A changed configuration or secret file is taken
up within about 20 s, and at once after SIGHUP; a wrong one changes nothing.
What can't be reached at the start is said and tried again; it doesn't stop the watching."""
ONCE_DETAILS = """\
For cron. Exit code 1 only when a poll or a delivery failed. Refused while a watcher holds the store."""


def run(arguments: Namespace) -> int:
    # Nothing has begun while the rest is still being loaded: a stop is then just an end.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # A reload that is asked for meanwhile finds the newest configuration anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    import asyncio

    return asyncio.run(_run(_prepared(arguments), arguments))


async def _run(settings: Settings, arguments: Namespace) -> int:
    from watcher import app
    from watcher.settings.watch import ConfigWatch

    code = await app.run(settings, _say_if_heard, arguments.redactor, ConfigWatch(arguments.config or None))
    # From inside the loop, whose end would wait for every thread of its pool.
    app.leave(code)
    return code


def once(arguments: Namespace) -> int:
    import asyncio

    from watcher import app

    return asyncio.run(app.once(_prepared(arguments), say, arguments.redactor))


def _say_if_heard(line: str) -> None:
    """The watching goes on when nobody reads its output any more."""
    with suppress(OSError):
        say(line)


def _prepared(arguments: Namespace) -> Settings:
    from watcher import log

    settings = load(arguments, secrets=True)
    log.configure(settings.log.level, settings.log.format, arguments.redactor)
    log.catch_uncaught()
    return settings
