"""The Workspace object: what people asked for (`spec`) and what was last seen (`status`).

These are the objects that the store keeps and the REST API returns; field names on the wire are
camelCase as in Kubernetes. Bounds on single values live in the types here, so that one schema
serves validation, the OpenAPI document and the custom resource; rules between fields live in
`admission.py`. Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, field

from hub.settings import Content, Count, FrameworkName, Settings, Word
from hub.wire import END, Wire

FINALIZER = "podium.hub/workspace"
NAME = "cluster-[a-z0-9]{6,8}"
POOL = "podium.hub/pool"
"""The label of what was started ahead of time: a fingerprint of what it was made from. Claims leave it."""
PREFLIGHT = "podium.hub/preflight"
"""The label of what a preflight launched to see whether that works; it belongs to no person."""
DisplayName = Annotated[str, Meta(max_length=64)]
Phase = Literal["Queued", "Starting", "Ready", "Stopping", "Failed"]


class ClusterSpec(Wire, frozen=True, kw_only=True):
    """What is asked of one cluster; without a number of its own it follows `spec.workers`."""

    workers: Count | None = None


class Spec(Wire, frozen=True, kw_only=True):
    """What people asked for."""

    owner: Annotated[str, Meta(max_length=253)] = ""
    """Who it belongs to, as sign-in knows them; empty while it waits in the pool."""
    display_name: DisplayName = ""
    """What people call the owner; several may have the same."""
    profile: Word
    workers: Count = 2
    clusters: dict[FrameworkName, ClusterSpec] = {}
    content: Annotated[tuple[Content, ...], Meta(max_length=8)] = ()
    expires: datetime
    touched: datetime
    """When the owner last asked for anything: launching, scaling and extending all count as activity."""
    claimed_at: datetime | None = None
    """When somebody took it from the pool."""
    queued_at: datetime | None = None
    """From when its place in line counts; None for when it was made. An instructor may move it up."""
    help_wanted: datetime | None = None
    """Since when the owner's hand is raised."""
    restarted_at: datetime | None = None
    """The notebook should be one that was started after this."""
    settings: Settings = Settings()

    def workers_of(self, framework: FrameworkName) -> int:
        """How many workers the cluster should have, after the fall-back to `spec.workers`."""
        own = self.clusters[framework].workers
        return self.workers if own is None else own


class ClusterStatus(Wire, frozen=True, kw_only=True):
    """One cluster as it was last seen."""

    workers: int = 0
    ready: int = 0
    pending: int = 0
    busy: int = 0
    dashboard: str = ""
    message: str = ""
    """Empty when all is well; else one sentence on what is not, such as why Spark cannot run here."""


class HistoryEntry(Wire, frozen=True, kw_only=True):
    """When a phase, or a step within it, was entered."""

    phase: Phase
    reason: str = ""
    at: datetime


class QueuePlace(Wire, frozen=True, kw_only=True):
    """A place in line."""

    position: int
    """1 for who is next."""
    eta: datetime | None = None
    """When the notebook will be there, by recent launches; None where nobody can know."""
    message: str = ""
    """What is waited for, in one sentence."""


class Usage(Wire, frozen=True, kw_only=True):
    """What was set aside for it, counted on at each report that has other news."""

    core_seconds: float = 0.0
    gib_seconds: float = 0.0
    gpu_seconds: float = 0.0
    cores: float = 0.0
    """From `at` on; so are the next two."""
    gib: float = 0.0
    gpus: float = 0.0
    at: datetime


class Status(Wire, frozen=True, kw_only=True):
    """What was last seen, in words for people."""

    phase: Phase = "Queued"
    reason: str = ""
    message: str = ""
    log: tuple[str, ...] = ()
    """The last lines that a failing program wrote; empty when nothing fails."""
    warnings: tuple[str, ...] = ()
    """What went wrong without stopping the launch, such as a repository that could not be fetched."""
    url: str = ""
    workers: int = 0
    """Ready workers of all clusters together."""
    replicas: int = 0
    """For the scale sub-resource: the fewest ready workers among the clusters that follow `spec.workers`."""
    selector: str = ""
    """For the scale sub-resource: the labels of all workers, by which an autoscaler finds their pods."""
    clusters: dict[str, ClusterStatus] = {}
    endpoints: dict[str, str] = {}
    """Where web relays to, by `notebook` or framework: `http://host:port`."""
    queue: QueuePlace | None = None
    """Only while it waits in line."""
    usage: Usage | None = None
    history: tuple[HistoryEntry, ...] = ()
    last_activity: datetime | None = None
    idle_deadline: datetime | None = None


class Metadata(Wire, frozen=True, kw_only=True):
    """The Kubernetes object metadata that Podium uses."""

    name: Annotated[str, Meta(pattern=f"^{NAME}" + END)]
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class Workspace(Wire, frozen=True, kw_only=True):
    """One person's namespace and all that is in it."""

    api_version: Literal["podium.hub/v1"] = "podium.hub/v1"
    kind: Literal["Workspace"] = "Workspace"
    metadata: Metadata
    spec: Spec
    status: Status = field(default_factory=Status)

    @property
    def name(self) -> str:
        """The workspace's name, which is also its namespace's."""
        return self.metadata.name

    @property
    def pooled(self) -> bool:
        """Whether it was started ahead of time, and nobody owns it yet."""
        return not self.spec.owner and POOL in self.metadata.labels

    @property
    def deleting(self) -> bool:
        """Whether somebody asked for the workspace to go."""
        return self.metadata.deletion_timestamp is not None
