"""Finding, merging and checking the configuration: from files and environment to Settings, or to all its problems."""

from __future__ import annotations

import os
from collections.abc import Mapping as Environment
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from watcher.errors import ConfigError, Problem
from watcher.settings import channelchecks, checks, environment, recipients
from watcher.settings.document import parse
from watcher.settings.inputs import Inputs, NotRegularError
from watcher.settings.merge import merge
from watcher.settings.notes import Notes
from watcher.settings.origin import Origin
from watcher.settings.schema import Settings
from watcher.settings.sections import Channel
from watcher.settings.shape import Shaper
from watcher.settings.tree import Mapping, Node, Place

SEARCHED = ("./watcher.yaml", "./config/watcher.yaml", "/etc/watcher/watcher.yaml")


def load_settings(
    paths: Sequence[str] | None = None, *, env: Environment[str, str] | None = None, secrets: bool = True
) -> Settings:
    """The settings from `paths` (files or folders; without them from where files are searched) and the environment.

    `secrets=False` is for commands that only read: a secret that isn't there is no error but "". Raises ConfigError
    with every problem of all files.
    """
    return load(paths, os.environ if env is None else env, Inputs(), secrets=secrets)


def load(paths: Sequence[str] | None, env: Environment[str, str], inputs: Inputs, *, secrets: bool = True) -> Settings:
    """As `load_settings`; whatever is read of the disk goes through `inputs`, also when the end is a ConfigError."""
    files, problems = _find(paths, env, inputs)
    unread = bool(problems)
    trees: list[Mapping] = []
    for file in files:
        tree, found = _read(file, inputs)
        problems += found
        unread = unread or tree is None
        trees += [tree] if tree else []
    if problems and not trees:
        raise ConfigError(tuple(problems))
    return _Load(files, env, inputs, problems, secrets=secrets, unread=unread).settings(trees)


def environment_settings(*, env: Environment[str, str] | None = None, secrets: bool = True) -> Settings:
    """The settings from the environment alone, without any file or task: enough to ask an account what it has."""
    env = os.environ if env is None else env
    return _Load([], env, Inputs(), [], secrets=secrets, unread=False).settings([])


class _Load:
    """One attempt to make settings; it goes on as long as it may find another problem."""

    def __init__(
        self,
        files: Sequence[str],
        env: Environment[str, str],
        inputs: Inputs,
        problems: list[Problem],
        *,
        secrets: bool,
        unread: bool,
    ) -> None:
        self._files, self._env, self._secrets = files, env, secrets
        self._unread = unread  # a file is unknown, so what seems to be missing may stand in it
        self._problems = problems
        self._notes = Notes(inputs)

    def settings(self, trees: list[Mapping]) -> Settings:
        data = Shaper(self._env, self._notes, secrets=self._secrets).settings(self._merged(trees))
        if not self._unread:
            self._check(data)
        settings = self._validated(data)
        completed = self._completed(settings or _channels_alone(data))
        problems = self._problems + self._notes.problems
        if problems or settings is None:
            raise ConfigError(tuple(sorted(dict.fromkeys(problems), key=self._order)))
        return completed

    def _completed(self, settings: Settings) -> Settings:
        """The settings with what follows from what is written."""
        notes = self._notes
        origin = Origin(notes.places, notes.inputs.found, notes.secret_files, notes.template_files, notes.named)
        try:
            return recipients.expand(_inherited(settings).coming_from(origin))
        except ConfigError as error:
            self._problems += error.problems
            return settings

    def _merged(self, trees: list[Mapping]) -> Mapping:
        root: Node = Mapping(Place("configuration"))
        for tree in trees:
            root = merge(root, tree, add_lists=True)
        overrides, problems = environment.overrides(self._env)
        self._problems += problems
        root = merge(root, overrides, add_lists=False)
        assert isinstance(root, Mapping)  # noqa: S101 - merging mappings gives one
        return root

    def _check(self, data: dict[str, Any]) -> None:
        checks.default_account(data, self._notes, self._env, secrets=self._secrets)
        checks.references(data, self._notes)
        channelchecks.channels(data, self._notes)
        if self._files:
            checks.something_to_watch(data, self._notes, Place(self._files[0], 1, 1))
        if self._secrets:
            checks.ca_file(data, self._notes)

    def _validated(self, data: dict[str, Any]) -> Settings | None:
        try:
            return Settings(**data, sources=tuple(self._files))
        except ValidationError as error:
            for each in error.errors(include_url=False, include_input=False):
                self._report(each["type"], each["loc"], each.get("ctx", {}).get("error"))
            return None

    def _report(self, kind: str, location: tuple[str | int, ...], cause: object) -> None:
        path = self._notes.as_written(tuple(part for part in location if part != "[key]"))
        if any(path[:length] in self._notes.bad for length in range(1, len(path) + 1)):
            return
        if kind == "missing":
            if not self._unread:
                self._notes.report(path, checks.MISSING.get(str(path[-1]), "missing; write it"))
            return
        self._notes.report(path, str(cause) if cause else "isn't what belongs here")

    def _order(self, problem: Problem) -> tuple[int, int, int]:
        known = self._files.index(problem.source) if problem.source in self._files else len(self._files)
        return known, problem.line, problem.column


def _channels_alone(data: dict[str, Any]) -> Settings:
    """Where something else is wrong, channels can be looked at all the same."""
    try:
        return Settings(channels=data.get("channels") or {})
    except ValidationError:
        return Settings()


def _inherited(settings: Settings) -> Settings:
    """Channels speak the global language in the global time zone unless they have their own; no port means no page."""
    channels = {name: _channel(settings, channel) for name, channel in settings.channels.items()}
    http = settings.http if settings.http and settings.http.port is not None else None
    return settings.model_copy(update={"channels": channels, "http": http})


def _channel(settings: Settings, channel: Channel) -> Channel:
    update: dict[str, Any] = {
        key: getattr(settings, key) for key in ("language", "timezone") if key not in channel.model_fields_set
    }
    if channel.slack_token is not None and channel.mode is None:
        update["mode"] = "messages"
    return channel.model_copy(update=update)


def _find(paths: Sequence[str] | None, env: Environment[str, str], inputs: Inputs) -> tuple[list[str], list[Problem]]:
    """The files to read, in order."""
    chosen = list(paths or ()) or [name for name in (env.get(environment.SEARCH),) if name]
    if chosen:
        files, problems = [], []
        for path in chosen:
            try:
                files += _expand(path, inputs)
            except OSError as error:
                why = f"can't be read: {error.strerror}; put it there, or correct --config or {environment.SEARCH}"
                problems.append(Problem(path, 0, 0, "", why))
            except ValueError as error:
                problems.append(Problem(path, 0, 0, "", str(error)))
        return files, problems
    found = next((name for name in SEARCHED if os.path.exists(name)), None)
    if found is None:
        text = f"there is none; looked for {', '.join(SEARCHED)} (from {Path.cwd()})"
        raise ConfigError(
            (Problem("configuration", 0, 0, "", text),), "write one with `watcher init`, or name it: --config"
        )
    return [found], []


def _expand(path: str, inputs: Inputs) -> list[str]:
    """A file itself, or a folder's *.yaml in the order of their names."""
    if not path or "\0" in path:
        raise ValueError("is no path")
    if not os.path.isdir(path):
        if not os.path.exists(path):
            inputs.content(path)
        return [path]
    files = inputs.names(path)
    if not files:
        raise ValueError("the folder has no *.yaml (names that start with a dot don't count)")
    return files


def _read(file: str, inputs: Inputs) -> tuple[Mapping | None, list[Problem]]:
    try:
        content = inputs.content(file)
    except NotRegularError as error:
        return None, [Problem(file, 0, 0, "", str(error.strerror))]
    except OSError as error:
        return None, [Problem(file, 0, 0, "", f"can't be read: {error.strerror}")]
    tree, problems = parse(content, file)
    if tree is not None and not isinstance(tree, Mapping):
        return None, [*problems, tree.place.problem("", "must be a mapping, starting with a key such as tasks:")]
    return tree or (None if problems else Mapping(Place(file, 1, 1))), problems
