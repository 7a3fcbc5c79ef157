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
    if not _install(python, Path(lock).read_text(encoding="utf-8")):
        print("Error: pip couldn't install the packages\nTry: what its message above says", file=sys.stderr)
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


def _install(python: Path, lock: str) -> bool:
    packages = [block for block in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE) if "==" in block]
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for number in range(HALVES):
            part = Path(folder) / f"{number}.txt"
            part.write_text("".join(packages[number::HALVES]), encoding="utf-8")
            command = [sys.executable, "-m", "pip", "--python", str(python), *PIP, *INSTALL, "--requirement", str(part)]
            running.append(subprocess.Popen(command))  # noqa: S603
        results = [pip.wait() for pip in running]
    return not any(results)


def _link(target: Path, python: Path) -> None:
    """Like an editable install, without a build: the package is found where it lies, the command starts it."""
    paths = sysconfig.get_paths("venv", vars={"base": str(target), "platbase": str(target)})
    (Path(paths["purelib"]) / "watcher.pth").write_text(f"{PROJECT}\n", encoding="utf-8")
    command = target / "bin" / "watcher"
    command.write_text(COMMAND.format(python=python), encoding="utf-8")
    command.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
