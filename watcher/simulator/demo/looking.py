"""What can be seen while the story goes on: what the receiver got, what is true, what the watcher's store says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from watcher.errors import StoreError
from watcher.insight.progress import progress_percent
from watcher.models import Snapshot
from watcher.notifier.render import render
from watcher.simulator.demo import story
from watcher.simulator.demo.screen import Row, Screen, View
from watcher.simulator.demo.stage import Stage
from watcher.simulator.demo.tally import Message, on_story_time, read
from watcher.state.reader import Reader
from watcher.state.store import open_reader

SHOWN_EVERY = 0.2


@dataclass(slots=True)
class Mood:
    """A part that can be well or not, in a word."""

    word: str
    well: bool = True


@dataclass(slots=True)
class Looker:
    """Shows every message once, when it has arrived, and keeps the table up to date."""

    stage: Stage
    screen: Screen
    clock: story.Clock
    language: str
    watcher: Mood = field(default_factory=lambda: Mood("runs"))
    channel: Mood = field(default_factory=lambda: Mood("answers"))
    messages: list[Message] = field(default_factory=list)
    icons: dict[str, str] = field(default_factory=dict)
    _reader: Reader | None = None
    _seen: Mapping[str, Snapshot] = field(default_factory=dict)

    async def run(self) -> None:
        """Until cancelled. Raises WatcherError when a process ended that nobody killed."""
        try:
            while True:
                self.stage.check()
                truth = (await self.stage.simulator())["tasks"]
                self.take()
                self.screen.show(self._view(truth))
                await asyncio.sleep(SHOWN_EVERY)
        finally:
            if self._reader is not None:
                self._reader.close()

    def take(self) -> None:
        """Take over and show what arrived since the last time."""
        messages = read(self.stage.entries(), self.stage.signed)
        for message in messages[len(self.messages) :]:
            self._show(message)
        self.messages = messages

    def time(self, moment: datetime) -> str:
        """The story's clock."""
        return self.clock.face(moment).strftime("%H:%M")

    def _show(self, message: Message) -> None:
        event, now = on_story_time(message.event, self.clock), self.clock.face(message.arrived)
        words = render(event, kind="chat", language=self.language, timezone=story.ZONE, now=now)
        if event.task is not None:
            self.icons[event.task] = self.icons.get(event.task, "") + words.title[:1]
        if not self.watcher.well and message.arrived > self.stage.started:
            self.watcher = Mood("runs")
        self.screen.message(self.time(message.arrived), words.title, words.body.splitlines())

    def _view(self, truth: Mapping[str, str]) -> View:
        seen = self._snapshots()
        rows = tuple(self._row(tuning, truth.get(tuning.id, ""), seen.get(tuning.id)) for tuning in story.TUNINGS)
        now = self.time(datetime.now(UTC))
        return View(now, self.watcher.word, self.watcher.well, self.channel.word, self.channel.well, rows)

    def _row(self, tuning: story.Tuning, truth: str, seen: Snapshot | None) -> Row:
        status = seen.status if seen else ""
        percent = progress_percent(seen.fields) if seen else None
        return Row(tuning.name, truth, status, percent, self.icons.get(tuning.id, ""))

    def _snapshots(self) -> Mapping[str, Snapshot]:
        """What the watcher has written down, read beside it; the last known while its store is being recovered."""
        try:
            if self._reader is None:
                self._reader = open_reader(f"sqlite:///{self.stage.store}")
            self._seen = {snapshot.key.id: snapshot for snapshot in self._reader.tasks()}
        except StoreError:
            pass
        return self._seen
