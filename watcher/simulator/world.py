"""The simulator's state: what exists now, which faults hold, who asked what; tests and /simulator/control change it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from watcher.simulator import timeline, traffic
from watcher.simulator.catalog import Catalog
from watcher.simulator.faces import Faces
from watcher.simulator.limits import Budgets, Quota
from watcher.simulator.overrides import Overrides
from watcher.simulator.pages import Page
from watcher.simulator.scenario import Scenario, validate
from watcher.simulator.template import expand, later
from watcher.simulator.traffic import LOG_LENGTH, Request
from watcher.simulator.trouble import Asked, Endpoint, Trouble
from watcher.simulator.values import Fault, ListForm, Part, Step, Task

__all__ = ["Request", "Simulator"]

Some = TypeVar("Some", bound=Part)


@dataclass
class Simulator:
    """A running fake. `base_url` is what an account's base_url should be; `log` has every request to the API.

    `keys` are those that work, `queries_per_minute` is the limit; both may be changed while it plays.
    """

    scenario: Scenario
    speed: float = 1.0
    base_url: str = ""
    log: deque[Request] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))
    keys: set[str] = field(init=False)
    queries_per_minute: int | None = field(init=False)
    list_form: ListForm = field(init=False)

    def __post_init__(self) -> None:
        self._keys_in_turn = self.scenario.all_keys()
        self.keys = set(self._keys_in_turn)
        self.queries_per_minute = self.scenario.queries_per_minute
        self.list_form = self.scenario.list
        self.catalog = Catalog(self.scenario.all_tasks(), self.scenario.sees)
        self.budgets = Budgets(self.scenario.limits)
        self._overrides = Overrides()
        self._faces = Faces(self._render, self._pulse, self.scenario.status_info)
        self._trouble = Trouble(self.scenario.faults)
        self._started = time.monotonic()
        self._began = datetime.now(UTC)

    # What a test or the control endpoint changes.

    def fault(self, kind: str, *, seconds: float | None = None, **options: Any) -> None:
        """Answers wrongly from now on, for `seconds` of real time if given; options as in the scenario file."""
        until = None if seconds is None else self.now() + seconds * self.speed
        self.add_fault({"kind": kind, "from": self.now(), "until": until, **options})

    def add_fault(self, data: Mapping[str, Any]) -> None:
        """A fault as a scenario file writes it."""
        self._trouble.add(validate(Fault, {"from": self.now(), **data}, "fault", {}))

    def clear_faults(self) -> None:
        """Answers well again."""
        self._trouble.clear()

    def create(self, task: Mapping[str, Any]) -> None:
        """A new task, or with `count` many, as a scenario file writes them; their timelines count from now."""
        now = self.now()
        for made in expand(validate(Task, task, "task", {}), self._keys_in_turn):
            self.catalog.put(made.model_copy(update={"timeline": later(made.timeline, now)}))
            self._overrides.drop(made.id)
            self._faces.forget(made.id)

    def set_task(self, task_id: str, /, **fields: Any) -> None:
        """Replaces fields for good (`status`, `name`, `statusInfo={...}`, or **{"statusInfo.currStep": 5})."""
        self._existing(task_id)
        now = self.now()
        info = fields.pop("statusInfo", None)
        if isinstance(info, dict):
            fields |= {f"statusInfo.{key}": value for key, value in info.items()}
        elif info is not None:
            fields["statusInfo"] = info
        self._overrides.set(task_id, now, {"updatedDate": timeline.written(self.date(now)), **fields})
        self._faces.forget(task_id)

    def delete(self, task_id: str) -> None:
        """From now on 404 with code 40400."""
        task, now = self._existing(task_id), self.now()
        steps = [step for step in task.timeline if step.at <= now]
        self.catalog.put(task.model_copy(update={"timeline": (*steps, Step(at=now, status=timeline.GONE))}))
        self._faces.forget(task_id)

    def show(self, sees: Mapping[str, Sequence[str]]) -> None:
        """From now on these keys see other keys' tasks besides their own."""
        self.catalog.show(sees)

    def form_list(self, **changes: Any) -> None:
        """Changes the form of lists, as the scenario's `list` writes it."""
        self.list_form = _changed(self.list_form, changes, "list")

    def limit(self, **changes: Any) -> None:
        """Changes how the limit is counted and told, as the scenario's `limits` writes it."""
        self.budgets.change(_changed(self.budgets.limits, changes, "limits"))

    # What the endpoints ask.

    def now(self) -> float:
        """Scenario seconds since the start."""
        return (time.monotonic() - self._started) * self.speed

    def date(self, moment: float) -> datetime:
        """The date that the upstream writes for a moment of the scenario."""
        shown = moment if self.scenario.dates == "scenario" else moment / self.speed
        return self._began + timedelta(seconds=shown)

    def tasks(self, key: str | None = None) -> list[Task]:
        """The tasks that exist now and that the key sees (None: all), in the list's order."""
        return self.catalog.listed(key, self.now(), self.list_form)

    def task(self, task_id: str) -> Task | None:
        """The task, if it exists now."""
        return self.catalog.find(task_id, self.now())

    def render(self, task: Task) -> dict[str, Any]:
        """The task as it is now, with statusInfo as an object that has every key."""
        return self._render(task, self.now())

    def status(self, task: Task) -> str:
        """The task's status now."""
        now = self.now()
        step, fields = timeline.current(task, now), self._overrides.at(task.id, now) or {}
        return str(fields.get("status", step.status if step else ""))

    def page(self, key: str, number: int, size: int) -> bytes:
        """A page of the list as the key sees it now, with the lies that hold."""
        now = self.now()
        page = Page(number, size, self.list_form, self._trouble.lists(Asked("list", key, "", now)))
        moment, sparse = page.moment(now), self.list_form.sparse
        tasks = self.catalog.listed(key, moment, self.list_form)
        return page.body(tasks, lambda task: self._faces.item(task, moment, sparse=sparse))

    def strike(self, endpoint: Endpoint, key: str, task_id: str) -> Fault | None:
        """The first fault of answers that holds for this request, and takes one of its `times`."""
        return self._trouble.answer(Asked(endpoint, key, task_id, self.now()))

    def spend(self, key: str) -> Quota | None:
        """Counts one query against the limit; None when there is none."""
        return self.budgets.spend(key, self.queries_per_minute)

    # What tests ask.

    def busiest(self, key: str | None = None, seconds: float = 60.0) -> int:
        """The most requests of a key (None: of all together) in any window of so many real seconds."""
        return traffic.busiest(self.log, key, seconds)

    def _existing(self, task_id: str) -> Task:
        task = self.catalog[task_id]
        if any(step.status == timeline.GONE and step.at <= self.now() for step in task.timeline[-1:]):
            raise KeyError(task_id)
        return task

    def _render(self, task: Task, moment: float) -> dict[str, Any]:
        shown = timeline.render(task, moment, self.date)
        fields = self._overrides.at(task.id, moment)
        return timeline.overlay(shown, fields) if fields else shown

    def _pulse(self, task: Task, moment: float) -> timeline.Pulse:
        pulse, soonest = timeline.pulse(task, moment, self.date), self._overrides.next_change(task.id, moment)
        if self._overrides.at(task.id, moment):
            # What was set stands where the values would move.
            return timeline.Pulse(min(pulse.until, soonest), min(pulse.ends, soonest), None)
        return pulse._replace(until=min(pulse.until, soonest), ends=min(pulse.ends, soonest))


def _changed(part: Some, changes: Mapping[str, Any], source: str) -> Some:
    return validate(type(part), {**part.model_dump(), **changes}, source, {})
