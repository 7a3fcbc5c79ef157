"""An address with several recipients is one channel for each, whatever else the configuration says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from watcher.errors import ConfigError
from watcher.notifier.channels import apprise
from watcher.settings import Settings, load_settings
from watcher.settings.recipients import NoAddressError, channel_names, expand, meant, recipients

SERVER = "mailtos://me:hunter2hunter2@smtp.example.com:2525"


def settings(folder: Path, mail: object, **more: Any) -> Settings:
    file = folder / "watcher.yaml"
    file.write_text(yaml.safe_dump({"tasks": ["czf9fbky"], "channels": {"mail": mail}, **more}, sort_keys=False))
    return expand(load_settings([str(file)], env={"CLOVA_API_KEY": "nv-key"}))


def problems(folder: Path, mail: object, **more: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        settings(folder, mail, **more)
    return [str(each).replace(f"{folder}/", "") for each in raised.value.problems]


# What somebody writes, and who gets a mail of their own.
WRITTEN = [
    ("?to=jiwon@x.com", ["jiwon@x.com"]),
    ("/jiwon@x.com", ["jiwon@x.com"]),
    ("?to=jiwon@x.com,minsu@x.com", ["jiwon@x.com", "minsu@x.com"]),
    ("?to=jiwon@x.com, minsu@x.com", ["jiwon@x.com", "minsu@x.com"]),
    ("?to=jiwon@x.com;minsu@x.com", ["jiwon@x.com", "minsu@x.com"]),
    ("?to=jiwon@x.com%20minsu@x.com", ["jiwon@x.com", "minsu@x.com"]),
    ("?to=jiwon@x.com&to=minsu@x.com", ["jiwon@x.com", "minsu@x.com"]),
    ("?TO=jiwon@x.com;cc=minsu@x.com", ["jiwon@x.com", "minsu@x.com"]),
    ("/jiwon@x.com/minsu@x.com", ["jiwon@x.com", "minsu@x.com"]),
    (
        "/jiwon@x.com,minsu@x.com?cc=hana@x.com&bcc=sora@x.com",
        ["jiwon@x.com", "minsu@x.com", "hana@x.com", "sora@x.com"],
    ),
    ("?to=jiwon@x.com&cc=JIWON@x.com", ["jiwon@x.com"]),
    ("?cc=minsu@x.com", ["me@smtp.example.com", "minsu@x.com"]),
    ("?from=me@x.com&cc=minsu@x.com", ["me@x.com", "minsu@x.com"]),
    ('?to=Ji%20Won<jiwon@x.com>,"Kim, Min"<minsu@x.com>', ["jiwon@x.com", "minsu@x.com"]),
    ("?to=jiwon%2Btuning@x.com,minsu@mail.x.co.kr", ["jiwon+tuning@x.com", "minsu@mail.x.co.kr"]),
    ("", []),
]


@pytest.mark.parametrize(("rest", "addresses"), WRITTEN)
def test_everybody_who_is_written_is_a_recipient_once(rest: str, addresses: list[str]) -> None:
    assert [each.address for each in recipients(SERVER + rest)] == addresses


@pytest.mark.parametrize(("rest", "addresses"), [row for row in WRITTEN if len(row[1]) > 1])
def test_each_address_mails_to_one_of_them_by_the_same_way(rest: str, addresses: list[str]) -> None:
    plugins = [apprise.load("mail", each.url) for each in recipients(SERVER + rest)]
    assert [[address for _, address in plugin.targets] for plugin in plugins] == [[each] for each in addresses]
    assert {(each.smtp_host, each.port, each.user, each.password) for each in plugins} == {
        ("smtp.example.com", 2525, "me", "hunter2hunter2")
    }


def test_names_and_options_stay_with_each_recipient() -> None:
    written = f'{SERVER}?mode=ssl&to="Kim, Min"<minsu@x.com>,jiwon@x.com&+X-Team=nlp&verify=no'
    minsu, jiwon = (apprise.load("mail", each.url) for each in recipients(written))
    assert (minsu.targets, jiwon.targets) == ([("Kim, Min", "minsu@x.com")], [(False, "jiwon@x.com")])
    assert (minsu.secure_mode, minsu.headers, minsu.verify_certificate) == ("ssl", {"X-Team": "nlp"}, False)


@pytest.mark.parametrize(
    "rest", ["?to=jiwon", "?to=jiwon@x.com,minsu", "?cc=a@x.com+b@x.com", "/jiwon/minsu@x.com", "?to=a@x.com,@"]
)
def test_a_word_that_is_no_address_is_never_left_out_in_silence(rest: str) -> None:
    with pytest.raises(NoAddressError):
        recipients(SERVER + rest)


@pytest.mark.parametrize(
    "url", ["https://example.com?to=a@x.com,b@x.com", "slack://T/B/C", "console://", "", "mailto:a@x.com"]
)
def test_other_addresses_have_no_recipients(url: str) -> None:
    assert recipients(url) == ()


def test_every_recipient_is_a_channel_and_routes_lead_to_all(tmp_path: Path) -> None:
    mail = {"url": f"{SERVER}?to=jiwon@x.com,minsu@x.com", "language": "en", "events": ["notable"]}
    routes = [{"events": ["task.failed"], "channels": ["mail", "console"]}]
    found = settings(tmp_path, mail, routes=routes, channels={"mail": mail, "console": "console://"})
    assert list(found.channels) == ["mail.jiwon", "mail.minsu", "console"]
    assert [(name, each.name, each.events) for name, each in found.channels.items()] == [
        ("mail.jiwon", "mail.jiwon", ("notable",)),
        ("mail.minsu", "mail.minsu", ("notable",)),
        ("console", "console", None),
    ]
    assert found.routes[0].channels == ("mail.jiwon", "mail.minsu", "console")


def routed(folder: Path, *channels: str, mail: object = f"{SERVER}?to=jiwon@x.com,minsu@x.com") -> tuple[str, ...]:
    """The channels of the only route once the settings are loaded."""
    routes = [{"events": ["task.failed"], "channels": list(channels)}]
    return settings(folder, mail, routes=routes, channels={"mail": mail, "console": "console://"}).routes[0].channels


def test_a_route_names_all_recipients_or_one_of_them(tmp_path: Path) -> None:
    assert routed(tmp_path, "mail") == ("mail.jiwon", "mail.minsu")
    assert routed(tmp_path, "mail.minsu") == ("mail.minsu",)
    assert routed(tmp_path, "mail.minsu", "console", "mail") == ("mail.minsu", "console", "mail.jiwon")


def test_what_no_channel_and_no_recipient_is_called_is_refused_with_the_nearest_of_both(tmp_path: Path) -> None:
    def said(name: str, mail: str) -> str:
        with pytest.raises(ConfigError) as raised:
            routed(tmp_path, name, mail=mail)
        (problem,) = raised.value.problems
        assert problem.key == "routes[0].channels[0]"
        return problem.text

    both = f"{SERVER}?to=jiwon@x.com,minsu@x.com"
    unknown = "no channel is called so. Did you mean"
    assert said("mail.minsoo", both) == (f"{unknown} mail.minsu? Known channels: mail, mail.jiwon, mail.minsu, console")
    assert said("mial", both).startswith(f"{unknown} mail?")
    assert said("mail.jiwon", f"{SERVER}?to=jiwon@x.com") == f"{unknown} mail? Known channels: mail, console"
    many = ",".join(f"user{number}@x.com" for number in range(40))
    assert said("nobody", f"{SERVER}?to={many}").endswith("mail.user9, mail.user10 and 30 more")


def test_a_recipient_of_an_address_that_is_wrong_is_no_second_problem(tmp_path: Path) -> None:
    for mail in (f"{SERVER}?to=jiwon@x.com,minsu", {"url_file": "/nowhere"}, {"url": 5}):
        with pytest.raises(ConfigError) as raised:
            routed(tmp_path, "mail.jiwon", mail=mail)
        (problem,) = raised.value.problems
        assert problem.key.startswith("channels.mail.url")


def test_where_the_address_is_a_secret_that_isnt_there_its_recipients_are_the_channel(tmp_path: Path) -> None:
    file = tmp_path / "watcher.yaml"
    text = (
        "tasks: [czf9fbky]\nchannels: {mail: {url_file: /nowhere}}\nroutes: [{events: notable, channels: mail.jiwon}]"
    )
    file.write_text(text)
    assert load_settings([str(file)], env={}, secrets=False).routes[0].channels == ("mail",)


def test_one_recipient_leaves_the_channel_its_name(tmp_path: Path) -> None:
    assert list(settings(tmp_path, f"{SERVER}?to=jiwon@x.com").channels) == ["mail"]


def test_expanding_twice_changes_nothing(tmp_path: Path) -> None:
    once = settings(tmp_path, f"{SERVER}?to=jiwon@x.com,minsu@x.com")
    assert expand(once) == once


def test_what_is_found_wrong_later_stands_where_the_channel_is_written(tmp_path: Path) -> None:
    found = settings(tmp_path, {"url": f"{SERVER}?to=jiwon@x.com,minsu@x.com"})
    problem = found.problem("channels.mail.jiwon.url", "wrong")
    assert (Path(problem.source).name, problem.line) == ("watcher.yaml", 5)


NAMES = [
    (["jiwon@x.com", "minsu@x.com"], ["mail.jiwon", "mail.minsu"]),
    (["jiwon@x.com", "jiwon@y.com", "minsu@y.com"], ["mail.jiwon-x.com", "mail.jiwon-y.com", "mail.minsu"]),
    (["kim.jiwon+ml@x.com", "KIM@x.com"], ["mail.kim.jiwon-ml", "mail.kim"]),
    (["_@x.com", "minsu@x.com"], ["mail.x.com", "mail.minsu"]),
]


@pytest.mark.parametrize(("addresses", "names"), NAMES)
def test_names_come_from_the_addresses_whatever_their_order(addresses: list[str], names: list[str]) -> None:
    assert channel_names("mail", addresses) == names
    assert channel_names("mail", addresses[::-1]) == names[::-1]


def test_names_that_would_be_the_same_or_too_long_still_differ() -> None:
    same = channel_names("mail", ["a+b@x.com", "a-b@x.com"])
    long = channel_names("mail", [f"{'x' * 60}@x.com", f"{'x' * 60}1@x.com"])
    assert len({*same, *long}) == 4
    assert all(len(name) <= 64 for name in long)


def test_a_recipient_whose_channel_would_be_called_like_another_is_told(tmp_path: Path) -> None:
    channels = {"mail": f"{SERVER}?to=jiwon@x.com,minsu@x.com", "mail.jiwon": "console://"}
    (problem,) = problems(tmp_path, None, channels=channels)
    assert problem.startswith(
        "watcher.yaml:4:9: channels.mail.url: one of its recipients would be the channel mail.jiwon"
    )


def test_a_word_that_is_no_address_is_told_at_its_place_and_not_printed(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {"url": f"{SERVER}?to=jiwon@x.com,hunter3"})
    assert problem == (
        "watcher.yaml:5:10: channels.mail.url: a word after to= is no mail address; "
        "write ?to=NAME@EXAMPLE.COM, several with commas between them"
    )


def test_without_its_secret_a_channel_stays_one(tmp_path: Path) -> None:
    file = tmp_path / "watcher.yaml"
    file.write_text("tasks: [czf9fbky]\nchannels: {mail: {url_file: /nowhere}}\n")
    assert list(expand(load_settings([str(file)], env={}, secrets=False)).channels) == ["mail"]


def test_who_says_the_written_name_means_all_of_them() -> None:
    channels = ["mail.jiwon", "mail.minsu", "mailbox"]
    assert meant("mail", channels) == ["mail.jiwon", "mail.minsu"]
    assert meant("mailbox", channels) == ["mailbox"]
    assert meant("nobody", channels) == []
