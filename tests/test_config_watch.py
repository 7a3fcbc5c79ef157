"""What counts as a changed configuration: real files, changed in the ways that editors and Kubernetes change them."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.configs import KEY, TASKS
from watcher.errors import ConfigError
from watcher.settings import Settings, load_settings
from watcher.settings.inputs import MAX_BYTES, Found
from watcher.settings.watch import ConfigWatch

CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"


def watch_of(*paths: Path, env: Mapping[str, str] = KEY) -> ConfigWatch:
    """A watch whose first settings are applied, as the daemon does it at start."""
    names = [str(path) for path in paths]
    watch = ConfigWatch(names, env)
    watch.applied(load_settings(names, env=env))
    return watch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "watcher.yaml"
    path.write_text(TASKS)
    return path


def ids(outcome: Settings | ConfigError | None) -> list[str]:
    assert isinstance(outcome, Settings), outcome
    return [task.id for task in outcome.tasks]


def problems(outcome: Settings | ConfigError | None) -> str:
    assert isinstance(outcome, ConfigError), outcome
    return str(outcome)


def told(watch: ConfigWatch, looks: int = 6) -> list[Settings | ConfigError]:
    """What comes of so many looks at files that nobody touches."""
    return [outcome for _ in range(looks) if (outcome := watch.look()) is not None]


# How a change comes


def in_place(path: Path, text: str) -> None:
    before = path.stat().st_ino
    path.write_text(text)
    assert path.stat().st_ino == before


def with_the_same_times(path: Path, text: str) -> None:
    times = path.stat()
    path.write_text(text)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def by_renaming(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def by_another_link(path: Path, text: str) -> None:
    target = path.with_suffix(".target")
    target.write_text(text)
    path.unlink()
    path.symlink_to(target)


WAYS = [in_place, with_the_same_times, by_renaming, by_another_link]


@pytest.mark.parametrize("change", WAYS)
def test_a_change_is_told_once_when_two_looks_in_a_row_find_it(file: Path, change: Callable[[Path, str], None]) -> None:
    watch = watch_of(file)
    assert [watch.look(), watch.look()] == [None, None]
    change(file, "tasks: [newtask1]\n")
    assert watch.look() is None
    assert ids(watch.look()) == ["newtask1"]
    assert told(watch) == []


def test_a_configmap_that_kubernetes_swaps_is_read_as_a_whole(tmp_path: Path) -> None:
    def version(name: str, task: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "watcher.yaml").write_text(f"tasks: [{task}]\nhttp: {{token_file: {tmp_path}/token}}")
        (tmp_path / name / "token").write_text(f"token-{task}")
        (tmp_path / "..data_tmp").symlink_to(name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    version("..2026_01", "old")
    for name in ("watcher.yaml", "token"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    watch = watch_of(tmp_path)
    version("..2026_02", "new")
    assert watch.look() is None
    (settings,) = told(watch)
    assert ids(settings) == ["new"]
    assert settings.http is not None
    assert settings.http.token.get_secret_value() == "token-new"


def test_a_folder_that_gains_or_loses_a_file_has_changed(tmp_path: Path, file: Path) -> None:
    watch = watch_of(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.yaml").write_text("[")
    (tmp_path / "folder.yaml").mkdir()
    assert told(watch) == []
    (tmp_path / "zzz.yaml").write_text("tasks: [more]")
    assert [ids(each) for each in told(watch)] == [["czf9fbky", "more"]]
    (tmp_path / "zzz.yaml").rename(tmp_path / "aaa.yaml")
    assert [ids(each) for each in told(watch)] == [["more", "czf9fbky"]]
    (tmp_path / "aaa.yaml").unlink()
    assert [ids(each) for each in told(watch)] == [["czf9fbky"]]
    file.unlink()
    assert ["the folder has no *.yaml" in problems(each) for each in told(watch)] == [True]


def test_a_change_of_any_file_that_the_settings_rest_on_counts(tmp_path: Path, file: Path) -> None:
    for name in ("key", "hook", "env-key"):
        (tmp_path / name).write_text("nv-one")
    (tmp_path / "hook").write_text("https://x.example/one")
    (tmp_path / "ca.pem").write_text(CERTIFICATE)
    file.write_text(
        f"accounts: {{default: {{}}, lab: {{api_key_file: {tmp_path}/key}}}}\ntasks: [a]\n"
        f"channels: {{c: {{url_file: {tmp_path}/hook}}}}\nca_file: {tmp_path}/ca.pem\n"
    )
    watch = watch_of(file, env={"CLOVA_API_KEY_FILE": f"{tmp_path}/env-key"})
    changes = {"key": "nv-2", "hook": "https://x.example/2", "env-key": "nv-3", "ca.pem": CERTIFICATE * 2}
    for name, text in changes.items():
        earlier = watch.load()
        assert isinstance(earlier, Settings)
        (tmp_path / name).write_text(text)
        (settings,) = told(watch)
        assert isinstance(settings, Settings)
        assert settings.files_changed_since(earlier) == (f"{tmp_path}/{name}",)
        assert (settings == earlier) is (name == "ca.pem")


def test_a_mounted_secret_that_is_written_again_with_the_same_content_is_no_change(tmp_path: Path, file: Path) -> None:
    watch = watch_of(file)
    by_renaming(file, TASKS)
    os.utime(file, (0, 0))
    assert told(watch) == []


# What is not there, or only half


def test_a_file_that_is_still_being_written_isnt_loaded(file: Path) -> None:
    watch = watch_of(file)
    for text in ("tasks: [", "tasks: [a", "tasks: [a, b", "tasks: [a, b]"):
        file.write_text(text)
        assert watch.look() is None
    assert [ids(each) for each in told(watch)] == [["a", "b"]]


def test_a_file_that_is_gone_for_one_look_is_no_error(file: Path) -> None:
    watch = watch_of(file)
    file.unlink()
    assert watch.look() is None
    file.write_text(TASKS)
    assert told(watch) == []


def test_a_file_that_stays_away_is_a_problem_until_it_returns(file: Path) -> None:
    watch = watch_of(file)
    file.unlink()
    (gone,) = told(watch)
    assert problems(gone).startswith(f"{file}: can't be read: No such file or directory; put it there")
    file.write_text(TASKS)
    assert [ids(each) for each in told(watch)] == [["czf9fbky"]]


def test_where_the_configuration_was_searched_no_other_place_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "watcher.yaml").write_text("tasks: [another]")
    watch = ConfigWatch((), KEY)
    watch.applied(load_settings(env=KEY))
    file.unlink()
    (gone,) = told(watch)
    assert problems(gone).startswith("./watcher.yaml: can't be read")
    assert problems(watch.load()) == problems(gone)


def test_the_file_that_the_environment_names_is_watched(file: Path) -> None:
    env = {**KEY, "WATCHER_CONFIG": str(file.parent)}
    watch = ConfigWatch(None, env)
    watch.applied(load_settings(env=env))
    (file.parent / "more.yaml").write_text("tasks: [more]")
    assert [sorted(ids(each)) for each in told(watch)] == [["czf9fbky", "more"]]


def test_the_environment_is_the_one_of_the_start(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOVA_API_KEY", "nv-start")
    watch = ConfigWatch([str(file)])
    monkeypatch.setenv("CLOVA_API_KEY", "nv-later")
    settings = watch.load()
    assert isinstance(settings, Settings)
    assert settings.accounts["default"].api_key.get_secret_value() == "nv-start"


def test_a_link_that_leads_to_itself_is_a_problem_until_it_leads_to_a_file(file: Path) -> None:
    watch = watch_of(file)
    file.unlink()
    file.symlink_to(file.name)
    assert ["can't be read" in problems(each) for each in told(watch)] == [True]
    file.unlink()
    file.write_text(TASKS)
    assert [ids(each) for each in told(watch)] == [["czf9fbky"]]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cant_be_read_any_more_is_a_problem_until_it_can(file: Path) -> None:
    watch = watch_of(file)
    file.chmod(0)
    assert ["Permission denied" in problems(each) for each in told(watch)] == [True]
    file.chmod(0o600)
    assert [ids(each) for each in told(watch)] == [["czf9fbky"]]


def test_a_process_that_is_out_of_descriptors_says_nothing_about_its_files(file: Path) -> None:
    watch, (soft, hard) = watch_of(file), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert told(watch) == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    file.write_text("tasks: [b]")
    assert [ids(each) for each in told(watch)] == [["b"]]


def test_a_pipe_in_place_of_a_file_holds_nobody_up(tmp_path: Path, file: Path) -> None:
    watch = watch_of(file)
    file.unlink()
    os.mkfifo(file)
    assert ["is no regular file" in problems(each) for each in told(watch)] == [True]
    file.unlink()
    os.mkfifo(tmp_path / "pipe")
    for key in ("http: {token_file: PATH}", "ca_file: PATH"):
        file.write_text(TASKS + key.replace("PATH", f"{tmp_path}/pipe"))
        assert [isinstance(each, ConfigError) for each in told(watch)] == [True]


def test_of_a_huge_file_no_more_is_read_than_a_configuration_may_have(file: Path) -> None:
    watch = watch_of(file)
    with file.open("wb") as opened:
        opened.truncate(1 << 40)
    began = time.process_time()
    assert ["is larger than 4 MiB" in problems(each) for each in told(watch)] == [True]
    assert time.process_time() - began < 2
    with file.open("r+b") as opened:
        opened.seek(MAX_BYTES + 100)
        opened.write(b"x")
    assert told(watch) == []


# A wrong configuration


def test_a_wrong_configuration_is_told_once_with_its_line(file: Path) -> None:
    watch = watch_of(file)
    file.write_text("tasks:\n- a b\n")
    assert [problems(each).startswith(f"{file}:2:3: tasks[0].id: ") for each in told(watch)] == [True]
    file.write_text("tasks:\n- c d\n")
    assert len(told(watch)) == 1


def test_the_old_content_again_ends_the_matter_with_equal_settings(file: Path) -> None:
    watch = watch_of(file)
    before = watch.load()
    file.write_text("tasks: [")
    assert isinstance(*told(watch), ConfigError)
    file.write_text(TASKS)
    assert told(watch) == [before]


def test_a_mistake_that_nobody_heard_of_is_forgotten(file: Path) -> None:
    watch = watch_of(file)
    file.write_text("tasks: [")
    assert watch.look() is None
    file.write_text(TASKS)
    assert told(watch) == []


def test_two_looks_that_find_the_same_with_another_between_them_arent_in_a_row(file: Path) -> None:
    watch = watch_of(file)
    for text in ("tasks: [a]", TASKS, "tasks: [a]", "tasks: [b]", "tasks: [a]"):
        file.write_text(text)
        assert watch.look() is None
    assert ids(watch.look()) == ["a"]


def test_a_secret_file_that_a_rejected_configuration_names_is_waited_for(tmp_path: Path, file: Path) -> None:
    watch = watch_of(file)
    file.write_text(TASKS + f"http: {{token_file: {tmp_path}/secrets/token}}")
    assert ["http.token_file" in problems(each) for each in told(watch)] == [True]
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("tok-1")
    (settings,) = told(watch)
    assert isinstance(settings, Settings)
    assert settings.http is not None
    assert settings.http.token is not None


def test_another_reason_why_a_file_gives_nothing_is_another_problem(tmp_path: Path, file: Path) -> None:
    token, watch = tmp_path / "token", watch_of(file)
    file.write_text(TASKS + f"http: {{token_file: {token}}}")
    assert ["No such file" in problems(each) for each in told(watch)] == [True]
    token.write_text("")
    assert ["is empty" in problems(each) for each in told(watch)] == [True]
    token.unlink()
    token.mkdir()
    assert ["is no regular file" in problems(each) for each in told(watch)] == [True]
    token.rmdir()
    token.symlink_to(token.name)
    assert ["Too many levels" in problems(each) for each in told(watch)] == [True]


def test_certificates_that_a_rejected_configuration_names_are_waited_for(tmp_path: Path, file: Path) -> None:
    watch = watch_of(file)
    file.write_text(TASKS + f"ca_file: {tmp_path}/ca.pem")
    assert isinstance(*told(watch), ConfigError)
    (tmp_path / "ca.pem").write_text("soon")
    assert isinstance(*told(watch), ConfigError)
    (tmp_path / "ca.pem").write_text(CERTIFICATE)
    assert isinstance(*told(watch), Settings)


def test_no_outcome_shows_a_secret(tmp_path: Path, file: Path) -> None:
    (tmp_path / "token").write_text("canary value")
    watch = watch_of(file)
    file.write_text(TASKS + f"http: {{token_file: {tmp_path}/token}}")
    (rejected,) = told(watch)
    assert "http.token_file: has blanks" in problems(rejected)
    (tmp_path / "token").write_text("canary")
    (settings,) = told(watch)
    assert "canary" not in repr(settings) + repr(settings._origin) + problems(rejected)


# What is loaded is what two looks found


class Racing(ConfigWatch):
    """Somebody writes between the second look and the load, once."""

    write: Callable[[], object] | None = None

    def _load(self) -> tuple[Settings | ConfigError, Found]:
        if self.write:
            self.write()
            self.write = None
        return super()._load()


@pytest.mark.parametrize("text", ["tasks: [last]", "tasks: ["])
def test_bytes_that_change_between_look_and_load_are_looked_at_again(file: Path, text: str) -> None:
    watch = Racing([str(file)], KEY)
    watch.applied(load_settings([str(file)], env=KEY))
    file.write_text("tasks: [first]")
    watch.write = lambda: file.write_text(text)
    assert [watch.look(), watch.look()] == [None, None]
    outcome = watch.look()
    assert outcome is not None
    assert ids(outcome) == ["last"] if text.endswith("]") else problems(outcome)
    assert told(watch) == []


def test_a_file_that_the_change_names_first_is_looked_at_twice_too(tmp_path: Path, file: Path) -> None:
    watch = watch_of(file)
    token = tmp_path / "token"
    token.write_text("half")
    file.write_text(TASKS + f"http: {{token_file: {token}}}")
    assert [watch.look(), watch.look()] == [None, None]
    token.write_text("half-and-half")
    assert watch.look() is None
    (settings,) = told(watch)
    assert isinstance(settings, Settings)
    assert settings.http is not None
    assert settings.http.token is not None
    assert settings.http.token.get_secret_value() == "half-and-half"


# Being asked


def test_being_asked_to_load_answers_at_once_and_a_look_doesnt_repeat_it(file: Path) -> None:
    watch = watch_of(file)
    assert ids(watch.load()) == ["czf9fbky"]
    file.write_text("tasks: [b]")
    assert ids(watch.load()) == ["b"]
    assert told(watch) == []
    file.write_text("tasks: [b b]")
    assert "tasks[0].id" in problems(watch.load())
    assert told(watch) == []


def test_settings_that_were_loaded_before_a_change_dont_hide_it(file: Path) -> None:
    settings = load_settings([str(file)], env=KEY)
    file.write_text("tasks: [meanwhile]")
    watch = ConfigWatch([str(file)], KEY)
    watch.applied(settings)
    assert [ids(each) for each in told(watch)] == [["meanwhile"]]


def test_applying_what_a_look_told_changes_nothing_more(file: Path) -> None:
    watch = watch_of(file)
    file.write_text("tasks: [b]")
    (settings,) = told(watch)
    assert isinstance(settings, Settings)
    watch.applied(settings)
    assert told(watch) == []


def test_before_anything_is_applied_the_first_look_that_can_tells_what_there_is(file: Path) -> None:
    watch = ConfigWatch([str(file)], KEY)
    assert [ids(each) for each in told(watch)] == [["czf9fbky"]]


def test_a_look_at_three_files_costs_little(tmp_path: Path, file: Path) -> None:
    for name in ("key", "token"):
        (tmp_path / name).write_text("x" * 60)
    accounts = f"accounts: {{a: {{api_key_file: {tmp_path}/key}}}}\n"
    file.write_text(TASKS + accounts + f"http: {{token_file: {tmp_path}/token}}")
    watch = watch_of(file)
    began = time.process_time()
    assert told(watch, 200) == []
    assert (time.process_time() - began) / 200 < 0.001
