"""Commands that talk to the world: init, check, test-notify, run, once, simulate, follow with nothing but a key."""

from __future__ import annotations

import io
import json
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from tests.support.cli import Shell, finished, shell, start
from tests.support.http import Receiver, Reply, free_port, receiving
from watcher.cli.draft import configuration, pick
from watcher.cli.files import write_config, write_secret
from watcher.errors import UsageError

__all__ = ["shell"]

KEY = "nv-canary0123456789"
SCENARIO = {
    "keys": [KEY],
    "tasks": [
        {"id": "czf9fbky", "name": "support-bot v3", "created": 60, "timeline": [{"status": "RUNNING"}]},
        {"id": "1234e567", "name": "\x1b[31mfaq", "created": 30, "timeline": [{"status": "WAIT"}]},
        {"id": "done1234", "name": "old", "created": 10, "timeline": [{"status": "SUCCEEDED"}]},
    ],
}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The fake of the upstream, started with its command; gives its base_url."""
    folder = tmp_path_factory.mktemp("upstream")
    (folder / "scenario.yaml").write_text(json.dumps(SCENARIO))
    process = start("simulate", "scenario.yaml", "--port", "0", folder=folder)
    assert process.stdout is not None
    yield process.stdout.readline().strip().removeprefix("listening on ")
    process.terminate()
    assert finished(process).code == 0


def answer(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """What a pipe on standard input says."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def configure(shell: Shell, upstream: str, more: str = "", tasks: str = "[czf9fbky, '1234e567']") -> None:
    """A configuration for the fake, as fast as it may be."""
    account = f"{{api_key: {KEY}, base_url: '{upstream}', queries_per_minute: 6000}}"
    shell.configure(f"accounts: {{main: {account}}}\ntasks: {tasks}\nhttp: null\n{more}")


def wait_for(found: Sequence[object], count: int = 1) -> None:
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(found) >= count


def test_init_asks_and_writes_a_configuration_that_runs(
    shell: Shell, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as hook:
        answer(monkeypatch, KEY, "1 done1234", f"{hook.url}/canary-hook-path", "y")
        said = shell("init", "--base-url", upstream)
        assert (said.code, said.err) == (0, "")
        assert "✓ the key works: 3 tasks visible" in said.out
        assert "␛[31mfaq" in said.out
        assert "✓ team  ok" in said.out
        assert said.out.endswith("Next: watcher run\n")
        assert "canary" not in said.out
        assert [seen.method for seen in hook.seen] == ["POST"]
        written = yaml.safe_load(Path("watcher.yaml").read_text("utf-8"))
        assert written["accounts"]["default"] == {"api_key_file": "./secrets/clova_api_key", "base_url": upstream}
        assert written["tasks"] == ["1234e567", "done1234"]
        assert "canary" not in Path("watcher.yaml").read_text("utf-8")
        assert "/canary-hook-path" in Path("secrets/team_url").read_text()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path("secrets").iterdir()}
        assert modes == {"clova_api_key": 0o600, "team_url": 0o600, ".gitignore": 0o644}
        assert stat.S_IMODE(Path("secrets").stat().st_mode) == 0o700
        assert shell("check").code == 0


class Postbox:
    """Takes every mail."""

    def __init__(self) -> None:
        self.recipients: list[list[str]] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Envelope) -> str:  # noqa: N802
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"


def test_init_takes_a_mail_address_with_several_recipients_and_tries_each(
    shell: Shell, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postbox = Postbox()
    controller = Controller(postbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        to = "to=jiwon@example.com,minsu@example.com&from=watcher@example.com&mode=insecure"
        answer(monkeypatch, KEY, "1", f"mailto://127.0.0.1:{controller.port}?{to}", "y")
        said = shell("init", "--base-url", upstream)
    finally:
        controller.stop()
    assert (said.code, said.err) == (0, "")
    assert [line for line in said.out.splitlines() if "team" in line] == ["✓ team.jiwon  ok", "✓ team.minsu  ok"]
    assert sorted(postbox.recipients) == [["jiwon@example.com"], ["minsu@example.com"]]
    assert "2 channels: team.jiwon (mail), team.minsu (mail)" in shell("check").out


def test_init_overwrites_nothing_without_force(shell: Shell, upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("watcher.yaml").write_text("precious")
    said = shell("init", "--base-url", upstream)
    assert (said.code, said.err.splitlines()[0]) == (2, "Error: watcher.yaml exists already")
    assert Path("watcher.yaml").read_text() == "precious"
    monkeypatch.setenv("CLOVA_API_KEY", KEY)
    assert shell("init", "--base-url", upstream, "--yes", "--force").code == 0
    assert "precious" not in Path("watcher.yaml").read_text()


@pytest.mark.parametrize("output", ["/proc/none/w.yaml", "afile/w.yaml", "."])
def test_init_finds_out_where_it_cant_write_before_it_asks(shell: Shell, output: str) -> None:
    Path("afile").touch()
    said = shell("init", "--output", output)
    assert (said.code, said.out) == (1, "")
    assert "--output" in said.err.split("\nTry: ")[1]


def test_init_without_questions_takes_what_hasnt_ended_and_the_given_files(shell: Shell, upstream: str) -> None:
    Path("key").write_text(f"{KEY}\n")
    with receiving() as hook:
        Path("url").write_text(f"{hook.url}/x\n")
        files = ("--api-key-file", "key", "--channel-url-file", "url", "--output", "w.yaml")
        said = shell("init", "--yes", "--base-url", upstream, *files)
        assert (said.code, len(hook.seen)) == (0, 1)
    written = yaml.safe_load(Path("w.yaml").read_text("utf-8"))
    assert set(written["tasks"]) == {"czf9fbky", "1234e567"}
    assert written["accounts"]["default"]["api_key_file"] == "./key"
    assert written["channels"] == {"team": {"url_file": "./url"}}
    assert said.out.endswith("Next: watcher run --config w.yaml\n")
    assert not Path("secrets").exists()


def test_init_with_a_key_that_is_refused_writes_nothing(
    shell: Shell, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOVA_API_KEY", "nv-wrong-canary")
    said = shell("init", "--base-url", upstream, "--yes")
    assert said.code == 1
    assert said.err.startswith("Error: the key is refused (401, 40104")
    assert "canary" not in said.err
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("lines", "options", "error"),
    [
        ([KEY], (), "the input ended before every question was answered"),
        ([KEY, "9"], (), "the numbers go from 1 to 3"),
        ([KEY, "czf9fbk"], (), "czf9fbk is neither a number nor a task of the list. Did you mean czf9fbky?"),
        ([KEY], ("--task", "czf9fbk"), "the account has no task czf9fbk. Did you mean czf9fbky?"),
        ([KEY, "1", "nonsense"], (), "must be a URL"),
        ([KEY, "1", "nosuchthing://x/y"], (), "channel team: "),
        ([KEY, "1", "mailto://mail.example.com?to=a@example.com,b"], (), "a word after to= is no mail address"),
        ([KEY, "1"], ("--channel-url-file", "/dev/null"), "--channel-url-file: /dev/null is no regular file"),
        ([], ("--yes",), "no key: --yes asks nothing"),
        ([], ("--api-key-file", "nofile"), "--api-key-file: ./nofile can't be read"),
        (["no key at all"], (), "the key: "),
    ],
)
def test_a_wrong_answer_from_a_pipe_ends_init_with_nothing_written(
    shell: Shell,
    upstream: str,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    options: tuple[str, ...],
    error: str,
) -> None:
    answer(monkeypatch, *lines)
    said = shell("init", "--base-url", upstream, *options)
    assert said.code in (1, 2)
    assert said.err.startswith(f"Error: {error}")
    assert KEY not in said.err
    assert list(shell.folder.iterdir()) == []


def test_numbers_ranges_and_ids_choose_tasks_once_each() -> None:
    ids = ["a1", "b2", "12", "d4"]
    assert pick("1, 2-3 a1", ids) == ["a1", "b2", "12"]
    assert pick("12", ids) == ["12"], "an id goes before a number"
    assert pick("all", ids) == ids
    assert pick("", ids) == []
    for wrong in ("0", "5", "3-2", "x"):
        with pytest.raises(UsageError):
            pick(wrong, ids)


def test_names_of_others_cant_add_lines_to_the_configuration() -> None:
    text = configuration(["1234e567"], {"1234e567": {"name": "x\nstore: evil\u2028y"}}, "", None, "")
    assert yaml.safe_load(text) == {"tasks": ["1234e567"], "channels": {"terminal": "console://"}}


def test_files_are_made_once_and_secrets_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"
    assert write_secret(path, "one") == str(path)
    write_secret(path, "two")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("two\n", 0o600)
    write_config(tmp_path / "w.yaml", "first", force=False)
    with pytest.raises(UsageError):
        write_config(tmp_path / "w.yaml", "second", force=False)
    assert (tmp_path / "w.yaml").read_text() == "first"


def test_check_says_what_was_read_and_warns_when_nobody_hears_the_end(shell: Shell, upstream: str) -> None:
    channels = "channels: {team: {url: 'console://', events: [task.failed]}, hook: 'http://127.0.0.1:1/x'}\n"
    rule = "routes: [{events: [task.succeeded], task: czf9fbky, channels: [hook]}]\n"
    configure(shell, upstream, channels + rule)
    said = shell("check")
    assert said.code == 0
    assert said.out.splitlines() == [
        "✓ read ./watcher.yaml",
        "✓ 2 tasks of main",
        "✓ 2 channels: team (console), hook (webhook)",
        "⚠ no channel hears task.succeeded of 1234e567. Try: add task.succeeded to a channel's events or to a route; "
        "watcher routes 1234e567 task.succeeded explains",
    ]
    configure(shell, upstream)
    assert "⚠ no channel: nobody hears anything" in shell("check").out


def test_check_reports_every_address_that_nobody_takes(shell: Shell, upstream: str) -> None:
    configure(shell, upstream, "channels: {one: 'nosuchthing://canary/y', two: 'neither://canary/z'}\n")
    said = shell("check")
    assert (said.code, said.out) == (2, "")
    assert [name for name in ("channels.one.url: ", "channels.two.url: ") if name in said.err] == [
        "channels.one.url: ",
        "channels.two.url: ",
    ]
    assert "canary" not in said.err


SLACK = "https://hooks.slack.com/services/T0ABCDEFG/B0ABCDEFG/abcdefghijklmnopqrstuvwx"


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        (SLACK, True),
        ("https://discord.com/api/webhooks/123456789/abcdefghijklmnop", True),
        ("https://mattermost.example.com/hooks/abcdefghijklmnopqrstuvwxyz", False),
        ("https://ci.example.com/notify/abcdef", False),
        ("https://ci.example.com/hooks/clova", False),
    ],
)
def test_a_chat_of_its_own_domain_takes_no_secret(shell: Shell, upstream: str, url: str, refused: bool) -> None:
    configure(shell, upstream, f"channels: {{c: {{url: '{url}', secret: whsec_{'A' * 40}}}}}\n")
    said = shell("check")
    assert (said.code, "takes no signed webhooks. Leave out secret" in said.err) == (
        (2, True) if refused else (0, False)
    )
    configure(shell, upstream, f"channels: {{c: '{SLACK}'}}\n")
    assert "c (chat)" in shell("check").out


def test_check_online_asks_accounts_and_channels_and_sends_nothing(shell: Shell, upstream: str) -> None:
    with receiving() as hook:
        configure(shell, upstream, f"channels: {{hook: '{hook.url}/x'}}\n")
        said = shell("check", "--online")
        assert (said.code, "✓ account main" in said.out, "✓ channel hook" in said.out) == (0, True, True)
        assert [seen.method for seen in hook.seen if seen.method == "POST"] == []
    configure(shell, upstream, tasks="[czf9fbk]")
    said = shell("check", "--online")
    assert said.code == 1
    assert "✗ task czf9fbk" in said.out
    assert "Did you mean czf9fbky?" in said.out
    assert not Path("watcher.db").exists()


def test_test_notify_tells_each_channel_apart(shell: Shell, upstream: str) -> None:
    with receiving() as good, receiving(Reply(410)) as refusing:
        urls = {"good": good.url, "gone": refusing.url, "silent": f"http://127.0.0.1:{free_port()}"}
        configure(shell, upstream, f"channels: {json.dumps(urls)}\n")
        said = shell("test-notify", "--event", "task.failed")
        lines = said.out.splitlines()
        assert said.code == 1
        assert [line.split()[:2] for line in lines] == [["✓", "good"], ["✗", "gone"], ["✗", "silent"]]
        assert lines[0] == "✓ good    ok"
        assert all(". Try: " in line for line in lines[1:])
        assert shell("test-notify", "good").code == 0
        first, second = good.seen
        body = json.loads(first.body)
        assert (body["type"], body["data"]["task"]["name"]) == ("task.failed", "support-bot v3 (test)")
        assert first.headers["webhook-id"] != second.headers["webhook-id"]
        assert body["id"] != json.loads(second.body)["id"]
    assert not Path("watcher.db").exists()


@pytest.mark.parametrize("type_", ["account.rejected", "channel.failing", "group.finished", "task.failed"])
def test_a_test_says_that_it_is_one(shell: Shell, upstream: str, type_: str) -> None:
    with receiving() as hook:
        channels = {"screen": "console://", "hook": hook.url}
        configure(shell, upstream, f"channels: {json.dumps(channels)}\n")
        said = shell("test-notify", "--event", type_)
        assert "(test)" in said.out.splitlines()[0]
        assert json.loads(hook.seen[0].body)["data"]["test"] is True


def test_test_notify_knows_its_channels(shell: Shell, upstream: str) -> None:
    configure(shell, upstream, "channels: {team: 'console://'}\n")
    said = shell("test-notify", "taem")
    assert (said.code, said.err.splitlines()[0]) == (2, "Error: there is no channel taem. Did you mean team?")
    configure(shell, upstream)
    assert shell("test-notify").code == 2


def test_once_prints_events_and_a_summary(shell: Shell, upstream: str) -> None:
    configure(shell, upstream, "channels: {team: {url: 'console://', events: ['*']}}\n")
    said = finished(start("once", folder=shell.folder))
    assert said.code == 0
    assert "support-bot v3" in said.out
    assert "2 tasks asked" in said.out
    assert shell("status").code == 0


def _running(shell: Shell, upstream: str, hook: Receiver) -> subprocess.Popen[str]:
    configure(shell, upstream, f"channels: {{hook: {{url: '{hook.url}', events: ['*']}}}}\n")
    process = start("run", folder=shell.folder)
    wait_for(hook.seen)
    return process


def test_run_watches_until_it_is_told_to_stop(shell: Shell, upstream: str) -> None:
    with receiving() as hook:
        process = _running(shell, upstream, hook)
        assert shell("health").code == 0
        assert shell("status", "--json").items[0]["status"] == "RUNNING"
        second = finished(start("once", folder=shell.folder))
        assert (second.code, "is held by process" in second.err) == (1, True)
        process.send_signal(signal.SIGTERM)
        said = finished(process)
    assert said.code == 0
    assert "✓ account main" in said.out
    assert KEY not in said.out + said.err


def test_a_hangup_makes_run_take_over_what_the_configuration_says_now(shell: Shell, upstream: str) -> None:
    with receiving() as hook, receiving() as other:
        process = _running(shell, upstream, hook)
        assert shell("status", "--why", "--json").items[0]["why"]["because"]
        more = f"channels: {{other: {{url: '{other.url}', events: [task.unknown]}}}}\n"
        configure(shell, upstream, more, tasks="[czf9fbk]")
        process.send_signal(signal.SIGHUP)
        wait_for(other.seen)
        process.send_signal(signal.SIGTERM)
        assert finished(process).code == 0
    assert json.loads(other.seen[0].body)["data"]["near"] == ["czf9fbky"]


@pytest.mark.parametrize("command", ["run", "once"])
def test_a_broken_template_is_said_at_the_start_and_stops_nothing(shell: Shell, upstream: str, command: str) -> None:
    with receiving() as hook:
        team = "{url: 'console://', events: ['*'], template: '{{ name'}"
        configure(shell, upstream, f"channels: {{team: {team}, hook: {{url: '{hook.url}', events: ['*']}}}}\n")
        process = start(command, folder=shell.folder)
        wait_for(hook.seen)
        process.send_signal(signal.SIGTERM) if command == "run" else None
        said = finished(process)
    assert said.code == 0
    lines = [json.loads(line) for line in said.err.splitlines() if "template.broken" in line]
    assert [(line["key"], line["file"], line["line"]) for line in lines] == [
        ("channels.team.template", "./watcher.yaml", 4)
    ]  # fmt: skip


def test_run_with_a_wrong_configuration_touches_nothing(shell: Shell) -> None:
    shell.configure("tasks: [czf9fbky]\n")
    said = finished(start("run", folder=shell.folder))
    assert said.code == 2
    assert "no API key; set CLOVA_API_KEY" in said.err
    assert [path.name for path in shell.folder.iterdir()] == ["watcher.yaml"]


def test_follow_needs_nothing_but_a_key(shell: Shell, upstream: str) -> None:
    environment = {"CLOVA_API_KEY": KEY, "WATCHER_ACCOUNTS__DEFAULT__BASE_URL": upstream}
    process = start("follow", folder=shell.folder, **environment)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert [line.split()[2] for line in lines] == ["training", "waiting", "ready"]
    assert "␛[31mfaq" in lines[1]
    process.send_signal(signal.SIGINT)
    assert finished(process).code == 130
    assert list(shell.folder.iterdir()) == []


def test_follow_with_a_wrong_key_says_so(shell: Shell, upstream: str) -> None:
    environment = {"CLOVA_API_KEY": "nv-wrong-canary", "WATCHER_ACCOUNTS__DEFAULT__BASE_URL": upstream}
    said = finished(start("follow", folder=shell.folder, **environment))
    assert said.code == 1
    assert said.err.startswith("Error: the key is refused (401, 40104")
    assert "canary" not in said.err


def test_simulate_says_when_its_port_is_taken(shell: Shell, upstream: str) -> None:
    said = finished(start("simulate", "quiet", "--port", upstream.rpartition(":")[2], folder=shell.folder))
    assert (said.code, said.err.startswith("Error: ")) == (1, True)
