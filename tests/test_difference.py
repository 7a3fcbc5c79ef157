"""What a changed configuration changes, as a table: two files in, the difference out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.http import receiving
from tests.support.tls import needs_openssl, speak_tls
from watcher.engine.difference import Difference, difference, needs_restart
from watcher.settings import Settings, load_settings

MAIN = {"api_key": "nv-key-0123456789", "base_url": "http://127.0.0.1:9"}
BASE: dict[str, Any] = {
    "accounts": {"main": MAIN, "other": MAIN},
    "tasks": [{"id": "czf9fbky", "account": "main"}],
    "channels": {"hook": "http://127.0.0.1:9/x", "console": "console://"},
}


def settings(folder: Path, **changes: Any) -> Settings:
    file = folder / "watcher.yaml"
    file.write_text(yaml.safe_dump(BASE | changes))
    return load_settings([str(file)], env={})


def between(folder: Path, before: dict[str, Any], after: dict[str, Any]) -> Difference:
    return difference(settings(folder, **before), settings(folder, **after))


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    found = between(tmp_path, {}, {})
    assert found.summary() == {}
    assert (found.channels.new, found.reconnected, found.certificates) == ((), frozenset(), False)


@pytest.mark.parametrize(
    ("account", "reconnected", "moved"),
    [
        ({"api_key": "nv-key-9876543210"}, {"main"}, {"main"}),
        ({"base_url": "http://127.0.0.1:8"}, {"main"}, {"main"}),
        ({"timeout": "3s"}, {"main"}, set()),
        ({"queries_per_minute": 7}, set(), set()),
    ],
)
def test_what_of_an_account_needs_another_client(
    account: dict[str, Any], reconnected: set[str], moved: set[str], tmp_path: Path
) -> None:
    found = between(tmp_path, {}, {"accounts": {"main": {**MAIN, **account}, "other": MAIN}})
    assert found.changed == ("main",)
    assert (found.reconnected, found.moved) == (reconnected, moved)
    assert found.summary() == {"accounts_changed": ["main"]}


def test_accounts_and_channels_that_come_and_go(tmp_path: Path) -> None:
    found = between(
        tmp_path, {}, {"accounts": {"main": MAIN, "third": MAIN}, "channels": {"new": "console://", **BASE["channels"]}}
    )
    assert (found.accounts.new, found.accounts.gone, found.accounts.kept) == (("third",), ("other",), ("main",))
    assert (found.channels.new, found.channels.gone) == (("new",), ())
    gone = between(tmp_path, {}, {"channels": {"hook": "http://127.0.0.1:9/x"}})
    assert (gone.channels.new, gone.channels.gone, gone.channels.kept) == ((), ("console",), ("hook",))


@pytest.mark.parametrize(
    ("hook", "made_anew"),
    [
        ({"url": "http://127.0.0.1:9/y"}, True),
        ({"secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}, True),
        ({"timezone": "Asia/Tokyo"}, True),
        ({"events": ["*"]}, False),
    ],
)
def test_what_of_a_channel_makes_it_anew(hook: dict[str, Any], made_anew: bool, tmp_path: Path) -> None:
    changed = {"hook": {"url": "http://127.0.0.1:9/x", **hook}, "console": "console://"}
    found = between(tmp_path, {}, {"channels": changed})
    assert found.channels.new == (("hook",) if made_anew else ())
    assert found.summary()["changed"] == ["channels"]


def test_a_proxy_is_for_everybody(tmp_path: Path) -> None:
    found = between(tmp_path, {}, {"proxy": "http://127.0.0.1:3128"})
    assert found.reconnected == {"main", "other"}
    assert set(found.channels.new) == {"hook", "console"}
    assert found.moved == set()


@needs_openssl
def test_other_certificates_under_the_same_name_are_for_everybody(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    with receiving() as server:
        bundle.write_bytes(Path(speak_tls(server, tmp_path)).read_bytes())
    before = settings(tmp_path, ca_file=str(bundle))
    assert not difference(before, settings(tmp_path, ca_file=str(bundle))).certificates
    bundle.write_bytes(bundle.read_bytes() * 2)
    found = difference(before, settings(tmp_path, ca_file=str(bundle)))
    assert found.certificates
    assert found.reconnected == {"main", "other"}


def test_tasks_are_counted_by_account_and_id(tmp_path: Path) -> None:
    moved = [{"id": "czf9fbky", "account": "other"}, {"id": "oi55o2ej", "account": "main"}]
    found = between(tmp_path, {}, {"tasks": moved})
    assert found.tasks == (2, 1)
    assert found.summary() == {"tasks_new": 2, "tasks_gone": 1, "changed": ["tasks"]}


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"store": "sqlite:///elsewhere.db"}, ("store",)),
        ({"http": {"port": 9}}, ("http.port",)),
        ({"http": None}, ("http.host", "http.port")),
        ({"http": {"token": "a-token-0123456789"}}, ()),
        ({"poll": {"interval": "5s"}}, ()),
    ],
)
def test_what_needs_a_restart(changes: dict[str, Any], keys: tuple[str, ...], tmp_path: Path) -> None:
    assert needs_restart(settings(tmp_path), settings(tmp_path, **changes)) == keys


@pytest.mark.parametrize(
    ("before", "after", "rechosen"),
    [
        ({}, {"tasks": ["oi55o2ej"], "accounts": {"main": MAIN}}, {"main"}),
        ({}, {"tasks": [{"id": "czf9fbky", "account": "main", "labels": {"team": "nlp"}}]}, set()),
        ({}, {"discover": [{"account": "other"}]}, {"other"}),
        ({}, {"discover": [{"name": "x*"}]}, {"main", "other"}),
        ({"discover": [{"account": "other"}]}, {}, {"other"}),
        (
            {"discover": [{"account": "other"}]},
            {"discover": [{"account": "other"}], "poll": {"settle": "1s"}},
            {"other"},
        ),
        ({}, {"poll": {"settle": "1s"}}, set()),
        ({}, {"rules": {"progress": [10]}, "language": "en"}, set()),
    ],
)
def test_whose_tasks_are_chosen_anew(
    before: dict[str, Any], after: dict[str, Any], rechosen: set[str], tmp_path: Path
) -> None:
    found = between(tmp_path, before, after)
    assert found.rechosen == rechosen
    assert set(found.to_load) == rechosen
