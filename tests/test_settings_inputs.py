"""What a load reads of the disk, and what is remembered of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watcher.settings.inputs import Input, Inputs, look


def test_a_file_is_read_once_so_that_a_load_sees_one_state_of_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old")
    path, inputs = f"{tmp_path}/key", Inputs()
    assert inputs.content(path) == b"old"
    (tmp_path / "key").write_text("new")
    assert inputs.content(path) == b"old"
    assert inputs.found != look(inputs.found)
    assert Inputs().content(path) == b"new"


def test_what_was_found_is_compared_by_content_alone(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("canary")
    inputs = [Input(f"{tmp_path}/a.yaml"), Input(str(tmp_path), folder=True), Input(f"{tmp_path}/missing")]
    before = look(inputs)
    (tmp_path / "a.yaml").unlink()
    (tmp_path / "a.yaml").write_text("canary")
    assert look(inputs) == before
    assert "canary" not in str(before)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "No such file"),
        ("missing/below", "No such file"),
        ("file/below", "Not a directory"),
        ("folder", "is no regular file"),
        ("pipe", "is no regular file"),
        ("loop", "Too many levels of symbolic links"),
    ],
)
def test_what_cant_be_read_is_remembered_with_its_reason(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    inputs, path = Inputs(), f"{tmp_path}/{name}"
    for _ in range(2):
        with pytest.raises(OSError, match=reason):
            inputs.content(path)
    assert inputs.found == look([Input(path)])
    assert inputs.found[Input(path)] != look([Input(f"{tmp_path}/file")])[Input(f"{tmp_path}/file")]


def test_names_that_are_no_text_are_names_too(tmp_path: Path) -> None:
    inputs = Inputs()
    assert inputs.names(str(tmp_path)) == []
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text("tasks: [a]")
    assert len(inputs.names(str(tmp_path))) == 1
