"""Variables, secret files, and that no secret is ever shown."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from tests.support.configs import KEY, TASKS, load, only_problem, problems
from watcher.settings import Account, Channel

CANARY = "canary7Secret0Value"
SIGNING = "whsec_" + base64.b64encode(b"k" * 32).decode()


def channel_text(folder: Path, value: str, env: dict[str, str] | None = None) -> str:
    url = load(folder, TASKS + f"channels: {{c: '{value}'}}", env).channels["c"].url
    assert url is not None
    return url.get_secret_value()


@pytest.mark.parametrize(
    ("written", "env", "expected"),
    [
        ("json://${HOST}", {"HOST": "h"}, "json://h"),
        ("json://${HOST:-d}/${P:-}", {}, "json://d/"),
        ("json://${HOST:-d}", {"HOST": ""}, "json://d"),
        ("json://a${E}b", {"E": ""}, "json://ab"),
        ("json://$${HOST}", {"HOST": "h"}, "json://${HOST}"),
        ("json://$HOST$", {"HOST": "h"}, "json://$HOST$"),
        ("json://${A}", {"A": "${B}"}, "json://${B}"),
        ("json://${A:-x:-y}", {}, "json://x:-y"),
        ("${U}", {"U": "json://x#{a: [b]} # no comment"}, "json://x#{a: [b]} # no comment"),
    ],
)
def test_variables_are_put_in_as_text(tmp_path: Path, written: str, env: dict[str, str], expected: str) -> None:
    assert channel_text(tmp_path, written, env) == expected


def test_variables_work_in_every_kind_of_value(tmp_path: Path) -> None:
    text = 'tasks: ["${ID}"]\nhttp: {port: "${PORT}", token: "${TOKEN:-}"}\npoll: {interval: "${N}s"}'
    settings = load(tmp_path, text, {"ID": "0123", "PORT": "9", "N": "7"})
    assert (settings.tasks[0].id, settings.poll.interval) == ("0123", 7)
    assert settings.http is not None
    assert (settings.http.port, settings.http.token) == (9, None)


def test_an_unset_variable_is_named_with_its_place(tmp_path: Path) -> None:
    found = only_problem(tmp_path, TASKS + 'channels:\n  team: "${SLACK_WEBHOOK_URL}"')
    assert found.startswith("watcher.yaml:3:9: channels.team.url: the environment variable SLACK_WEBHOOK_URL isn't set")


def test_a_set_but_empty_variable_is_named_too(tmp_path: Path) -> None:
    found = only_problem(tmp_path, TASKS + 'channels: {team: "${U}"}', {"U": ""})
    assert "channels.team.url: empty (the variable U is)" in found


@pytest.mark.parametrize("broken", ["${", "${A", "${}", "${1A}", "${A-b}", "${A:-${B}}", "${A b}"])
def test_a_broken_variable_says_how_to_write_it(tmp_path: Path, broken: str) -> None:
    found = only_problem(tmp_path, TASKS + f"channels: {{c: 'json://{broken}'}}")
    assert "write ${NAME} or ${NAME:-default}; a literal ${ is written $${" in found


def test_keys_are_not_expanded(tmp_path: Path) -> None:
    assert "a name is letters" in only_problem(tmp_path, TASKS + "channels: {'${A}': 'json://x'}", {"A": "b"})


def test_every_secret_may_come_from_a_file(tmp_path: Path) -> None:
    def put(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return f"{tmp_path}/{name}"

    settings = load(
        tmp_path,
        f"""
tasks: [a]
accounts: {{main: {{api_key_file: {put("key", "nv-1 ".strip() + chr(10))}}}}}
channels:
  c: {{url_file: {put("url", "https://x.example/hook" + chr(10))}, secret_file: {put("hook", SIGNING)}}}
  board: {{slack_token_file: {put("slack", "xoxb-1" + chr(10))}, channel: "#ml"}}
store_file: {put("store", "sqlite:///s.db" + chr(13) + chr(10))}
http: {{token_file: "${{WHERE}}"}}
proxy_file: {put("proxy", "http://u:p@proxy:1")}
heartbeat: {{url_file: {put("ping", "https://hc.example/abc")}}}
""",
        {"WHERE": put("token", "tok-1")},
    )
    channel = settings.channels["c"]
    found = [settings.accounts["main"].api_key, channel.url, *channel.secrets, settings.store, settings.proxy]
    assert [each and each.get_secret_value() for each in found] == [
        "nv-1", "https://x.example/hook", SIGNING, "sqlite:///s.db", "http://u:p@proxy:1",
    ]  # fmt: skip
    assert settings.channels["board"].slack_token == SecretStr("xoxb-1")
    assert settings.http is not None
    assert settings.http.token == SecretStr("tok-1")
    assert settings.heartbeat is not None
    assert settings.heartbeat.url == SecretStr("https://hc.example/abc")


def test_only_one_newline_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nv-1\n\n")
    found = only_problem(tmp_path, TASKS + f"accounts: {{main: {{api_key_file: {tmp_path}/key}}}}")
    assert "accounts.main.api_key_file: has blanks, line ends" in found


def test_what_a_file_holds_wrongly_is_named_by_the_key_that_was_written(tmp_path: Path) -> None:
    for name, text in {"url": "hello", "hook": f"{SIGNING}\nwhsec_short", "token": "xapp-1"}.items():
        (tmp_path / name).write_text(text)
    text = f"""channels:
  c: {{url: "https://x.example/", secret_file: {tmp_path}/hook}}
  d: {{url_file: {tmp_path}/url}}
  e: {{slack_token_file: {tmp_path}/token, channel: "#ml"}}
"""
    assert [each.split(": ")[:2] for each in problems(tmp_path, TASKS + text)] == [
        ["watcher.yaml:3:47", "channels.c.secret_file"],
        ["watcher.yaml:4:17", "channels.d.url_file"],
        ["watcher.yaml:5:25", "channels.e.slack_token_file"],
    ]


def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "large").write_bytes(b"x" * 65537)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfd")
    expected = {
        "missing": "No such file",
        "pipe": "no regular file",
        "empty": "is empty",
        "large": "larger than 64 KiB",
        "binary": "isn't UTF-8",
        ".": "no regular file",
    }
    for name, words in expected.items():
        found = only_problem(tmp_path, TASKS + f"http: {{token_file: {tmp_path}/{name}}}")
        assert found.startswith("watcher.yaml:2:20: http.token_file: ")
        assert words in found


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_secret_says_who_must_read_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    (tmp_path / "key").chmod(0)
    assert "Let the watcher's user read it" in only_problem(tmp_path, TASKS + f"http: {{token_file: {tmp_path}/key}}")


def test_a_relative_path_starts_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("tok-1")
    text = TASKS + "http: {token_file: secrets/token}"
    monkeypatch.chdir(tmp_path)
    assert problems(tmp_path, text) == []
    monkeypatch.chdir("/")
    assert "A relative path starts at the working directory, /" in only_problem(tmp_path, text)


def test_a_value_and_its_file_twin_are_refused_together(tmp_path: Path) -> None:
    found = only_problem(tmp_path, TASKS + "accounts: {main: {api_key: x, api_key_file: /y}}")
    assert "accounts.main.api_key_file: api_key is written too; keep one of the two" in found


def test_without_accounts_the_key_is_clova_api_key(tmp_path: Path) -> None:
    found = only_problem(tmp_path, TASKS, {"CLOVA_API_KEY": ""})
    assert found.startswith("environment: accounts.default.api_key: no API key; set CLOVA_API_KEY")
    (tmp_path / "key").write_text("nv-file\n")
    settings = load(tmp_path, TASKS, {"CLOVA_API_KEY": "", "CLOVA_API_KEY_FILE": f"{tmp_path}/key"})
    assert settings.accounts["default"].api_key.get_secret_value() == "nv-file"


@pytest.mark.parametrize("key", ["a b", "nv-x\n", "키", "Bearer nv-x", "a\tb"])
def test_a_key_that_would_break_the_header_is_refused(tmp_path: Path, key: str) -> None:
    found = only_problem(tmp_path, TASKS, {"CLOVA_API_KEY": key})
    assert found.startswith("CLOVA_API_KEY: accounts.default.api_key: ")
    assert key not in found.removeprefix("CLOVA_API_KEY")


def test_reading_commands_need_no_secret(tmp_path: Path) -> None:
    text = """
tasks: [a]
accounts: {main: {api_key: "${K}"}, lab: {api_key_file: /nowhere}}
channels: {c: "${U}", d: {url_file: /nowhere}, e: {url: "https://x.example", secret: ["${S}"]}}
http: {token_file: /nowhere}
"""
    text = text.replace("[a]", "[{id: a, account: lab}]")
    assert len(problems(tmp_path, text)) == 6
    settings = load(tmp_path, text, secrets=False)
    assert [account.api_key.get_secret_value() for account in settings.accounts.values()] == ["", ""]
    assert settings.channels["c"].url == SecretStr("")
    assert settings.channels["e"].secrets == ()
    assert load(tmp_path, TASKS, {"CLOVA_API_KEY": ""}, secrets=False).accounts["default"].api_key == SecretStr("")
    assert settings.secret_values() == {"https://x.example"}


def test_other_problems_are_told_to_reading_commands_too(tmp_path: Path) -> None:
    assert "isn't set" in only_problem(tmp_path, TASKS + 'poll: {interval: "${N}"}', secrets=False)


@pytest.mark.parametrize("secret", [f'"{SIGNING}"', f'["{SIGNING}", "{SIGNING}"]'])
def test_a_webhook_is_signed_by_one_secret_or_several(tmp_path: Path, secret: str) -> None:
    settings = load(tmp_path, TASKS + f'channels: {{c: {{url: "https://x.example", secret: {secret}}}}}')
    assert {each.get_secret_value() for each in settings.channels["c"].secrets} == {SIGNING}


@pytest.mark.parametrize("secret", [CANARY, "whsec_" + CANARY + "!", "whsec_c2hvcnQ=", "whsec_" + "A" * 400])
def test_a_bad_signing_secret_says_how_to_make_one(tmp_path: Path, secret: str) -> None:
    found = only_problem(tmp_path, TASKS + f'channels: {{c: {{url: "https://x.example", secret: "{secret}"}}}}')
    assert "make one with: echo whsec_$(openssl rand -base64 32)" in found
    assert secret not in found


@pytest.mark.parametrize(
    "line",
    [
        f"accounts: {{main: {{api_key: [{CANARY}]}}}}",
        f"accounts: {{main: {{api_key: {{{CANARY}: x}}}}}}",
        f"accounts: {{main: {CANARY}}}",
        f"accounts: {{main: {{{CANARY}: }}}}",
        f"accounts: {{main: {{api_key_file: {CANARY}}}}}",
        f"accounts: {{main: {{api_key: 'x {CANARY}'}}}}",
        f"accounts: [{CANARY}]",
        f"chanels: {{team: 'https://x.example/{CANARY}'}}",
        f"'https://x.example/{CANARY}': team",
        f"channels: {{'https://x.example/{CANARY}': team}}",
        f"channels: {{c: {{url_file: 'https://x.example/{CANARY}'}}}}",
        f"channels: {{c: {CANARY}}}",
        f"channels: ['https://x.example/{CANARY}']",
        f"http: {{token: *{CANARY}}}",
        f"http: {{token: !{CANARY} x}}",
        f"http: {{token: @{CANARY}}}",
        f"http: {{token: '{CANARY} x'}}",
        f"http: {{host: '{CANARY}/'}}",
        f"http: {{port: {CANARY}}}",
        f"http: {CANARY}",
        f"poll: {{interval: {CANARY}}}",
        f"language: {CANARY}",
        f"timezone: {CANARY}",
        f"log: {{level: {CANARY}}}",
        f"store: postgresql://u:{CANARY}@h/d",
        f"store: {CANARY}",
        f"proxy: ftp://u:{CANARY}@h",
        f"routes: [{{events: [{CANARY}], channels: [{CANARY}]}}]",
        f"tasks: ['{CANARY}/', '{CANARY}.']",
        f"mentions: {{jiwon: '<@{CANARY}>'}}",
        f"mentions: [{CANARY}]",
        f"channels: {{c: {{slack_token: {CANARY}, channel: '#ml'}}}}",
        f"channels: {{c: {{slack_token: xapp-{CANARY}, channel: '#ml'}}}}",
        f"channels: {{c: {{slack_token: 'xoxb-{CANARY} x', channel: '#ml'}}}}",
        f"channels: {{c: {{slack_token_file: {CANARY}, channel: '#ml'}}}}",
        f"channels: {{c: {{slack_token: xoxb-{CANARY}}}}}",
        f"channels: {{c: {{slack_token: xoxb-{CANARY}, channel: {CANARY}}}}}",
        f"channels: {{c: {{slack_token: xoxb-1, channel: '#ml', url: 'https://hooks.slack.com/services/{CANARY}'}}}}",
        f"channels: {{c: {{slack_token: xoxb-1, channel: '#ml', url: 'json://{CANARY}'}}}}",
        f"channels: {{c: {{url: 'json://{CANARY}', mode: {CANARY}, quiet: {CANARY}, urgent: {CANARY}}}}}",
        f"channels: {{c: {{url: 'json://{CANARY}', template: {{{CANARY}: x}}, template_file: {CANARY}}}}}",
        f"channels: {{c: {{url: 'json://x', template_file: {{'*': {CANARY}, {CANARY}: x}}}}}}",
        f"? [{CANARY}]\n: x",
        f"ca_file: /{CANARY}",
        "accounts: {main: {api_key: '${SECRET} '}}",
        "http: {port: '${SECRET}'}",
    ],
)
def test_no_error_repeats_a_value(tmp_path: Path, line: str) -> None:
    found = problems(tmp_path, line if line.startswith("tasks") else TASKS + line, {"SECRET": CANARY})
    assert found
    assert CANARY not in "\n".join(found)


def test_variables_of_the_environment_are_named_but_not_repeated(tmp_path: Path) -> None:
    env = {"WATCHER_HTTP__PORT": CANARY, "WATCHER_TASKS": f"[{CANARY}", "WATCHER_HTTPX": CANARY}
    found = problems(tmp_path, TASKS, env)
    assert len(found) == 3
    assert CANARY not in "\n".join(found)


def test_settings_never_print_a_secret(tmp_path: Path) -> None:
    text = (
        TASKS
        + f"""
channels:
  c: {{url: "https://u:{CANARY}@x.example/{CANARY}?token={CANARY}", secret: {SIGNING}}}
  board: {{slack_token: xoxb-{CANARY}, channel: "#ml"}}
http: {{token: {CANARY}}}
proxy: http://u:{CANARY}@proxy
heartbeat: {{url: "https://hc.example/{CANARY}"}}
"""
    )
    settings = load(tmp_path, text)
    assert f"xoxb-{CANARY}" in settings.secret_values()
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert not [secret for secret in settings.secret_values() if secret in shown]
    with pytest.raises(ValidationError) as caught:
        Account(name="x", api_key=SecretStr(CANARY + " "), base_url=CANARY)
    assert CANARY not in str(caught.value)
    with pytest.raises(ValidationError) as caught:
        Channel.model_validate({"name": "x", "url": CANARY, CANARY: 1, "secret": CANARY})
    assert CANARY not in str(caught.value).replace(f"\n{CANARY}\n", "")


def test_the_secret_values_are_whole_secrets_and_the_secret_parts_of_urls(tmp_path: Path) -> None:
    slack, discord = (
        "https://hooks.slack.com/services/T01ABCDEF/B02ABCDEF/abcdEFGHijklMNOP",
        "discord://4174216298/JHMHI8qBe7bk2",
    )
    text = (
        TASKS
        + f"""
channels:
  slack: {slack}
  discord: {discord}
  telegram: tgram://123456789:abcdefg_hijklmnop/12315544
  mail: "mailto://watcher:p%40ss@mail.example.com:587?to=ops@example.com"
  ci: {{url: "https://ci.example.com/hooks/clova", secret: {SIGNING}}}
  screen: console://
http: {{token: page-token}}
proxy: http://proxy.example.com:3128
heartbeat: {{url: "https://hc-ping.com/5f0e1d2c-aaaa-bbbb-cccc-0123456789ab"}}
"""
    )
    found = load(tmp_path, text).secret_values()
    assert found >= {
        KEY["CLOVA_API_KEY"], slack, "T01ABCDEF", "B02ABCDEF", "abcdEFGHijklMNOP", discord, "JHMHI8qBe7bk2",
        "123456789", "abcdefg_hijklmnop", "p%40ss", "p@ss", "https://ci.example.com/hooks/clova", SIGNING,
        SIGNING.removeprefix("whsec_"), "page-token", "5f0e1d2c-aaaa-bbbb-cccc-0123456789ab",
    }  # fmt: skip
    ordinary = {
        "",
        "services",
        "hooks.slack.com",
        "hooks",
        "clova",
        "watcher",
        "mail.example.com",
        "console://",
        "ops@example.com",
    }
    assert not found & ordinary
    assert not [value for value in found if "proxy" in value]


def test_secrets_from_the_environment_count_too(tmp_path: Path) -> None:
    env = {"WATCHER_HTTP__TOKEN": "page-token", "WATCHER_PROXY": "http://u:proxy-pass@proxy:1"}
    found = load(tmp_path, TASKS, env).secret_values()
    assert found >= {"page-token", "proxy-pass", "http://u:proxy-pass@proxy:1"}


def test_text_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    found = problems(tmp_path, TASKS + 'channels: {c: "${U}", d: "json://\\ud800"}', {"U": "json://\udcff"})
    assert [problem.split(": ")[2] for problem in found] == ["isn't valid Unicode text; write it anew"] * 2


def test_reading_commands_do_need_to_know_the_store(tmp_path: Path) -> None:
    assert "store: the environment variable S isn't set" in only_problem(tmp_path, TASKS + "store: ${S}", secrets=False)
    assert "store_file: /nowhere can't be read" in only_problem(tmp_path, TASKS + "store_file: /nowhere", secrets=False)
