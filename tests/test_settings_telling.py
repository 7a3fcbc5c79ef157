"""What a configuration says about how messages are told: Slack apps, templates, quiet hours, mentions, languages."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.support.configs import TASKS, load, only_problem, problems
from watcher.settings import Channel, Quiet
from watcher.settings.watch import ConfigWatch

SIGNING = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def channel(folder: Path, more: str, env: dict[str, str] | None = None) -> Channel:
    return load(folder, TASKS + f"channels: {{c: {{{more}}}}}", env).channels["c"]


def with_url(more: str) -> str:
    return TASKS + f"channels: {{c: {{url: 'json://x', {more}}}}}"


def test_without_a_word_nothing_is_quiet_urgent_or_templated(tmp_path: Path) -> None:
    settings = load(tmp_path, with_url("timezone: UTC"))
    found = settings.channels["c"]
    assert (found.mode, found.slack_token, found.channel, found.pace) == (None, None, None, None)
    assert (found.quiet, found.urgent, found.template) == ((), False, {})
    assert (settings.mentions, settings.delivery.digest_after) == ({}, 10)


def test_null_or_nothing_takes_back_what_an_earlier_file_said(tmp_path: Path) -> None:
    text = with_url("mode: null, slack_token: null, channel: null, quiet: null, template: , pace: ~")
    assert problems(tmp_path, text + "\nmentions:\ndelivery: {digest_after: null}") == []
    assert load(tmp_path, TASKS + "delivery: {digest_after: null}").delivery.digest_after is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("22:00-08:00", [(1320, 480)]),
        ("0:00-9:05", [(0, 545)]),
        ('" 22:00 - 24:00 "', [(1320, 0)]),
        ("22:00-00:00", [(1320, 0)]),
        ("[22:00-08:00, 12:00-13:00]", [(1320, 480), (720, 780)]),
        ("[08:00-20:00, 20:00-07:59]", [(480, 1200), (1200, 479)]),
        ("[]", []),
    ],
)
def test_quiet_hours_are_one_range_or_several(tmp_path: Path, written: str, expected: list[tuple[int, int]]) -> None:
    assert channel(tmp_path, f"url: 'json://x', quiet: {written}").quiet == tuple(Quiet(*each) for each in expected)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("25:00-8", "not a range of hours; write hours and minutes, such as"),
        ("22-08", "not a range of hours"),
        ("22:00", "not a range of hours"),
        ("22:00-08:00 KST", "not a range of hours"),
        ("22:00-8:0", "not a range of hours"),
        ("٢٢:00-08:00", "not a range of hours"),
        ("25:00-08:00", "no such time of day"),
        ("22:60-08:00", "no such time of day"),
        ("24:00-08:00", "24:00 only as the end"),
        ("22:00-24:01", "no such time of day"),
        ("08:00-08:00", "starts when it ends"),
        ("00:00-24:00", "starts when it ends"),
        ("[a]", "not a range of hours"),
        ("[22:00-08:00, [x]]", "must be one text or number"),
        ("{from: 22}", "must be one text, or a list: "),
        ("[00:00-12:00, 12:00-24:00]", "leave no time for messages"),
        ("[06:00-20:00, 20:00-05:00, 04:00-07:00]", "leave no time for messages"),
    ],
)
def test_what_cant_be_quiet_hours_says_how_they_are_written(tmp_path: Path, written: str, words: str) -> None:
    found = only_problem(tmp_path, with_url(f"quiet: {written}"))
    assert found.startswith("watcher.yaml:2:")
    assert "channels.c.quiet" in found
    assert words in found


SLACK = "slack_token: xoxb-1, channel: '#ml'"


@pytest.mark.parametrize(
    ("more", "mode"),
    [(SLACK, "messages"), (f"{SLACK}, mode: messages", "messages"), (f"{SLACK}, mode: card", "card")],
)
def test_a_slack_app_needs_no_url_and_tells_messages_unless_asked_for_cards(
    tmp_path: Path, more: str, mode: str
) -> None:
    found = channel(tmp_path, more)
    assert found.slack_token is not None
    assert (found.url, found.slack_token.get_secret_value(), found.channel, found.mode) == (
        None, "xoxb-1", "#ml", mode,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["'#ml'", "'#훈련-결과'", "'#a.b_c'", "C012AB3CD", "D012AB3CD9", "U012AB3CD"])
def test_a_slack_channel_is_a_name_or_an_id(tmp_path: Path, name: str) -> None:
    assert channel(tmp_path, f"slack_token: xoxe.xoxb-1, channel: {name}").channel == name.strip("'")


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        ("slack_token: xoxb-1", "channel", "missing; write where the Slack app is to post"),
        ("slack_token: xoxb-1, channel: ml", "channel", 'with its #, in quotes: "#ml"'),
        ("slack_token: xoxb-1, channel: '#a b'", "channel", "with its #"),
        ("slack_token: xoxb-1, channel: '<#C012AB3CD>'", "channel", "with its #"),
        ("slack_token: xoxb-1, channel: #ml\n", "channel", 'empty; # starts a comment. Write "#ml"'),
        ("channel: '#ml', slack_token: xapp-1", "slack_token", "another kind of Slack token"),
        ("channel: '#ml', slack_token: hello", "slack_token", "starts with xoxb-"),
        ("channel: '#ml', slack_token: 'xoxb-1 2'", "slack_token", "copy it again"),
        ("channel: '#ml', slack_token: 'https://hooks.slack.com/x'", "slack_token", "starts with xoxb-"),
        ("channel: '#ml', slack_token: '${EMPTY}'", "slack_token", "empty (the variable EMPTY is)"),
        ("channel: '#ml', slack_token_file: /nope", "slack_token_file", "No such file"),
        ("channel: '#ml'", "slack_token", "missing; write slack_token_file: /path"),
        ("mode: card", "slack_token", "missing; write slack_token_file: /path"),
        ("url: 'json://x', mode: card", "mode", "a living card needs a Slack app"),
        ("url: 'json://x', mode: cards", "mode", "must be one of card, messages. Did you mean card?"),
        ("url: 'json://x', channel: '#ml'", "channel", "an address has its own channel"),
        (f"{SLACK}, url: 'https://hooks.slack.com/services/T/B/x'", "url", "an incoming webhook's"),
        (f"{SLACK}, url: 'slack://x'", "url", "where Slack's Web API is"),
        (f"{SLACK}, url: 'https://u:p@slack.example/api/'", "url", "where Slack's Web API is"),
        (f"{SLACK}, secret: {SIGNING}", "secret", "a Slack app is none"),
    ],
)
def test_a_slack_app_that_cant_be_says_what_to_write(tmp_path: Path, more: str, key: str, words: str) -> None:
    found = only_problem(tmp_path, TASKS + f"channels: {{c: {{{more}}}}}", {"EMPTY": ""})
    assert f": channels.c.{key}: " in found
    assert words in found


def test_the_slack_api_may_be_elsewhere(tmp_path: Path) -> None:
    url = channel(tmp_path, f"{SLACK}, url: 'http://127.0.0.1:8081/api/'").url
    assert url is not None
    assert url.get_secret_value() == "http://127.0.0.1:8081/api/"


def test_reading_commands_need_no_slack_token(tmp_path: Path) -> None:
    text = "channels:\n  c: {slack_token: '${NO}', channel: '#ml'}\n  d: {slack_token_file: /no, channel: '#ml'}"
    channels = load(tmp_path, TASKS + text, secrets=False).channels
    assert [each.slack_token for each in channels.values()] == [SecretStr(""), SecretStr("")]


def test_one_template_is_for_all_events(tmp_path: Path) -> None:
    assert channel(tmp_path, "url: 'json://x', template: '{{ title }}'").template == {"*": "{{ title }}"}


def test_templates_by_event_keep_their_order_and_their_places(tmp_path: Path) -> None:
    text = (
        TASKS
        + """channels:
  c:
    url: json://x
    template:
      "task.*": "{{ name }}"
      task.failed: |
        {{ title }}
        costs $${x}
"""
    )
    settings = load(tmp_path, text)
    assert list(settings.channels["c"].template.items()) == [
        ("task.*", "{{ name }}"),
        ("task.failed", "{{ title }}\ncosts ${x}\n"),
    ]
    at = settings.problem("channels.c.template.task.failed", "x")
    assert (at.line, at.column) == (7, 20)


def test_template_files_are_read_at_load_and_watched(tmp_path: Path) -> None:
    (tmp_path / "all.j2").write_text("{{ title }} ${HOME}\n")
    (tmp_path / "failed.j2").write_text("failed\n")
    mapping = f"{{task.failed: {tmp_path}/failed.j2, '*': {tmp_path}/all.j2}}"
    text = TASKS + f"channels:\n  c: {{url: 'json://x', template_file: {mapping}}}"
    text += f"\n  d: {{url: 'json://y', template_file: {tmp_path}/all.j2}}"
    settings = load(tmp_path, text)
    assert settings.channels["c"].template == {"task.failed": "failed", "*": "{{ title }} ${HOME}"}
    assert settings.channels["d"].template == {"*": "{{ title }} ${HOME}"}
    assert settings.template_file("c", "task.failed") == f"{tmp_path}/failed.j2"
    assert settings.template_file("d", "*") == f"{tmp_path}/all.j2"
    assert settings.template_file("d", "task.failed") is None
    assert {f"{tmp_path}/all.j2", f"{tmp_path}/failed.j2"} <= set(settings.files())
    assert settings.problem("channels.c.template.task.failed", "x").line == 3


def test_a_changed_template_file_is_a_change_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "all.j2").write_text("before")
    settings = load(tmp_path, with_url(f"template_file: {tmp_path}/all.j2"))
    watch = ConfigWatch([str(tmp_path / "watcher.yaml")], {"CLOVA_API_KEY": "x"})
    watch.applied(settings)
    (tmp_path / "all.j2").write_text("after")
    found = [watch.look(), watch.look()][1]
    assert not isinstance(found, Exception | None)
    assert found.channels["c"].template == {"*": "after"}


@pytest.mark.parametrize(
    ("more", "key", "words"),
    [
        ("template: [x]", "template", "must be a mapping"),
        ("template: {task.failed: [x]}", "template.task.failed", "must be one text or number, not a list"),
        ("template: {task.failed: {a: b}}", "template.task.failed", "not a mapping"),
        ("template: {task.failed: }", "template.task.failed", "empty"),
        ("template: {task.faild: x}", "template.(a key)", "Did you mean task.failed?"),
        ("template: ' '", "template", 'empty; write a Jinja2 template, such as "{{ title }}"'),
        ("template: {{ title }}", "", "key must be a word"),
        ("template_file: /nope", "template_file", "/nope can't be read: No such file"),
        ("template_file: '{{ title }}'", "template_file", "No such file"),
        ("template_file: {task.failed: /nope}", "template_file.task.failed", "/nope can't be read: No such file"),
        ("template_file: {'*': /nope}", "template_file.*", "/nope can't be read: No such file"),
        ("template: {'*': ' '}", "template.*", "empty; write a Jinja2 template"),
        ("template_file: {task.failed: /nope, task.faild: /}", "template_file.(a key)", "Did you mean task.failed?"),
        ("template_file: [/nope]", "template_file", "must be a path, or a mapping"),
        ("template_file: /", "template_file", "is no regular file; name a file that holds the template"),
        ("template: x, template_file: /nope", "template_file", "template is written too; keep one of the two"),
    ],
)
def test_a_wrong_template_is_named(tmp_path: Path, more: str, key: str, words: str) -> None:
    found = problems(tmp_path, with_url(more))
    assert [each for each in found if f": channels.c.{key}{': ' if key else ''}" in each and words in each], found


def test_a_template_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 65537)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_bytes(b"\n")
    expected = {"large": "that is no template", "binary": "isn't UTF-8 text", "empty": "write the template into it"}
    for name, words in expected.items():
        for written, key in ((f"{tmp_path}/{name}", ""), (f"{{task.failed: {tmp_path}/{name}}}", ".task.failed")):
            found = only_problem(tmp_path, with_url(f"template_file: {written}"))
            assert f": channels.c.template_file{key}: " in found
            assert words in found


def test_a_signed_webhook_takes_no_template(tmp_path: Path) -> None:
    text = TASKS + f"channels: {{c: {{url: 'https://x.example/', secret: {SIGNING}, template: x}}}}"
    assert "channels.c.template: a signed webhook carries whole events" in only_problem(tmp_path, text)


def test_reading_commands_need_no_template_files(tmp_path: Path) -> None:
    assert load(tmp_path, with_url("template_file: /nope"), secrets=False).channels["c"].template == {}


@pytest.mark.parametrize("written", ["maybe", "'yes'", "[task.failed]", "", "1"])
def test_urgent_is_true_or_false(tmp_path: Path, written: str) -> None:
    assert ": channels.c.urgent: " in only_problem(tmp_path, with_url(f"urgent: {written}"))
    text = with_url("timezone: UTC") + f"\nroutes: [{{events: notable, channels: c, urgent: {written}}}]"
    assert ": routes[0].urgent: " in only_problem(tmp_path, text)


def test_channels_and_routes_may_be_urgent(tmp_path: Path) -> None:
    settings = load(tmp_path, with_url("urgent: true") + "\nroutes: [{events: notable, channels: c, urgent: true}]")
    assert (settings.channels["c"].urgent, settings.routes[0].urgent) == (True, True)


def test_mentions_are_owners_and_ids(tmp_path: Path) -> None:
    mentions = load(tmp_path, TASKS + 'mentions: {jiwon: U012AB3CD, 김 지원: 1234567890, "no": ji.won_1}').mentions
    assert mentions == {"jiwon": "U012AB3CD", "김 지원": "1234567890", "no": "ji.won_1"}


@pytest.mark.parametrize(
    ("written", "key", "words"),
    [
        ("jiwon", "mentions", "must be a mapping, such as mentions: {name: ...}"),
        ("[jiwon]", "mentions", "must be a mapping"),
        ('{jiwon: ""}', "mentions.jiwon", "empty"),
        ("{jiwon: }", "mentions.jiwon", "empty"),
        ('{jiwon: "@jiwon"}', "mentions.jiwon", "without @ and <>"),
        ('{jiwon: "<@U012AB3CD>"}', "mentions.jiwon", "without @ and <>"),
        ('{jiwon: "<!channel>"}', "mentions.jiwon", "without @ and <>"),
        ("{jiwon: users/all}", "mentions.jiwon", "without @ and <>"),
        ("{jiwon: [U1]}", "mentions.jiwon", "not a list"),
        ('{"a\\nb": U1}', "mentions.(a key)", "1 to 200 characters"),
    ],
)
def test_a_wrong_mention_is_named(tmp_path: Path, written: str, key: str, words: str) -> None:
    found = only_problem(tmp_path, TASKS + f"mentions: {written}")
    assert f": {key}: " in found
    assert words in found


@pytest.mark.parametrize("word", ["all", "here", "everyone", "Channel"])
def test_nobody_is_called_by_the_name_of_everybody(tmp_path: Path, word: str) -> None:
    assert "calls everybody" in only_problem(tmp_path, TASKS + f"mentions: {{jiwon: {word}}}")


HIDDEN = "hunter2hunter2"

# What somebody writes under `channels`, the key that is named, and what is said of it.
BROKEN = [
    ("{urll: 'https://x.example/hunter2hunter2'}", "urll", "unknown key. Did you mean url?"),
    ("'htps://x.example/hunter2hunter2'", "url", "no address starts so; did you mean https://?"),
    ("'HTPP://x.example/hunter2hunter2'", "url", "no address starts so; did you mean https://?"),
    (
        "{webhook: 'https://x.example/hunter2hunter2', url: 'json://x'}",
        "webhook",
        "Known here: url, secret, language, ",
    ),
    ("' https://x.example/hunter2hunter2'", "url", "has blanks around it; take them away"),
    ("{url: 'json://hunter2hunter2', quiet: {from: 22}}", "quiet", "must be one text, or a list: "),
    ("'x.example/hunter2hunter2'", "url", "must be a URL: https://..., or an Apprise URL"),
    ("'mailto:hunter2hunter2@x.example'", "url", "lacks the // behind its first colon; write mailtos://USER:PASSWORD@"),
    ("'console:'", "url", "lacks the // behind its first colon; write console://"),
    ("'https://hooks.slack.com/services/T0/hunter2hunter2'", "url", "is only a part of Slack's webhook address"),
    ("'https://hooks.slack.com/services/'", "url", "https://hooks.slack.com/services/T.../B.../..."),
    ("'https://discord.com/api/webhooks/1234567'", "url", "is only a part of Discord's webhook address"),
    ("{url: 'json://hunter2hunter2', quiet: 22-8}", "quiet", 'write hours and minutes, such as "22:00-08:00"'),
    ("{url: 'json://hunter2hunter2', quiet: [1:00-2:00, 8]}", "quiet[1]", "not a range of hours"),
    ("{url: 'json://hunter2hunter2', events: notble}", "events", "Did you mean notable?"),
    ("{url: 'json://hunter2hunter2', language: kr}", "language", "must be one of en, ja, ko. Did you mean ko?"),
    ("{url: 'json://hunter2hunter2', language: ja-JP}", "language", "Did you mean ja?"),
    ("{url: 'json://hunter2hunter2', language: Korean}", "language", "Did you mean ko?"),
    ("{url: 'json://hunter2hunter2', timezone: Seoul}", "timezone", "Did you mean Asia/Seoul?"),
    ("{url: 'json://hunter2hunter2', timezone: GMT+9}", "timezone", "an offset isn't an IANA time zone; write a name"),
    ("{url: 'json://hunter2hunter2', timezone: '+09:00'}", "timezone", "an offset isn't an IANA time zone"),
    ("{url: 'json://hunter2hunter2', mode: card}", "mode", "a living card needs a Slack app: write slack_token_file"),
    ("{slack_token: xoxb-hunter2hunter2}", "channel", 'write where the Slack app is to post: "#ml"'),
    ("{token: xoxb-hunter2hunter2, channel: '#ml'}", "token", "unknown key. Did you mean slack_token?"),
    ("{url: 'https://x.example/', secret: hunter2hunter2}", "secret", "make one with: echo whsec_"),
    ("{url: 'https://x.example:99999/hunter2hunter2'}", "url", "its port must be a number from 1 to 65535"),
    ("{url: 'https://x.example/hunter2hunter2', url_file: ./x}", "url_file", "url is written too; keep one of the two"),
    ("'mailto://u:hunter2hunter2@x.example?to=a@x.example,b'", "url", "write ?to=NAME@EXAMPLE.COM"),
]


@pytest.mark.parametrize(("written", "key", "words"), BROKEN)
def test_what_is_broken_names_its_key_and_what_to_do_and_shows_no_secret(
    tmp_path: Path, written: str, key: str, words: str
) -> None:
    found = only_problem(tmp_path, TASKS + f"channels: {{c: {written}}}")
    assert found.startswith("watcher.yaml:2:")
    assert f": channels.c.{key}: " in found
    assert words in found
    assert HIDDEN not in found


def test_channels_that_are_no_mapping_show_how_they_are_written(tmp_path: Path) -> None:
    for written in ("[{url: 'https://x.example/hunter2hunter2'}]", "'https://x.example/hunter2hunter2'"):
        found = only_problem(tmp_path, TASKS + f"channels: {written}")
        assert found == 'watcher.yaml:2:11: channels: must be a mapping, such as channels: {team: "https://..."}'


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com/services/T0ABCDEFG/B0ABCDEFG/abcdefghijklmnopqrstuvwx",
        "https://hooks.slack.com/triggers/T0ABCDEFG/1/abc",
        "https://discord.com/api/webhooks/123456789/abc_d-ef?thread=1",
        "https://discord.com/api/webhooks/123456789/abcdef/slack",
        "sms://x",
        "json://x",
    ],
)
def test_whole_addresses_and_other_services_are_left_alone(tmp_path: Path, url: str) -> None:
    assert problems(tmp_path, TASKS + f"channels: {{c: '{url}'}}") == []


@pytest.mark.parametrize("language", ["en", "ja", "ko"])
def test_a_channel_has_one_of_three_languages(tmp_path: Path, language: str) -> None:
    assert (
        load(tmp_path, TASKS + f"language: {language}\nchannels: {{c: 'json://x'}}").channels["c"].language == language
    )
    assert channel(tmp_path, f"url: 'json://x', language: {language}").language == language
    assert "must be one of en, ja, ko" in only_problem(tmp_path, with_url("language: fr"))


@pytest.mark.parametrize("written", ["0", "-1", "1.5", "never", "'100001'"])
def test_digests_start_after_a_whole_number(tmp_path: Path, written: str) -> None:
    found = only_problem(tmp_path, TASKS + f"delivery: {{digest_after: {written}}}")
    assert "delivery.digest_after: must be a whole number from 1 to 100000" in found


def test_a_mail_address_with_several_recipients_is_a_channel_for_each(tmp_path: Path) -> None:
    mail = "mailto://u:p@mail.example?to=jiwon@x.example,minsu@x.example"
    text = TASKS + f"channels: {{mail: {{url: '{mail}', quiet: 22:00-08:00}}}}\n"
    settings = load(tmp_path, text + "language: ko\nroutes: [{events: notable, channels: mail}]")
    assert [(each.name, each.language, len(each.quiet)) for each in settings.channels.values()] == [
        ("mail.jiwon", "ko", 1), ("mail.minsu", "ko", 1),
    ]  # fmt: skip
    assert settings.routes[0].channels == ("mail.jiwon", "mail.minsu")
    assert settings.problem("channels.mail.jiwon.url", "x").line == 2


def test_what_is_wrong_with_a_recipient_is_told_with_everything_else(tmp_path: Path) -> None:
    text = TASKS + "http: {port: no}\nchannels: {mail: 'mailto://u:p@mail.example?to=a@x.example,b'}\nlog: {x: y}"
    assert [each.split(": ")[1] for each in problems(tmp_path, text)] == ["http.port", "channels.mail.url", "log.x"]


def test_the_environment_can_say_it_all(tmp_path: Path) -> None:
    env = {
        "WATCHER_CHANNELS__C__SLACK_TOKEN": "xoxb-2", "WATCHER_CHANNELS__C__CHANNEL": "#ml",
        "WATCHER_CHANNELS__C__MODE": "card", "WATCHER_CHANNELS__C__QUIET": "22:00-08:00",
        "WATCHER_CHANNELS__C__URGENT": "true", "WATCHER_CHANNELS__C__PACE": "2s",
        "WATCHER_CHANNELS__C__TEMPLATE": "{{ title }}", "WATCHER_MENTIONS__JIWON": "U012AB3CD",
        "WATCHER_DELIVERY__DIGEST_AFTER": "null",
    }  # fmt: skip
    settings = load(tmp_path, TASKS + "channels: {c: {slack_token: xoxb-1, channel: '#x'}}", env)
    found = settings.channels["c"]
    assert found.slack_token is not None
    assert (found.slack_token.get_secret_value(), found.channel, found.mode) == ("xoxb-2", "#ml", "card")
    assert (found.quiet, found.urgent, found.pace) == ((Quiet(1320, 480),), True, 2)
    assert (found.template, settings.mentions) == ({"*": "{{ title }}"}, {"jiwon": "U012AB3CD"})
    assert settings.delivery.digest_after is None


def test_what_the_environment_says_wrongly_is_named_by_its_variable(tmp_path: Path) -> None:
    env = {"WATCHER_CHANNELS__C__QUIET": "25:00-8", "WATCHER_CHANNELS__C__TEMPLATE": " ", "WATCHER_MENTIONS": "[x]"}
    found = problems(tmp_path, TASKS + "channels: {c: 'json://x'}", env)
    assert sorted(each.split(": ")[0] for each in found) == sorted(env)


def test_all_of_it_is_told_at_once(tmp_path: Path) -> None:
    text = (
        TASKS
        + """channels:
  c: {url: json://x, quiet: 8, urgent: so, mode: x, pace: 1y, template: {x: y}, language: jp}
  d: {slack_token: x, channel: y}
mentions: {a: "<@b>"}
delivery: {digest_after: no}
"""
    )
    assert [each.split(": ")[1] for each in problems(tmp_path, text)] == [
        "channels.c.quiet", "channels.c.urgent", "channels.c.mode", "channels.c.pace", "channels.c.template.x",
        "channels.c.language", "channels.d.slack_token", "channels.d.channel", "mentions.a", "delivery.digest_after",
    ]  # fmt: skip
