"""Who hears what: each sentence of the promise as a table of channels, routes and events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.builders import event
from watcher.events import EVENT_TYPES
from watcher.models import ChannelKind, Event
from watcher.notifier.route import Listener, Route, hearers


def happened(type_: str, **more: Any) -> Event:
    """An event of this type about the usual task of team nlp, as notable as its type is."""
    values: dict[str, Any] = {"notable": EVENT_TYPES[type_].notable}
    if type_.startswith("task."):
        subject = {"name": "support-bot v3", "model": "HCX-003", "labels": {"team": "nlp", "owner": "jiwon"}}
        values |= {"account": "main", "task": "czf9fbky", "subject": subject}
    elif type_.startswith("account."):
        values["account"] = "main"
    elif type_.startswith("channel."):
        values["channel"] = "elsewhere"
    return event(type_, **values | more)


def channel(events: tuple[str, ...] | None = None, kind: ChannelKind = "chat", name: str = "team") -> Listener:
    return Listener(name, kind, events)


def route(events: str | tuple[str, ...] = "*", channels: str = "team", **matchers: Any) -> Route:
    listed = (events,) if isinstance(events, str) else events
    return Route(listed, tuple(channels.split()), matchers.pop("labels", {}), **matchers)


def hears(what: Event, one: Listener, *routes: Route) -> bool:
    return one.name in hearers(what, (one,), routes)


# ── "A channel hears the notable events unless its own `events` says otherwise (globs; `notable` stands for them)." ──


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_a_channel_hears_the_notable_events(type_: str) -> None:
    assert hears(happened(type_), channel(kind="webhook")) is EVENT_TYPES[type_].notable


def test_notable_is_the_events_own_word_not_only_its_types() -> None:
    assert hears(happened("watcher.started", notable=True), channel())
    assert not hears(happened("task.failed", notable=False), channel())


@pytest.mark.parametrize(
    ("own", "type_", "heard"),
    [
        (("task.failed",), "task.failed", True),
        (("task.failed",), "task.succeeded", False),
        (("task.*",), "task.progress", True),
        (("*",), "watcher.gap", True),
        (("notable",), "task.started", True),
        (("notable",), "task.progress", False),
        (("notable", "task.progress"), "task.progress", True),
        (("task.[sf]*",), "task.started", True),
        ((), "task.failed", False),
    ],
)
def test_a_channels_own_events_say_otherwise(own: tuple[str, ...], type_: str, heard: bool) -> None:
    assert hears(happened(type_), channel(own)) is heard


# ── "With `routes`, a channel named in any route hears what its routes and its own `events` (if written) give;
#     a channel in no route keeps its own rule." ──


@pytest.mark.parametrize(
    ("own", "type_", "heard"),
    [
        pytest.param(None, "task.failed", True, id="its route"),
        pytest.param(None, "task.succeeded", False, id="not the default any more"),
        pytest.param(("task.succeeded",), "task.succeeded", True, id="its own events too"),
        pytest.param(("task.succeeded",), "task.failed", True, id="its route beside its own events"),
        pytest.param(("task.succeeded",), "task.started", False, id="neither"),
    ],
)
def test_a_channel_in_a_route_hears_its_routes_and_its_own_events(
    own: tuple[str, ...] | None, type_: str, heard: bool
) -> None:
    assert hears(happened(type_), channel(own), route("task.failed")) is heard


@pytest.mark.parametrize(("type_", "heard"), [("task.started", True), ("task.progress", False)])
def test_a_channel_in_no_route_keeps_its_own_rule(type_: str, heard: bool) -> None:
    assert hears(happened(type_), channel(), route("*", "mail")) is heard
    assert hears(happened(type_), channel(("task.progress",)), route("*", "mail")) is not heard


def test_a_channel_is_in_a_route_even_when_that_route_is_about_other_tasks() -> None:
    assert not hears(happened("task.started"), channel(), route("task.failed", labels={"team": "vision"}))


def test_every_matching_route_counts_and_a_channel_hears_an_event_once() -> None:
    listeners = channel(), channel(name="mail", kind="mail"), channel(("task.*",), name="ci", kind="webhook")
    routes = route("task.failed", "team mail"), route("task.*", "mail team")
    assert hearers(happened("task.failed"), listeners, routes) == {
        "team": "routes[0]",
        "mail": "routes[0]",
        "ci": "channels.ci.events: task.*",
    }


def test_the_rule_that_made_a_delivery_has_a_name() -> None:
    assert hearers(happened("task.failed"), (channel(),), ()) == {"team": "notable, the default"}
    assert "routes[1]" in hearers(happened("task.gone"), (channel(),), (route("task.failed"), route())).values()


# ── "Label, task, model and account matchers limit task events only" ──

MATCHERS = [
    ({"labels": {"team": "nlp"}}, True),
    ({"labels": {"team": "nlp", "owner": "jiwon"}}, True),
    ({"labels": {"team": "vision"}}, False),
    ({"labels": {"team": "nlp", "site": "seoul"}}, False),
    ({"tasks": ("czf9fbky",)}, True),
    ({"tasks": ("czf9*",)}, True),
    ({"tasks": ("support-*",)}, True),
    ({"tasks": ("exp-*",)}, False),
    ({"tasks": ("exp-*", "support-*")}, True),
    ({"models": ("HCX-*",)}, True),
    ({"models": ("HCX-DASH-*",)}, False),
    ({"accounts": ("main",)}, True),
    ({"accounts": ("other*",)}, False),
    ({"labels": {"team": "nlp"}, "models": ("HCX-DASH-*",)}, False),
]


@pytest.mark.parametrize(("matchers", "heard"), MATCHERS, ids=str)
def test_matchers_limit_task_events(matchers: dict[str, Any], heard: bool) -> None:
    assert hears(happened("task.failed"), channel(), route(**matchers)) is heard


@pytest.mark.parametrize("matchers", [each for each, _ in MATCHERS], ids=str)
@pytest.mark.parametrize("type_", ["account.rejected", "channel.failing", "watcher.config_rejected", "group.finished"])
def test_matchers_dont_limit_other_events(type_: str, matchers: dict[str, Any]) -> None:
    assert hears(happened(type_), channel(kind="webhook"), route(**matchers))


def test_a_task_without_name_model_or_labels_is_matched_by_its_id() -> None:
    bare = happened("task.failed", subject=None)
    assert hears(bare, channel(), route(tasks=("czf*",)))
    assert not hears(bare, channel(), route(models=("HCX-*",)))


# ── "`account.*`, `channel.*` and `watcher.*` that no route names go to every chat and mail channel." ──

CARETAKERS = ["account.rejected", "account.recovered", "channel.failing", "channel.gave_up", "watcher.config_rejected"]


@pytest.mark.parametrize("type_", CARETAKERS)
@pytest.mark.parametrize(("kind", "heard"), [("chat", True), ("mail", True), ("webhook", False)])
def test_what_no_route_names_goes_to_every_chat_and_mail_channel(kind: ChannelKind, heard: bool, type_: str) -> None:
    narrow = channel(("task.failed",), kind)
    assert hears(happened(type_), narrow) is heard
    assert hears(happened(type_), narrow, route("task.*", "team mail")) is heard


def test_a_terminal_is_neither_chat_nor_mail_so_its_own_events_are_all_it_hears() -> None:
    assert not hears(happened("account.rejected"), channel(("task.failed",), "console"))


@pytest.mark.parametrize("pattern", ["account.rejected", "account.*", "*"])
def test_what_a_route_names_goes_to_that_routes_channels(pattern: str) -> None:
    routes = (route(pattern, "mail"),)
    assert not hears(happened("account.rejected"), channel(("task.failed",)), *routes)
    assert hears(happened("account.rejected"), channel(("task.failed",), "webhook", "mail"), *routes)


def test_a_task_event_that_no_route_names_goes_to_nobody_else() -> None:
    assert not hears(happened("task.failed"), channel(("task.succeeded",)))


# ── a channel's own trouble is told to the others ──


@pytest.mark.parametrize("type_", ["channel.failing", "channel.recovered", "channel.gave_up"])
def test_a_channel_never_hears_of_its_own_trouble(type_: str) -> None:
    listeners = channel(("*",)), channel(name="mail", kind="mail")
    assert list(hearers(happened(type_, channel="team"), listeners, (route(),))) == ["mail"]


def test_a_route_that_leads_only_to_the_troubled_channel_keeps_nobody_else_from_hearing_of_it() -> None:
    trouble = event("channel.gave_up", channel="ops")
    listeners = (Listener("ops", "chat"), Listener("dev", "chat", ("task.failed",)))
    routes = (Route(("account.*", "channel.*"), ("ops",), {}),)
    assert list(hearers(trouble, listeners, routes)) == ["dev"]
