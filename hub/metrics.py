"""Figures for Prometheus: what there is, what happened, and how long it took.

Each process has one `Figures`; what belongs to a part is added to it by that part. Labels take few values,
none of which a user chooses. Nothing here may decide or write anything.
Source: Prometheus, "Metric and label naming"; the text exposition format, by the official client library.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sized
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from hub.happenings import launch
from hub.model import Phase, Workspace
from hub.settings import FRAMEWORKS
from hub.store.base import Store

PHASES: tuple[Phase, ...] = ("Queued", "Starting", "Ready", "Stopping", "Failed")
LAUNCH = (1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)
"""Seconds from a click to a notebook: 5 with processes, 10 to 20 with pods, minutes where an image is fetched
or a machine is added; a launch is given up after 300 unless the profile says otherwise."""
PHASE = (0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300, 600)
"""A part of that; who need not queue is through the first phase in a fraction of a second."""
LOOK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""A look at which nothing is done takes a millisecond, one that makes pods a few requests, and one that waits
for an API server which is away the 30 seconds after which a request is given up."""
REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""A request to the API server, which answers in milliseconds when it is well and is given up after 30."""
ANSWER = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""An answer of web: from memory in a millisecond, after a write in tens; what is relayed may take longer."""


class Figures:
    """All figures of a process, those of the process itself among them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._before: list[Callable[[], Awaitable[None]]] = []
        ProcessCollector(registry=self.registry)

    def before(self, look: Callable[[], Awaitable[None]]) -> None:
        """Have something done before each reading."""
        self._before.append(look)

    async def page(self) -> bytes:
        """What Prometheus reads."""
        for look in self._before:
            await look()
        return generate_latest(self.registry)


class KubernetesMetrics:
    """Requests to the API server."""

    def __init__(self, figures: Figures) -> None:
        registry = figures.registry
        self._requests = Counter(
            "podium_kubernetes_requests_total",
            "Requests to the API server, watches among them; code is none where there was no answer.",
            ["method", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "podium_kubernetes_request_duration_seconds",
            "Time until the API server began to answer.",
            ["method"],
            buckets=REQUEST,
            registry=registry,
        )

    def asked(self, method: str, code: str, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)


class WebMetrics:
    """Requests of people."""

    METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

    def __init__(self, figures: Figures) -> None:
        self.figures, registry = figures, figures.registry
        self._requests = Counter(
            "podium_http_requests_total",
            "Requests that were answered.",
            ["method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "podium_http_request_duration_seconds",
            "Time to an answer, without those that last for as long as somebody listens.",
            ["handler"],
            buckets=ANSWER,
            registry=registry,
        )
        self._clicks = Counter(
            "podium_clicks_total",
            "Launches that were asked for: claimed of the pool, launched, or found where there was one.",
            ["answer"],
            registry=registry,
        )
        for answer in ("claimed", "launched", "found"):
            self._clicks.labels(answer)

    def clicked(self, answer: str) -> None:
        """Count a launch that was asked for."""
        self._clicks.labels(answer).inc()

    def answered(self, method: str, status: int, handler: str, seconds: float | None) -> None:
        """Count an answer.

        Args:
            handler: the name of what answered.
            seconds: how long it took; None for one that lasts for as long as somebody listens.
        """
        self._requests.labels(method if method in self.METHODS else "other", str(status)).inc()
        if seconds is not None:
            self._seconds.labels(handler).observe(seconds)


class ControllerMetrics:
    """What a controller does; one that waits for its turn does nothing."""

    def __init__(self, figures: Figures) -> None:
        registry = figures.registry
        self.acting = False
        self._launches = Counter(
            "podium_launches_total", "Launches that ended, by outcome.", ["outcome"], registry=registry
        )
        for outcome in ("ready", "failed", "stopped"):
            self._launches.labels(outcome)  # a rate needs the 0 before the first 1
        self._launch = Histogram(
            "podium_launch_duration_seconds",
            "Time from the click to Ready.",
            buckets=LAUNCH,
            registry=registry,
        )
        self._phase = Histogram(
            "podium_launch_phase_duration_seconds",
            "Time in each phase of the launches that became Ready.",
            ["phase"],
            buckets=PHASE,
            registry=registry,
        )
        self._look = Histogram(
            "podium_reconcile_duration_seconds",
            "Time of a look at one workspace.",
            buckets=LOOK,
            registry=registry,
        )
        self._retries = Counter(
            "podium_reconcile_retries_total", "Looks that failed and are tried again.", registry=registry
        )
        leader = Gauge("podium_leader", "Whether this controller acts.", registry=registry)
        leader.set_function(lambda: float(self.acting))

    @contextlib.contextmanager
    def act(self) -> Iterator[None]:
        """While a controller acts."""
        self.acting = True
        try:
            yield
        finally:
            self.acting = False

    @contextlib.contextmanager
    def look(self) -> Iterator[None]:
        """While it looks at a workspace."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._look.observe(time.monotonic() - began)

    def failed(self) -> None:
        """A look failed."""
        self._retries.inc()

    def reported(self, before: Workspace, after: Workspace) -> None:
        """A report was written."""
        ended = launch(before.status, after.status)
        if ended is None:
            return
        self._launches.labels(ended.outcome).inc()
        if ended.outcome == "ready":
            self._launch.observe(ended.seconds)
            for phase, seconds in ended.phases.items():
                self._phase.labels(phase).observe(seconds)


class Routes(Protocol):
    """What is told of the proxies."""

    @property
    def wanted(self) -> Mapping[str, str]:
        """Every route that there should be."""

    @property
    def present(self) -> Mapping[str, int]:
        """How many routes each proxy has, by the address of its API."""


class Room:
    """What there is: workspaces, workers, routes.

    Only the controller that acts tells it, so that sums over all processes are true.

    Args:
        figures: where it is added.
        metrics: of the controller.
        store: where Workspace objects are.
        queue: the controller's.
        routes: what is kept of the proxies.
    """

    def __init__(
        self, figures: Figures, metrics: ControllerMetrics, store: Store, queue: Sized, routes: Routes
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._queue = queue
        self._routes = routes
        self._workspaces: list[Workspace] = []
        figures.before(self._look)
        figures.registry.register(self)

    async def _look(self) -> None:
        if self._metrics.acting:
            self._workspaces = await self._store.list()

    def collect(self) -> Iterable[Metric]:
        """The figures of now."""
        workspaces = GaugeMetricFamily("podium_workspaces", "Workspaces by phase.", labels=["phase"])
        desired = GaugeMetricFamily("podium_workers_desired", "Workers asked for.", labels=["framework"])
        ready = GaugeMetricFamily("podium_workers_ready", "Workers that are ready.", labels=["framework"])
        queued = GaugeMetricFamily("podium_queue_length", "Workspaces that wait for their turn.")
        depth = GaugeMetricFamily("podium_workqueue_depth", "Workspaces that want a look.")
        pool = GaugeMetricFamily("podium_pool_members", "Workspaces that nobody owns yet.", labels=["state"])
        wanted = GaugeMetricFamily("podium_routes_desired", "Routes that each proxy should have.")
        present = GaugeMetricFamily("podium_routes_present", "Routes that a proxy has.", labels=["proxy"])
        if self._metrics.acting:
            phases = Tally(workspace.status.phase for workspace in self._workspaces)
            for phase in PHASES:
                workspaces.add_metric([phase], phases[phase])
            for name in FRAMEWORKS:
                clusters = [w.status.clusters[name] for w in self._workspaces if name in w.status.clusters]
                desired.add_metric([name], sum(cluster.workers for cluster in clusters))
                ready.add_metric([name], sum(cluster.ready for cluster in clusters))
            waiting = (w for w in self._workspaces if w.status.phase == "Queued" and not w.pooled)
            queued.add_metric([], sum(1 for _ in waiting))
            members = [w.status.phase == "Ready" for w in self._workspaces if w.pooled and not w.deleting]
            pool.add_metric(["ready"], sum(members))
            pool.add_metric(["starting"], len(members) - sum(members))
            depth.add_metric([], len(self._queue))
            wanted.add_metric([], len(self._routes.wanted))
            for address, routes in self._routes.present.items():
                present.add_metric([address.partition("//")[2]], routes)
        yield from (workspaces, desired, ready, queued, pool, depth, wanted, present)
