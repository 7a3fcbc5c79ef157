"""The command line itself: its words, its exit codes, and what it says of mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import Shell, finished, shell, start
from watcher import __version__
from watcher.cli import commands
from watcher.cli.commands import COMMANDS
from watcher.cli.parsing import overview
from watcher.errors import StoreUnusable, WatcherError

__all__ = ["shell"]

CONTRACT = (
    "run once init check routes test-notify status history follow wait deliveries redeliver prove health simulate demo "
    "schema silence silences unsilence"
)
HEAVY = ("sqlalchemy", "apprise", "httpx2", "uvicorn", "rich", "pydantic", "alembic")


def break_status(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Lets `watcher status` end with this error: the door is tested, not the command."""

    def fail(_arguments: object) -> int:
        raise error

    monkeypatch.setitem(COMMANDS, "status", commands.Command("Look", "status", "fails", fail))


def test_every_command_of_the_contract_is_there_and_in_the_overview(shell: Shell) -> None:
    assert set(COMMANDS) == set(CONTRACT.split())
    assert all(f"\n  {name} " in overview() for name in COMMANDS)
    assert shell("--help").code == 0


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(shell: Shell, name: str) -> None:
    said = shell(name, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"usage: watcher {name}")
    assert "--config PATH" in said.out


def test_without_a_command_the_overview_goes_to_stderr_with_exit_2(shell: Shell) -> None:
    said = shell()
    assert (said.code, said.out) == (2, "")
    assert "Usage: watcher COMMAND" in said.err


def test_version_and_overview_load_nothing_heavy() -> None:
    code = "import sys; from watcher.cli import main; main(['--version']); main(['--help']); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(said.stdout.split())
    assert said.stdout.startswith(f"watcher {__version__}\n")
    assert not loaded.intersection(HEAVY)


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ("statu", "there is no command statu. Did you mean status?", "watcher --help lists them all"),
        ("status --jsn", "--jsn isn't known here. Did you mean --json?", "watcher status --help"),
        ("history", "the following arguments are required: TASK", "watcher history --help"),
        ("wait x --timeout soon", "argument --timeout: not a duration; write 30s", "watcher wait --help"),
        ("routes x task.faild", "argument EVENT: no event is called task.faild. Did you mean task.failed?", "routes"),
        ("lint", "lint comes with a later version", "watcher --help lists what there is"),
        ("silence x", "the following arguments are required: --for", "watcher silence --help"),
        ("silence x --for soon", "argument --for: not a duration; write 30s", "watcher silence --help"),
        (
            "deliveries --state sent",
            "argument --state: no state is called sent. There are: waiting",
            "watcher deliveries --help",
        ),
        ("simulate x --port 70000", "argument --port: must be a port from 0 to 65535", "watcher simulate --help"),
        ("simulate x --speed 0", "argument --speed: must be a number above 0", "watcher simulate --help"),
        ("simulate nope", "there is no file and no scenario nope", "write a file's path"),
        ("redeliver", "name deliveries, or write --failed", "watcher deliveries --failed"),
        ("redeliver x --failed", "name deliveries, or write --failed", "watcher deliveries --failed"),
        ("--confg x status", "--confg isn't known here. Did you mean --config?", "watcher --help"),
    ],
)
def test_a_wrong_command_line_exits_2_with_what_to_write(shell: Shell, arguments: str, error: str, hint: str) -> None:
    said = shell(*arguments.split())
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"Error: {error}")
    assert hint in said.err.split("\nTry: ")[1]


def test_a_wrong_configuration_exits_2_with_all_problems_and_touches_nothing(shell: Shell) -> None:
    shell.configure("tasks: [czf9fbky]\nchanels: {}\nhttp: {port: many}\n")
    said = shell("status")
    assert said.code == 2
    lines = said.err.splitlines()
    assert lines[0].startswith("Error: ./watcher.yaml:2:1: chanels: unknown key. Did you mean channels?")
    assert lines[1].startswith("Error: ./watcher.yaml:3:14: http.port: ")
    assert lines[2] == "Try: mend these 2 problems, then look again with: watcher check"
    assert [path.name for path in shell.folder.iterdir()] == ["watcher.yaml"]


def test_config_is_taken_before_and_after_the_command(shell: Shell) -> None:
    (shell.folder / "one.yaml").write_text("tasks: [abcd1234]\nbad1: x\n")
    (shell.folder / "two.yaml").write_text("tasks: [efgh1234]\nbad2: x\n")
    said = shell("--config", "one.yaml", "status", "--config=two.yaml")
    assert [line.split()[1] for line in said.err.splitlines()[:2]] == ["one.yaml:2:1:", "two.yaml:2:1:"]


def test_our_errors_say_what_is_wrong_and_what_to_do(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    break_status(monkeypatch, StoreUnusable("it is \x1b[31mbroken", "mend it"))
    said = shell("status")
    assert (said.code, said.err) == (1, "Error: it is ␛[31mbroken\nTry: mend it\n")


def test_our_error_is_found_inside_a_group(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    group = ExceptionGroup("tasks", [ExceptionGroup("more", [WatcherError("the cause", "the mend")])])
    break_status(monkeypatch, group)
    said = shell("status")
    assert (said.code, said.err) == (1, "Error: the cause\nTry: the mend\n")


@pytest.mark.parametrize("level", ["info", "debug"])
def test_an_unexpected_error_is_one_redacted_line_and_a_traceback_only_at_debug(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("CLOVA_API_KEY", "nv-canary0123456789")
    monkeypatch.setenv("WATCHER_LOG__LEVEL", level)
    break_status(monkeypatch, RuntimeError("no nv-canary0123456789\x07"))
    said = shell("status")
    assert said.code == 1
    assert said.err.startswith("Error: unexpected RuntimeError: no ***␇\n")
    assert "nv-canary" not in said.err
    assert ("Traceback" in said.err) == (level == "debug")
    assert said.err.splitlines()[-1].startswith("Try: ")


def test_an_interrupt_is_quiet(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    break_status(monkeypatch, KeyboardInterrupt())
    said = shell("status")
    assert (said.code, said.out, said.err) == (130, "", "")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    process = start("schema", folder=tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(30) == 141


def test_a_full_disk_behind_the_output_is_one_clear_line(tmp_path: Path) -> None:
    for command in ("schema", "--help"):
        with open("/dev/full", "w") as full:
            process = subprocess.run(
                [sys.executable, "-m", "watcher", command],
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert process.returncode == 1
        said = "Error: standard output can't be written: No space left on device\nTry: look where the output goes"
        assert process.stderr.startswith(said)
        assert len(process.stderr.splitlines()) == 2


def test_a_working_directory_that_was_deleted_is_one_clear_line(shell: Shell) -> None:
    shell.folder.rmdir()
    said = shell("check")
    assert (said.code, said.out) == (1, "")
    assert said.err == "Error: the working directory was deleted\nTry: go to one that exists: cd PATH\n"


def test_schema_prints_the_json_schema(tmp_path: Path) -> None:
    said = finished(start("schema", folder=tmp_path))
    assert said.code == 0
    assert '"$schema"' in said.out
    assert '"tasks"' in said.out


def test_a_terminal_without_utf8_gets_question_marks(tmp_path: Path) -> None:
    (tmp_path / "watcher.yaml").write_text('tasks: [czf9fbky]\nchannels: {team: "console://"}\nhttp: null\n')
    said = finished(start("check", folder=tmp_path, PYTHONIOENCODING="ascii", CLOVA_API_KEY="nv-x12345"))
    assert said.code == 0
    assert said.out.startswith("? read ./watcher.yaml\n")
