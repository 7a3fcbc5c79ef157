"""What is mounted where, as Linux tells it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount point and the kind of file system there (`ext4`, `nfs4`, `fuse.sshfs`, ...)."""

    point: Path
    kind: str


def read_mounts() -> list[Mount]:
    """In the order of mounting; an empty list where the system doesn't tell."""
    try:
        return parse_mountinfo(MOUNTINFO.read_text(errors="surrogateescape"))
    except OSError:
        return []


def parse_mountinfo(text: str) -> list[Mount]:
    """See proc_pid_mountinfo(5): `36 35 98:0 /root /point options optional... - kind source options`."""
    mounts = []
    for line in text.split("\n"):
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) >= 6:
            mounts.append(Mount(Path(_unescape(fields[4])), after.split(" ")[0]))
    return mounts


def mount_of(path: Path, mounts: list[Mount]) -> Mount | None:
    """The mount that holds an absolute path without symbolic links: the deepest, and the last one made there."""
    holding = [mount for mount in mounts if path.is_relative_to(mount.point)]
    return max(reversed(holding), key=lambda mount: len(mount.point.parts), default=None)


def _unescape(field: str) -> str:
    """Space, tab, newline and backslash are written as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
