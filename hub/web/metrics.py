"""Figures for Prometheus. Source: the text exposition format, by the official client library.

They are counted from Workspace objects at each request, so a restart loses none. Nothing here may write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from hub.model import Workspace
from hub.web.base import BaseHandler


class MetricsHandler(BaseHandler):
    """The figures, for whoever has the token."""

    async def get(self) -> None:
        """Show them."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(WorkspaceCollector(await self.site.store.list()))
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest(registry))


class WorkspaceCollector:
    """Counts workspaces and workers."""

    def __init__(self, workspaces: list[Workspace]) -> None:
        self._workspaces = workspaces

    def collect(self) -> Iterable[Metric]:
        """The figures."""
        phases = Counter(workspace.status.phase for workspace in self._workspaces)
        workspaces = GaugeMetricFamily("podium_workspaces", "Workspaces by phase.", labels=["phase"])
        for phase in ("Queued", "Starting", "Ready", "Stopping", "Failed"):
            workspaces.add_metric([phase], phases[phase])
        yield workspaces
        desired: Counter[str] = Counter()
        ready: Counter[str] = Counter()
        for workspace in self._workspaces:
            for name, cluster in workspace.status.clusters.items():
                desired[name] += cluster.workers
                ready[name] += cluster.ready
        for suffix, counts in (("desired", desired), ("ready", ready)):
            family = GaugeMetricFamily(f"podium_workers_{suffix}", f"Workers {suffix}.", labels=["framework"])
            for name in sorted(counts):
                family.add_metric([name], counts[name])
            yield family


ROUTES = [(r"/metrics", MetricsHandler)]
