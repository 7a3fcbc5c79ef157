"""CONTRACT section 6, asked over real connections."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import subprocess
import sys
import time
from contextlib import closing

import pytest
from starlette.types import Receive, Scope, Send

from tests.support.webserver import Running, running
from watcher.errors import ListenError
from watcher.settings import Http
from watcher.web import Condition, WebServer, bind
from watcher.web.guard import names_loopback
from watcher.web.status import Status

TOKEN = "canary-token-for-the-web"
STALLED = Condition("store-stalled", "The disk is full: /data has 0 bytes left")
DEAD = Condition("loop-dead", "The loop of account main has ended", fatal=True)


def http_at(host: str = "127.0.0.1", port: int = 0) -> Http:
    return Http.model_validate({"host": host, "port": port})


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_health_is_ok_when_nothing_is_wrong() -> None:
    with running() as web:
        answer = web.ask("/healthz")
        assert (answer.status, answer.json) == (200, {"status": "ok", "conditions": []})


def test_health_stays_200_for_what_no_restart_mends() -> None:
    with running() as web:
        web.daemon.now = [STALLED]
        answer = web.ask("/healthz")
        assert (answer.status, answer.json) == (200, {"status": "degraded", "conditions": ["store-stalled"]})


def test_health_is_503_for_what_a_restart_mends() -> None:
    with running() as web:
        web.daemon.now = [STALLED, DEAD]
        answer = web.ask("/healthz")
        assert answer.status == 503
        assert answer.json == {"status": "failing", "conditions": ["store-stalled", "loop-dead"]}


def test_only_the_token_shows_what_is_wrong_in_words() -> None:
    with running(token=TOKEN) as web:
        web.daemon.now = [STALLED]
        assert web.ask("/healthz").json["conditions"] == ["store-stalled"]
        shown = web.ask("/healthz", Authorization=f"Bearer {TOKEN}").json["conditions"]
        assert shown == [{"name": "store-stalled", "text": STALLED.text}]


def test_ready_follows_the_daemon() -> None:
    with running() as web:
        web.daemon.is_ready = False
        assert web.ask("/readyz").status == 503
        web.daemon.is_ready = True
        assert web.ask("/readyz").status == 200


def test_metrics_are_prometheus_text() -> None:
    with running() as web:
        answer = web.ask("/metrics")
        assert (answer.status, answer.body) == (200, b"watcher_up 1\n")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_head_answers_like_get_without_a_body(path: str) -> None:
    with running() as web:
        head, get = web.ask(path, "HEAD"), web.ask(path)
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(get.body)))


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/nothing", "GET", 404), ("/healthz/", "GET", 404), ("/metrics", "POST", 405)]
)
def test_errors_are_problem_json(path: str, method: str, status: int) -> None:
    with running() as web:
        answer = web.ask(path, method)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json["status"] == status
        assert answer.json["detail"]


def test_an_error_in_the_daemon_is_a_problem_that_tells_nothing() -> None:
    with running() as web:
        web.daemon.text = None  # type: ignore[assignment]
        web.daemon.metrics = lambda: 1 / 0  # type: ignore[assignment, return-value, method-assign]
        answer = web.ask("/metrics")
        assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
        assert b"division" not in answer.body
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_answer_has_the_security_headers() -> None:
    with running(token=TOKEN) as web:
        for path in ("/healthz", "/metrics", "/nothing"):
            headers = web.ask(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["cache-control"] == "no-store"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "server" not in headers


# --- who may ask


def test_with_a_token_everything_but_the_probes_needs_it() -> None:
    with running(token=TOKEN) as web:
        assert web.ask("/healthz").status == 200
        assert web.ask("/readyz").status == 200
        refused = web.ask("/metrics")
        assert (refused.status, refused.headers["www-authenticate"]) == (401, 'Bearer realm="watcher"')
        assert web.ask("/metrics", Authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize(
    "shown",
    ["Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xff"],
)
def test_anything_but_the_token_is_refused_and_not_repeated(shown: str) -> None:
    with running(token=TOKEN) as web:
        answer = web.ask("/metrics", Authorization=shown)
        assert answer.status == 401
        assert TOKEN.encode() not in answer.body


def test_with_a_token_any_host_name_will_do() -> None:
    with running(token=TOKEN) as web:
        assert web.ask("/metrics", Host="watcher.example.com", Authorization=f"bearer {TOKEN}").status == 200


def test_a_reload_changes_the_token() -> None:
    with running(token=TOKEN) as web:
        web.server.replace(Http.model_validate({"port": 0, "token": "another-canary-token"}))
        assert web.ask("/metrics", Authorization=f"Bearer {TOKEN}").status == 401
        assert web.ask("/metrics", Authorization="Bearer another-canary-token").status == 200


def test_without_a_token_a_foreign_host_name_is_refused_but_for_probes() -> None:
    with running() as web:
        assert web.ask("/metrics", Host="evil.example.com").status == 421
        assert web.ask("/nothing", Host="evil.example.com").status == 421
        assert web.ask("/healthz", Host="evil.example.com").status == 200


def test_on_all_addresses_without_a_token_only_probes_are_served() -> None:
    with running(host="0.0.0.0") as web:
        assert web.ask("/healthz").status == 200
        assert web.ask("/readyz").status == 200
        refused = web.ask("/metrics")
        assert refused.status == 403
        assert "http.token" in refused.json["detail"]


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("127.0.0.1", True),
        ("127.9.8.7:1", True),
        ("[::1]", True),
        ("[::1]:8080", True),
        ("", False),
        ("localhost.evil.com", False),
        ("evil.com:localhost", False),
        ("localhost:", False),
        ("127.0.0.1.evil.com", False),
        ("127.1", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("[::2]:80", False),
        ("::1", False),
        ("[localhost]", False),
        ("localhost:80:80", False),
        ("evil@localhost", False),
    ],
)
def test_names_that_only_this_machine_can_have(host: str, accepted: bool) -> None:
    assert names_loopback(host) is accepted


# --- the port


def test_a_port_in_use_is_an_error_that_says_what_to_do() -> None:
    with running() as web:
        port = web.server.port
        with pytest.raises(ListenError, match=f"Port {port} on 127.0.0.1 is already in use") as error:
            bind(http_at(port=port))
        assert "http.port" in error.value.hint


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid"])
def test_a_host_that_is_not_this_machine_is_an_error(host: str) -> None:
    with pytest.raises(ListenError, match="not an address of this machine"):
        bind(http_at(host))


def test_the_real_port_is_known_before_serving() -> None:
    server = WebServer(http_at(), _Never())
    try:
        assert server.port > 0
    finally:
        server.close()


class _Never(Status):
    pass


# --- limits and stopping


def test_stopping_waits_for_no_idle_connection() -> None:
    with running() as web:
        idle = [connect(web.server.port) for _ in range(3)]
        kept = http.client.HTTPConnection("127.0.0.1", web.server.port, timeout=10)
        kept.request("GET", "/healthz")
        kept.getresponse().read()
        began = time.monotonic()
        web.end()
        assert time.monotonic() - began < 0.9
        for sock in idle:
            sock.close()
        kept.close()


def test_a_silent_connection_is_closed_when_patience_ends() -> None:
    with running(patience=0.3) as web, closing(connect(web.server.port)) as silent:
        assert _ended(silent)


def test_headers_that_trickle_in_are_cut_off() -> None:
    with running(patience=0.5) as web, closing(connect(web.server.port)) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        began, cut = time.monotonic(), False
        while not cut and time.monotonic() - began < 8:
            try:
                slow.sendall(b"X: y\r\n")
            except OSError:
                cut = True
            time.sleep(0.05)
        assert cut


def test_a_second_request_that_trickles_in_is_cut_off_too() -> None:
    with running(patience=0.3) as web, closing(connect(web.server.port)) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in slow.recv(4096)
        slow.sendall(b"G")
        assert _ended(slow)


async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        await asyncio.sleep(0)


async def thoughtful(_scope: Scope, _receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.6)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


def test_a_reader_who_takes_nothing_of_a_stream_is_cut_off() -> None:
    with running(app=endless, patience=0.3) as web, closing(connect(web.server.port)) as lazy:
        lazy.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert lazy.recv(15) == b"HTTP/1.1 200 OK"
        deadline = time.monotonic() + 8
        while web.server._crowd.all() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not web.server._crowd.all()


def test_an_answer_may_take_longer_than_the_patience_with_askers() -> None:
    with running(app=thoughtful, patience=0.3) as web, closing(connect(web.server.port)) as asker:
        asker.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
        taken = b""
        while taken.count(b"200 OK") < 2:
            chunk = asker.recv(4096)
            assert chunk
            taken += chunk


def test_an_answer_under_way_is_finished_at_the_stop_but_not_waited_for_longer() -> None:
    with running(app=thoughtful) as web, closing(connect(web.server.port)) as asker:
        asker.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until_asked(web)
        web.end()
        assert asker.recv(15) == b"HTTP/1.1 200 OK"
    with running(app=endless, grace=0.2) as web, closing(connect(web.server.port)) as asker:
        asker.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until_asked(web)
        web.end()


def until_asked(web: Running) -> None:
    while not any(connection.answering for connection in web.server._crowd.all()):
        time.sleep(0.005)


def test_a_reader_who_takes_nothing_is_cut_off() -> None:
    with running(patience=0.3) as web, closing(socket.socket()) as lazy:
        web.daemon.text = "x" * 30_000_000
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", web.server.port))
        lazy.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        deadline = time.monotonic() + 8
        while web.server._crowd.all() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not web.server._crowd.all()


def test_pipelined_requests_are_all_answered() -> None:
    with running(patience=2) as web, closing(connect(web.server.port)) as eager:
        eager.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        taken = b""
        while taken.count(b"200 OK") < 3:
            chunk = eager.recv(4096)
            assert chunk
            taken += chunk


def test_silent_connections_give_way_so_health_is_always_answered() -> None:
    with running(limit=8) as web:
        silent = [connect(web.server.port) for _ in range(40)]
        assert web.ask("/healthz").status == 200
        assert web.ask("/metrics").status == 200
        assert len(web.server._crowd.all()) <= 8
        for sock in silent:
            sock.close()


def test_nonsense_gets_400_and_the_server_lives_on() -> None:
    with running() as web:
        with closing(connect(web.server.port)) as rude:
            rude.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
            assert b"400" in rude.recv(4096)
        assert web.ask("/healthz").status == 200


def test_endless_headers_are_refused() -> None:
    with running() as web, closing(connect(web.server.port)) as long:
        try:
            long.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000)
            answer = long.recv(4096)
        except ConnectionError:
            answer = b""
        assert b"200" not in answer
        assert web.ask("/healthz").status == 200


def test_the_limit_is_a_quarter_of_the_descriptors() -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\n"
        "from watcher.web.connections import connection_limit; print(connection_limit())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "50"


def _ended(sock: socket.socket) -> bool:
    """The other side closed it (before the socket's own time-out)."""
    try:
        while sock.recv(4096):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True
