"""Users' own words for messages: what a template sees and makes, and that none ever costs a message."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml

from tests.support.channels import delivery
from watcher.events import EVENT_TYPES
from watcher.i18n import translator
from watcher.models import Call, Delivery, Digest, Event, Message
from watcher.notifier import templates
from watcher.notifier.channels.base import Reader
from watcher.notifier.channels.dialects import dialect, written
from watcher.notifier.facts import Facts, zone
from watcher.notifier.render import TITLE_LIMIT, render
from watcher.notifier.samples import sample_event
from watcher.notifier.templating.workshop import shared

TRUSTED = "The template of this channel isn't used: "


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    shared._resting.clear()
    templates._said.clear()


def made(
    template: str | dict[str, str], event: Event | str = "task.failed", *, kind: Any = "chat", language: str = "en"
) -> Message:
    """A message in the words of a template (for all events, or by pattern)."""
    texts = template if isinstance(template, dict) else {"*": template}
    return Reader(kind, language, "Asia/Seoul", templates=texts).message(delivery(event))


def named(name: str, type_: str = "task.started") -> Event:
    event = sample_event(type_)
    return replace(event, subject={**(event.subject or {}), "name": name})


def note(message: Message) -> str:
    """Why the template wasn't used, from the last line; "" where it was."""
    return message.body.rpartition(TRUSTED)[2] if TRUSTED in message.body.split("\n")[-1] else ""


# ── what a template makes ──


def test_the_first_line_is_the_title_and_the_rest_the_body() -> None:
    message = made("\n{{ name }} said no\n\n\n  why: {{ event.failure.reason }}\n{{ labels.owner }}\n\n")
    assert message == Message("support-bot v3 said no", "why: file.format\njiwon")


def test_a_template_sees_the_event_the_task_the_built_in_words_and_the_time() -> None:
    built_in = Reader("console", "en", "Asia/Seoul").message(delivery("task.progress"))
    text = "{{ title }}\n{{ body }}\n{{ event.type }} {{ event.percent }} {{ task.statusInfo.currStep }} {{ now[:2] }}"
    message = made(text, "task.progress", kind="console")
    assert message.title == built_in.title
    assert message.body.split("\n") == [*built_in.body.split("\n"), "task.progress 50 1000 20"]


def test_times_are_the_channels_and_spans_are_in_its_language() -> None:
    event = replace(sample_event("task.started"), details={"waited": 4320, "at": "2026-03-02T05:02:40.000Z"})
    text = "{{ event.at | local }} {{ event.at | local('%m월%d일') }} {{ event.waited | span }} {{ task.eta | local }}."
    assert made(text, event).title == "14:02:40 KST 03월02일 1 h 12 m ."
    assert made("{{ -5 | span }}{{ task.eta | span }}.", event).title == "."
    span = Facts(event, "chat", translator("ko"), zone("Asia/Seoul")).span(4320)
    assert made("{{ event.waited | span }}", event, language="ko").title == span


def test_what_clova_studio_left_out_is_nothing_and_no_mistake() -> None:
    bare = {"id": "czf9fbky", "account": "default", "name": None, "labels": {}, "statusInfo": None, "status": "WAIT"}
    event = replace(sample_event("task.started"), subject=bare)
    text = "{{ task.name or task.id }}: {{ task.statusInfo.trainLoss }}.{% if event.failure %}!{% endif %}"
    assert made(text, event).title == "czf9fbky: ."


def test_events_that_are_about_no_task_have_an_empty_one_and_a_name() -> None:
    text = "{% if task %}task {% endif %}{{ name }}"
    names = {type_: made(text, type_).title for type_ in ("account.rejected", "channel.failing", "watcher.gap")}
    assert names == {"account.rejected": "default", "channel.failing": "team", "watcher.gap": "watcher"}
    assert made(text, "group.finished").title == "lr-sweep"


@pytest.mark.parametrize(
    ("type_", "patterns", "taken"),
    [
        ("task.failed", ["task.failed", "task.*", "notable", "*"], "task.failed"),
        ("task.failed", ["*", "notable", "task.*", "task.failed"], "task.failed"),
        ("task.failed", ["task.*", "*.failed"], "*.failed"),
        ("task.failed", ["notable", "*"], "notable"),
        ("task.failed", ["notable", "task.*"], "task.*"),
        ("task.progress", ["notable", "*"], "*"),
        ("task.progress", ["notable", "task.failed"], None),
        ("task.failed", [], None),
    ],
)
def test_the_most_telling_pattern_counts(type_: str, patterns: list[str], taken: str | None) -> None:
    texts = dict.fromkeys(patterns, "")
    assert templates.pattern_for(texts, type_, EVENT_TYPES[type_].notable) == taken


def test_a_template_for_some_events_leaves_the_others_their_words() -> None:
    own = {"task.failed": "oh no"}
    assert made(own).title == "oh no"
    assert made(own, "task.started").title == "▶ support-bot v3 is training"


def test_a_first_line_that_is_cut_stands_whole_below() -> None:
    message = made("{{ 'long ' * 100 }}\nrest")
    assert len(message.title) <= TITLE_LIMIT
    assert message.body.split("\n") == [("long " * 100).strip(), "rest"]


def test_a_sample_says_that_it_is_one() -> None:
    event = replace(sample_event("task.failed"), details={"test": True})
    assert made("down", event).title == "down (test)"
    assert made("down", event, language="ko").title != "down"


def test_who_is_called_by_name_stays_so() -> None:
    reader = Reader("chat", "en", "UTC", {"jiwon": "U012AB3CD"}, {"*": "down"})
    message = reader.message(delivery())
    assert (message.title, message.calls) == ("down", (Call("U012AB3CD", "jiwon"),))


def test_digests_and_plain_messages_use_no_template() -> None:
    reader = Reader("chat", "en", "UTC", templates={"*": "mine"})
    digest = Digest("dig-1", "team", (delivery("task.failed"), delivery("task.started")))
    assert "mine" not in reader.digest(digest).title + reader.digest(digest).body
    assert reader.message(delivery(plain=True)).title == "task.failed czf9fbky: RUNNING -> FAILED"


@pytest.mark.parametrize("members", [1, 3])
def test_a_digest_of_poison_is_told_in_plain_words(members: int) -> None:
    poison = tuple(delivery(id=f"dlv-{n}", plain=True) for n in range(members))
    message = Reader("chat", "en", "UTC").digest(Digest("dig-1", "team", poison))
    assert message.body.split("\n") == ["task.failed czf9fbky: RUNNING -> FAILED"] * members


# ── what stands in it is shown literally ──

NASTY = "<!channel> @everyone <users/all> <script>x</script> *b* `c` \x1b[31mred \u202eabc :boom: <@U012AB3CD>"


@pytest.mark.parametrize("service", ["slack", "discord", "telegram", "google_chat", "mattermost", "zulip", "ntfy"])
def test_neither_a_name_nor_a_template_calls_anybody_or_is_interpreted(service: str) -> None:
    message = made("{{ task.name }}\n" + NASTY.replace("\x1b", ""), named(NASTY))
    style = dialect(service, markdown_only=False)
    shown = "\n".join(written(message, style, title_limit=250, body_limit=4000))
    assert not re.search(r"@everyone|<!channel|<users/all|<script|<@U|\x1b|\u202e|:boom:", shown)
    assert shown.count("everyone") == 2
    markup = {"slack": "&lt;", "telegram": "&lt;", "discord": "\\*", "mattermost": "\\*", "zulip": "\\*"}
    assert markup.get(service, "") in shown


def test_a_mails_html_shows_a_templates_text_as_it_is() -> None:
    message = made("{{ task.name }}\n<b>bold</b> & co", named("<script>x</script>"), kind="mail")
    assert (message.title, message.body) == ("<script>x</script>", "<b>bold</b> & co")
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; co" in message.html
    assert "<script" not in message.html


def test_a_name_cannot_add_lines() -> None:
    message = made("{{ task.name }} runs\nbelow", named("a\nb\r\nc\u2028d\x85e"))
    assert message == Message("a b c d e runs", "below")


def test_lone_surrogates_and_nul_do_no_harm() -> None:
    assert made("{{ task.name }}!", named("a\ud800b\x00c")).title == "a\ufffdb␀c!"


def test_a_name_of_ten_thousand_characters_is_cut() -> None:
    assert len(made("{{ task.name }}", named("가" * 10_000)).body) <= templates.TEXT_LIMIT


# ── a template never costs a message ──

BROKEN = {
    "{{ name }\n": "line 1: unexpected '}'",
    "a\n{% if %}": "line 2: Expected an expression, got 'end of statement block'",
    "a\n\n{{ nam }}": "line 3: 'nam' is undefined",
    "{{ event.percnt }}": "line 1: 'dict object' has no attribute 'percnt'",
    "{{ ''.__class__.__mro__ }}": "line 1: access to attribute '__class__' of 'str' object is unsafe.",
    "{{ ''|attr('__class__') }}": "line 1: access to attribute '__class__' of 'str' object is unsafe.",
    "{{ self.__init__.__globals__ }}": "unsafe",
    "{{ cycler.__init__.__globals__.os }}": "unsafe",
    "{{ '{0.__class__}'.format(1) }}": "unsafe",
    "{{ labels.update(x=1) }}": "unsafe",
    "{% for a in range(10**12) %}{% endfor %}": "line 1: OverflowError: Range too big",
    "{{ 'x' * 10**9 }}": "it needs more than 256 MB of memory",
    "{{ '%1000000000d' % 1 }}": "it needs more than 256 MB of memory",
    "{% for a in range(90000) %}{{ a }}{% endfor %}": "it makes more than 20,000 characters",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}": "line 1: RecursionError",
    "{% include '/etc/passwd' %}": "line 1: TypeError: no loader",
    "{{ event.time | local(5) }}": "line 1: TypeError: local takes a time",
    "{{ name | local }}": "line 1: TypeError: local takes a time",
    "{{ name | span }}": "line 1: TypeError: span takes a number of seconds",
    " \n\n": "it makes no text",
    "{{ none }}": "it makes no text",
}


@pytest.mark.parametrize("template", BROKEN)
def test_a_broken_template_costs_its_words_and_says_what_is_wrong(template: str) -> None:
    message, built_in = made(template, kind="console"), Reader("console", "en", "Asia/Seoul").message(delivery())
    assert message.title == built_in.title
    assert message.body.startswith(built_in.body[: len("file.format")])
    assert BROKEN[template] in note(message)


def test_the_same_trouble_is_logged_once_for_each_template() -> None:
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            made({"task.failed": "{{ nam }}"})
        made({"*": "{{ nam }}"})
    failed = [line for line in lines if line["event"] == "template.failed"]
    assert [(line["pattern"], line["channel"], line["line"], line["said"]) for line in failed] == [
        ("task.failed", "team", 1, "'nam' is undefined"),
        ("*", "team", 1, "'nam' is undefined"),
    ]


# ── what is passed on ──


def test_every_event_passes_its_template_whole() -> None:
    for type_ in EVENT_TYPES:
        event = sample_event(type_)
        message = render(event, kind="chat", language="en", timezone="UTC")
        facts = Facts(event, "chat", translator("en"), zone("UTC"))
        seen = dict(templates._seen(facts, message))
        assert json.loads(json.dumps(seen)) == seen, type_
        assert made("{{ title }}\n{{ event | tojson }}", event).title == made({}, event).title


def test_many_deliveries_use_one_process() -> None:
    def one(number: int) -> tuple[str, int | None]:
        shown: Delivery = replace(delivery(named(f"bot {number}")), id=f"dlv-{number}")
        return Reader("chat", "en", "UTC", templates={"*": "{{ name }}"}).message(shown).title, shared.pid

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(one, range(50)))
    assert [title for title, _ in results] == [f"bot {n}" for n in range(50)]
    assert len({pid for _, pid in results}) == 1


def test_the_example_of_the_documents_makes_what_it_says() -> None:
    page = (Path(__file__).parents[1] / "docs" / "templates.md").read_text("utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    own = yaml.safe_load(block)["channels"]["team"]["template"]
    assert made(own) == Message(
        "support-bot v3 fell over: file.format",
        "Invalid dataset: required field empty. Completion\njiwon, have a look.",
    )
    assert re.fullmatch(r"HCX-003 at \d\d:\d\d", made(own, "task.started").body)
    assert TRUSTED in page
