"""What an event knows, read with care: anything may be missing or garbage, and everything comes from outside.

Times are shown in the reader's zone, numbers in the reader's way, names literally.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from gettext import NullTranslations
from typing import Any

from watcher.models import ChannelKind, Event
from watcher.notifier.reasons import find, named, parted
from watcher.notifier.text import break_mentions, clean, cut
from watcher.notifier.values import instant as instant
from watcher.notifier.values import number as number
from watcher.notifier.values import real as real
from watcher.notifier.values import whole as whole
from watcher.notifier.values import zone as zone

WIDE = 600.0
"""Seconds. A window at least this wide is told in the first line: nobody looked for a while."""

NAME_LIMIT = 80
TEXT_LIMIT = 500


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

    def then(self, first: str, second: str) -> str:
        """Two sentences in one line; only the first where there is no second."""
        return self.say("{first}. {second}", first=first, second=second) if second else first

    def outside(self, value: object, limit: int = TEXT_LIMIT) -> str:
        """Text from outside, harmless and at most `limit` long; "" for nothing."""
        if not isinstance(value, str | int | float):
            return ""
        shown = value if isinstance(value, str) else f"{value:.15g}" if real(value) is not None else "?"
        text = cut(clean(cut(shown, 4 * limit)), limit)
        return break_mentions(text) if self.kind == "chat" else text

    def given(self, text: object) -> str:
        """Text from the upstream, which writes `-` for nothing."""
        shown = self.outside(text)
        return "" if shown == "-" else shown

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

    @property
    def owner(self) -> str:
        """Who the task's label says it belongs to; "" for nobody."""
        labels = self.task("labels")
        return self.outside(labels.get("owner"), NAME_LIMIT) if isinstance(labels, Mapping) else ""

    def task(self, key: str) -> Any:
        """A field of the task; None where there is none."""
        return self.event.subject.get(key) if isinstance(self.event.subject, Mapping) else None

    def info(self, key: str) -> Any:
        info = self.task("statusInfo")
        return info.get(key) if isinstance(info, Mapping) else None

    def detail(self, key: str, limit: int = TEXT_LIMIT) -> str:
        """A detail as text; "" where there is none."""
        return self.outside(self.event.details.get(key), limit)

    def told(self, key: str, limit: int = TEXT_LIMIT) -> str:
        """A detail that the watcher itself may have written, in the reader's language then; "" where there is none."""
        value = self.event.details.get(key)
        return self.outside(self.own(value) if isinstance(value, str) else value, limit)

    def own(self, text: str, depth: int = 3) -> str:
        """A sentence that the watcher writes into events, in the reader's language; other text as it is."""
        if not depth:
            return text
        first, second = parted(text)
        if second:
            return self.say("{first}; {second}", first=self.own(first, depth - 1), second=self.own(second, depth - 1))
        word, text = named(text)
        found = find(text)
        if found is None:
            return text
        said = self.say(found.sentence, **{key: self.own(value, depth - 1) for key, value in found.values.items()})
        return f"{word}{said} ({found.detail})" if found.detail else f"{word}{said}"

    @property
    def why_given_up(self) -> str:
        """The reason without saying once more that something was given up."""
        reason = self.event.details.get("reason")
        return self.outside(self.own(reason.removeprefix("given up: ")), 200) if isinstance(reason, str) else ""

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

    def percent(self, value: int) -> str:
        """`50 %`."""
        return self.say("{percent} %", percent=value)

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
        """A duration with its two largest units, or one where nothing is left over; "" for what can't be one."""
        if not math.isfinite(seconds) or seconds < 0:
            return ""
        minutes, secs = divmod(int(seconds), 60)
        hours, mins = divmod(minutes, 60)
        days, hrs = divmod(hours, 24)
        if days:
            return self.say("{days} d {hours} h", days=days, hours=hrs) if hrs else self.say("{days} d", days=days)
        if hours:
            exact = self.say("{hours} h {minutes:02d} m", hours=hours, minutes=mins)
            return exact if mins else self.say("{hours} h", hours=hours)
        return self.say("{minutes} m", minutes=minutes) if minutes else self.say("{seconds} s", seconds=secs)

    def local(self, moment: datetime) -> datetime:
        try:
            return moment.astimezone(self.zone)
        except (OverflowError, ValueError):
            return moment

    def clock(self, moment: datetime, *, seconds: bool = True, date: bool | None = None, years: bool = True) -> str:
        """The time of day; with the date unless that is today's (or `date` says).

        Without `years`, the date has its year only where that isn't this year.
        """
        local = self.local(moment)
        time = local.strftime("%H:%M:%S" if seconds else "%H:%M")
        if not (self._another_day(local) if date is None else date):
            return time
        if not years and self.now is not None and local.year == self.local(self.now).year:
            return f"{self._day(local)} {time}"
        day = self.say("{year}-{month:02d}-{day:02d}", year=f"{local.year:04d}", month=local.month, day=local.day)
        return f"{day} {time}"

    def _day(self, local: datetime) -> str:
        return self.say("{month:02d}-{day:02d}", month=local.month, day=local.day)

    def short_time(self, moment: datetime) -> str:
        """Hours and minutes; with month and day unless they are today's."""
        local = self.local(moment)
        time = local.strftime("%H:%M")
        if not self._another_day(local):
            return time
        return f"{self._day(local)} {time}"

    def _another_day(self, local: datetime) -> bool:
        return self.now is not None and local.date() != self.local(self.now).date()

    def abbreviation(self, moment: datetime) -> str:
        """`KST`; where a zone has no letters of its own, its distance from UTC."""
        short = self.local(moment).strftime("%Z")
        return f"UTC{short}" if short[:1] in {"+", "-"} else short or "UTC"

    @property
    def width(self) -> float:
        """Seconds that the window is wide; 0 where it has no beginning."""
        window = self.event.window
        return max(0.0, (window.before - window.after).total_seconds()) if window.after else 0.0

    def ends(self, *, years: bool = True) -> tuple[str, str] | None:
        """Both ends of the window, each with the date where the day alone doesn't say it, and the zone."""
        after, before = self.event.window.after, self.event.window.before
        if after is None or after >= before:
            return None
        seconds = self.width < WIDE
        other_day = self.local(after).date() != self.local(before).date()
        start = self.clock(after, seconds=seconds, date=True if other_day else None, years=years)
        if self.abbreviation(after) != self.abbreviation(before):
            start += f" {self.abbreviation(after)}"
        end = self.clock(before, seconds=seconds, date=other_day, years=years)
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
