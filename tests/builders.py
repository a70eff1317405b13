"""Small builders of the values that the pure modules take, so that a test names only what it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.clusters.base import ClusterState, WorkerState
from hub.model import FINALIZER, ClusterSpec, HistoryEntry, Metadata, Spec, Status, Workspace
from hub.notebook import NotebookState
from hub.observed import Instance, Observed
from hub.settings import Resources, RoleResources, Settings
from hub.workload import Workload

NAME = "cluster-abc123"
HUB_KEY = b"k" * 32
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADDRESSES = {
    "notebook.http": "127.0.0.1:4000",
    "dask-scheduler.dashboard": "127.0.0.1:4001",
    "ipyparallel-scheduler.dashboard": "127.0.0.1:4002",
    "spark-scheduler.dashboard": "127.0.0.1:4003",
}
SETTINGS = Settings(
    max_workers=8,
    resources=RoleResources(worker=Resources(cpu=1, memory="512Mi")),
    wall_time=8 * 3600,
    idle_time=3600,
    launch_timeout=300,
)


def seconds(number: float) -> timedelta:
    """A length of time."""
    return timedelta(seconds=number)


def cluster_specs(clusters: Mapping[str, int | None]) -> dict[Any, ClusterSpec]:
    """Framework to its own number of workers, as a spec has it."""
    return {name: ClusterSpec(workers=workers) for name, workers in clusters.items()}


def make_workspace(
    *,
    name: str = NAME,
    clusters: Mapping[str, int | None] | None = None,
    deleting: bool = False,
    stopped: str = "",
    status: Status | None = None,
    created: datetime | None = NOW,
    **spec: Any,
) -> Workspace:
    """A workspace that was made at NOW with one Dask cluster of two workers."""
    return Workspace(
        metadata=Metadata(
            name=name,
            uid="1",
            resource_version="1",
            finalizers=(FINALIZER,),
            annotations={"podium.hub/stopped": stopped} if stopped else {},
            creation_timestamp=created,
            deletion_timestamp=NOW if deleting else None,
        ),
        spec=Spec(
            **{
                "owner": "ada",
                "profile": "workshop",
                "workers": 2,
                "clusters": cluster_specs({"dask": None} if clusters is None else clusters),
                "expires": NOW + timedelta(hours=8),
                "touched": NOW,
                "settings": SETTINGS,
                **spec,
            }
        ),
        status=status or Status(),
    )


def been(*steps: str, phase: str | None = None, **fields: Any) -> Status:
    """A status that went through phases, a minute each, each as `Phase` or `Phase/Reason`."""
    history = tuple(
        HistoryEntry(phase=name, reason=reason, at=NOW + timedelta(minutes=place))  # type: ignore[arg-type]
        for place, (name, _, reason) in enumerate(step.partition("/") for step in steps)
    )
    last = history[-1]
    return Status(phase=phase or last.phase, reason=last.reason, history=history, **fields)  # type: ignore[arg-type]


def notebook(**fields: Any) -> Instance:
    """The notebook's instance, ready."""
    return Instance(**{"name": "notebook", "workload": "notebook", "ready": True, **fields})


def scheduler(framework: str = "dask", **fields: Any) -> Instance:
    """A scheduler's instance, ready."""
    name = f"{framework}-scheduler"
    return Instance(**{"name": name, "workload": name, "ready": True, **fields})


def worker(number: int, framework: str = "dask", **fields: Any) -> Instance:
    """A worker's instance, ready."""
    name = f"{framework}-worker"
    return Instance(**{"name": f"{name}-{number}", "workload": name, "ready": True, **fields})


def saw(*instances: Instance, **fields: Any) -> Observed:
    """What was seen: instances, and an address for each port that matters."""
    return Observed(**{"exists": True, "instances": instances, "addresses": ADDRESSES, **fields})


def says(*workers: WorkerState, busy: bool = False) -> ClusterState:
    """What a scheduler says."""
    return ClusterState(workers=workers, busy=busy)


def dask(number: int, *, busy: bool = False, draining: bool = False, drained: bool = False) -> WorkerState:
    """A Dask worker as its scheduler knows it."""
    return WorkerState(f"dask-worker-{number}", busy=busy, draining=draining, drained=drained)


def idle_notebook(**fields: Any) -> NotebookState:
    """What a notebook says of itself."""
    return NotebookState(**fields)


def workers_workload(replicas: int) -> Workload:
    """The workload of Dask's workers."""
    return Workload(
        name="dask-worker", role="worker", cluster="dask", command=("sleep", "60"), replicas=replicas
    )


Edit = Callable[[Workspace], Workspace]
