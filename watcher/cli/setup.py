"""`watcher init`: from a key to a configuration that runs, by asking."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from watcher.cli import ask, files
from watcher.cli.draft import CHANNEL, configuration, newest_open_first, pick
from watcher.cli.options import suggestion
from watcher.cli.printing import Cell, print_table, say
from watcher.errors import KeyRejected, UsageError, WatcherError
from watcher.models import TERMINAL, Fields

if TYPE_CHECKING:
    from watcher.redact import Redactor
    from watcher.settings import Account

SHOWN = 40
"""How many tasks are listed; the others can be named by their ids."""

TRIES = 3
DETAILS = """\
Secrets are written to files of their own in the folder `secrets` beside the configuration, readable by you only.
Nothing that exists is overwritten without --force. Answers may come from a pipe, or from these options."""

Listed = Sequence[tuple[str, Fields]]


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, and the file that has it or will; `path` is "" for one from the environment."""

    value: str
    path: str
    new: bool


def init_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--output", metavar="FILE", default="watcher.yaml", help="default: ./watcher.yaml")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    parser.add_argument("--yes", action="store_true", help="don't ask: take the defaults")
    parser.add_argument("--api-key-file", metavar="FILE", help="a file with the key, instead of asking for it")
    parser.add_argument("--channel-url-file", metavar="FILE", help="a file with the channel's address")
    parser.add_argument(
        "--task", metavar="ID", action="append", default=[], dest="tasks", help="a task to watch; repeatable"
    )
    parser.add_argument("--base-url", metavar="URL", help="where the API is, for the government cloud or a simulator")


def init(arguments: Namespace) -> int:
    import asyncio

    from watcher.cli.notify import send_samples
    from watcher.settings import load_settings
    from watcher.settings.recipients import meant

    plan = _Plan(arguments)
    plan.refuse_existing()
    key, tasks = plan.key_and_tasks()
    chosen = plan.choose(tasks)
    channel = plan.channel()
    plan.write(key, channel, chosen, dict(tasks))
    settings = load_settings([str(plan.output)])
    arguments.redactor.add(*settings.secret_values())
    code = 0
    if channel and (arguments.yes or ask.yes("Send a test message now?")):
        code = asyncio.run(
            send_samples(settings, meant(CHANNEL, settings.channels), "task.started", arguments.redactor)
        )
    named = "" if plan.output == Path("watcher.yaml") else f" --config {plan.output}"
    if code:
        say(f"The configuration is written. Correct the channel, then: watcher test-notify{named}")
    say(f"Next: watcher run{named}")
    return code


class _Plan:
    """The questions and what follows from the answers."""

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._redactor: Redactor = arguments.redactor
        self.output = Path(arguments.output)
        self._secrets = self.output.parent / "secrets"

    def refuse_existing(self) -> None:
        """Before anything is asked: nobody likes to answer in vain."""
        files.check_place(self.output)
        if self._arguments.force:
            return
        for path in (self.output, self._secrets / "clova_api_key", self._secrets / f"{CHANNEL}_url"):
            if path.exists() or path.is_symlink():
                raise UsageError(f"{path} exists already", "write --force to overwrite it, or --output OTHER.yaml")

    def key_and_tasks(self) -> tuple[Key, Listed]:
        """A key that the API takes, and what it lists."""
        for attempt in range(TRIES):
            key = self._key()
            self._redactor.add(key.value)
            try:
                return key, self._list(key.value)
            except KeyRejected as error:
                if not key.new or self._arguments.yes or attempt == TRIES - 1:
                    raise
                say(f"✗ {error.message}. Try again")
        raise AssertionError("unreachable")

    def choose(self, tasks: Listed) -> list[str]:
        """The ids to watch."""
        ordered = sorted(tasks, key=newest_open_first)
        ids = [id_ for id_, _ in ordered]
        if self._arguments.tasks:
            return [_listed(id_, ids) for id_ in dict.fromkeys(self._arguments.tasks)]
        if not ids:
            raise WatcherError(
                "this key sees no task yet", "create a training in CLOVA Studio first, then run watcher init again"
            )
        open_ids = [id_ for id_, fields in ordered if fields.get("status") not in TERMINAL]
        default = open_ids or ids
        if self._arguments.yes:
            return default
        _show(ordered)
        what = "all" if len(default) == len(ids) else f"the {len(default)} that haven't ended"
        return ask.until_valid(
            f"Which ones? Numbers such as 1 3-5, ids, or all [{what}]: ", lambda text: pick(text, ids) or default
        )

    def channel(self) -> str:
        """The address for messages; "" for the terminal only."""
        if self._arguments.channel_url_file:
            return self._usable(_secret_from(self._arguments.channel_url_file, "--channel-url-file"))
        if self._arguments.yes:
            return ""
        say("Where shall messages go? https://hooks.slack.com/services/..., mailto://..., any webhook or Apprise URL.")
        return ask.until_valid("Address [none: only this terminal]: ", lambda text: text and self._usable(text))

    def write(self, key: Key, channel: str, chosen: Sequence[str], tasks: Mapping[str, Fields]) -> None:
        """Secrets first, so that the configuration never names a file that isn't there."""
        key_path = key.path
        if key.new:
            key_path = files.write_secret(self._secrets / "clova_api_key", key.value)
        url_path = self._arguments.channel_url_file or ""
        if channel and not url_path:
            url_path = files.write_secret(self._secrets / f"{CHANNEL}_url", channel)
        text = configuration(chosen, tasks, key_path, self._arguments.base_url, self._named(url_path))
        files.write_config(self.output, text, force=self._arguments.force)
        say(f"✓ wrote {self.output} with {len(chosen)} task{'' if len(chosen) == 1 else 's'}")

    def _key(self) -> Key:
        path = self._arguments.api_key_file
        if path:
            return Key(_secret_from(path, "--api-key-file"), self._named(path), new=False)
        if os.environ.get("CLOVA_API_KEY"):
            say("Using the key in CLOVA_API_KEY.")
            return Key(os.environ["CLOVA_API_KEY"], "", new=False)
        if self._arguments.yes:
            raise UsageError("no key: --yes asks nothing", "set CLOVA_API_KEY, or write --api-key-file FILE")
        return Key(ask.hidden("CLOVA Studio API key (nv-..., not shown): "), "", new=True)

    def _named(self, path: str) -> str:
        """A given file as the configuration names it: relative only if that is where both lie."""
        return _as_path(path) if not path or self.output.parent == Path() else str(Path(path).absolute())

    def _list(self, key: str) -> Listed:
        import asyncio

        from watcher.cli.upstream import list_all
        from watcher.settings import environment_settings

        settings = environment_settings(secrets=False)
        tasks = asyncio.run(list_all(settings, self._account(key), self._redactor))
        say(f"✓ the key works: {len(tasks)} task{'' if len(tasks) == 1 else 's'} visible")
        return tasks

    def _account(self, key: str) -> Account:
        from pydantic import SecretStr, ValidationError

        from watcher.settings import Account

        given = {"base_url": self._arguments.base_url} if self._arguments.base_url else {}
        try:
            return Account(name="default", api_key=SecretStr(key), **given)
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)[0]
            what = "--base-url" if found["loc"] == ("base_url",) else "the key"
            raise UsageError(f"{what}: {found.get('ctx', {}).get('error', found['msg'])}") from None

    def _usable(self, url: str) -> str:
        """The address, if somebody takes it; raises UsageError."""
        import asyncio

        from pydantic import SecretStr, ValidationError

        from watcher.notifier.channels import build_channel
        from watcher.settings import Channel
        from watcher.settings.recipients import NoAddressError, single

        self._redactor.add(url)
        try:
            for each in single(Channel(name=CHANNEL, url=SecretStr(url))).values():
                asyncio.run(build_channel(each, redactor=self._redactor).aclose())
        except NoAddressError as error:
            raise UsageError(str(error)) from None
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False)[0]
            raise UsageError(str(found.get("ctx", {}).get("error", found["msg"]))) from None
        return url


def _listed(id_: str, ids: Sequence[str]) -> str:
    if id_ not in ids:
        raise UsageError(f"the account has no task {id_}{suggestion(id_, ids)}", "watcher init lists them")
    return id_


def _show(tasks: Listed) -> None:
    rows = [
        [Cell(str(number)), Cell(id_), *(Cell(str(fields.get(name) or "")) for name in ("name", "model", "status"))]
        for number, (id_, fields) in enumerate(tasks[:SHOWN], start=1)
    ]
    print_table(("#", "TASK", "NAME", "MODEL", "STATUS"), rows)
    if len(tasks) > SHOWN:
        say(f"... and {len(tasks) - SHOWN} more")


def _as_path(path: str) -> str:
    """Relative paths start with ./, so that nobody takes them for the secret itself."""
    return path if not path or os.path.isabs(path) or path.startswith(".") else f"./{path}"


def _secret_from(path: str, option: str) -> str:
    from watcher.settings.secretfile import NoSecretError, read

    try:
        return read(_as_path(path))
    except NoSecretError as error:
        raise UsageError(f"{option}: {error}") from None
