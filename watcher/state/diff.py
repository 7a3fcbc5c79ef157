"""What a new observation means, given what was known: pure rules, no clock, no store.

`compare` is the whole decision. Its steps stand in the order in which they are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from watcher.clova.dates import parse_instant
from watcher.insight.progress import milestone_reached, progress_percent
from watcher.models import (
    FAILED,
    KNOWN_STATUSES,
    RUNNING,
    SUCCEEDED,
    TERMINAL,
    WAIT,
    Draft,
    Failure,
    Fields,
    Observation,
    Snapshot,
    Window,
)

REASON, MESSAGE, END = "statusInfo.failureReason", "statusInfo.message", "statusInfo.endDatetime"
WEIGHTS = "statusInfo.sendWeightSuccess"
OUTCOME_FIELDS = (REASON, MESSAGE, END, WEIGHTS)
RECENT = timedelta(hours=24)
GONE_AFTER = timedelta(seconds=60)

Because = Literal["first_sight", "older_request", "stale", "unchanged", "changed"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the configuration a comparison depends on.

    `milestones` in percent; `listed`: the task stands in the configuration; `stepped_at`: the number of the first
    request after the wall clock jumped (0: it didn't).
    """

    milestones: tuple[int, ...] = (25, 50, 75)
    listed: bool = True
    stepped_at: int = 0


class Change(NamedTuple):
    """What to store (None: nothing) and what to tell, and why."""

    because: Because
    snapshot: Snapshot | None = None
    drafts: tuple[Draft, ...] = ()
    changes: Mapping[str, Mapping[str, Any]] | None = None


def compare(stored: Snapshot | None, seen: Observation, rules: Rules) -> Change:
    """Decide what `seen` changes. Comparing the same observation twice makes nothing the second time."""
    if stored is None:
        return _first_sight(seen, rules)
    if seen.number <= stored.number:
        return Change("older_request")
    if not seen.trusted and _is_stale(stored.fields, seen.fields):
        return Change("stale")
    fresh = _another_life(stored.fields, seen.fields)
    fields = dict(seen.fields) if fresh else merge(stored.fields, seen)
    changes = _changes(stored.fields, fields)
    window, details = _window(stored, seen), _details(stored, seen, rules)
    drafts = _Telling(stored, fields, changes, window, fresh, details).drafts(rules)
    snapshot = _next_snapshot(stored, seen, fields, fresh, drafts, rules, changed=bool(changes))
    return Change("changed" if changes or drafts else "unchanged", snapshot, drafts, changes)


def merge(stored: Fields, seen: Observation) -> dict[str, Any]:
    """What the answer doesn't carry keeps its value; a list page never empties the facts about an end."""
    same_status = stored.get("status") == seen.fields["status"]
    fields = {**stored, **seen.fields}
    if same_status and seen.source == "list":
        for name in (REASON, MESSAGE, END):
            if fields.get(name) in (None, "") and stored.get(name):
                fields[name] = stored[name]
    if stored.get("status") in TERMINAL and seen.fields["status"] not in TERMINAL:
        # The end of the earlier run says nothing about the one that goes on.
        fields.update({name: seen.fields.get(name) for name in OUTCOME_FIELDS if name in fields})
    return fields


def _first_sight(seen: Observation, rules: Rules) -> Change:
    fields, status = dict(seen.fields), str(seen.fields["status"])
    window = Window(None, seen.time)
    about: dict[str, Any] = {"account": seen.key.account, "task": seen.key.id}
    drafts = [Draft("task.discovered", window, to=status, **about)]
    if status in TERMINAL:
        notable = _is_news(fields, seen.time, rules)
        ending: dict[str, Any] = {"notable": notable, "details": {"first_sight": True}, "to": status, **about}
        drafts.append(Draft(_ending_type(status), window, failure=failure_of(fields), **ending))
        if _weights_missing(fields):
            drafts.append(Draft("task.weights_missing", window, **ending))
    snapshot = Snapshot(
        key=seen.key,
        fields=fields,
        number=seen.number,
        first_seen=seen.time,
        seen=seen.time,
        changed=seen.time,
        milestone=milestone_reached(fields, rules.milestones),
        ended=seen.time if status in TERMINAL else None,
        weights_told=_weights_missing(fields),
    )
    return Change("first_sight", snapshot, tuple(drafts), _changes({}, fields))


@dataclass(frozen=True, slots=True)
class _Telling:
    """One comparison on its way to events."""

    stored: Snapshot
    fields: Fields
    changes: Mapping[str, Mapping[str, Any]]
    window: Window
    fresh: bool
    details: Mapping[str, Any]

    def drafts(self, rules: Rules) -> tuple[Draft, ...]:
        return (*self._returned(), *self._status(), *self._late_facts(rules), *self._progress(rules), *self._weights())

    def _draft(self, type_: str, *, failure: Failure | None = None, notable: bool | None = None, **more: Any) -> Draft:
        return Draft(
            type_,
            self.window,
            account=self.stored.key.account,
            task=self.stored.key.id,
            from_=self.stored.status,
            to=str(self.fields["status"]),
            changes=self.changes,
            failure=failure,
            details={**self.details, **more},
            notable=notable,
        )

    def _returned(self) -> list[Draft]:
        if not self.stored.gone:
            return []
        return [self._draft("task.returned", notable=self.stored.status in (WAIT, RUNNING))]

    def _status(self) -> list[Draft]:
        before, after = self.stored.status, str(self.fields["status"])
        if before == after and after in TERMINAL and (self.fresh or self._ended_again()):
            return [self._draft("task.reopened"), self._ending(after)]
        if before == after:
            return [self._draft("task.reopened")] if self.fresh else []
        if after in TERMINAL:
            return [self._ending(after)]
        type_ = _moving_type(before, after, self.fresh)
        waited = _seconds(self.stored.status_since, self.window.before) if type_ == "task.started" else None
        facts: dict[str, Any] = {} if waited is None else {"waited": waited}
        return [self._draft(type_, **facts)]

    def _ending(self, status: str) -> Draft:
        facts: dict[str, Any] = {"missed": [RUNNING]} if self.stored.status == WAIT else {}
        trained = _trained(self.stored, self.fields, self.window.before)
        if trained is not None and not self.fresh:
            facts["trained"] = trained
        return self._draft(_ending_type(status), failure=failure_of(self.fields), **facts)

    def _ended_again(self) -> bool:
        old, new = parse_instant(self.stored.fields.get(END)), parse_instant(self.fields.get(END))
        return old is not None and new is not None and old != new

    def _late_facts(self, rules: Rules) -> list[Draft]:
        """A FAILED that was told without its reason or message gets what comes later in one follow-up."""
        stored = self.stored
        told = stored.status == FAILED == self.fields["status"] and stored.ending and not stored.amended
        late = any(self.fields.get(name) and not stored.fields.get(name) for name in (REASON, MESSAGE))
        if not told or not late or self.fresh or self._ended_again():
            return []
        # As loud as the event that it amends: a first look at old failures wakes nobody, nor do their reasons.
        at_first_sight = stored.ended == stored.first_seen
        notable = _is_news(stored.fields, stored.first_seen, rules) if at_first_sight else None
        return [self._draft("task.failed", failure=failure_of(self.fields), notable=notable, amends=stored.ending)]

    def _progress(self, rules: Rules) -> list[Draft]:
        reached = milestone_reached(self.fields, rules.milestones)
        if reached <= _milestone_told(self.stored, self.fresh):
            return []
        return [self._draft("task.progress", percent=progress_percent(self.fields), milestone=reached)]

    def _weights(self) -> list[Draft]:
        told = self.stored.weights_told and not self.fresh and self.stored.status == SUCCEEDED
        return [self._draft("task.weights_missing")] if _weights_missing(self.fields) and not told else []


def _next_snapshot(
    stored: Snapshot,
    seen: Observation,
    fields: Fields,
    fresh: bool,
    drafts: tuple[Draft, ...],
    rules: Rules,
    *,
    changed: bool,
) -> Snapshot:
    status = str(fields["status"])
    ended_now = any(d.type in ("task.succeeded", "task.failed") and "amends" not in d.details for d in drafts)
    told = max(_milestone_told(stored, fresh), milestone_reached(fields, rules.milestones))
    return replace(
        stored,
        fields=fields,
        number=seen.number,
        seen=seen.time,
        changed=seen.time if changed else stored.changed,
        life=stored.life + fresh,
        milestone=told if status == RUNNING else 0,
        status_since=stored.status_since if stored.status == status and not fresh else seen.time,
        ended=(seen.time if ended_now else stored.ended) if status in TERMINAL else None,
        ending="" if ended_now or status not in TERMINAL else stored.ending,
        amended=not ended_now and (stored.amended or any("amends" in d.details for d in drafts)),
        weights_told=_weights_missing(fields),
        missing_since=None,
        gone="",
    )


def _trained(stored: Snapshot, fields: Fields, seen: datetime) -> int | None:
    """Whole seconds from RUNNING to the end, by the upstream's endDatetime if that makes sense, else as seen."""
    since, end = stored.status_since, parse_instant(fields.get(END))
    if stored.status != RUNNING or since is None:
        return None
    return _seconds(since, end if end is not None and since <= end <= seen else seen)


def _seconds(since: datetime | None, until: datetime) -> int | None:
    """Whole seconds between the two; None where that is unknown or the clock went back."""
    return int((until - since).total_seconds()) if since is not None and since <= until else None


def still_missing(stored: Snapshot, time: datetime, reason: str, *, confirmed: bool, at_once: bool = False) -> Change:
    """A GET said that the task isn't there. `confirmed`: no list shows it either and the account is well.

    The first time only notes it; a minute later it is gone, once. `at_once`: there is nothing to wait for.
    """
    if stored.gone:
        return Change("unchanged")
    first = stored.missing_since is None or stored.missing_since > time
    if first and not (at_once and confirmed):
        return Change("changed", replace(stored, missing_since=time))
    since = stored.missing_since or time
    if not confirmed or (not at_once and time - since < GONE_AFTER):
        return Change("unchanged")
    draft = Draft(
        "task.gone",
        Window(min(stored.seen, time), time),
        account=stored.key.account,
        task=stored.key.id,
        from_=stored.status,
        details={"reason": reason},
        notable=stored.status in (WAIT, RUNNING),
    )
    return Change("changed", replace(stored, missing_since=since, gone=reason), (draft,))


def failure_of(fields: Fields) -> Failure | None:
    """The failure that the fields tell of; None unless the task has FAILED."""
    if fields.get("status") != FAILED:
        return None
    return Failure(str(fields.get(REASON) or ""), str(fields.get(MESSAGE) or ""))


def _milestone_told(stored: Snapshot, fresh: bool) -> int:
    return 0 if fresh or stored.status != RUNNING else stored.milestone


def _moving_type(before: str, after: str, fresh: bool) -> str:
    if before in TERMINAL or fresh:
        return "task.reopened"
    if not {before, after} <= KNOWN_STATUSES:
        return "task.status_changed"
    return "task.requeued" if after == WAIT else "task.started"


def _is_news(fields: Fields, first_seen: datetime, rules: Rules) -> bool:
    """Whether an end that the first look at a task shows is worth telling."""
    updated = parse_instant(fields.get("updatedDate"))
    return rules.listed and updated is not None and first_seen - updated <= RECENT


def _ending_type(status: str) -> str:
    return "task.succeeded" if status == SUCCEEDED else "task.failed"


def _weights_missing(fields: Fields) -> bool:
    return fields.get("status") == SUCCEEDED and fields.get(WEIGHTS) is False


def _is_stale(stored: Fields, seen: Fields) -> bool:
    old, new = parse_instant(stored.get("updatedDate")), parse_instant(seen.get("updatedDate"))
    return old is not None and new is not None and new < old


def _another_life(stored: Fields, seen: Fields) -> bool:
    old, new = parse_instant(stored.get("createdDate")), parse_instant(seen.get("createdDate"))
    return old is not None and new is not None and new != old


def _changes(old: Fields, new: Fields) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys((*new, *old))
    return {n: {"old": old.get(n), "new": new.get(n)} for n in names if old.get(n) != new.get(n)}


def _window(stored: Snapshot, seen: Observation) -> Window:
    return Window(min(stored.seen, seen.time), seen.time)


def _details(stored: Snapshot, seen: Observation, rules: Rules) -> dict[str, Any]:
    stepped = stored.seen > seen.time or stored.number < rules.stepped_at <= seen.number
    return {"clock_stepped": True} if stepped else {}
