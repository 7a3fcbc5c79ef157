"""Reading the command line: options before and after the command's name, and mistakes that say what to write."""

from __future__ import annotations

import argparse
import re
from argparse import Namespace
from typing import NoReturn

from watcher import __version__
from watcher.cli.commands import COMMANDS, Command
from watcher.cli.options import suggestion
from watcher.errors import UsageError

PURPOSE = "Tells you in chat, mail or a webhook when a CLOVA Studio tuning task starts, ends or gets into trouble."
LATER = frozenset({"lint", "explain-failure", "stats"})
EXAMPLES = (
    ("watcher demo", "see it work, without a key"),
    ("watcher init && watcher check --online && watcher run", "watch your own tasks"),
    ("watcher wait czf9fbky --timeout 6h && ./deploy.sh", "go on when a training has succeeded"),
    ("watcher status --json | jq '.items[].status'", "for programs"),
)
EXIT_CODES = """\
Exit codes: 0 done, 1 it failed, 2 the command line or the configuration is wrong.
The configuration is --config PATH (a file or a folder, repeatable), else WATCHER_CONFIG, else ./watcher.yaml,
./config/watcher.yaml, /etc/watcher/watcher.yaml."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError in place of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        if unknown:
            known = [name for action in self._actions for name in action.option_strings]
            message = f"{unknown[1]} isn't known here{suggestion(unknown[1], known)}"
        raise UsageError(message, f"{self.prog} --help")


def parse(argv: list[str]) -> tuple[Command, Namespace]:
    """The command and its arguments. Raises UsageError; `--help` and `--version` print and leave (SystemExit)."""
    top = _top()
    given = top.parse_args(argv)
    command = COMMANDS.get(given.command)
    if given.command in LATER:
        raise UsageError(f"{given.command} comes with a later version", "watcher --help lists what there is")
    if command is None:
        raise UsageError(
            f"there is no command {given.command}{suggestion(given.command, COMMANDS)}", "watcher --help lists them all"
        )
    arguments = _parser_of(command).parse_args(given.rest)
    arguments.config = [*given.config, *arguments.config]
    return command, arguments


def overview() -> str:
    """What `watcher --help` shows."""
    lines = [PURPOSE, "", "Usage: watcher COMMAND [--config PATH] [options]"]
    group = ""
    for command in COMMANDS.values():
        if command.group != group:
            group = command.group
            lines += ["", f"{group}:"]
        lines.append(f"  {command.name:<13}{command.summary}")
    width = max(len(example) for example, _ in EXAMPLES) + 2
    lines += ["", "Examples:", *(f"  {example:<{width}}{why}" for example, why in EXAMPLES)]
    return "\n".join([*lines, "", EXIT_CODES, "`watcher COMMAND --help` tells more about one of them."])


class _Overview(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(overview())
        parser.exit()


def _top() -> Parser:
    top = Parser(prog="watcher", add_help=False, allow_abbrev=False)
    top.add_argument("-h", "--help", nargs=0, action=_Overview)
    top.add_argument("--version", action="version", version=f"watcher {__version__}")
    top.add_argument("--config", action="append", default=[])
    top.add_argument("command", metavar="COMMAND")
    top.add_argument("rest", nargs=argparse.REMAINDER)
    return top


def _parser_of(command: Command) -> Parser:
    parser = Parser(
        prog=f"watcher {command.name}",
        description=f"{command.summary[0].upper()}{command.summary[1:]}.",
        epilog=command.details or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", metavar="PATH", action="append", default=[], help="configuration file or folder; repeatable"
    )
    command.arguments(parser)
    return parser
