"""Writing and loading configurations in tests of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from watcher.errors import ConfigError
from watcher.settings import Settings, load_settings

KEY = {"CLOVA_API_KEY": "nv-canary0123456789"}
TASKS = "tasks: [czf9fbky]\n"


def load(folder: Path, text: str | bytes, env: Mapping[str, str] | None = None, *, secrets: bool = True) -> Settings:
    """The settings of one file with this text; there is a key unless `env` is given with its own."""
    file = folder / "watcher.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_settings([str(file)], env={**KEY, **(env or {})}, secrets=secrets)


def problems(
    folder: Path, text: str | bytes, env: Mapping[str, str] | None = None, *, secrets: bool = True
) -> list[str]:
    """All problems of such a file as they are shown, the folder left out; [] if it is right."""
    try:
        load(folder, text, env, secrets=secrets)
    except ConfigError as error:
        return [str(problem).replace(f"{folder}/", "") for problem in error.problems]
    return []


def only_problem(folder: Path, text: str | bytes, env: Mapping[str, str] | None = None, *, secrets: bool = True) -> str:
    """The one problem of such a file."""
    found = problems(folder, text, env, secrets=secrets)
    assert len(found) == 1, found
    return found[0]
