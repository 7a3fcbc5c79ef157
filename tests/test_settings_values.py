"""What each value may be, and what an error says instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configs import KEY, TASKS, load, only_problem, problems
from watcher.models import TaskKey


def test_the_smallest_configuration_has_the_documented_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, TASKS)
    account = settings.accounts["default"]
    assert (account.name, account.queries_per_minute, account.timeout) == ("default", 30, 10)
    assert account.base_url == "https://clovastudio.stream.ntruss.com"
    assert account.api_key.get_secret_value() == KEY["CLOVA_API_KEY"]
    assert (settings.poll.interval, settings.poll.wait_interval, settings.poll.settle) == (30, 60, 600)
    assert (settings.rules.progress, settings.rules.unreachable_after) == ((25, 50, 75), 300)
    assert (settings.delivery.give_up_after, settings.retention.history) == (7 * 86400, 90 * 86400)
    assert (settings.language, settings.timezone, settings.heartbeat) == ("en", "Asia/Seoul", None)
    assert settings.store.get_secret_value() == "sqlite:///watcher.db"
    assert settings.http is not None
    assert (settings.http.host, settings.http.port, settings.http.token) == ("127.0.0.1", 8080, None)
    assert (settings.log.level, settings.log.format) == ("info", "auto")
    assert settings.task_keys() == (TaskKey("default", "czf9fbky"),)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30), ("5m", 300), ("6h", 21600), ("2d", 172800), ("1w", 604800), ("1h30m", 5400), ("100ms", 0.1),
        ("45", 45), ("0.5", 0.5), ("2.5s", 2.5), ('" 1h 30m "', 5400), ("0.1", 0.1),
    ],
)  # fmt: skip
def test_durations(tmp_path: Path, written: str, seconds: float) -> None:
    assert load(tmp_path, TASKS + f"poll: {{interval: {written}}}").poll.interval == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    ["0", "0s", "-5s", "99ms", "nan", ".inf", "inf", "1e3", "soon", "5 minutes", "1y", "5M", "9999d", "٣s", "9" * 400],
)
def test_what_isnt_a_duration_is_answered_with_an_example(tmp_path: Path, written: str) -> None:
    found = only_problem(tmp_path, TASKS + f"poll: {{interval: {written}}}")
    assert found.startswith("watcher.yaml:2:18: poll.interval: ")
    assert found.endswith("write 30s, 5m, 6h, 2d, or seconds")


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("tasks: ['c d']", "tasks[0].id", "letters, digits, - and _"),
        ("tasks: [a.b]", "tasks[0].id", "letters, digits, - and _"),
        ("tasks: [가]", "tasks[0].id", "letters, digits, - and _"),
        ("tasks: [[a]]", "tasks[0]", "must be an id, or a mapping"),
        ("tasks: {a: b}", "tasks", "must be a list"),
        ("tasks: a", "tasks", "must be a list"),
        ("tasks: [{name: x}]", "tasks[0].id", "missing; write the task's id"),
        ("tasks: [{id: [a]}]", "tasks[0].id", "not a list"),
        ('tasks: [{id: a, name: "x\\e[31m"}]', "tasks[0].name", "control characters"),
        ('tasks: [{id: a, labels: {"a b": c}}]', "tasks[0].labels.(a key)", "a label's name"),
        (TASKS + "poll: [30s]", "poll", "must be a mapping"),
        (TASKS + "http: 8080", "http", "{host: 127.0.0.1, port: 8080}"),
        (TASKS + "http: {port: 65536}", "http.port", "from 0 to 65535"),
        (TASKS + "http: {port: -1}", "http.port", "from 0 to 65535"),
        (TASKS + "http: {port: 80.5}", "http.port", "from 0 to 65535"),
        (TASKS + "http: {host: 'http://x'}", "http.host", "without port"),
        (TASKS + "http: {token: 'a b'}", "http.token", "blanks"),
        (TASKS + "rules: {progress: [0]}", "rules.progress[0]", "from 1 to 99"),
        (TASKS + "rules: {progress: [50, 100]}", "rules.progress[1]", "from 1 to 99"),
        (TASKS + "rules: {progress: }", "rules.progress", "[] for none"),
        (TASKS + "timezone: Asia/Soul", "timezone", "Did you mean Asia/Seoul?"),
        (TASKS + "timezone: KST", "timezone", "Did you mean Asia/Seoul?"),
        (TASKS + "timezone: jst", "timezone", "Did you mean Asia/Tokyo?"),
        (TASKS + "timezone: ../../etc/passwd", "timezone", "not an IANA time zone"),
        (TASKS + "timezone: Asia", "timezone", "not an IANA time zone"),
        (TASKS + "language: jp", "language", "must be one of en, ja, ko"),
        (TASKS + "log: {level: verbose}", "log.level", "must be one of debug"),
        (TASKS + "log: {format: text}", "log.format", "must be one of auto"),
        (TASKS + "store: mysql://x/y", "store", "sqlite:///watcher.db"),
        (TASKS + "store: 'sqlite:///:memory:'", "store", "must name a file"),
        (TASKS + "store: watcher.db", "store", "sqlite:///watcher.db"),
        (TASKS + "proxy: socks5://x:1", "proxy", "https:// or http://"),
        (TASKS + "ca_file: /nowhere.pem", "ca_file", "name a PEM file"),
        (TASKS + "heartbeat: {every: 5m}", "heartbeat.url", "missing; write url, or url_file"),
        (TASKS + "heartbeat: {url: 'ftp://x'}", "heartbeat.url", "https:// or http://"),
        (TASKS + "channels: {team: hello}", "channels.team.url", "must be a URL"),
        (TASKS + "channels: {team: 'https://'}", "channels.team.url", "must be a URL"),
        (TASKS + "channels: {team: 'https://x.example:99999/'}", "channels.team.url", "its port must be"),
        (TASKS + "channels: {team: 'https://x.example:0/'}", "channels.team.url", "its port must be"),
        (TASKS + "channels: {team: 'https://[::1'}", "channels.team.url", "IPv6"),
        (TASKS + "channels: {team: 'https://a b'}", "channels.team.url", "without blanks"),
        (TASKS + "channels: {team: {events: [notable]}}", "channels.team.url", "missing; write team: URL"),
        (TASKS + "channels: {team: [a]}", "channels.team", "must be a URL, or a mapping"),
        (TASKS + "channels: {team: }", "channels.team", "empty"),
        (TASKS + "channels: {a b: 'json://x'}", "channels.(a key)", "a name is letters"),
        (TASKS + "channels: {\"a\\nb\": 'json://x'}", "channels.(a key)", "a name is letters"),
        (TASKS + "channels: {t: {url: 'json://x', events: [task.faild]}}", "channels.t.events[0]", "mean task.failed?"),
        (TASKS + "channels: {t: {url: 'json://x', secret: x}}", "channels.t.secret", "webhooks only"),
        (
            TASKS + "accounts: {main: {api_key: x, base_url: 'ftp://x'}}",
            "accounts.main.base_url",
            "https:// or http://",
        ),
        (TASKS + "accounts: {main: {api_key: x, base_url: 'http://u:p@x'}}", "accounts.main.base_url", "without user"),
        (
            TASKS + "accounts: {main: {api_key: x, queries_per_minute: 0}}",
            "accounts.main.queries_per_minute",
            "above 0",
        ),
        (
            TASKS + "accounts: {main: {api_key: x, queries_per_minute: .nan}}",
            "accounts.main.queries_per_minute",
            "above 0",
        ),
        (TASKS + "accounts: {main: nv-x}", "accounts.main", "{api_key_file: /path}"),
        (TASKS + "accounts: {main: {}}", "accounts.main.api_key", "${CLOVA_API_KEY}"),
        (TASKS + "accounts: {main: {api_key: x, name: y}}", "accounts.main.name", "unknown key"),
        (TASKS + "routes: [{events: [notable]}]", "routes[0].channels", "missing; write which channels"),
        (TASKS + "routes: [{events: [notable], channels: []}]", "routes[0].channels", "missing; write which channels"),
        (
            TASKS + "routes: [{events: , channels: [c]}]\nchannels: {c: 'json://x'}",
            "routes[0].events",
            "missing; write which",
        ),
        (TASKS + "routes: [{events: notable, channels: , task: x}]", "routes[0].channels", "missing; write which"),
        (TASKS + "sources: [x]", "sources", "unknown key"),
        (TASKS + "chanels: {}", "chanels", "unknown key. Did you mean channels?"),
        (TASKS + "poll: {intervall: 3}", "poll.intervall", "unknown key. Did you mean interval?"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_what_to_write(tmp_path: Path, text: str, key: str, words: str) -> None:
    found = only_problem(tmp_path, text)
    assert f": {key}: " in found
    assert words in found


def test_all_problems_are_told_at_once_even_those_behind_wrong_items_of_a_list(tmp_path: Path) -> None:
    text = """tasks: [ok1, [x], {id: ok2, account: mian}, {id: "b d"}, ok1]
accounts: {main: {api_key: nv-x, timeout: never}}
routes: [{events: [nonsense], channels: [team, mial]}]
channels: {team: nowhere, mail: "json://x"}
"""
    assert [found.split(": ")[:2] for found in problems(tmp_path, text)] == [
        ["watcher.yaml:1:14", "tasks[1]"],
        ["watcher.yaml:1:38", "tasks[2].account"],
        ["watcher.yaml:1:50", "tasks[3].id"],
        ["watcher.yaml:1:58", "tasks[4].id"],
        ["watcher.yaml:2:43", "accounts.main.timeout"],
        ["watcher.yaml:3:20", "routes[0].events[0]"],
        ["watcher.yaml:3:48", "routes[0].channels[1]"],
        ["watcher.yaml:4:18", "channels.team.url"],
    ]


def test_a_task_listed_twice_in_an_account_is_refused_with_both_lines(tmp_path: Path) -> None:
    found = only_problem(tmp_path, "tasks:\n- a\n- b\n- {id: a, name: again}\n")
    assert found.startswith("watcher.yaml:4:8: tasks[2].id: the same task as tasks[0] (")
    assert "watcher.yaml:2)" in found


def test_one_id_may_stand_in_two_accounts(tmp_path: Path) -> None:
    text = "accounts: {x: {api_key: k1}, y: {api_key: k2}}\ntasks: [{id: a, account: x}, {id: a, account: y}]"
    settings = load(tmp_path, text)
    assert settings.task_keys() == (TaskKey("x", "a"), TaskKey("y", "a"))
    assert settings.task(TaskKey("y", "a")) is settings.tasks[1]
    assert settings.task(TaskKey("y", "b")) is None


def test_the_account_of_a_task_is_the_only_one_or_default_or_must_be_written(tmp_path: Path) -> None:
    assert load(tmp_path, "tasks: [a]\naccounts: {only: {api_key: k}}").tasks[0].account == "only"
    two = "tasks: [a]\naccounts: {default: {api_key: k}, lab: {api_key: l}}"
    assert load(tmp_path, two).tasks[0].account == "default"
    found = only_problem(tmp_path, "tasks: [a]\naccounts: {main: {api_key: k}, lab: {api_key: l}}")
    assert "tasks[0].account: missing; with several accounts write which one: main, lab" in found


def test_references_to_nothing_are_refused_with_a_suggestion(tmp_path: Path) -> None:
    text = 'tasks: [{id: a, account: mian}]\naccounts: {main: {api_key: k}}\nchannels: {team: "json://x"}\n'
    text += "routes: [{events: notable, channels: taem}]"
    account, channel = problems(tmp_path, text)
    assert account == (
        "watcher.yaml:1:26: tasks[0].account: no account is called so. Did you mean main? Known accounts: main"
    )
    assert channel == (
        "watcher.yaml:4:38: routes[0].channels: no channel is called so. Did you mean team? Known channels: team"
    )


def test_routes_take_one_pattern_or_a_list(tmp_path: Path) -> None:
    route = '{events: [task.*], channels: m, task: "a*", model: [b, c], labels: {t: n*}}'
    text = TASKS + f'channels: {{m: "json://x"}}\nroutes: [{route}]'
    (route,) = load(tmp_path, text).routes
    assert (route.events, route.channels, route.tasks, route.models) == (("task.*",), ("m",), ("a*",), ("b", "c"))
    assert (route.accounts, route.labels) == ((), {"t": "n*"})


def test_channels_speak_the_global_language_in_the_global_zone_unless_they_have_their_own(tmp_path: Path) -> None:
    text = TASKS + 'timezone: Asia/Tokyo\nchannels: {a: "json://x", b: {url: "json://y", timezone: UTC, events: []}}'
    channels = load(tmp_path, text).channels
    assert [(c.name, c.timezone, c.language, c.events) for c in channels.values()] == [
        ("a", "Asia/Tokyo", "en", None),
        ("b", "UTC", "en", ()),
    ]


@pytest.mark.parametrize("key", ["task", "model", "account", "labels"])
def test_a_route_that_lost_what_it_matches_doesnt_match_everything(tmp_path: Path, key: str) -> None:
    text = TASKS + f'channels: {{c: "json://x"}}\nroutes:\n- events: notable\n  channels: c\n  {key}: #vip\n'
    assert f'routes[0].{key}: empty; # starts a comment. Write "#vip"' in only_problem(tmp_path, text)


def test_milestones_are_sorted_and_unique(tmp_path: Path) -> None:
    assert load(tmp_path, TASKS + "rules: {progress: [90, 10, 90]}").rules.progress == (10, 90)
    assert load(tmp_path, TASKS + "rules: {progress: []}").rules.progress == ()


def test_no_page_without_http_or_without_port(tmp_path: Path) -> None:
    assert load(tmp_path, TASKS + "http: null").http is None
    assert load(tmp_path, TASKS + "http: {port: null}").http is None


def test_neither_task_nor_rule_is_an_error(tmp_path: Path) -> None:
    for text in ("log: {level: info}", "tasks: []", "discover: []", "tasks:\ndiscover:\n"):
        found = only_problem(tmp_path, text)
        assert "tasks: no task to watch; write tasks: [ID], with ids as CLOVA Studio shows them, or discover: " in found


@pytest.mark.parametrize(
    "line",
    [
        "rules: {stalled_after: 45m}", "rules: {queued_longer_than: 1h}", "rules: {loss: {rise: 50%}}",
        "rules: {loss: {nan: false}}", "rules: {stalled_after: 30m}", "rules: {queued_longer_than: 6h}",
        "rules: {loss: {nan: true}}", "rules: {stalled_after: nonsense}", "store: postgresql://u:p@h/d",
        "http: {public_url: 'https://x.example'}",
    ],
)  # fmt: skip
def test_what_comes_later_is_refused_in_one_sentence(tmp_path: Path, line: str) -> None:
    assert "a later version; " in only_problem(tmp_path, TASKS + line)


def test_only_null_or_nothing_may_be_written_for_what_comes_later(tmp_path: Path) -> None:
    text = TASKS + "rules: {stalled_after: null, queued_longer_than: ~, loss: }\nhttp: {public_url: null}"
    assert problems(tmp_path, text, {"WATCHER_RULES__STALLED_AFTER": "null"}) == []


def test_a_misspelt_key_isnt_missing_as_well(tmp_path: Path) -> None:
    assert "taks: unknown key. Did you mean tasks?" in only_problem(tmp_path, "taks: [a]")
    assert len(problems(tmp_path, "taks: [a]\ntasks: [b.c]")) == 2
    assert "api_kye: unknown key. Did you mean api_key?" in only_problem(
        tmp_path, TASKS + "accounts: {main: {api_kye: x}}"
    )


def test_an_unknown_key_lists_what_there_is_only_where_that_is_little(tmp_path: Path) -> None:
    few = only_problem(tmp_path, TASKS + "heartbeat: {url: 'https://x.example', zzz: 1}")
    assert few.endswith("zzz: unknown key. Known here: url, every, url_file")
    assert only_problem(tmp_path, TASKS + "rules: {zzz: 1}").endswith("Known here: progress, unreachable_after")
    assert only_problem(tmp_path, TASKS + "zzz: 1").endswith("unknown key. List them all with: watcher schema")


@pytest.mark.parametrize("zone", ["localtime", "posixrules", "right/UTC", "posix/Asia/Seoul", "Factory"])
def test_what_a_system_keeps_beside_the_time_zones_is_none(tmp_path: Path, zone: str) -> None:
    assert "not an IANA time zone" in only_problem(tmp_path, TASKS + f"timezone: {zone}")
