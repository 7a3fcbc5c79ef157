"""What a log line looks like, and what never is in one."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from watcher import log
from watcher.redact import Redactor

SECRET = "canary-secret-0123"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def start(shape: str = "json", level: str = "debug", stream: io.StringIO | None = None) -> io.StringIO:
    out = stream or io.StringIO()
    log.configure(level, shape, Redactor([SECRET]), out)
    return out


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_json_line_begins_with_time_level_and_event() -> None:
    out = start()
    structlog.get_logger().info("sweep.finished", account="main", seen=12)
    (line,) = lines(out)
    assert list(line) == ["timestamp", "level", "event", "account", "seen"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {"level": "info", "event": "sweep.finished", "account": "main", "seen": 12}


def test_lines_below_the_level_are_dropped() -> None:
    out = start(level="warning")
    structlog.get_logger().info("sweep.finished")
    structlog.get_logger().warning("account.unreachable")
    assert [line["event"] for line in lines(out)] == ["account.unreachable"]


def test_auto_is_for_people_on_a_terminal_and_json_elsewhere() -> None:
    pretty, plain = start("auto", stream=Terminal()), io.StringIO()
    structlog.get_logger().info("sweep.finished", seen=1)
    assert "sweep.finished" in pretty.getvalue()
    assert not pretty.getvalue().startswith("{")
    start("auto", stream=plain)
    structlog.get_logger().info("sweep.finished", seen=1)
    assert lines(plain)


@pytest.mark.parametrize("shape", ["json", "console"])
def test_a_secret_never_passes_by_value(shape: str) -> None:
    out = start(shape)
    logger = structlog.get_logger()
    logger.info("a", text=f"x{SECRET}x", nested={"list": [{"deep": SECRET}], SECRET: 1}, raw=SECRET.encode())
    logger.info(f"event {SECRET}", wrapped=SecretStr(SECRET), error=ValueError(SECRET))
    try:
        raise RuntimeError(f"it was {SECRET}")
    except RuntimeError:
        logger.exception("b")
    logging.getLogger("apprise").warning("bad token %s", SECRET)
    assert SECRET not in out.getvalue()
    assert out.getvalue().count("***") >= 7


@pytest.mark.parametrize("key", ["api_key", "token", "Authorization", "hook_secret", "db-password", "main_api_key"])
def test_a_field_named_like_a_secret_is_masked_whatever_it_holds(key: str) -> None:
    out = start()
    structlog.get_logger().info("a", **{key: "unknown value", "inside": {key: "unknown value"}})
    assert "unknown value" not in out.getvalue()


def test_fields_that_only_sound_like_secrets_are_shown() -> None:
    out = start()
    structlog.get_logger().info("a", numOfTokens=12, tokens=3, account="main", key="main/czf9fbky")
    assert "***" not in out.getvalue()


def test_a_traceback_has_no_local_variables() -> None:
    hidden = "local-value-that-nobody-registered"
    for shape in ("json", "console"):
        out = start(shape, stream=Terminal())
        try:
            raise RuntimeError("broken " + str(len(hidden)))
        except RuntimeError:
            structlog.get_logger().exception("a")
        assert hidden not in out.getvalue().replace('hidden = "local', "")
        assert "RuntimeError: broken 34" in out.getvalue()
        assert "test_a_traceback_has_no_local_variables" in out.getvalue()


EVIL = "x\x1b[31mred\x07\r\nfake.event\u202egnp.exe\u2028\x9b"


def test_a_terminal_shows_control_characters_and_obeys_none() -> None:
    out = start("console")
    structlog.get_logger().info("a", name=EVIL)
    try:
        raise RuntimeError(EVIL)
    except RuntimeError:
        structlog.get_logger().exception("b")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]", out.getvalue())
    assert out.getvalue().splitlines()[0].count("fake.event") == 1
    assert "\\x1b[31mred\\x07\\r\\n" in out.getvalue()


def test_json_keeps_the_text_exact_and_the_line_harmless() -> None:
    out = start()
    structlog.get_logger().info("a", name=EVIL, korean="학습", broken="\ud800")
    (line,) = lines(out)
    assert (line["name"], line["korean"], line["broken"]) == (EVIL, "학습", "\ud800")
    assert "학습" in out.getvalue()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028\ud800]", out.getvalue())


def test_libraries_are_heard_from_warnings_up_and_only_once() -> None:
    out = start()
    start(stream=out)
    for name in ("apscheduler.scheduler", "uvicorn.lifespan", "apprise", "alembic.runtime", "httpx2", "some.package"):
        logging.getLogger(name).info("HTTP Request: POST https://hooks.example.com/T0/B0")
        logging.getLogger(name).warning("%d trouble", 1)
    assert [(line["level"], line["event"]) for line in lines(out)] == [("warning", "1 trouble")] * 6
    assert lines(out)[0]["logger"] == "apscheduler.scheduler"


def test_a_library_that_formats_wrongly_is_noted_without_its_arguments() -> None:
    logging.getLogger().handlers.clear()  # the test runner's own would raise
    out = start()
    logging.getLogger("apprise").warning("%d", "not a number")
    assert [line["event"] for line in lines(out)] == ["log.unreadable"]


def test_a_full_disk_or_closed_stream_stops_nobody() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    start(stream=Full())
    structlog.get_logger().info("a")
    closed = start()
    closed.close()
    structlog.get_logger().info("a")


def test_uncaught_exceptions_are_logged_redacted_not_printed() -> None:
    script = f"""
import sys, threading
from watcher import log
from watcher.redact import Redactor
log.configure("info", "json", Redactor(["{SECRET}"]))
log.catch_uncaught()
def fail(): raise RuntimeError("it was " + "canary-secret-" + "0123")
thread = threading.Thread(target=fail); thread.start(); thread.join()
fail()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert SECRET not in done.stderr
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["process.uncaught"] * 2
