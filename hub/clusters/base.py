"""What Podium has to know of a framework, without any I/O.

A framework says what to run, where its dashboard is, how to ask its scheduler for the state of the
cluster, how to read the answer, and how to ask for workers to be drained. Who sends those requests is
`hub/probe.py`. Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from hub.keys import Keys
from hub.model import FrameworkName, Settings
from hub.workload import Workload


@dataclass(frozen=True)
class Context:
    """What a framework may know of the workspace that it is in.

    Args:
        name: the workspace's name.
        settings: what the profile decided.
        keys: the workspace's secrets.
        created: when the workspace was made.
    """

    name: str
    settings: Settings
    keys: Keys
    created: datetime


@dataclass(frozen=True)
class NotebookPart:
    """What a framework puts into the notebook, so that it is found there without configuration."""

    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dashboard:
    """Where the cluster's user interface is.

    Args:
        workload, port: who serves it, and the name of the port.
        landing: the page to open first, below the route, such as `status`.
        strip: whether the route's prefix is taken off before the request goes on.
    """

    workload: str
    port: str
    landing: str
    strip: bool


@dataclass(frozen=True)
class Request:
    """An HTTP request to the cluster's scheduler, on the dashboard's port.

    Args:
        path: absolute, without the route's prefix unless the scheduler wants it.
        form, json: the body, if any; at most one of the two.
    """

    method: str
    path: str
    form: Mapping[str, str] | None = None
    json: object = None


@dataclass(frozen=True)
class WorkerState:
    """A worker that its scheduler knows.

    Args:
        instance: the name of the instance that it runs in.
        busy: whether it has work now, running or waiting for it.
        draining: asked to finish; gets no new work.
        drained: nothing of value is left on it, so it may be ended.
    """

    instance: str
    busy: bool = False
    draining: bool = False
    drained: bool = False


@dataclass(frozen=True)
class ClusterState:
    """What a scheduler says of its cluster.

    Args:
        workers: those that have registered.
        busy: whether anything is running or waiting to run on the cluster, which counts as activity.
        version: opaque; given back by `state_request` so that the scheduler answers at the next change.
    """

    workers: tuple[WorkerState, ...] = ()
    busy: bool = False
    version: str = ""


class Framework(Protocol):
    """One of the frameworks of a workspace; see `dask.py` for the shortest."""

    @property
    def name(self) -> FrameworkName:
        """The framework's name in specs, paths and workloads."""

    @property
    def title(self) -> str:
        """The framework's name as people write it."""

    @property
    def dashboard(self) -> Dashboard:
        """Where the user interface is."""

    @property
    def drains_busy(self) -> bool:
        """Whether a busy worker may be asked to finish; if not, a shrink waits until one is idle."""

    @property
    def state_interval(self) -> float:
        """Seconds between requests for the state; 0 where the scheduler holds its answer until a change."""

    def scheduler(self, context: Context) -> Workload:
        """The one scheduler of the cluster, named `<framework>-scheduler`."""

    def worker(self, context: Context, replicas: int) -> Workload:
        """The workers of the cluster, named `<framework>-worker`."""

    def notebook(self, context: Context) -> NotebookPart:
        """What the notebook needs to find the cluster, whether or not the cluster runs already."""

    def headers(self, keys: Keys) -> Mapping[str, str]:
        """The credentials that the scheduler's HTTP port wants with every request."""

    def state_request(self, context: Context, version: str) -> Request:
        """Ask for the state; with a version, the answer may be held until the state is another."""

    def read_state(self, body: bytes) -> ClusterState:
        """Read the answer to `state_request`. Raises ValueError when it is not one."""

    def drain_requests(self, context: Context, instances: tuple[str, ...]) -> tuple[Request, ...]:
        """Ask for workers to be drained; asking again is harmless."""
