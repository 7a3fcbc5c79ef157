"""How the daemon is: conditions, readiness and metrics, all from memory."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client import Counter as Total

from watcher import __version__
from watcher.engine.core import Core
from watcher.engine.outlook import lateness
from watcher.models import Event
from watcher.state.health import ChannelHealth
from watcher.web.status import Condition


class DaemonStatus:
    """What the web server and `watcher health` ask. `overdue` and `channels` are refreshed from the store."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.store_trouble = ""
        self.dead_loop = ""
        self.channels: list[ChannelHealth] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.rejected_config: Callable[[], str] = lambda: ""
        self._metrics = _Metrics()
        core.ledger.heard.append(self._metrics.hear)

    def conditions(self) -> list[Condition]:
        found = []
        if self.dead_loop:
            found.append(Condition("loop-dead", f"the loop {self.dead_loop} ended", fatal=True))
        if self.store_trouble:
            found.append(Condition("store-stalled", self.store_trouble))
        for name, sweeper in self._core.sweepers.items():
            if sweeper.health.rejected:
                found.append(Condition("account-rejected", f"account {name}: {sweeper.health.reason}"))
            if sweeper.health.unreachable:
                found.append(Condition("account-unreachable", f"account {name}: {sweeper.health.reason}"))
        if problem := self.rejected_config():
            found.append(Condition("config-rejected", problem))
        failing = [c.name for c in self.channels if c.failing and c.name in self._core.lanes]
        return found + [Condition("channel-failing", f"channel {name} fails") for name in failing]

    def ready(self) -> bool:
        return not self.store_trouble and all(sweeper.polled for sweeper in self._core.sweepers.values())

    def metrics(self) -> str:
        return self._metrics.text(self)

    def summary(self) -> str:
        """For `watcher health`, which reads it from the store."""
        conditions = self.conditions()
        late = {name: found for name, sweeper in self._core.sweepers.items() if (found := lateness(sweeper)).tasks}
        return json.dumps(
            {
                "late": {name: asdict(found) for name, found in late.items()},
                "fatal": [c.name for c in conditions if c.fatal],
                "conditions": [{"name": c.name, "text": c.text} for c in conditions],
                "unknown": [str(t.key) for s in self._core.sweepers.values() for t in s.tracked.values() if t.unknown],
            },
            ensure_ascii=False,
        )

    @property
    def core(self) -> Core:
        return self._core


class _Metrics:
    """Prometheus text; every name begins with watcher_."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._tasks = Gauge("watcher_tasks", "Watched tasks.", ["account", "status"], registry=registry)
        self._up = Gauge("watcher_account_up", "1 while the account's polls succeed.", ["account"], registry=registry)
        self._age = Gauge(
            "watcher_last_answer_age_seconds", "Since the account's last good answer.", ["account"], registry=registry
        )
        self._queries = Gauge(
            "watcher_queries", "Queries sent since the start, by account.", ["account"], registry=registry
        )
        self._pace = Gauge(
            "watcher_pace_queries_per_minute", "What the account is asked at most now.", ["account"], registry=registry
        )
        self._late = Gauge(
            "watcher_tasks_late", "Tasks looked at later than wanted for lack of quota.", ["account"], registry=registry
        )
        self._stalest = Gauge(
            "watcher_staleness_seconds",
            "Since the last look at the most neglected task.",
            ["account"],
            registry=registry,
        )
        self._deliveries = Gauge(
            "watcher_deliveries", "Deliveries in the store.", ["channel", "state"], registry=registry
        )
        self._failing = Gauge("watcher_channel_failing", "1 while a channel fails.", ["channel"], registry=registry)
        self._by_name = (
            self._tasks, self._up, self._age, self._queries, self._pace, self._late, self._stalest, self._failing,
        )  # fmt: skip
        self._uptime = Gauge("watcher_uptime_seconds", "Running time over all lives of the store.", registry=registry)
        self._info = Gauge("watcher_build_info", "Always 1.", ["version"], registry=registry)
        self._info.labels(__version__).set(1)
        self._events = Total("watcher_events", "Events recorded since the start.", ["type"], registry=registry)

    def hear(self, event: Event) -> None:
        self._events.labels(event.type).inc()

    def text(self, status: DaemonStatus) -> str:
        core, now = status.core, time.monotonic()
        for gauge in self._by_name:
            gauge.clear()
        for name, sweeper in core.sweepers.items():
            for state, count in Counter(t.status or "unseen" for t in sweeper.tracked.values()).items():
                self._tasks.labels(name, state).set(count)
            self._up.labels(name).set(sweeper.health.well)
            watched, late = sweeper.watched, lateness(sweeper)
            self._queries.labels(name).set(watched.pacer.queries)
            self._pace.labels(name).set(watched.pacer.rate)
            self._late.labels(name).set(late.tasks)
            self._stalest.labels(name).set(late.stalest)
            if watched.standing.last_answer is not None:
                self._age.labels(name).set(now - watched.standing.last_answer)
        self._deliveries.clear()
        for (channel, state), count in status.counts.items():
            self._deliveries.labels(channel, state).set(count)
        for health in status.channels:
            self._failing.labels(health.name).set(health.failing)
        self._uptime.set(core.clock.uptime)
        return generate_latest(self._registry).decode()
