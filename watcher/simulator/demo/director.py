"""Plays the story: waits for its moments, breaks what has to break, and sums up."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from watcher.errors import WatcherError
from watcher.simulator.demo import story
from watcher.simulator.demo.looking import Looker, Mood
from watcher.simulator.demo.screen import Screen, screen
from watcher.simulator.demo.stage import PATIENCE, Stage, stage
from watcher.simulator.demo.tally import Tally, count

AROUND = 8.0
"""Seconds before and after the story itself: processes start and end."""

LAST_WAIT = 15.0
"""Seconds after the story's end in which what is still under way may arrive."""

LOOK_EVERY = 3 * story.MINUTE
"""How often the watcher looks, in story seconds."""


async def perform(*, language: str, keep: bool, port: int, seconds: float) -> int:
    """The whole demo; returns the exit code. Ctrl-C ends it at any moment, and nothing stays behind."""
    stop = _Stop()
    speed = story.END / (seconds - AROUND)
    async with stage(speed, LOOK_EVERY / speed, port) as running:
        with screen() as shown:
            _introduce(shown, speed, seconds)
            code = await _unless(stop, _play(running, shown, language))
        if code is None:
            return 128 + stop.number
        if keep:
            _say_where(running, shown)
            await stop.asked.wait()
        return code


class _Stop:
    """Whether a signal asked to stop, and which. A second one changes nothing: the end is under way."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.number = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._ask, number)

    def _ask(self, number: int) -> None:
        self.number = self.number or number
        self.asked.set()


async def _unless(stop: _Stop, playing: Coroutine[Any, Any, int]) -> int | None:
    """The play's exit code; None when a signal came first."""
    play, asked = asyncio.create_task(playing), asyncio.create_task(stop.asked.wait())
    await asyncio.wait([play, asked], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if play.done():
        return play.result()
    play.cancel()
    with contextlib.suppress(asyncio.CancelledError, WatcherError):
        await play
    return None


async def _play(running: Stage, shown: Screen, language: str) -> int:
    """Returns 0 when every change was told, else 1."""
    await running.start_simulator()
    await running.start_watcher()
    await _first_message(running)
    show = _Show(running, Looker(running, shown, await running.play(), language))
    looking = asyncio.create_task(show.looker.run())
    acting = asyncio.create_task(show.acts())
    try:
        await asyncio.wait([looking, acting], return_when=asyncio.FIRST_COMPLETED)
        if looking.done():
            looking.result()
        tally = acting.result()
    finally:
        await _cancel(looking, acting)
    _sum_up(shown, tally)
    return 0 if tally.good else 1


async def _first_message(running: Stage) -> None:
    deadline = time.monotonic() + PATIENCE
    while not running.receiver.accepted:
        running.check()
        if time.monotonic() > deadline:
            raise running.silent()
        await asyncio.sleep(0.05)


class _Show:
    """The acts of the story."""

    def __init__(self, running: Stage, looker: Looker) -> None:
        self._stage, self.looker = running, looker

    async def acts(self) -> Tally:
        """From nine o'clock to the end."""
        for at, act in (
            (story.CHANNEL_FALLS, self._channel_falls),
            (story.CHANNEL_RETURNS, self._channel_returns),
            (story.KILLED, self._kill),
            (story.STARTED_AGAIN, self._start_again),
        ):
            await self._until(at)
            await act()
        await self._until(story.END)
        return await self._count()

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, (at - self.looker.clock.story(datetime.now(UTC))) / self.looker.clock.speed))

    async def _channel_falls(self) -> None:
        self._stage.receiver.behave(status=503, retry_after=1)
        self.looker.channel = Mood("answers 503", well=False)
        self._tell("The channel goes down: from now on it answers every message with 503.")

    async def _channel_returns(self) -> None:
        self._tell("The channel works again. What waited comes now, late; each tuning's in order:")
        self._stage.receiver.behave()
        self.looker.channel = Mood("answers")

    async def _kill(self) -> None:
        await self._stage.kill_watcher()
        self.looker.watcher = Mood("killed", well=False)
        self._tell("kill -9: the watcher is dead at once. The trainings go on, and nobody looks.")

    async def _start_again(self) -> None:
        await self._stage.start_watcher()
        self.looker.watcher = Mood("starts again", well=False)
        self._tell("The watcher is started again. It finds out what it missed, and when that can have been:")

    def _tell(self, text: str) -> None:
        self.looker.take()
        self.looker.screen.tell(self.looker.time(datetime.now(UTC)), text)

    async def _count(self) -> Tally:
        """What the simulator has played by now, against what has arrived; the last messages get some time."""
        played = story.played(self.looker.clock.story(datetime.now(UTC)))
        deadline = time.monotonic() + LAST_WAIT
        while True:
            self.looker.take()
            tally = count(played, self.looker.messages, self.looker.clock)
            if not tally.lost or time.monotonic() > deadline:
                return tally
            await asyncio.sleep(0.1)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _introduce(shown: Screen, speed: float, seconds: float) -> None:
    for line in (
        f"Four tunings live a day in {seconds:.0f} s. Times are the story's: one second is {speed / 60:.0f} minutes.",
        "Only CLOVA Studio is simulated. The watcher, its store, the HTTP and the kill are real,",
        "and every message stands here because a channel received it.",
    ):
        shown.tell("", line)
    shown.tell("", "")


def _sum_up(shown: Screen, tally: Tally) -> None:
    shown.conclude(f"{tally}.", good=tally.good)
    by_channel = tally.late_by_channel
    if tally.late:
        shown.tell(
            "", f"Late: {by_channel} waited for the channel, {tally.late - by_channel} for the watcher's return."
        )
    for change in tally.lost:
        shown.tell("", f"✖ lost: {change.event} of {story.NAMES[change.task]}")
    for message in tally.invented:
        shown.tell("", f"✖ nobody played this: {message.event.type} of {message.event.task}")
    if tally.unsigned:
        shown.tell("", f"✖ messages without a good signature: {tally.unsigned}")
    if tally.good:
        shown.tell("", "Your own: watcher init && watcher check --online && watcher run")


def _say_where(running: Stage, shown: Screen) -> None:
    url = running.health_url()
    for line in (
        "",
        "Everything is still running; Ctrl-C ends it.",
        f"Health:   curl {url}/healthz",
        f"Metrics:  curl {url}/metrics",
        f"Tasks:    watcher status --config {running.config}",
        f"Proof:    watcher prove 01234567 --config {running.config}",
    ):
        shown.tell("", line)
