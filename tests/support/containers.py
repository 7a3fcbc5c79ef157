"""Builds and runs the image for real, without a daemon, in a store of its own that leaves nothing behind."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
TOOLS = ("buildah", "podman", "runc", "mmdebstrap")
BASE = "docker.io/library/python:3.13-slim"
IMAGE = "watcher:test"

LIMITS = ("--ulimit=nofile=20000:20000", "--ulimit=nproc=32768:32768", "--network=host")
# What a cluster with a restricted policy allows, and a bit less: not even a tmpfs on /tmp.
RESTRICTED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    *LIMITS,
)


def missing() -> str:
    """Why no image can be built here; "" if one can."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"{', '.join(lacking)} missing: make test-deps"
    return "" if os.geteuid() == 0 else "building a base image needs root"


class Containers:
    """buildah and podman on one private store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = (f"--root={folder}/root", f"--runroot={folder}/run")

    def buildah(self, *arguments: str) -> str:
        return _run("buildah", *self._store, *arguments)

    def podman(self, *arguments: str, check: bool = True, given: str = "") -> str:
        return _run(*self.command(*arguments), check=check, given=given)

    def command(self, *arguments: str) -> list[str]:
        own = (f"--tmpdir={self.folder}/tmp", "--cgroup-manager=cgroupfs", "--events-backend=none", "--runtime=runc")
        return ["podman", *self._store, *own, *arguments]

    def inspect(self, kind: str, name: str) -> Any:
        return json.loads(self.podman("inspect", f"--type={kind}", name))[0]

    def build(self) -> None:
        """The stand-in for the official base image, and the image upon it."""
        self._make_base()
        mounts = [f"--volume={mount}" for mount in _pip_mounts(self.folder)]
        how = ("--isolation=chroot", "--format=docker", "--pull-never", "--quiet")
        self.buildah("build", *how, *mounts, f"--tag={IMAGE}", str(PROJECT))

    def _make_base(self) -> None:
        """Debian's own Python where the official image has one: `python` and a pip that may install."""
        archive = self.folder / "base.tar"
        hook = 'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED && ln -s python3 "$1/usr/bin/python"'
        what = ("--variant=minbase", "--include=python3,python3-pip,ca-certificates", f"--customize-hook={hook}")
        _run("mmdebstrap", "--quiet", "--mode=root", *what, *_LEAN, "trixie", str(archive))
        self.podman("import", "--quiet", str(archive), BASE)
        archive.unlink()


_LEAN = tuple(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale"))


@contextmanager
def containers() -> Iterator[Containers]:
    # A short name: podman's sockets lie in it, and their paths may have 108 characters.
    folder = Path(tempfile.mkdtemp(prefix="w-", dir="/var/tmp"))
    made = Containers(folder)
    try:
        yield made
    finally:
        made.podman("rm", "--all", "--force", "--time=0", check=False)
        made.podman("volume", "rm", "--all", "--force", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _run(*command: str, check: bool = True, given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=600)
    if check and done.returncode:
        said = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        raise AssertionError(f"{' '.join(command)}\nexit {done.returncode}\n{said}")
    return done.stdout


def _pip_mounts(folder: Path) -> list[str]:
    """This machine's way to its package index, lent to the build's RUN steps and never copied into the image."""
    python = shutil.which("python3") or "python3"
    listed = _run(python, "-m", "pip", "config", "list")
    found = re.findall(r"^(?:global|install|:env:)\.([\w-]+)=(.*)$", listed, re.MULTILINE)
    options = {name: str(ast.literal_eval(value)) for name, value in found}
    config = folder / "pip.conf"
    config.touch(0o600)
    config.write_text("[global]\n" + "".join(f"{name} = {' '.join(text.split())}\n" for name, text in options.items()))
    words = [word for text in options.values() for word in text.split()]
    # A local index names its files beside itself.
    indexes = {Path(word.removeprefix("file://")).parent for word in words if word.startswith("file://")}
    paths = {path for path in indexes | {Path(word) for word in words if word.startswith("/")} if path.exists()}
    return [f"{config}:/etc/pip.conf:ro", *(f"{path}:{path}:ro" for path in sorted(paths))]
