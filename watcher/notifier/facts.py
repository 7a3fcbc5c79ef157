"""What an event knows, read with care: anything may be missing or garbage, and everything comes from outside.

Times are shown in the reader's zone, numbers in the reader's way, names literally.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from gettext import NullTranslations
from typing import Any
from zoneinfo import ZoneInfo

from watcher.models import ChannelKind, Event
from watcher.notifier.text import break_mentions, clean, cut

WIDE = 600.0
"""Seconds. A window at least this wide is told in the first line: nobody looked for a while."""

NAME_LIMIT = 80
TEXT_LIMIT = 500


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """The time zone, or UTC where the name means nothing."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return UTC


def instant(value: object) -> datetime | None:
    """A date as the upstream writes it (`2023-08-21T13:07:06+0900`); None where it can't be read."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Facts:
    """An event for one reader. `say` is the only way to words: it translates and fills in."""

    event: Event
    kind: ChannelKind
    words: NullTranslations
    zone: tzinfo
    now: datetime | None = None

    def say(self, text: str, **values: object) -> str:
        """`text` in the reader's language, with `values` in its {places}."""
        try:
            return self.words.gettext(text).format(**values)
        except (KeyError, IndexError, ValueError):  # a translation with a broken place
            return text.format(**values)

    def say_many(self, one: str, many: str, count: int) -> str:
        """As `say`, in the form that the language has for this {count}."""
        return self.words.ngettext(one, many, count).format(count=number(count))

    def outside(self, value: object, limit: int = TEXT_LIMIT) -> str:
        """Text from outside, harmless and at most `limit` long; "" for nothing."""
        if not isinstance(value, str | int | float):
            return ""
        shown = value if isinstance(value, str) else f"{value:.15g}" if real(value) is not None else "?"
        text = cut(clean(cut(shown, 4 * limit)), limit)
        return break_mentions(text) if self.kind == "chat" else text

    # What the event is about.

    @property
    def name(self) -> str:
        return self.outside(self.task("name"), NAME_LIMIT) or self.outside(self.event.task, NAME_LIMIT) or "?"

    @property
    def account(self) -> str:
        return self.outside(self.event.account, NAME_LIMIT) or "?"

    @property
    def channel(self) -> str:
        return self.outside(self.event.channel, NAME_LIMIT) or "?"

    def task(self, key: str) -> Any:
        """A field of the task; None where there is none."""
        return self.event.subject.get(key) if isinstance(self.event.subject, Mapping) else None

    def info(self, key: str) -> Any:
        info = self.task("statusInfo")
        return info.get(key) if isinstance(info, Mapping) else None

    def detail(self, key: str, limit: int = TEXT_LIMIT) -> str:
        """A detail as text; "" where there is none."""
        return self.outside(self.event.details.get(key), limit)

    def count(self, key: str) -> int | None:
        return whole(self.event.details.get(key))

    def status(self, value: object) -> str:
        """A status in words; one that isn't known stays as it is."""
        known = {
            "WAIT": self.say("waiting"),
            "RUNNING": self.say("training"),
            "SUCCEEDED": self.say("ready"),
            "FAILED": self.say("failed"),
        }
        return known.get(str(value)) or self.outside(value, 40) or self.say("unknown")

    # Numbers.

    @property
    def loss(self) -> str:
        value = self.info("trainLoss")
        loss = real(value)
        shown = f"{loss:.3g}" if loss is not None else self.outside(value, 20) if isinstance(value, str) else ""
        return self.say("loss {loss}", loss=shown) if shown else ""

    @property
    def model(self) -> str:
        return self.outside(self.task("model"), 40)

    @property
    def epochs(self) -> str:
        total = whole(self.info("totalTrainEpochs")) or whole(self.task("trainEpochs"))
        return self.say("epochs: {count}", count=number(total)) if total else ""

    def part(self, text: str, done: str, total: str) -> str:
        """Such as `epoch 4/8`; "" unless both are known."""
        here, all_ = whole(self.info(done)), whole(self.info(total))
        return f"{text} {number(here)}/{number(all_)}" if here is not None and all_ else ""

    @property
    def epoch(self) -> str:
        return self.part(self.say("epoch"), "currEpoch", "totalTrainEpochs")

    @property
    def step(self) -> str:
        return self.part(self.say("step"), "currStep", "totalTrainSteps")

    # Times.

    @property
    def since_created(self) -> str:
        """From creation to this event, "" where creation can't be read."""
        created = instant(self.task("createdDate"))
        return self.span((self.event.time - created).total_seconds()) if created else ""

    @property
    def since_created_to_end(self) -> str:
        created, ended = instant(self.task("createdDate")), instant(self.info("endDatetime"))
        return self.span((ended - created).total_seconds()) if created and ended else ""

    def seconds(self, key: str) -> str:
        """A detail that is a number of seconds, as a duration."""
        value = real(self.event.details.get(key))
        return self.span(value) if value is not None else ""

    def span(self, seconds: float) -> str:
        """A duration with its two largest units; "" for what can't be one."""
        if not math.isfinite(seconds) or seconds < 0:
            return ""
        minutes, secs = divmod(int(seconds), 60)
        hours, mins = divmod(minutes, 60)
        days, hrs = divmod(hours, 24)
        if days:
            return self.say("{days} d {hours} h", days=days, hours=hrs)
        if hours:
            return self.say("{hours} h {minutes:02d} m", hours=hours, minutes=mins)
        return self.say("{minutes} m", minutes=minutes) if minutes else self.say("{seconds} s", seconds=secs)

    def local(self, moment: datetime) -> datetime:
        try:
            return moment.astimezone(self.zone)
        except (OverflowError, ValueError):
            return moment

    def clock(self, moment: datetime, *, seconds: bool = True, date: bool | None = None) -> str:
        """The time of day; with the date unless that is today's (or `date` says)."""
        local = self.local(moment)
        dated = date if date is not None else self.now is not None and local.date() != self.local(self.now).date()
        return local.strftime(("%Y-%m-%d " if dated else "") + ("%H:%M:%S" if seconds else "%H:%M"))

    def abbreviation(self, moment: datetime) -> str:
        """`KST`; where a zone has no letters of its own, its distance from UTC."""
        short = self.local(moment).strftime("%Z")
        return f"UTC{short}" if short[:1] in {"+", "-"} else short or "UTC"

    @property
    def width(self) -> float:
        """Seconds that the window is wide; 0 where it has no beginning."""
        window = self.event.window
        return max(0.0, (window.before - window.after).total_seconds()) if window.after else 0.0

    def ends(self) -> tuple[str, str] | None:
        """Both ends of the window, each with the date where the day alone doesn't say it, and the zone."""
        after, before = self.event.window.after, self.event.window.before
        if after is None or after >= before:
            return None
        seconds = self.width < WIDE
        other_day = self.local(after).date() != self.local(before).date()
        start = self.clock(after, seconds=seconds, date=True if other_day else None)
        if self.abbreviation(after) != self.abbreviation(before):
            start += f" {self.abbreviation(after)}"
        end = self.clock(before, seconds=seconds, date=other_day)
        return start, f"{end} {self.abbreviation(before)}"

    def when(self) -> str:
        """The window as a line: never more exact than what was seen."""
        ends, before = self.ends(), self.event.window.before
        at = f"{self.clock(before)} {self.abbreviation(before)}"
        if ends is None:
            first = self.event.task is not None and self.event.window.after is None
            line = self.say("First seen {time}", time=at) if first and self.event.type != "task.unknown" else at
        elif self.width >= WIDE:
            line = self.say(
                "Between {start} and {end}, not seen for {span}", start=ends[0], end=ends[1], span=self.span(self.width)
            )
        else:
            line = self.say("Between {start} and {end}", start=ends[0], end=ends[1])
        if self.event.details.get("clock_stepped") is True:
            line += " " + self.say("(the clock was changed meanwhile)")
        return line


def whole(value: object) -> int | None:
    """A count; None for everything else, also for what no store would hold."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def real(value: object) -> float | None:
    """A number; None for everything else. `nan` and infinity count, since a loss can be either."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def number(value: int | None) -> str:
    """From five digits on with commas."""
    if value is None:
        return "?"
    return f"{value:,}" if value >= 10_000 else str(value)
