"""All commands. To add one: write its function in the file of its family, and name it here."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

from watcher.cli import check, follow, health, notify, outbox, play, run, setup, silence, status, trail, wait
from watcher.cli.options import json_option, nothing


@dataclass(frozen=True, slots=True)
class Command:
    """`run` gets the arguments (with a `redactor` and the list `config`) and returns the exit code."""

    group: str
    name: str
    summary: str
    run: Callable[[Namespace], int]
    arguments: Callable[[ArgumentParser], None] = nothing
    details: str = ""


START, WATCH, LOOK, TELL, HELP = "Start", "Watch", "Look", "Tell", "Behind the scenes"

_TABLE = (
    Command(
        START, "demo", "the whole story in about a minute: no key, no configuration", play.demo, play.demo_arguments
    ),
    Command(
        START,
        "init",
        "ask for key and channel, list your tasks, write the YAML, send a test",
        setup.init,
        setup.init_arguments,
        setup.DETAILS,
    ),
    Command(
        START,
        "check",
        "read the configuration and say what is wrong; --online asks accounts and channels too",
        check.check,
        check.check_arguments,
    ),
    Command(WATCH, "run", "say what can be reached, then watch until stopped", run.run, nothing, run.RUN_DETAILS),
    Command(
        WATCH, "once", "look at every task once, tell what is due once, and end", run.once, nothing, run.ONCE_DETAILS
    ),
    Command(LOOK, "status", "the tasks with progress, loss and when they were seen", status.status, status.arguments),
    Command(LOOK, "follow", "the same as a live table", follow.follow, follow.arguments, follow.DETAILS),
    Command(LOOK, "history", "one task's events and its curve", trail.history, trail.arguments),
    Command(LOOK, "wait", "wait until tasks have ended", wait.wait, wait.arguments, wait.DETAILS),
    Command(LOOK, "prove", "one task's whole trail: observed, committed, every try", trail.prove, trail.arguments),
    Command(
        TELL, "routes", "which channels would hear an event of a task, and why", check.routes, check.routes_arguments
    ),
    Command(TELL, "test-notify", "send a sample now", notify.test_notify, notify.arguments),
    Command(
        TELL, "deliveries", "what goes where, and what became of it", outbox.deliveries, outbox.deliveries_arguments
    ),
    Command(TELL, "redeliver", "send again, with the same id", outbox.redeliver, outbox.redeliver_arguments),
    Command(
        TELL,
        "silence",
        "tell nothing of a task or a label for a while",
        silence.silence,
        silence.silence_arguments,
        silence.DETAILS,
    ),
    Command(TELL, "silences", "what is silenced, and for how long", silence.silences, json_option),
    Command(TELL, "unsilence", "end silences early", silence.unsilence, silence.unsilence_arguments),
    Command(HELP, "health", "exit 0 if the running watcher is healthy", health.health, health.arguments),
    Command(HELP, "simulate", "a fake CLOVA Studio on a local port", play.simulate, play.simulate_arguments),
    Command(HELP, "schema", "the JSON Schema of the configuration", check.schema),
)

COMMANDS = {command.name: command for command in _TABLE}
