"""Plays the story: waits for its moments, breaks what has to break, and shows what arrives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime

from watcher.errors import StoreError, WatcherError
from watcher.i18n import translator
from watcher.insight.progress import progress_percent
from watcher.models import Snapshot
from watcher.notifier.render import render
from watcher.simulator.demo import story
from watcher.simulator.demo.screen import Row, Screen, View, screen
from watcher.simulator.demo.stage import PATIENCE, Stage, stage
from watcher.simulator.demo.tally import Message, Tally, count, on_story_time, read

SHOWN_EVERY = 0.2
LAST_WAIT = 15.0
"""Seconds after the story's end in which what is still under way may arrive."""

INTRODUCTION = """\
Four tunings live a day in {span}: each second is {minutes:g} minutes, and all times below are the story's.
Only CLOVA Studio is simulated, in a process of its own. The watcher, its store, HTTP and the kill are real.
You read what the channel `team` really received.
"""
_NOT_YET = {"ko": "Korean", "ja": "Japanese"}


async def perform(*, language: str, keep: bool, port: int, seconds: float) -> int:
    """The whole demo; returns the exit code. Ctrl-C ends it at any moment, and nothing stays behind."""
    stopped = _stop_signals()
    speed = story.END / (seconds - 8.0)
    with screen() as shown:
        _introduce(shown, language, speed, seconds)
        async with stage(speed, pace=180.0 / speed, port=port) as running:
            show = _Show(running, shown, language)
            code = await _until(stopped, show.play())
            if code is None:
                return 128 + stopped.number
            if keep:
                _say_where(running, shown)
                await stopped.event.wait()
            return code


class _Stop:
    """Which signal asked to stop."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.number = 0

    def __call__(self, number: int) -> None:
        self.number = self.number or number
        self.event.set()


def _stop_signals() -> _Stop:
    stop = _Stop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    return stop


async def _until(stopped: _Stop, playing: object) -> int | None:
    """The play's exit code; None when a signal came first."""
    assert asyncio.iscoroutine(playing)  # noqa: S101 - how it is called
    play = asyncio.create_task(playing)
    stop = asyncio.create_task(stopped.event.wait())
    await asyncio.wait([play, stop], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if play.done():
        return int(play.result())
    play.cancel()
    with contextlib.suppress(asyncio.CancelledError, WatcherError):
        await play
    return None


class _Show:
    """One performance."""

    def __init__(self, stage: Stage, shown: Screen, language: str) -> None:
        self._stage, self._screen, self._language = stage, shown, language
        self._clock: story.Clock | None = None
        self._messages: list[Message] = []
        self._icons: dict[str, str] = {}
        self._truth: dict[str, str] = {}
        self._reading: object | None = None
        self._watcher, self._watcher_well = "starts", True
        self._channel, self._channel_well = "answers", True

    async def play(self) -> int:
        """Returns 0 when every change was told, else 1."""
        await self._stage.start_simulator()
        await self._stage.start_watcher()
        await self._first_message()
        self._clock = await self._stage.play()
        self._watcher = "runs"
        self._collect()
        looking = asyncio.create_task(self._look())
        try:
            await self._acts(looking)
            tally = await self._last_messages(looking)
        finally:
            looking.cancel()
            self._close_reader()
        return self._sum_up(tally)

    async def _acts(self, looking: asyncio.Task[None]) -> None:
        for at, act in (
            (story.CHANNEL_FALLS, self._channel_falls),
            (story.CHANNEL_RETURNS, self._channel_returns),
            (story.KILLED, self._kill),
            (story.STARTED_AGAIN, self._start_again),
        ):
            await self._wait_for(at, looking)
            await act()
        await self._wait_for(story.END, looking)

    async def _channel_falls(self) -> None:
        self._stage.receiver.behave(status=503, retry_after=1)
        self._channel, self._channel_well = "answers 503", False
        self._tell("The channel goes down: it answers every message with 503 from now on.")

    async def _channel_returns(self) -> None:
        self._tell("The channel works again. What waited arrives now, late but in order:")
        self._stage.receiver.behave()
        self._channel, self._channel_well = "answers", True

    async def _kill(self) -> None:
        await self._stage.kill_watcher()
        self._watcher, self._watcher_well = "killed", False
        self._tell("The watcher is killed with SIGKILL. The trainings go on, and nobody looks.")

    async def _start_again(self) -> None:
        await self._stage.start_watcher()
        self._watcher, self._watcher_well = "starts again", True
        self._tell("The watcher is started again. It compares with its store, and tells what it missed:")

    # ── looking ──

    async def _look(self) -> None:
        """Shows what arrives and how things are, until cancelled."""
        while True:
            self._stage.check()
            self._truth = dict((await self._stage.simulator())["tasks"])
            self._collect()
            self._screen.show(self._view(await asyncio.to_thread(self._snapshots)))
            await asyncio.sleep(SHOWN_EVERY)

    def _collect(self) -> None:
        """Takes over what arrived since the last time."""
        messages = read(self._stage.entries(), self._stage.signed)
        for message in messages[len(self._messages) :]:
            self._show_message(message)
        self._messages = messages
        if self._watcher == "starts again" and messages and messages[-1].event.window.before > self._restarted:
            self._watcher = "runs"

    def _show_message(self, message: Message) -> None:
        clock = self._started_clock
        event = on_story_time(message.event, clock)
        shown = render(
            event, kind="chat", language=self._language, timezone=story.ZONE, now=clock.face(message.arrived)
        )
        if event.task is not None:
            self._icons[event.task] = self._icons.get(event.task, "") + shown.title[:1]
        self._screen.message(self._time(message.arrived), shown.title, shown.body.splitlines())

    def _view(self, snapshots: dict[str, Snapshot]) -> View:
        rows = tuple(self._row(tuning, snapshots.get(tuning.id)) for tuning in story.TUNINGS)
        clock = self._time(datetime.now(UTC))
        return View(clock, self._watcher, self._watcher_well, self._channel, self._channel_well, rows)

    def _row(self, tuning: story.Tuning, seen: Snapshot | None) -> Row:
        status, percent = (seen.status, progress_percent(seen.fields)) if seen else ("", None)
        return Row(tuning.name, self._truth.get(tuning.id, ""), status, percent, self._icons.get(tuning.id, ""))
