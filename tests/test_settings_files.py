"""Which files are read, in which order, and how later ones change earlier ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configs import KEY, TASKS
from watcher.errors import ConfigError
from watcher.settings import environment_settings, load_settings


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_without_a_name_the_first_usual_place_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "config" / "watcher.yaml", "tasks: [second]")
    assert load_settings(env=KEY).task_keys()[0].id == "second"
    write(tmp_path / "watcher.yaml", "tasks: [first]")
    settings = load_settings(env=KEY)
    assert (settings.task_keys()[0].id, settings.sources) == ("first", ("./watcher.yaml",))


def test_watcher_config_goes_before_the_usual_places_and_an_argument_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "watcher.yaml", "tasks: [usual]")
    env = {**KEY, "WATCHER_CONFIG": write(tmp_path / "named.yaml", "tasks: [named]")}
    given = write(tmp_path / "given.yaml", "tasks: [given]")
    assert load_settings(env=env).tasks[0].id == "named"
    assert load_settings([given], env=env).tasks[0].id == "given"
    assert load_settings(env={**KEY, "WATCHER_CONFIG": ""}).tasks[0].id == "usual"


def test_no_file_at_all_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_settings(env=KEY)
    assert "./watcher.yaml, ./config/watcher.yaml, /etc/watcher/watcher.yaml" in str(caught.value)
    assert "watcher init" in caught.value.hint


@pytest.mark.parametrize("name", ["missing.yaml", "empty/", "null"])
def test_a_named_file_that_cant_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    path = "/dev/null" if name == "null" else f"{tmp_path}/{name}"
    with pytest.raises(ConfigError) as caught:
        load_settings([path], env=KEY)
    assert caught.value.problems[0].source == path
    with pytest.raises(ConfigError):
        load_settings(env={**KEY, "WATCHER_CONFIG": path})


def test_a_folder_is_read_in_the_order_of_names_without_dot_files(tmp_path: Path) -> None:
    write(tmp_path / "20.yaml", "tasks: [b]\npoll: {interval: 20s}")
    write(tmp_path / "10.yaml", "tasks: [a]\npoll: {interval: 10s, settle: 1m}\nrules: {progress: [10]}")
    write(tmp_path / ".hidden.yaml", "nonsense: [")
    write(tmp_path / "notes.txt", "nonsense: [")
    (tmp_path / "30.yaml").mkdir()
    settings = load_settings([str(tmp_path)], env=KEY)
    assert [task.id for task in settings.tasks] == ["a", "b"]
    assert (settings.poll.interval, settings.poll.settle) == (20, 60)
    assert [Path(source).name for source in settings.sources] == ["10.yaml", "20.yaml"]


def test_later_files_add_to_lists_and_override_keys_deeply(tmp_path: Path) -> None:
    first = write(tmp_path / "1.yaml", 'tasks: [a]\nchannels: {x: "json://one", y: {url: "json://two", events: ["*"]}}')
    second = write(
        tmp_path / "2.yaml", 'tasks: [b]\nchannels: {x: {timezone: UTC}, y: {url: "json://three"}}\nhttp: null'
    )
    settings = load_settings([first, second], env=KEY)
    assert [task.id for task in settings.tasks] == ["a", "b"]
    urls = {name: channel.url and channel.url.get_secret_value() for name, channel in settings.channels.items()}
    assert urls == {"x": "json://one", "y": "json://three"}
    assert (settings.channels["x"].timezone, settings.channels["y"].events, settings.http) == ("UTC", ("*",), None)


def test_a_later_value_overrides_an_earlier_file_twin_and_the_reverse(tmp_path: Path) -> None:
    secret = write(tmp_path / "key", "nv-from-file\n")
    by_file = write(tmp_path / "1.yaml", f"tasks: [a]\naccounts: {{main: {{api_key_file: {secret}}}}}")
    by_value = write(tmp_path / "2.yaml", "accounts: {main: {api_key: nv-by-value}}")
    both = [load_settings(order, env={}) for order in ([by_file, by_value], [by_value, by_file])]
    keys = [settings.accounts["main"].api_key.get_secret_value() for settings in both]
    assert keys == ["nv-by-value", "nv-from-file"]


def test_a_broken_file_doesnt_hide_the_problems_of_the_others(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "1.yaml", "tasks: [a"),
        write(tmp_path / "2.yaml", "poll: {interval: soon}\nroutes: [{events: [notable], channels: [elsewhere]}]"),
        str(tmp_path / "3.yaml"),
    ]
    with pytest.raises(ConfigError) as caught:
        load_settings(files, env=KEY)
    places = {(Path(problem.source).name, problem.key) for problem in caught.value.problems}
    assert places == {("1.yaml", ""), ("2.yaml", "poll.interval"), ("3.yaml", "")}


def test_problems_come_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "b.yaml", TASKS + "log: {level: x}\npoll: {settle: x}"),
        write(tmp_path / "a.yaml", "http: {port: x}"),
    ]
    with pytest.raises(ConfigError) as caught:
        load_settings(files, env={**KEY, "WATCHER_NONSENSE": "1"})
    keys = [problem.key or problem.source for problem in caught.value.problems]
    assert keys == ["log.level", "poll.settle", "http.port", "WATCHER_NONSENSE"]
    assert caught.value.exit_code == 2


def test_the_environment_alone_is_enough_to_ask_an_account() -> None:
    settings = environment_settings(env={**KEY, "WATCHER_ACCOUNTS__DEFAULT__BASE_URL": "http://127.0.0.1:9/"})
    assert settings.accounts["default"].base_url == "http://127.0.0.1:9"
    with pytest.raises(ConfigError):
        environment_settings(env={})
