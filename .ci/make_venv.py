"""Makes the virtual environment: `python3 .ci/make_venv.py .venv requirements.lock`, in about half of pip's time.

Needs pip, but no ensurepip (Debian's venv may lack it). The lock names every package with its hash, so nothing is left
to resolve, and two pips install half of them each. Modules are compiled when they are first imported.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
HALVES = 2
PIP = ("--quiet", "--disable-pip-version-check", "--no-input")
INSTALL = ("install", "--no-deps", "--no-compile", "--require-hashes")
COMMAND = """#!/bin/sh
exec '{python}' -P -m watcher "$@"
"""


def main(folder: str, lock: str) -> int:
    began = time.monotonic()
    if problem := _lacking():
        print(f"Error: {problem[0]}\nTry: {problem[1]}", file=sys.stderr)
        return 1
    target = Path(folder).absolute()
    python = target / "bin" / "python"
    if not python.exists():
        venv.create(target, symlinks=True)
    print(f"{target.name}: installing what {lock} names", file=sys.stderr)
    if said := _install(python, Path(lock).read_text(encoding="utf-8")):
        print(f"{said}\nError: pip couldn't install the packages\nTry: what it says above", file=sys.stderr)
        return 1
    _link(target, python)
    print(f"{target.name}: ready in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


def _lacking() -> tuple[str, str] | None:
    if sys.version_info < (3, 11):  # noqa: UP036 - who runs `make` may have an older one
        return f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}", "make PYTHON=python3.13"
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        return f"{sys.executable} has no pip", "apt-get install python3-pip python3-venv"
    return None


def _install(python: Path, lock: str) -> str:
    """What pip said when it failed; "" when all is there."""
    packages = [block for block in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE) if "==" in block]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(HALVES) as pool:
        parts = [Path(folder) / f"{number}.txt" for number in range(HALVES)]
        for number, part in enumerate(parts):
            part.write_text("".join(packages[number::HALVES]), encoding="utf-8")
        return "\n".join(filter(None, pool.map(lambda part: _pip(python, part), parts)))


def _pip(python: Path, part: Path) -> str:
    command = [sys.executable, "-m", "pip", "--python", str(python), *PIP, *INSTALL, "--requirement", str(part)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    return done.stdout.strip() or f"exit {done.returncode}" if done.returncode else ""


def _link(target: Path, python: Path) -> None:
    """Like an editable install, without a build: the package is found where it lies, the command starts it."""
    paths = sysconfig.get_paths("venv", vars={"base": str(target), "platbase": str(target)})
    (Path(paths["purelib"]) / "watcher.pth").write_text(f"{PROJECT}\n", encoding="utf-8")
    command = target / "bin" / "watcher"
    command.write_text(COMMAND.format(python=python), encoding="utf-8")
    command.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
