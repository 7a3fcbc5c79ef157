"""What is checked in fits together: the lock files, the version, and nothing of the machine that it was written on."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from watcher import __version__

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ["requirements.lock", "requirements-dev.lock"]
PRIVATE = {
    "a path of one machine": r"(?<![\w.])/(?:home|Users|root|work|workspaces?)/\w",
    "a package index": r"--(?:extra-)?index-url|--find-links|\bPIP_\w*(?:INDEX|LINKS)|://[^/\s]*\b(?:pypi|nexus|artifactory)\b",
    "a host of one network": r"://[^/\s]*\.(?:internal|intranet|corp|lan|local)\b",
}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def asked(lock: str) -> list[Requirement]:
    """What pyproject.toml wants to find in that lock file."""
    found = project()
    extras = found["project"]["optional-dependencies"].values()
    wanted = [*found["project"]["dependencies"], *(one for extra in extras for one in extra)]
    groups = found["dependency-groups"]["dev"] if lock == "requirements-dev.lock" else []
    return [Requirement(one) for one in [*wanted, *groups]]


def blocks(lock: str) -> list[str]:
    """One text per package: its line, and the lines of its hashes."""
    lines = (ROOT / lock).read_text("utf-8").splitlines(keepends=True)
    code = "".join(line for line in lines if not line.lstrip().startswith("#"))
    return re.split(r"^(?=\S)", code, flags=re.MULTILINE)[1:]


def locked(lock: str) -> dict[str, str]:
    """Version by name."""
    pins = [re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", block) for block in blocks(lock)]
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_pins_every_package_by_hash_and_names_no_address(lock: str) -> None:
    assert len(blocks(lock)) == len(locked(lock)) > 0
    assert [block for block in blocks(lock) if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", block)] == []
    assert re.findall(r".*(?:://| @ |^\s*--(?!hash=)).*", (ROOT / lock).read_text("utf-8"), re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_holds_what_the_project_asks_for(lock: str) -> None:
    pins = locked(lock)
    assert [one.name for one in asked(lock) if canonicalize_name(one.name) not in pins] == [], "make lock"
    assert [one for one in asked(lock) if pins[canonicalize_name(one.name)] not in one.specifier] == [], "make lock"


def test_what_is_tested_is_what_is_shipped() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()


def test_the_changelog_begins_with_this_version_or_what_comes_after_it() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert next(heading for heading in headings if heading != "Unreleased") == __version__
    assert "Unreleased" not in headings[1:]


def files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("only a git checkout knows its files")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("what", PRIVATE)
def test_no_file_names_the_place_where_it_was_written(what: str) -> None:
    found = []
    for path in files():
        text = "" if path == Path(__file__) else path.read_bytes().decode("utf-8", "replace")
        lines = [text.count("\n", 0, match.start()) + 1 for match in re.finditer(PRIVATE[what], text)]
        found += [f"{path.relative_to(ROOT)}:{line}" for line in lines]
    assert found == []
