"""The environment overrides single values, and a misspelt name is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configs import TASKS, load, only_problem, problems

KUBERNETES = "If Kubernetes sets it for a Service, write enableServiceLinks: false in the pod"


def test_nested_names_override_the_file(tmp_path: Path) -> None:
    env = {"WATCHER_HTTP__PORT": "9090", "WATCHER_POLL__INTERVAL": "1h30m", "WATCHER_LANGUAGE": "en"}
    settings = load(tmp_path, TASKS + "http: {port: 1, host: 0.0.0.0}", env)
    assert settings.http is not None
    assert (settings.http.port, settings.http.host, settings.poll.interval) == (9090, "0.0.0.0", 5400)


def test_lists_and_mappings_are_flow_yaml_and_lists_are_replaced(tmp_path: Path) -> None:
    env = {
        "WATCHER_TASKS": "[0123, {id: no, labels: {team: x}}]",
        "WATCHER_RULES__PROGRESS": "[90, 10]",
        "WATCHER_HTTP": "{host: 0.0.0.0}",
        "WATCHER_HTTP__PORT": "0",
        "WATCHER_CHANNELS": '{other: "json://x"}',
    }
    settings = load(tmp_path, TASKS + 'channels: {team: "json://y"}\nhttp: {port: 1}', env)
    assert [task.id for task in settings.tasks] == ["0123", "no"]
    assert settings.rules.progress == (10, 90)
    assert settings.http is not None
    assert (settings.http.host, settings.http.port) == ("0.0.0.0", 0)
    assert list(settings.channels) == ["team", "other"]


def test_null_and_empty_variables(tmp_path: Path) -> None:
    assert load(tmp_path, TASKS, {"WATCHER_HTTP": "null"}).http is None
    kept = load(tmp_path, TASKS + "http: {port: 7}", {"WATCHER_HTTP__PORT": "", "WATCHER_PROXY": ""})
    assert kept.http is not None
    assert (kept.http.port, kept.proxy) == (7, None)


def test_names_of_accounts_and_channels_are_found_in_any_case(tmp_path: Path) -> None:
    text = 'tasks: [a]\naccounts: {Main: {api_key_file: /nowhere}}\nchannels: {Team: "json://x"}'
    env = {"WATCHER_ACCOUNTS__MAIN__API_KEY": "nv-from-env", "WATCHER_CHANNELS__TEAM__TIMEZONE": "UTC"}
    settings = load(tmp_path, text, env)
    assert settings.accounts["Main"].api_key.get_secret_value() == "nv-from-env"
    assert settings.channels["Team"].timezone == "UTC"


def test_variables_are_put_into_variables(tmp_path: Path) -> None:
    env = {"WATCHER_POLL__INTERVAL": "${N}s", "WATCHER_LANGUAGE": "${L:-en}", "WATCHER_TASKS": '["${N}"]', "N": "7"}
    settings = load(tmp_path, TASKS, env)
    assert (settings.poll.interval, settings.tasks[0].id) == (7, "7")
    found = only_problem(tmp_path, TASKS, {"WATCHER_HTTP__PORT": "${NONE}"})
    assert found.startswith("WATCHER_HTTP__PORT: http.port: the environment variable NONE isn't set")


def test_a_secret_in_a_variable_is_text_and_no_yaml(tmp_path: Path) -> None:
    settings = load(tmp_path, TASKS, {"WATCHER_HTTP__TOKEN": "{a:$${b}#01", "WATCHER_STORE": "sqlite:////data/w.db"})
    assert settings.http is not None
    assert settings.http.token is not None
    assert settings.http.token.get_secret_value() == "{a:${b}#01"
    assert settings.store.get_secret_value() == "sqlite:////data/w.db"


def test_file_twins_work_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-the-file\n")
    (tmp_path / "store").write_text("sqlite:///other.db")
    env = {"WATCHER_HTTP__TOKEN_FILE": f"{tmp_path}/token", "WATCHER_STORE_FILE": f"{tmp_path}/store"}
    settings = load(tmp_path, TASKS, env)
    assert settings.http is not None
    assert settings.http.token is not None
    assert settings.http.token.get_secret_value() == "from-the-file"
    assert settings.store.get_secret_value() == "sqlite:///other.db"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WATCHER_HTP__PORT", "1", "WATCHER_HTP__PORT: no setting is called so. Did you mean WATCHER_HTTP__PORT?"),
        ("WATCHER_HTTP_PORT", "1", "WATCHER_HTTP_PORT: no setting is called so. Did you mean WATCHER_HTTP__PORT?"),
        ("WATCHER_HTTP_PORT", "", "WATCHER_HTTP_PORT: no setting is called so. Did you mean WATCHER_HTTP__PORT?"),
        ("WATCHER_SOURCES", "[x]", "WATCHER_SOURCES: no setting is called so."),
        ("WATCHER_HTTP__PROT", "1", "WATCHER_HTTP__PROT: http.prot: unknown key. Did you mean port?"),
        ("WATCHER_LANGUAGE__X", "1", "WATCHER_LANGUAGE__X: language: must be one text or number, not a mapping"),
        ("WATCHER_HTTP__PORT", "x", "WATCHER_HTTP__PORT: http.port: must be a whole number from 0 to 65535"),
        ("WATCHER_TASKS", "a, b", "WATCHER_TASKS: tasks: must be a list: WATCHER_TASKS=[a, b]"),
        ("WATCHER_TASKS", "[a, b", "WATCHER_TASKS: tasks: not YAML: a list in [ ] lacks a comma or its end"),
        ("WATCHER_TASKS", "[a, a]", "WATCHER_TASKS: tasks[1].id: the same task as tasks[0]; list it once"),
        ("WATCHER_PORT", "8080", "WATCHER_PORT: no setting is called so. Did you mean WATCHER_HTTP__PORT?"),
        ("WATCHER_WEB_SERVICE_HOST", "10.0.0.1", f"WATCHER_WEB_SERVICE_HOST: no setting is called so. {KUBERNETES}"),
        ("WATCHER_HTTP_SERVICE_PORT", "1", f"WATCHER_HTTP_SERVICE_PORT: no setting is called so. {KUBERNETES}"),
        ("WATCHER_WEB_PORT", "tcp://10.0.0.1:80", f"WATCHER_WEB_PORT: no setting is called so. {KUBERNETES}"),
        ("WATCHER_LOG_LEVEL", "info", "WATCHER_LOG_LEVEL: no setting is called so. Did you mean WATCHER_LOG__LEVEL?"),
        ("WATCHER_TASK", "[a]", "WATCHER_TASK: no setting is called so. Did you mean WATCHER_TASKS?"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, value: str, said: str) -> None:
    assert only_problem(tmp_path, TASKS, {name: value}).startswith(said)


def test_what_resembles_nothing_is_likened_to_nothing(tmp_path: Path) -> None:
    found = only_problem(tmp_path, TASKS, {"WATCHER_VERSION": "1"})
    assert found == "WATCHER_VERSION: no setting is called so"


def test_what_kubernetes_makes_of_a_service_is_left_alone(tmp_path: Path) -> None:
    env = {
        "WATCHER_SERVICE_HOST": "10.0.0.1",
        "WATCHER_SERVICE_PORT_HTTP": "80",
        "WATCHER_PORT": "tcp://10.0.0.1:80",
        "WATCHER_PORT_80_TCP_ADDR": "10.0.0.1",
        "OTHER_HTTP__PORT": "x",
    }
    assert problems(tmp_path, TASKS, env) == []


def test_two_variables_that_contradict_are_refused(tmp_path: Path) -> None:
    env = {"WATCHER_CHANNELS__TEAM": "json://x", "WATCHER_CHANNELS__TEAM__TIMEZONE": "UTC"}
    assert "can't be combined" in only_problem(tmp_path, TASKS, env)
