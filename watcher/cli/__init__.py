"""The command line: `commands` is the table of all commands, and each family of commands has a file beside it."""

from watcher.cli.main import main

__all__ = ["main"]
