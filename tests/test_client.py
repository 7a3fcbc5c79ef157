"""The upstream client over real HTTP: every way to fail becomes exactly one typed error."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.http import receiving
from tests.support.tls import needs_openssl, speak_tls
from tests.support.upstream import KEY, PLAIN, answer, raw_server, running_client, running_simulator, saying, until
from watcher import errors
from watcher.clova.client import MAX_BODY, make_ssl_context

pytestmark = pytest.mark.anyio

ID = "czf9fbky"
GOOD = b'{"status": {"code": "20000"}, "result": {"id": "czf9fbky", "status": "WAIT"}}'


async def failure(base_url: str, **options: Any) -> errors.UpstreamError:
    async with running_client(base_url, **options) as client:
        with pytest.raises(errors.UpstreamError) as caught:
            (await client.get_task(ID)).fields()
    error = caught.value
    assert error.hint
    assert error.request_id
    assert KEY not in f"{error!r} {error.message} {error.hint}"
    assert error.__cause__ is None
    return error


async def test_a_task_and_a_page_are_fetched_and_read() -> None:
    async with running_simulator() as sim, running_client(sim.base_url + "/") as client:
        reply = await client.get_task(ID)
        page = await client.list_tasks()
    assert reply.fields()["status"] == "WAIT"
    assert reply.request_id == sim.log[0].request_id
    assert [(id_, fields["name"]) for id_, fields in page.items] == [(ID, "support-bot v3")]
    assert (page.number, page.total_pages, page.total_elements, page.broken) == (0, 1, 1, 0)
    assert [entry.path for entry in sim.log] == [f"/tuning/v2/tasks/{ID}", "/tuning/v2/tasks?page=0&size=100"]
    assert len({entry.request_id for entry in sim.log}) == 2


async def test_the_key_is_sent_without_the_whitespace_of_its_file() -> None:
    async with running_simulator() as sim, running_client(sim.base_url, key=f" {KEY}\n") as client:
        assert (await client.get_task(ID)).fields()


async def test_an_empty_id_is_refused_before_it_becomes_the_list() -> None:
    async with running_simulator() as sim, running_client(sim.base_url) as client:
        with pytest.raises(errors.RequestRefused):
            await client.get_task("")
        assert not sim.log


@pytest.mark.parametrize("key", ["", " \n", "nv-a\nb", "nv-키"])
async def test_a_key_that_cant_be_one_is_rejected_without_asking(key: str) -> None:
    async with running_simulator() as sim, running_client(sim.base_url, key=key) as client:
        with pytest.raises(errors.KeyRejected):
            await client.get_task(ID)
        assert not sim.log


@pytest.mark.parametrize("task_id", ["../x", "a/b?c", "%2e", "..", ".", "a#b", "a b", "학습", "a%2Fb", "\ud800"])
async def test_an_id_is_one_percent_encoded_path_segment(task_id: str) -> None:
    async with running_simulator() as sim, running_client(sim.base_url) as client:
        with pytest.raises(errors.TaskUnknown):
            await client.get_task(task_id)
    segment = sim.log[0].path.removeprefix("/tuning/v2/tasks/")
    assert segment
    assert not set(segment) & set("/?# ")


# One row for each row of the upstream's error table, with its codes.
TABLE: list[tuple[str, type[errors.UpstreamError], int, str, errors.Verdict]] = [
    ("bad_request", errors.RequestRefused, 400, "40000", errors.Verdict.STOP),
    ("bad_parameter", errors.RequestRefused, 400, "40001", errors.Verdict.STOP),
    ("unauthorized", errors.KeyRejected, 401, "40100", errors.Verdict.ASK),
    ("invalid_signature", errors.KeyRejected, 401, "40101", errors.Verdict.ASK),
    ("invalid_token", errors.KeyRejected, 401, "40102", errors.Verdict.ASK),
    ("token_expired", errors.KeyRejected, 401, "40103", errors.Verdict.ASK),
    ("invalid_key", errors.KeyRejected, 401, "40104", errors.Verdict.ASK),
    ("no_subscription", errors.KeyRejected, 401, "40170", errors.Verdict.ASK),
    ("forbidden", errors.KeyRejected, 403, "40300", errors.Verdict.ASK),
    ("no_ownership", errors.NotOwned, 403, "40301", errors.Verdict.STOP),
    ("not_found", errors.TaskUnknown, 404, "40400", errors.Verdict.STOP),
    ("request_timeout", errors.ServerTrouble, 408, "40800", errors.Verdict.RETRY),
    ("rate_limited", errors.RateLimited, 429, "42900", errors.Verdict.RETRY),
    ("rate_exceeded", errors.RateLimited, 429, "42901", errors.Verdict.RETRY),
    ("overloaded", errors.RateLimited, 429, "42902", errors.Verdict.RETRY),
    ("server_error", errors.ServerTrouble, 500, "50000", errors.Verdict.RETRY),
    ("not_implemented", errors.RequestRefused, 501, "50100", errors.Verdict.STOP),
    ("gateway_timeout", errors.ServerTrouble, 504, "50400", errors.Verdict.RETRY),
    ("http_503", errors.ServerTrouble, 503, "50300", errors.Verdict.RETRY),
    ("envelope_40104", errors.KeyRejected, 200, "40104", errors.Verdict.ASK),
    ("envelope_40400", errors.TaskUnknown, 200, "40400", errors.Verdict.STOP),
    ("envelope_42901", errors.RateLimited, 200, "42901", errors.Verdict.RETRY),
    ("envelope_50000", errors.ServerTrouble, 200, "50000", errors.Verdict.RETRY),
    # Gateways in front: no envelope.
    ("html_401", errors.KeyRejected, 401, "", errors.Verdict.ASK),
    ("html_403", errors.KeyRejected, 403, "", errors.Verdict.ASK),
    ("html_404", errors.BadAnswer, 404, "", errors.Verdict.RETRY),
    ("empty_404", errors.BadAnswer, 404, "", errors.Verdict.RETRY),
    ("html_429", errors.RateLimited, 429, "", errors.Verdict.RETRY),
    ("html_502", errors.ServerTrouble, 502, "", errors.Verdict.RETRY),
    ("empty_502", errors.ServerTrouble, 502, "", errors.Verdict.RETRY),
    ("redirect", errors.BadAnswer, 302, "", errors.Verdict.RETRY),
]


@pytest.mark.parametrize(("kind", "error", "status", "code", "verdict"), TABLE, ids=[row[0] for row in TABLE])
async def test_each_row_of_the_error_table_is_one_error(
    kind: str, error: type[errors.UpstreamError], status: int, code: str, verdict: errors.Verdict
) -> None:
    async with running_simulator({**PLAIN, "faults": [{"kind": kind}]}) as sim:
        found = await failure(sim.base_url)
    assert type(found) is error
    assert (found.status, found.code, found.verdict) == (status, code, verdict)
    assert len(sim.log) == 1
    assert found.request_id == sim.log[0].request_id


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("html", "HTML page"),
        ("empty", "empty"),
        ("garbage", "isn't JSON"),
        ("bad_json", "isn't JSON"),
        ("deep_json", "too deep"),
        ("invalid_utf8", "UTF-8"),
        ("duplicate_keys", "twice"),
        ("wrong_id", "another task (0therone instead of czf9fbky)"),
        ("no_status", "status"),
        ("no_result", "result"),
        ("truncated", "cut off"),
        ("oversized", "larger than 4 MiB"),
        ("gzip_bomb", "larger than 4 MiB"),
    ],
)
async def test_garbage_under_http_200_is_a_bad_answer(kind: str, says: str) -> None:
    async with running_simulator({**PLAIN, "faults": [{"kind": kind}]}) as sim:
        error = await failure(sim.base_url)
    assert type(error) is errors.BadAnswer
    assert says in error.message
    assert len(sim.log) == 1


@pytest.mark.parametrize("kind", ["html", "empty", "garbage", "no_result", "oversized", "html_502", "invalid_key"])
async def test_a_list_fails_with_a_typed_error_too(kind: str) -> None:
    async with running_simulator({**PLAIN, "faults": [{"kind": kind}]}) as sim, running_client(sim.base_url) as client:
        with pytest.raises(errors.UpstreamError) as caught:
            await client.list_tasks()
    assert caught.value.request_id


@pytest.mark.parametrize(("said", "wait"), [("7", 7.0), ("Thu, 01 Jan 2015 00:00:00 GMT", 0.0), ("whenever", None)])
async def test_retry_after_is_seconds_or_a_date(said: str, wait: float | None) -> None:
    async with running_simulator({**PLAIN, "faults": [{"kind": "rate_limited", "retry_after": said}]}) as sim:
        assert (await failure(sim.base_url)).retry_after == wait


async def test_the_quota_is_told_and_then_enforced() -> None:
    scenario = {**PLAIN, "queries_per_minute": 1}
    async with running_simulator(scenario) as sim, running_client(sim.base_url) as client:
        first = await client.get_task(ID)
        assert first.rate_limit is not None
        assert (first.rate_limit.limit, first.rate_limit.remaining) == (1, 0)
        with pytest.raises(errors.RateLimited) as caught:
            await client.get_task(ID)
    assert caught.value.code == "42901"
    assert 50 < (caught.value.retry_after or 0) <= 60


@pytest.mark.parametrize("kind", ["reset", "close"])
async def test_a_broken_connection_is_tried_once_more_with_a_new_id_and_through_the_gate(kind: str) -> None:
    gate: list[int] = []

    async def open_gate() -> None:
        gate.append(len(sim.log))

    fault = {"kind": kind, "times": 1}
    async with (
        running_simulator({**PLAIN, "faults": [fault]}) as sim,
        running_client(sim.base_url, retry_gate=open_gate) as client,
    ):
        assert (await client.get_task(ID)).fields()["status"] == "WAIT"
    assert [entry.outcome for entry in sim.log] == [kind, "ok"]
    assert sim.log[0].request_id != sim.log[1].request_id
    assert gate == [1]


@pytest.mark.parametrize("kind", ["reset", "close"])
async def test_a_connection_that_breaks_twice_is_unreachable(kind: str) -> None:
    async with running_simulator({**PLAIN, "faults": [{"kind": kind}]}) as sim:
        error = await failure(sim.base_url)
    assert type(error) is errors.Unreachable
    assert len(sim.log) == 2


async def test_a_kept_connection_is_used_again_and_a_dropped_one_replaced() -> None:
    peers: list[Any] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername"))
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(GOOD))

    async with raw_server(talk) as url, running_client(url) as client:
        for _ in range(4):
            await client.get_task(ID)
    assert len(peers) == 2


@pytest.mark.parametrize("kind", ["hang", "slow"])
async def test_the_timeout_is_for_the_whole_request(kind: str) -> None:
    fault = {"kind": kind, "delay": 30}
    async with running_simulator({**PLAIN, "faults": [fault]}) as sim:
        started = time.monotonic()
        error = await failure(sim.base_url, seconds=0.2)
        assert time.monotonic() - started < 3
    assert type(error) is errors.Unreachable
    assert error.message == "no answer within 0.2 s"


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
async def test_a_drip_of_bytes_doesnt_stretch_the_timeout(head: bytes) -> None:
    async with raw_server(saying(head, *(b"x" for _ in range(400)), pause=0.05)) as url:
        assert (await failure(url, seconds=0.3)).message == "no answer within 0.3 s"


CUT = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + GOOD, "cut off"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n", "cut off"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "cut off"),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "isn't HTTP"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, "isn't HTTP"),
    (answer(GOOD, "200 OK", "Content-Encoding: gzip"), "unpacked"),
    (answer(gzip.compress(GOOD)[:-20], "200 OK", "Content-Encoding: gzip"), "cut off"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n\r\n", "isn't HTTP"),
]


@pytest.mark.parametrize(("said", "says"), CUT)
async def test_an_answer_that_began_and_broke_is_bad_and_not_asked_again(said: bytes, says: str) -> None:
    asked: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        await saying(said)(reader, writer)

    async with raw_server(talk) as url:
        error = await failure(url)
    assert type(error) is errors.BadAnswer
    assert says in error.message
    assert len(asked) == 1


async def test_an_endless_body_is_cut_at_the_cap() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 65536)
            await writer.drain()

    async with raw_server(talk) as url:
        assert "larger than" in (await failure(url, seconds=30)).message


async def test_a_body_just_under_the_cap_is_read() -> None:
    body = GOOD + b" " * (MAX_BODY - len(GOOD))
    async with raw_server(saying(answer(body))) as url, running_client(url, seconds=30) as client:
        assert (await client.get_task(ID)).fields() == {"status": "WAIT"}


async def test_a_refusal_with_a_broken_body_is_still_that_refusal() -> None:
    async with raw_server(saying(b"HTTP/1.1 401 No\r\nContent-Length: 500\r\n\r\n{")) as url:
        assert type(await failure(url)) is errors.KeyRejected


async def test_the_key_and_control_characters_never_reach_a_message() -> None:
    body = b'{"status": {"code": "40000", "message": "\\u001b[31mbad ' + KEY.encode() + b" " + b"x" * 5000 + b'"}}'
    async with raw_server(saying(answer(body, "400 Bad"))) as url:
        error = await failure(url)
    assert "\ufffd[31mbad ***" in error.message
    assert len(error.message) < 300


async def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        error = await failure(f"http://127.0.0.1:{held.getsockname()[1]}")
    assert (type(error), error.message) == (errors.Unreachable, "the upstream refuses the connection")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70 + ".invalid"])
async def test_a_name_that_nobody_knows_is_one_error(host: str) -> None:
    error = await failure(f"http://{host}", seconds=20)
    assert isinstance(error, errors.Unreachable | errors.RequestRefused)


@pytest.mark.parametrize("url", ["clovastudio.example", "ftp://127.0.0.1", "http://[::1", "http://127.0.0.1:99999"])
async def test_a_base_url_that_is_none_is_one_error(url: str) -> None:
    assert isinstance(await failure(url), errors.RequestRefused | errors.Unreachable)


async def test_plain_http_behind_https_is_a_tls_failure() -> None:
    async with running_simulator() as sim:
        error = await failure(sim.base_url.replace("http:", "https:"))
    assert type(error) is errors.Unreachable
    assert "TLS" in error.message


async def test_requests_go_through_the_proxy_that_was_named_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    lines: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
        writer.write(answer(GOOD))

    async with raw_server(talk) as proxy, running_client("http://upstream.invalid", proxy=proxy) as client:
        assert (await client.get_task(ID)).fields() == {"status": "WAIT"}
    assert lines == [b"GET http://upstream.invalid/tuning/v2/tasks/czf9fbky HTTP/1.1"]
    async with running_simulator() as sim, running_client(sim.base_url) as direct:
        assert await direct.get_task(ID)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_is_unreachable_and_its_password_stays_hidden(scheme: str) -> None:
    refusal = answer(b"", "407 Proxy Authentication Required")
    async with raw_server(saying(refusal)) as proxy:
        address = proxy.replace("//", "//user:pa55word@")
        error = await failure(f"{scheme}://upstream.invalid", proxy=address)
    assert type(error) is errors.Unreachable
    assert "proxy" in error.message
    assert "pa55word" not in f"{error.message} {error.hint}"


async def test_a_proxy_that_isnt_there_is_named_as_the_culprit() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        error = await failure("http://upstream.invalid", proxy=f"http://127.0.0.1:{held.getsockname()[1]}")
    assert error.message == "the proxy refuses the connection"


@pytest.mark.parametrize("proxy", ["gopher://user:pa55word@host", "not a url", "socks5://user:pa55word@host:1"])
async def test_a_proxy_that_cant_be_used_is_said_at_once_without_its_password(proxy: str) -> None:
    with pytest.raises(errors.WatcherError) as caught:
        async with running_client("http://127.0.0.1:1", proxy=proxy):
            pass
    assert "proxy" in caught.value.message
    assert "pa55word" not in str(caught.value)


def test_a_ca_file_must_be_there_and_be_one(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("hello")
    for path, reason in ((str(tmp_path / "none.pem"), "No such file"), (str(wrong), "PEM")):
        with pytest.raises(errors.WatcherError, match=reason):
            make_ssl_context(path)


async def test_cancelling_requests_leaves_the_client_working() -> None:
    async with running_simulator() as sim, running_client(sim.base_url) as client:
        sim.fault("hang")
        tasks = [asyncio.create_task(client.get_task(ID)) for _ in range(40)]
        await until(lambda: len(sim.log) >= 30)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        sim.clear_faults()
        assert (await client.get_task(ID)).fields()["status"] == "WAIT"


def test_the_answer_and_the_client_dont_print_secrets() -> None:
    from watcher.clova import Answer, Client

    account = SimpleNamespace(
        name="a", base_url="http://x", timeout=1.0, api_key=SimpleNamespace(get_secret_value=lambda: KEY)
    )
    client = Client(account, redactor=str)  # type: ignore[arg-type]
    reply = Answer(ID, KEY.encode(), "r", None, str)
    assert KEY not in f"{client!r} {reply!r}"


@needs_openssl
async def test_an_unknown_certificate_is_said_and_ca_file_mends_it(tmp_path: Path) -> None:
    with receiving() as server:
        ca_file = speak_tls(server, tmp_path)
        url = server.url.replace("http:", "https:")
        error = await failure(url)
        assert type(error) is errors.Unreachable
        assert "certificate isn't trusted" in error.message
        assert "certificate" not in (await failure(url, ca_file=ca_file)).message
