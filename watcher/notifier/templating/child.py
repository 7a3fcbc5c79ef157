"""The process in which users' templates run: bounded in memory and time, without files, network or secrets.

Started by `workshop`, which sends one order a line and gets one answer a line, both JSON. It imports nothing but
jinja2 and the standard library, since it starts anew whenever a template has to be killed.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY = 256 * 1024 * 1024
SECONDS = 2
LONGEST = 20_000
"""Characters that a template may make."""

SAID = 200
"""Characters of an error that are passed on."""


class TooLongError(Exception):
    """A template makes more than anybody reads."""


class Environment(ImmutableSandboxedEnvironment):
    def handle_exception(self, source: str | None = None) -> NoReturn:
        # jinja2 would dress the traceback up for people; the line is found without that.
        raise


def main() -> None:
    """Answer orders until their pipe ends, as it does when the watcher dies."""
    environment = _environment()
    _warm(environment)
    limit()
    _say({})
    for line in sys.stdin.buffer:
        order = json.loads(line)
        try:
            _say(_answer(environment, order))
        except MemoryError:
            _say({"fault": "memory"})
            os._exit(1)  # what has grown stays grown


def limit() -> None:
    """Bounds this process for good. Time is bounded for each order."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 16))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _environment() -> Environment:
    environment = Environment(
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    del environment.globals["lipsum"]
    return environment


def _warm(environment: Environment) -> None:
    """Load what is loaded at its first use only, as long as files can be opened."""
    everything = """{{ 'é\\n' | wordwrap }}{{ [1] | pprint }}{{ 'a' | escape | striptags }}{{ '%s' | format(1) }}"""
    environment.from_string(everything).render()
    datetime.now(UTC).strftime("%Z")


def _answer(environment: Environment, order: dict[str, Any]) -> dict[str, Any]:
    environment.filters["local"] = _local(_zone(order["zone"]))
    environment.filters["span"] = _span(order["spans"])
    try:
        with _bounded_time():
            return {"text": _made(_compiled(environment, order["template"]), order["facts"])}
    except TooLongError:
        return {"fault": "long"}
    except MemoryError:
        raise
    except TemplateSyntaxError as error:
        return {"fault": "wrong", "line": error.lineno, "said": (error.message or "")[:SAID]}
    except Exception as error:
        return {"fault": "wrong", "line": _line(error), "said": _said(error)[:SAID]}


@contextmanager
def _bounded_time() -> Iterator[None]:
    """The watcher's patience is shorter; this one holds when the watcher was killed while a template runs."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(used.ru_utime + used.ru_stime) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    signal.alarm(SECONDS + 1)
    try:
        yield
    finally:
        signal.alarm(0)


@lru_cache(maxsize=64)
def _compiled(environment: Environment, text: str) -> Template:
    return environment.from_string(text)


def _made(template: Template, facts: dict[str, Any]) -> str:
    pieces, room = [], LONGEST
    for piece in template.generate(facts):
        room -= len(piece)
        if room < 0:
            raise TooLongError
        pieces.append(piece)
    return "".join(pieces)


def _line(error: BaseException) -> int:
    """The line of the template in which it broke; 0 where that can't be told."""
    line, traceback = 0, error.__traceback__
    while traceback is not None:
        template = traceback.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _said(error: Exception) -> str:
    return (error.message or "") if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    """Files can be opened here only, before a template runs."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return UTC
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 16))


def _local(zone: tzinfo) -> Any:
    def local(moment: object, form: str = "%H:%M:%S %Z") -> str:
        """`{{ event.time | local("%H:%M") }}`: a time in the channel's zone; "" for none."""
        if moment is None:
            return ""
        try:
            return datetime.fromisoformat(moment).astimezone(zone).strftime(form)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise TypeError("local takes a time, such as event.time, and a form, such as %H:%M") from None

    return local


def _span(words: dict[str, str]) -> Any:
    def span(seconds: object) -> str:
        """`{{ event.waited | span }}`: seconds as `1 h 12 m`, in the channel's language; "" for none."""
        if seconds is None:
            return ""
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError("span takes a number of seconds")
        if not (math.isfinite(seconds) and seconds >= 0):
            return ""
        minutes, secs = divmod(int(seconds), 60)
        hours, mins = divmod(minutes, 60)
        days, hrs = divmod(hours, 24)
        if days:
            return words["days"].format(days=days, hours=hrs)
        if hours:
            return words["hours"].format(hours=hours, minutes=mins)
        return words["minutes"].format(minutes=minutes) if minutes else words["seconds"].format(seconds=secs)

    return span


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()
