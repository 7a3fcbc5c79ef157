"""Canaries: every secret of the configuration, repeated by hostile servers wherever they can, must be seen nowhere."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tests.support.daemon import Watcher, ask, until
from tests.support.http import free_port

TASK = "czf9fbky"
KEY = "nv-canary-key-5b1d7e9a3c"
SIGNING = base64.b64encode(b"canary signing secret 0123456789").decode()
HOOK = "canaryhook7f3a9c21"
CHAT = "canarychat5e6f7a8b9c0d1e2f"
MAIL = "canary mail/pass+word1"
TOKEN = "canary-http-token-8d2e6f"
PING = "canaryping4b5c6d7e"
PROXY = "canaryproxy9a8b7c6d"
SLACK = "canarySlackToken0123456a"
STORE = "canarystore3f2e1d"
CANARIES = [KEY, SIGNING, HOOK, CHAT, MAIL, TOKEN, PING]
BEHIND_A_PROXY = [KEY, TOKEN, PING, PROXY, SLACK]


def forms(secret: str) -> set[str]:
    """As it is, as a URL has it, as JSON has it, and the middle of what base64 makes of it wherever it begins."""
    raw = secret.encode()
    encoded = {base64.b64encode(bytes(n) + raw)[4 : (n + len(raw)) * 8 // 6 - 1].decode() for n in range(3)}
    return {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]} | encoded


def assert_silent(text: str | bytes, where: str, canaries: list[str] = CANARIES) -> None:
    shown = text if isinstance(text, str) else text.decode("latin-1")
    for canary in canaries:
        for form in forms(canary):
            at = shown.find(form)
            assert at < 0, f"{where} shows {canary!r}: ...{shown[max(0, at - 200) : at + 100]!r}"


class Hostile:
    """An upstream, a chat, a webhook receiver, a monitor and a proxy in one, which repeats in every answer what it was
    asked, with all headers, and all `canaries`. `/good` takes messages and keeps them."""

    def __init__(self, canaries: list[str]) -> None:
        self.canaries = canaries
        self.upstream: Callable[[str], tuple[int, dict[str, str], str]] = self.well
        self.refusal = 503
        self.good: list[str] = []
        self.asked: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    def well(self, echo: str) -> tuple[int, dict[str, str], str]:
        info = {"failureReason": f"odd {KEY}", "message": f"{echo}", "endDatetime": f"soon, {KEY}"}
        about = {"name": f"bot {KEY} {self.canaries[2]}", "model": f"HCX {self.canaries[3]}"}
        result = {"id": TASK, "status": "FAILED", "statusInfo": info, **about}
        return 200, {}, json.dumps({"status": {"code": "20000", "message": "OK"}, "result": result})

    def refuses(self, echo: str) -> tuple[int, dict[str, str], str]:
        return 401, {}, json.dumps({"status": {"code": "40104", "message": f"Invalid key {KEY}: {echo}"}})

    def fails(self, echo: str) -> tuple[int, dict[str, str], str]:
        return 500, {}, f"<html><body>{echo}</body></html>"

    def redirects(self, echo: str) -> tuple[int, dict[str, str], str]:
        return 302, {"Location": f"/login?key={quote(KEY)}"}, echo

    def babbles(self, echo: str) -> tuple[int, dict[str, str], str]:
        return 200, {"X-Echo": quote(echo)[:2000]}, json.dumps({"status": {"code": echo[:300], "message": echo}})

    def _answer(self, method: str, path: str, echo: str, body: str) -> tuple[int, dict[str, str], str]:
        if path == "/good":
            self.good.append(body)
            return 200, {}, "ok"
        self.asked.append(f"{method} {path}")
        if "/tuning/v2/tasks" in path:
            return self.upstream(echo)
        return self.refusal, {"X-Reason": quote(echo)[:2000], "Retry-After": "1"}, echo

    def _handler(hostile) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
                known = [form for canary in hostile.canaries for form in (canary, quote(canary, safe=""))]
                echo = f"cannot {self.command} {self.path} {dict(self.headers)} {' '.join(known)}"
                status, headers, said = hostile._answer(self.command, self.path, echo, body)
                self.send_response(status, echo[:200].replace("\n", " "))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(said.encode())))
                self.end_headers()
                self.wfile.write(said.encode())

            do_GET = do_POST = do_PUT = do_CONNECT = _any  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        return Handler


@contextmanager
def hostile_servers(canaries: list[str]) -> Iterator[tuple[Hostile, int]]:
    """The HTTP server, and the port of a mail server that repeats the password when it refuses it."""
    hostile = Hostile(canaries)
    thread = threading.Thread(target=hostile.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()

    def refuse(*_: Any) -> AuthResult:
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 no: {' '.join(canaries)}")

    mail = Controller(
        object(),
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=refuse,
        auth_required=True,
        auth_require_tls=False,
    )
    mail.start()
    try:
        yield hostile, mail.port
    finally:
        mail.stop()
        hostile.server.shutdown()
        hostile.server.server_close()


def configuration(hostile: Hostile, mail: int, folder: Path) -> dict[str, Any]:
    url = f"http://127.0.0.1:{hostile.port}"
    (folder / "hook_secret").write_text(f"whsec_{SIGNING}\n")
    return {
        "accounts": {
            "main": {"api_key": "${CLOVA_API_KEY}", "base_url": url, "queries_per_minute": 60000, "timeout": "5s"}
        },
        "tasks": [TASK],
        "channels": {
            "hook": {"url": f"{url}/hooks/{HOOK}", "secret_file": "hook_secret", "events": ["*"]},
            "chat": {"url": f"mmost://127.0.0.1:{hostile.port}/{CHAT}", "events": ["*"]},
            "mail": {
                "url": f"mailto://me:{quote(MAIL, safe='')}@127.0.0.1:{mail}?from=a@example.com&to=b@example.com",
                "events": ["*"],
            },
            "good": {"url": f"{url}/good", "events": ["*"]},
        },
        "poll": {"interval": "200ms", "wait_interval": "200ms"},
        "rules": {"unreachable_after": "1s"},
        "http": {"port": 0, "token": TOKEN},
        "heartbeat": {"url": f"{url}/ping/{PING}", "every": "1s"},
        "log": {"level": "debug", "format": "json"},
    }


@contextmanager
def canaries_in(folder: Path, canaries: list[str]) -> Iterator[tuple[Watcher, Hostile]]:
    with hostile_servers(canaries) as (hostile, mail):
        watcher = Watcher(folder, configuration(hostile, mail, folder), {"CLOVA_API_KEY": KEY})
        watcher.write()
        try:
            yield watcher, hostile
        finally:
            watcher.abandon()


READING = [
    ("status",), ("history", TASK), ("history", TASK, "--json"), ("prove", TASK), ("prove", TASK, "--json"),
    ("deliveries",), ("deliveries", "--json"), ("health", "--json"), ("check",),
    ("check", "--online"), ("test-notify",), ("redeliver", "--failed"), ("run",),
    ("once",),
]  # fmt: skip
"""The last two are refused while the daemon runs."""


@pytest.mark.first
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_no_secret_is_seen_in_logs_store_commands_messages_or_answers(tmp_path: Path) -> None:
    with canaries_in(tmp_path, CANARIES) as (watcher, hostile):
        watcher.start_ready()
        _let_everything_go_wrong(watcher, hostile)
        assert_silent(watcher.said(), "the log")
        with ThreadPoolExecutor(2) as threads:
            ended = list(threads.map(lambda command: watcher.run(*command, seconds=40), READING))
        for command, done in zip(READING, ended, strict=True):
            assert_silent(done.stdout, f"{command}, standard output")
            assert_silent(done.stderr, f"{command}, standard error")
            assert "Traceback" not in done.stderr, (command, done.stderr)
        for path in ("/healthz", "/readyz", "/metrics", "/nothing", f"/{HOOK}"):
            for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer wrong"}):
                assert_silent(ask(f"{watcher.url}{path}", **headers)[1], f"{path} with {list(headers)}")
        assert ask(f"{watcher.url}/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
        for path in (found for found in tmp_path.glob("watcher.db*") if found.is_file()):
            assert_silent(path.read_bytes(), path.name)
        assert hostile.good
        for message in hostile.good:
            assert_silent(message, "a message to another channel")
        watcher.store.unlink()
        assert watcher.ended() == 1
        assert_silent(watcher.said(), "the log of the end")


def _let_everything_go_wrong(watcher: Watcher, hostile: Hostile) -> None:
    """Each way to fail, until the log or the store speaks of it."""
    until(lambda: "task.failed" in "".join(hostile.good), "the task's failure is told")
    for name in ("hook", "chat", "mail"):
        tried = "SELECT a.reason FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE d.channel = ?"
        until(lambda name=name, sql=tried: any(row[0] for row in watcher.query(sql, name)), f"{name} has failed")
    until(
        lambda: any(PING in line for line in hostile.asked) and watcher.lines("heartbeat.failed"), "the monitor fails"
    )
    hostile.refusal = 400
    refused = "SELECT count(DISTINCT channel) FROM deliveries WHERE state = 'refused'"
    until(lambda: watcher.query(refused) == [(2,)], "hook and chat refuse", 40)
    until(lambda: "channel.gave_up" in "".join(hostile.good), "that is told")
    for trouble in (hostile.fails, hostile.redirects, hostile.babbles, hostile.refuses):
        failed = len(watcher.lines("poll.failed"))
        hostile.upstream = trouble
        until(lambda failed=failed: len(watcher.lines("poll.failed")) > failed, f"{trouble.__name__}", 40)
    until(lambda: "account.rejected" in "".join(hostile.good), "the refused key is told", 40)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_no_secret_is_seen_when_a_proxy_and_a_slack_webhook_fail(tmp_path: Path) -> None:
    """Through a proxy that repeats its own password, an https:// chat and an upstream can't be reached."""
    with canaries_in(tmp_path, BEHIND_A_PROXY) as (watcher, hostile):
        slack = f"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/{SLACK}"
        channels = {"team": slack, "terminal": "console://"}
        watcher.write(channels={name: {"url": each, "events": ["*"]} for name, each in channels.items()})
        watcher.write(proxy=f"http://me:{PROXY}@127.0.0.1:{hostile.port}")
        watcher.start_ready()
        tried = "SELECT a.reason FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE d.channel = 'team'"
        until(lambda: any(row[0] for row in watcher.query(tried)), "the chat has failed", 40)
        hostile.upstream = hostile.fails
        until(lambda: watcher.lines("poll.failed"), "a poll has failed")
        outputs = [
            watcher.run(*command, seconds=40) for command in (("test-notify",), ("check", "--online"), ("prove", TASK))
        ]
        assert any("CONNECT hooks.slack.com" in line for line in hostile.asked)
        assert_silent(watcher.said(), "the log", BEHIND_A_PROXY)
        for done in outputs:
            assert_silent(done.stdout + done.stderr, str(done.args), BEHIND_A_PROXY)
        for path in (found for found in tmp_path.glob("watcher.db*") if found.is_file()):
            assert_silent(path.read_bytes(), path.name, BEHIND_A_PROXY)


WRONG: dict[str, dict[str, Any]] = {
    "an unknown service": {"channels": {"x": f"nosuchservice://{CHAT}/{HOOK}"}},
    "a blank in the key": {"accounts": {"main": {"api_key": f"{KEY} {KEY}"}}},
    "another database": {"store": f"postgresql://me:{STORE}@db.example.com/watcher"},
    "a proxy that isn't one": {"proxy": f"ftp://me:{PROXY}@example.com"},
    "a short token": {"http": {"token": f"{TOKEN} \n{TOKEN}"}},
}
WRONG_TOO: dict[str, dict[str, Any]] = {
    "a service that wants more": {"channels": {"x": f"slack://{SLACK}"}},
    "two recipients": {"channels": {"x": f"mailto://me:{quote(MAIL, safe='')}@example.com?to=a@b.c,d@e.f"}},
    "an argument misspelt": {"channels": {"x": f"mmost://example.com/{CHAT}?chanel={HOOK}"}},
    "a secret that isn't one": {"channels": {"x": {"url": "https://example.com/x", "secret": f"{HOOK}"}}},
    "no scheme": {"channels": {"x": f"hooks.slack.com/services/{SLACK}"}},
    "a number for a mapping": {"accounts": {"main": {"api_key": {KEY: KEY}}}},
    "a port that isn't one": {"proxy": f"http://me:{PROXY}@example.com:99999"},
    "an address without a scheme": {"heartbeat": {"url": f"example.com/{PING}", "every": "never"}},
}
"""Each costs a process of its own: these are left to where there is time."""


@pytest.mark.parametrize(
    ("what", "change"),
    [
        *(pytest.param(*each, id=each[0]) for each in WRONG.items()),
        *(pytest.param(*each, id=each[0], marks=pytest.mark.long) for each in WRONG_TOO.items()),
    ],
)
def test_no_secret_is_seen_in_what_is_said_of_a_wrong_configuration(
    what: str, change: dict[str, Any], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "accounts": {"main": {"api_key": KEY}},
        "tasks": [TASK],
        "channels": {"ci": {"url": f"https://example.com/hooks/{HOOK}", "secret": f"whsec_{SIGNING}"}},
        "http": {"token": TOKEN},
    }
    watcher = Watcher(tmp_path, settings | change, {"WATCHER_LOG__LEVEL": "debug"})
    watcher.write()
    done = watcher.run("run")
    assert done.returncode in (1, 2), done
    assert re.search(r"^Error: .+", done.stderr, re.MULTILINE)
    assert_silent(done.stdout + done.stderr, what, [*CANARIES, PROXY, SLACK, STORE])
    assert not watcher.store.exists()
