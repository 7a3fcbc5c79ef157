"""What settings know of where they come from: their files, the file behind a secret, the place of a value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.configs import KEY, TASKS, load, only_problem
from watcher.settings import NoSecretError, Settings, load_settings, read_key, read_secret

CANARY = "canary7Secret0Value"


def put(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_the_files_are_all_whose_content_counts_and_each_once(tmp_path: Path) -> None:
    key, token = put(tmp_path / "key", "nv-1"), put(tmp_path / "token", "tok-1")
    certificates = put(tmp_path / "ca.pem", "-----BEGIN CERTIFICATE-----")
    first = put(tmp_path / "1.yaml", f"tasks: [a]\naccounts: {{a: {{api_key_file: {key}}}}}\nca_file: {certificates}")
    second = put(tmp_path / "2.yaml", f"accounts: {{a: {{api_key_file: {token}}}}}\nhttp: {{token_file: {token}}}")
    settings = load_settings([str(tmp_path)], env={})
    assert settings.files() == (first, second, token, certificates)
    assert settings.sources == (first, second)


def test_the_file_behind_a_secret_is_known_by_the_name_of_the_secret(tmp_path: Path) -> None:
    path, lab = put(tmp_path / "key", "nv-1"), put(tmp_path / "lab.key", "nv-2")
    url, signing = put(tmp_path / "url", "https://x.example/hook"), put(tmp_path / "hook", "whsec_" + "A" * 32)
    text = f"""
accounts: {{main: {{api_key_file: "${{WHERE}}"}}, lab.2: {{api_key: k}}, other: {{api_key: k}}}}
tasks: [{{id: a, account: main}}]
channels: {{ci: {{url_file: {url}, secret_file: {signing}}}}}
"""
    env = {"WHERE": path, "WATCHER_ACCOUNTS__LAB.2__API_KEY_FILE": lab}
    settings = load(tmp_path, text, env)
    known = {
        "accounts.main.api_key": path,
        "accounts.lab.2.api_key": lab,
        "accounts.other.api_key": None,
        "accounts.nobody.api_key": None,
        "channels.ci.url": url,
        "channels.ci.secret": signing,
        "store": None,
    }
    assert {key: settings.secret_file(key) for key in known} == known


def test_the_key_of_the_environment_may_have_a_file_too(tmp_path: Path) -> None:
    path = put(tmp_path / "key", "nv-1\n")
    settings = load(tmp_path, TASKS, {"CLOVA_API_KEY": "", "CLOVA_API_KEY_FILE": path})
    assert settings.secret_file("accounts.default.api_key") == path
    assert path in settings.files()
    assert load(tmp_path, TASKS, {"CLOVA_API_KEY_FILE": path}).secret_file("accounts.default.api_key") is None


def test_a_value_that_overrides_a_file_has_none(tmp_path: Path) -> None:
    settings = load(tmp_path, TASKS + "http: {token_file: /nowhere}", {"WATCHER_HTTP__TOKEN": "tok-1"})
    assert settings.secret_file("http.token") is None
    assert "/nowhere" not in settings.files()


def test_settings_made_by_hand_come_from_nowhere() -> None:
    settings = Settings()
    assert (settings.files(), settings.secret_file("store")) == ((), None)
    assert str(settings.problem("store", "is bad")) == "configuration: store: is bad"


def test_settings_are_equal_when_they_say_the_same(tmp_path: Path) -> None:
    one, same = load(tmp_path, TASKS), load(tmp_path, TASKS + "# the same\n")
    assert one == same
    assert one.files_changed_since(same) == (f"{tmp_path}/watcher.yaml",)
    assert one.files_changed_since(one) == ()
    assert one != load(tmp_path, TASKS + "poll: {interval: 10s}")


def test_a_problem_that_is_found_later_stands_where_the_value_is_written(tmp_path: Path) -> None:
    text = 'tasks: [a]\naccounts: {lab.2: {api_key: k}}\nchannels:\n  ci:\n    url: "json://x"\n'
    settings = load(tmp_path, text)
    places = {"accounts.lab.2.api_key": "2:29", "channels.ci.url": "5:10", "channels.ci.mode": "5:5", "tasks[0]": "1:9"}
    for key, place in places.items():
        assert str(settings.problem(key, "is bad")) == f"{tmp_path}/watcher.yaml:{place}: {key}: is bad"


def test_what_is_known_of_the_origin_shows_no_secret(tmp_path: Path) -> None:
    settings = load(tmp_path, TASKS + f"http: {{token_file: {put(tmp_path / 'token', CANARY)}}}", {"X": CANARY})
    shown = [repr(settings), repr(settings.__pydantic_private__), repr(vars(settings)), str(settings.found())]
    assert not [text for text in shown if CANARY in text or KEY["CLOVA_API_KEY"] in text]


def test_a_secret_is_read_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert read_secret(put(path, "nv-1\n")) == "nv-1"
    put(path, "nv-2")
    assert read_secret(str(path)) == read_key(str(path)).get_secret_value() == "nv-2"
    path.unlink()
    with pytest.raises(NoSecretError, match=r"can't be read: No such file or directory. Create it, or correct"):
        read_key(str(path))


@pytest.mark.parametrize("text", [f"Bearer {CANARY}", f"{CANARY} {CANARY}", f"{CANARY}\n\n", "\n", "키" * 8])
def test_a_key_that_would_break_the_header_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    path = put(tmp_path / "key", text)
    with pytest.raises(NoSecretError) as caught:
        read_key(path)
    assert path in str(caught.value)
    assert CANARY not in str(caught.value)
    assert "canary" not in repr(read_key(put(tmp_path / "key", CANARY)))


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoSecretError, match="no regular file"):
        read_key(f"{tmp_path}/pipe")
    assert "ca_file: can't be read" in only_problem(tmp_path, TASKS + f"ca_file: {tmp_path}/pipe")
