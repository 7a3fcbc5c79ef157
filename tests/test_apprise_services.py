"""What single services get: names shown literally, the owner called by name and nobody else, digests in columns."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.channels import delivery, setting
from tests.support.http import Receiver, Reply, receiving
from tests.support.tls import needs_openssl, speak_tls
from watcher.models import Accepted, Call, Digest, Event, Message, Retry, Unknown
from watcher.notifier.channels import build_channel
from watcher.notifier.channels.chat import AppriseChannel
from watcher.notifier.channels.dialects import DISCORD, PLAIN, SLACK, called, dialect, written
from watcher.notifier.channels.dialects import service as service_name
from watcher.notifier.reasons import find
from watcher.notifier.samples import sample_event
from watcher.notifier.text import cut
from watcher.redact import Redactor

ZWSP = "\u200b"
TOKEN = "abcdefghijklmnop1234567890"


def without_backslashes(text: str) -> str:
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", text)


def as_is(text: str) -> str:
    return text


@dataclass(frozen=True)
class Service:
    """`place`: which attribute of apprise's plug-in says where it posts, and to what beneath our receiver.

    `texts` finds what people read in what was posted, `seen` is how the service shows it, `live` what would be obeyed.
    """

    url: str
    place: tuple[str, str]
    texts: Callable[[Any], str]
    seen: Callable[[str], str]
    live: str
    limit: int
    answer: bytes = b"ok"


def of_slack(body: Any) -> str:
    return "\n".join([body["text"], *(each["text"] for each in body["attachments"])])


SERVICES = {
    "slack": Service(
        "slack://TABCDEFGH/BABCDEFGH/abcdefghijklmnopqrstuvwx",
        ("webhook_url", "/services"),
        of_slack,
        html.unescape,
        r"<|(?<!\u200b)[*_~`]|[*_~`](?!\u200b)|:[a-z]\w*:",
        35_000,
    ),
    "discord": Service(
        f"discord://123456789012345678/{'a' * 68}",
        ("notify_url", "/api/webhooks"),
        lambda body: "\n".join([body["content"], *(each["description"] for each in body.get("embeds", ()))]),
        without_backslashes,
        r"(?<!\\)[*_~`|\[]|@everyone|@here|<[@#:!]|:[a-z]\w*:",
        4_200,
        b"",
    ),
    "google_chat": Service(
        "gchat://AAAA/abc/def",
        ("notify_url", "/v1/spaces/{workspace}/messages"),
        lambda body: str(body["text"]),
        as_is,
        r"<users/|<http|(?<!\u200b)[*_~`]|[*_~`](?!\u200b)",
        4_000,
    ),
    "telegram": Service(
        "tgram://123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI/12345",
        ("notify_url", "/bot"),
        lambda body: str(body["text"]),
        html.unescape,
        r"<|@\w",
        4_096,
        b'{"ok": true}',
    ),
    "mattermost": Service(
        f"mmost://127.0.0.1/{TOKEN}",
        ("port", ""),
        lambda body: str(body["text"]),
        without_backslashes,
        r"(?<!\\)[*_~`|\[]|@\w|:[a-z]\w*:",
        4_000,
    ),
}


@asynccontextmanager
async def channel(service: Service, receiver: Receiver, **more: Any) -> AsyncIterator[Any]:
    built: Any = build_channel(setting(service.url, **more.pop("setting", {})), redactor=Redactor([TOKEN]), **more)
    attribute, path = service.place
    setattr(built._plugin, attribute, receiver.port if attribute == "port" else receiver.url + path)
    try:
        yield built
    finally:
        await built.aclose()


@contextmanager
def posting(service: Service, answer: Reply | None = None) -> Iterator[Receiver]:
    with receiving(answer or Reply(200, body=service.answer)) as receiver:
        yield receiver


def posted(receiver: Receiver) -> Any:
    (seen,) = receiver.seen
    return json.loads(seen.body)


def named(name: str, type_: str = "task.succeeded", **subject: Any) -> Event:
    event = sample_event(type_)
    return replace(event, subject={**(event.subject or {}), "name": name, **subject})


HOSTILE = {
    "channel": "<!channel> <!here> <!subteam^S012> <@U012> <#C012>",
    "everyone": "@everyone @here @channel @all @jiwon ＠everyone",
    "users": "<users/all> <users/123>",
    "discord": "<@123> <@&123> <:x:123> <t:123>",
    "script": "<script>alert(1)</script> <b>x</b> &lt;!channel&gt; &amp;",
    "markdown": "*b* _i_ ~s~ `c` ||sp|| [a](http://x) **bb**",
    "heading": "# not a heading",
    "emoji_code": "x :fire: y",
    "teams": "<at>someone@example.com</at>",
    "backslash": "a\\*b\\*",
    "emoji": "👨‍👩‍👧‍👦 🇰🇷 🏴󠁧󠁢󠁳󠁣󠁴󠁿",
}


@pytest.mark.anyio
@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
async def test_a_name_is_shown_literally_and_obeyed_nowhere(service: Service, name: str) -> None:
    with posting(service) as receiver:
        async with channel(service, receiver) as built:
            assert await built.send(delivery(named(name))) == Accepted("HTTP 200")
    text = service.texts(posted(receiver))
    assert service.seen(text).replace(ZWSP, "").splitlines()[0].startswith(f"✔ {name} is ready")
    assert re.findall(service.live, text) == []


@pytest.mark.anyio
@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
async def test_control_characters_newlines_and_10000_characters_change_no_shape(service: Service) -> None:
    name = "\x1b[31mred\r\n\u202ecilbup\x07" + "한*" * 5_000
    with posting(service) as receiver:
        async with channel(service, receiver) as built:
            assert await built.send(delivery(named(name))) == Accepted("HTTP 200")
    text = service.texts(posted(receiver))
    assert len(text) <= service.limit
    assert "is ready" in text.splitlines()[0]
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)


@needs_openssl
@pytest.mark.anyio
@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
async def test_a_name_calls_nobody_and_formats_nothing_in_teams(name: str, tmp_path: Path) -> None:
    with receiving() as receiver:
        ca_file = speak_tls(receiver, tmp_path)
        url = f"workflows://127.0.0.1:{receiver.port}/abcdefghijklmnop/abcdefghijklmnop"
        built = build_channel(setting(url), redactor=Redactor(), ca_file=ca_file)
        assert await built.send(delivery(named(name))) == Accepted("HTTP 200")
        await built.aclose()
    card = posted(receiver)["attachments"][0]["content"]
    (block,) = card["body"]
    seen = html.unescape(without_backslashes(block["text"])).replace(ZWSP, "").splitlines()[0]
    assert card["msteams"] == {"width": "full"}
    assert seen.strip().startswith(f"✔ {html.unescape(name)} is ready")
    assert not re.search(r"(?<!\\)[*_`~]\w|<at>|<script>|(?<!\\)\[a", block["text"])


@needs_openssl
@pytest.mark.anyio
async def test_a_digest_of_50_with_as_many_owners_fits_a_card_in_teams(tmp_path: Path) -> None:
    ids, events = owners(50, "{n}")
    with receiving() as receiver:
        ca_file = speak_tls(receiver, tmp_path)
        url = f"workflows://127.0.0.1:{receiver.port}/abcdefghijklmnop/abcdefghijklmnop"
        built = build_channel(setting(url), redactor=Redactor(), ca_file=ca_file, mentions=ids)
        assert await built.send_digest(digest(*events)) == Accepted("HTTP 200")
        await built.aclose()
    assert len(receiver.seen[0].body) < 28_000
    text = posted(receiver)["attachments"][0]["content"]["body"][0]["text"]
    rows, missing = text.count("✖ exp"), re.search(r"… \+(\d+)", text)
    assert rows + int(missing[1] if missing else 0) == 50
    assert rows >= 40
    assert f"@{ZWSP}소유자 49" in text.split("\n")[0]


# Calling by name.

CALLS = [
    ("slack", "U012AB3CD", "<@U012AB3CD>"),
    ("slack", "S012AB3CD", "<!subteam^S012AB3CD>"),
    ("discord", "123456789", "<@123456789>"),
    ("discord", "&987654321", "<@&987654321>"),
    ("google_chat", "112233", "<users/112233>"),
    ("mattermost", "jiwon.kim", "@jiwon.kim"),
    ("telegram", "jiwon_kim", "@jiwon_kim"),
    ("telegram", "123456", '<a href="tg://user?id=123456">jiwon</a>'),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "chat_id", "call"), CALLS)
async def test_the_owner_of_what_failed_is_called_by_name_in_the_first_line(name: str, chat_id: str, call: str) -> None:
    service = SERVICES[name]
    event = named("support-bot", "task.failed", labels={"owner": "jiwon"})
    with posting(service) as receiver:
        async with channel(service, receiver, mentions={"jiwon": chat_id}) as built:
            assert await built.send(delivery(event)) == Accepted("HTTP 200")
    first, *rest = service.texts(posted(receiver)).splitlines()
    assert first.endswith(f" {call}")
    assert call not in "\n".join(rest)


@pytest.mark.anyio
@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("chat_id", ["!channel", "everyone> <!here", "users/all", "@all @here", "*"])
async def test_an_id_that_is_none_calls_nobody(name: str, chat_id: str) -> None:
    service = SERVICES[name]
    event = named("support-bot", "task.failed", labels={"owner": "ji*won@all"})
    with posting(service) as receiver:
        async with channel(service, receiver, mentions={"ji*won@all": chat_id}) as built:
            assert await built.send(delivery(event)) == Accepted("HTTP 200")
    text = service.texts(posted(receiver))
    assert re.findall(service.live, text) == []
    assert service.seen(text).replace(ZWSP, "").splitlines()[0].endswith(" @ji*won@all")


@pytest.mark.anyio
async def test_what_went_well_calls_nobody() -> None:
    service = SERVICES["slack"]
    with posting(service) as receiver:
        async with channel(service, receiver, mentions={"jiwon": "U012AB3CD"}) as built:
            await built.send(delivery(named("x", labels={"owner": "jiwon"})))
    assert "U012AB3CD" not in receiver.seen[0].body.decode()


@pytest.mark.anyio
@pytest.mark.parametrize(("chat_id", "allowed"), [("123", {"users": ["123"]}), ("&45", {"roles": ["45"]}), ("x", {})])
async def test_discord_is_told_whom_a_message_may_call(chat_id: str, allowed: dict[str, Any]) -> None:
    service = SERVICES["discord"]
    event = named("@everyone", "task.failed", labels={"owner": "jiwon"})
    with posting(service) as receiver:
        async with channel(service, receiver, mentions={"jiwon": chat_id}) as built:
            await built.send(delivery(event))
    assert posted(receiver)["allowed_mentions"] == {"parse": [], **allowed}


@pytest.mark.anyio
async def test_discord_is_left_alone_for_as_long_as_it_asks() -> None:
    busy = Reply(429, body=b'{"message": "You are being rate limited.", "retry_after": 4.57, "global": true}')
    with posting(SERVICES["discord"], busy) as receiver:
        async with channel(SERVICES["discord"], receiver) as built:
            outcome = await built.send(delivery())
    assert (type(outcome), outcome.after, len(receiver.seen)) == (Retry, 4.57, 1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "status", "body", "advice"),
    [
        ("slack", 410, "channel_is_archived", "unarchive the channel, or put the URL of another one's webhook"),
        ("mattermost", 400, '{"error":{"code":"WorkflowTriggerIsNotEnabled"}}', "turn the workflow on again in Teams"),
        ("telegram", 400, '{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}',
         "put the chat's id, and add the bot to the chat"),
        ("telegram", 400, '{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-1001}}',
         "put the chat's new id: the group has become a supergroup"),
    ],
)  # fmt: skip
async def test_what_a_service_refuses_for_the_place_and_not_the_message_is_tried_again(
    name: str, status: int, body: str, advice: str
) -> None:
    with posting(SERVICES[name], Reply(status, body=body.encode())) as receiver:
        async with channel(SERVICES[name], receiver) as built:
            outcome = await built.send(delivery())
    assert isinstance(outcome, Retry)
    assert outcome.reason.endswith(f"; {advice}")
    assert find(advice) is not None


@pytest.mark.anyio
async def test_a_digest_stays_a_message_for_ntfy_which_counts_bytes() -> None:
    members = tuple(delivery(named(f"{number} 고객상담요약봇실험가중치조정", "task.failed")) for number in range(50))
    with receiving() as receiver:
        built: Any = build_channel(
            setting(f"ntfy://127.0.0.1:{receiver.port}/topic", language="ko"), redactor=Redactor()
        )
        assert isinstance(await built.send_digest(Digest("dig_1", "team", members)), Accepted)
        await built.aclose()
    message = posted(receiver)["message"]
    assert 3800 < len(message.encode()) <= 4096
    assert message.splitlines()[-1].startswith("… +")


@pytest.mark.anyio
@pytest.mark.parametrize("options", ["", "?blocks=yes", "?footer=no&image=yes"])
async def test_slack_shows_the_first_line_in_notifications_and_the_rest_beside_a_coloured_bar(options: str) -> None:
    service = replace(SERVICES["slack"], url=SERVICES["slack"].url + options)
    with posting(service) as receiver:
        async with channel(service, receiver) as built:
            await built.send(delivery())
    body = posted(receiver)
    (attachment,) = body["attachments"]
    assert body["text"] == "✖ support-bot v3 failed: Invalid dataset: required field empty. Completion"
    assert attachment["text"].startswith("Fix:") or "file.format" in attachment["text"]
    assert re.fullmatch("#[0-9A-Fa-f]{6}", attachment["color"])


# Limits and pace.


@pytest.mark.anyio
@pytest.mark.parametrize("lines", [1, 40, 200])
async def test_discord_gets_2000_characters_and_what_is_longer_embedded(lines: int) -> None:
    service = SERVICES["discord"]
    events = [named(f"run-{number}", "task.failed") for number in range(lines)]
    with posting(service) as receiver:
        async with channel(service, receiver) as built:
            assert await built.send_digest(digest(*events[:50])) == Accepted("HTTP 200")
    body = posted(receiver)
    assert len(body["content"]) <= 2000
    assert all(len(each["description"]) <= 4096 for each in body.get("embeds", ()))
    assert ("embeds" in body) == (lines > 1)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "headers", "body", "after"),
    [
        (429, {}, b'{"ok":false,"error_code":429,"parameters":{"retry_after":35}}', 35.0),
        (429, {}, b'{"message": "You are being rate limited.", "retry_after": 0.75, "global": false}', 0.75),
        (429, {"Retry-After": "7"}, b'{"retry_after": 3}', 7.0),
        (429, {}, b'{"retry_after": "soon"}', None),
    ],
)
async def test_a_service_that_says_how_long_to_wait_is_heard(
    status: int, headers: dict[str, str], body: bytes, after: float | None
) -> None:
    service = SERVICES["telegram"]
    with receiving(Reply(status, headers, body)) as receiver:
        async with channel(service, receiver) as built:
            outcome = await built.send(delivery())
    assert isinstance(outcome, Retry)
    assert outcome.after == after


@pytest.mark.parametrize(
    ("url", "spacing"),
    [
        *((each.url, 1.0) for name, each in SERVICES.items() if name != "mattermost"),
        ("workflows://example.com/abcdefghijklmnop/abcdefghijklmnop", 1.0),
        ("json://127.0.0.1/x", 0.0),
        ("mailto://127.0.0.1?to=a@example.com&from=b@example.com", 0.0),
    ],
)
def test_messages_keep_the_distance_that_their_service_wants(url: str, spacing: float) -> None:
    assert build_channel(setting(url), redactor=Redactor()).spacing == spacing
    assert build_channel(setting(url, pace="7s"), redactor=Redactor()).spacing == 7.0


# Digests.


def digest(*events: Event) -> Digest:
    members = tuple(delivery(event, id=f"dlv-{number}") for number, event in enumerate(events))
    return Digest("dig-1", "team", members)


MANY = [
    named(name, type_) for name in ["지원 봇", "```\n@everyone", "<b>&"] for type_ in ("task.failed", "task.started")
]


@pytest.mark.anyio
@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
async def test_a_digest_is_one_message_whose_columns_stay(service: Service) -> None:
    with posting(service) as receiver:
        async with channel(service, receiver, mentions={}) as built:
            assert await built.send_digest(digest(*MANY)) == Accepted("HTTP 200")
    text = service.texts(posted(receiver))
    first, table = text.split("\n", 1)
    before, after = ("<pre>", "</pre>") if "<pre>" in text else ("```\n", "\n```")
    assert "6" in first
    assert table.startswith(before)
    assert table.endswith(after)
    inside = table.removeprefix(before).removesuffix(after)
    assert after.strip() not in inside
    assert "지원 봇" in inside
    assert not re.search(
        r"@everyone|<b>&" if before == "```\n" and service.seen is html.unescape else "@everyone", inside
    )


@pytest.mark.anyio
async def test_a_digest_of_what_can_come_twice_keeps_its_outcomes() -> None:
    service = SERVICES["mattermost"]
    with receiving(Reply(how="reset")) as receiver:
        async with channel(service, receiver) as built:
            assert isinstance(await built.send_digest(digest(*MANY)), Unknown)


@pytest.mark.anyio
async def test_50_events_fit_every_service_and_no_row_is_dropped_in_silence() -> None:
    for service in SERVICES.values():
        events = [named(f"exp-lr-{number} {'긴 이름 ' * 8}", "task.failed") for number in range(50)]
        with posting(service) as receiver:
            async with channel(service, receiver) as built:
                assert await built.send_digest(digest(*events)) == Accepted("HTTP 200")
        text = service.texts(posted(receiver))
        rows = [line for line in text.splitlines() if "exp-lr-" in line]
        missing = re.search(r"… \+(\d+)", text)
        assert len(text) <= service.limit
        assert len(rows) + int(missing[1] if missing else 0) == 50


TABLE = Message("3 changes", "a\nb\nc", table="a  1\nb  2\nc  3")


@pytest.mark.parametrize(
    ("limit", "body"),
    [
        (100, "3 changes\n```\na  1\nb  2\nc  3\n```"),
        (35, "3 changes\n```\na  1\nb  2\nc  3\n```"),
        (31, "3 changes\n```\na  1\n… +2\n```"),
        (24, "3 changes"),
    ],
)
def test_of_a_digest_that_is_too_long_whole_rows_are_missing_and_counted(limit: int, body: str) -> None:
    assert written(TABLE, DISCORD, title_limit=0, body_limit=limit) == ("", body)


def test_where_columns_mean_nothing_a_digest_is_lines() -> None:
    assert written(TABLE, PLAIN, title_limit=100, body_limit=100) == ("3 changes", "a\nb\nc")
    assert written(TABLE, PLAIN, title_limit=0, body_limit=100, lines=3) == ("", "3 changes\na\n… +2")


def test_a_call_is_never_cut() -> None:
    message = Message("✖ " + "x" * 300, "y" * 300, calls=(Call("U012AB3CD", "jiwon"),))
    _, body = written(message, SLACK, title_limit=0, body_limit=100)
    assert body.splitlines()[0] == cut("✖ " + "x" * 300, 87) + " <@U012AB3CD>"


def failing(owner: str) -> Event:
    """A failure of a task of theirs, with a long name."""
    event = named(f"exp-{owner} {'긴 이름 ' * 20}", "task.failed", labels={"owner": owner})
    return replace(event, task=f"task-{owner}")


def owners(count: int, form: str) -> tuple[dict[str, str], list[Event]]:
    """Who is called how, and a failure of each of them."""
    ids = {f"소유자 {n:02}": form.format(n=n) for n in range(count)}
    return ids, [failing(owner) for owner in ids]


MANY_CALLS = [
    ("slack", "U012AB3C{n:02}", "<@{id}>"),
    ("discord", "1234567890123456{n:02}", "<@{id}>"),
    ("google_chat", "1122334455667788990{n:02}", "<users/{id}>"),
    ("mattermost", "jiwon.kim{n:02}", "@{id}"),
    ("telegram", "jiwon_kim_{n:02}", "@{id}"),
    ("telegram", "12345678{n:02}", '<a href="tg://user?id={id}">{owner}</a>'),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "form", "call"), MANY_CALLS)
async def test_a_digest_calls_each_owner_of_a_failure_once_and_in_order(name: str, form: str, call: str) -> None:
    service = SERVICES[name]
    ids, failed = owners(3, form)
    with posting(service) as receiver:
        async with channel(service, receiver, mentions=ids) as built:
            assert await built.send_digest(digest(*failed, *failed, named("x"))) == Accepted("HTTP 200")
    first, rest = service.texts(posted(receiver)).split("\n", 1)
    calls = [call.format(id=id_, owner=owner) for owner, id_ in ids.items()]
    assert first.endswith(" " + " ".join(calls))
    assert not any(each in rest for each in calls)


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "form", "call"), MANY_CALLS)
async def test_50_owners_and_50_long_names_fit_every_service(name: str, form: str, call: str) -> None:
    service = SERVICES[name]
    ids, failed = owners(50, form)
    with posting(service) as receiver:
        async with channel(service, receiver, mentions=ids) as built:
            assert await built.send_digest(digest(*failed)) == Accepted("HTTP 200")
    text = service.texts(posted(receiver))
    first = text.split("\n")[0]
    found = [call.format(id=id_, owner=owner) in first for owner, id_ in ids.items()]
    more = re.search(r" \+(\d+)$", first)
    assert len(text) <= service.limit
    assert len(text.encode()) <= 32_000  # Google Chat's documented size of a message, text and cards together
    assert "50" in first
    assert found == [True] * sum(found) + [False] * (50 - sum(found))
    assert sum(found) + int(more[1] if more else 0) == 50
    assert sum(found) >= 25
    rows = [line for line in text.splitlines() if line.lstrip("`<pre>").startswith("✖ exp")]
    missing = re.search(r"… \+(\d+)", text)
    assert len(rows) + int(missing[1] if missing else 0) >= 50


@pytest.mark.anyio
async def test_discord_is_told_all_whom_a_digest_may_call() -> None:
    service, people = SERVICES["discord"], {"jiwon": "123", "nlp": "&45", "minho": "678", "sora": "not an id"}
    failed = [failing(owner) for owner in people]
    with posting(service) as receiver:
        async with channel(service, receiver, mentions=people) as built:
            await built.send_digest(digest(*failed))
    body = posted(receiver)
    assert body["allowed_mentions"] == {"parse": [], "users": ["123", "678"], "roles": ["45"]}
    assert body["content"].split("\n")[0].endswith(" <@123> <@&45> <@678> @\u200bsora")


def test_those_for_whom_there_is_no_room_are_counted() -> None:
    message = Message("✖ " + "x" * 300, "y", calls=tuple(Call(f"U{n:08}", f"o{n}") for n in range(9)))
    _, body = written(message, SLACK, title_limit=0, body_limit=100)
    assert body.splitlines()[0].endswith("… <@U00000000> <@U00000001> <@U00000002> +6")
    title, _ = written(message, PLAIN, title_limit=60, body_limit=100)
    assert title.endswith(f"… @{ZWSP}o0 @{ZWSP}o1 @{ZWSP}o2 @{ZWSP}o3 @{ZWSP}o4 +4")
    assert len(title) <= 60


# What the document says.

PARTS = {
    "TEAM/BOT": "T0123ABCD/B0123ABCD",
    "NUMBER:TOKEN": "123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI",
    "NUMBER": "123456789012345678",
    "/TOKEN": f"/{'abcdefgh' * 3}",
    "SPACE": "AAAA",
    "KEY": "abc",
    "TOKEN": "def",
    "/CHAT": "/-100123456789",
    "NAME.azure": "prod-04.korea.logic.azure",
    "WORKFLOW": "abcdefghijklmnop",
    "SIGNATURE": "abcdefghijklmnop",
    "HOST": "example.com",
    "USER": "jiwon",
    "PASSWORD": "secret",
    "TOPIC": "lab",
}


def documented() -> list[tuple[str, str, str, str]]:
    """Kind, address, pace and ids of each row that has an address."""
    text = (Path(__file__).parents[1] / "docs/channels.md").read_text("utf-8")
    found = re.findall(r"^\| \[(.+?)\]\(#.+?\) \| `(\w+://\S*)` \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert len(found) == 10
    return [(str(kind), str(url), str(pace), str(calls)) for kind, url, pace, calls in found]


@pytest.mark.parametrize(("kind", "url", "pace", "calls"), documented())
def test_the_document_says_how_each_address_is_written_and_how_far_apart_messages_are(
    kind: str, url: str, pace: str, calls: str
) -> None:
    for part, example in PARTS.items():
        url = url.replace(part, example)
    built: Any = build_channel(setting(url), redactor=Redactor())
    assert built.spacing == (0.0 if pace.startswith("none") else float(pace))
    ids = re.findall("`(.+?)`", calls)
    if isinstance(built, AppriseChannel) and built.kind == "chat":
        style = dialect(service_name(type(built._plugin).__module__), markdown_only=False)
        shown = [called(Call(each, "jiwon"), style) for each in ids]
        assert all(each in call for each, call in zip((each.lstrip("&") for each in ids), shown, strict=True)), kind
        assert bool(ids) == bool(style.calls)
