"""The whole way, with everything real: upstream, daemon, webhook, mail server and chat, through outages and a kill."""

from __future__ import annotations

import base64
import email
import email.policy
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from standardwebhooks import Webhook

from tests.support.daemon import Chat, Hook, Upstream, Watcher, hook_settings, serving, until, watching
from tests.support.http import free_port
from watcher.models import Event
from watcher.notifier.render import render
from watcher.state.store import open_reader

TASKS = ("czf9fbky", "oi55o2ej")
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
ROOM = "abcdefghijklmnop1234567890"


class Postbox:
    """A mail server that can be switched off, or be told to put every mail off."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.port = free_port()
        self.busy = False
        self._controller: Controller | None = None

    def open(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def close(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.busy:
            return "451 4.3.2 come back later"
        made = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(made, EmailMessage)
        self.mails.append(made)
        return "250 taken"

    def deliveries(self) -> list[str]:
        """The delivery ids that the mails carry, in order."""
        return [str(mail["Message-ID"]).strip().strip("<>").partition("@")[0] for mail in self.mails]


@contextmanager
def opened(postbox: Postbox) -> Iterator[Postbox]:
    postbox.open()
    try:
        yield postbox
    finally:
        postbox.close()


def test_every_notable_transition_arrives_in_every_channel_through_outages_and_a_kill(tmp_path: Path) -> None:
    upstream, hook, chat = Upstream(tmp_path, TASKS), Hook(tmp_path), Chat(tmp_path, "chat")
    with serving(upstream, hook, chat), opened(Postbox()) as postbox:
        channels = {
            "hook": hook_settings(hook, ["notable"], secret=SECRET),
            "mail": f"mailto://127.0.0.1:{postbox.port}?from=watcher@example.com&to=team@example.com",
            "chat": f"mmost://127.0.0.1:{chat.port}/{ROOM}",
        }
        with watching(tmp_path, upstream, TASKS, channels) as watcher:
            watcher.start_ready()
            until(lambda: chat.texts() and postbox.mails and hook.got(), "the watcher introduces itself")

            hook.kill()
            _go(watcher, upstream, "RUNNING")
            until(lambda: len(postbox.mails) == len(chat.texts()) == 3, "the others hear of it at once")
            hook.start()

            postbox.busy = True
            _go(watcher, upstream, "FAILED", failureReason="file.encoding", message="Unsupported charset")
            _until_tried(watcher, "mail", 2)
            postbox.close()
            _go(watcher, upstream, "WAIT")
            postbox.busy = False
            postbox.open()

            chat.behave(status=503)
            _go(watcher, upstream, "RUNNING")
            watcher.kill()
            for task in TASKS:
                upstream.set(task, status="SUCCEEDED", statusInfo={"sendWeightSuccess": True})
            chat.kill()
            watcher.lift_reservation()
            watcher.start_ready()
            _until_ended(watcher, "task.succeeded")
            chat.start()

            until(lambda: watcher.unfinished() == 0, "all is told", 40)
            assert watcher.stop() == 0
        _check(watcher, hook, postbox, chat)


def _go(watcher: Watcher, upstream: Upstream, status: str, **info: Any) -> None:
    """Both tasks change their status, and the watcher sees it."""
    for task in TASKS:
        upstream.set(task, status=status, statusInfo={"currStep": 0, "totalTrainSteps": 100, **info})

    def seen() -> bool:
        return {row[0] for row in watcher.query("SELECT fields ->> 'status' FROM tasks")} == {status}

    until(seen, f"{status} is seen")


def _until_tried(watcher: Watcher, channel: str, tries: int) -> None:
    sql = "SELECT sum(attempts) FROM deliveries WHERE channel = ? AND state <> 'delivered'"
    until(lambda: (watcher.query(sql, channel)[0][0] or 0) >= tries, f"{channel} was tried {tries} times")


def _until_ended(watcher: Watcher, type_: str) -> None:
    until(lambda: len(watcher.events(type_)) == len(TASKS), f"{type_} of all tasks is seen")


def _check(watcher: Watcher, hook: Hook, postbox: Postbox, chat: Chat) -> None:
    reader = open_reader(f"sqlite:///{watcher.store}")
    events = [event for event in reader.events() if event.notable]
    delivered = {delivery.id: delivery.event.id for delivery in reader.deliveries(states=("delivered",))}
    reader.close()
    types = ["task.started", "task.failed", "task.reopened", "task.started", "task.succeeded"]
    for task in TASKS:
        assert [event.type for event in events if event.task == task] == types

    for receipt in hook.got():
        Webhook(SECRET).verify(receipt.body, dict(receipt.headers))
    _arrived_in_order(events, [receipt.event for receipt in hook.got()])
    _arrived_in_order(events, [delivered[id_] for id_ in postbox.deliveries()])
    assert {str(mail["To"]) for mail in postbox.mails} == {"team@example.com"}
    titles = {_title(event): event.id for event in events}
    said = [text.splitlines()[0] for text in chat.texts()]
    assert set(said) == set(titles)
    for task in TASKS:
        own = [_title(event) for event in events if event.task == task]
        assert _without_repeats([line for line in said if line in own]) == own


def _title(event: Event) -> str:
    return render(event, kind="chat", language="en", timezone="Asia/Seoul").title


def _arrived_in_order(events: Sequence[Event], told: Sequence[str]) -> None:
    """All of them, and of each task in order; only a kill may have repeated one."""
    assert set(told) == {event.id for event in events}
    by_task: dict[str | None, list[str]] = defaultdict(list)
    about = {event.id: event.task for event in events}
    for id_ in told:
        by_task[about[id_]].append(id_)
    for task, ids in by_task.items():
        assert _without_repeats(ids) == [event.id for event in events if event.task == task]
    assert len(told) <= len(events) + 2


def _without_repeats(items: Sequence[str]) -> list[str]:
    """Neighbours that are equal count once."""
    return [item for at, item in enumerate(items) if at == 0 or items[at - 1] != item]
