"""What Podium has to know of a framework, without any I/O.

A framework says what to run, where its dashboard is, how to ask its scheduler for the state of the
cluster, how to read the answer, and how to ask for workers to be drained. Who sends those requests is
`hub/probe.py`. Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from hub.keys import Keys
from hub.settings import FrameworkName, Settings
from hub.workload import LEAVE, Workload


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
        json: the body, if any.
    """

    method: str
    path: str
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


@dataclass(frozen=True)
class Framework(ABC):
    """One of the frameworks of a workspace; see `dask.py` for the shortest.

    Every scheduler has two routes beside its dashboard: one that tells the state of the cluster, and holds
    its answer until there is another, and one that asks for workers to be drained.

    Args:
        name: in specs, paths and workloads.
        title: as people write it.
        dashboard: where the user interface is.
        drains_busy: whether a busy worker may be asked to finish; if not, a shrink waits until one is idle.
    """

    name: FrameworkName
    title: str
    dashboard: Dashboard
    drains_busy: bool

    @abstractmethod
    def scheduler(self, context: Context) -> Workload:
        """The one scheduler of the cluster, named `<framework>-scheduler`."""

    @abstractmethod
    def worker(self, context: Context, replicas: int) -> Workload:
        """The workers of the cluster, named `<framework>-worker`."""

    @abstractmethod
    def notebook(self, context: Context) -> NotebookPart:
        """What the notebook needs to find the cluster, whether or not the cluster runs already."""

    def route(self, context: Context) -> str:
        """Where the dashboard is on the proxy."""
        return f"/{context.name}_{self.name}"

    def headers(self, keys: Keys) -> Mapping[str, str]:
        """The credentials without which the dashboard's port answers to nobody."""
        return {"Authorization": f"Bearer {keys.token(self.name)}"}

    def state_request(self, context: Context, version: str) -> Request:
        """Ask for the state; held for at most 20 seconds while it is still `version`."""
        return Request("GET", f"{self._prefix(context)}/podium/state?since={version}")

    def read_state(self, body: bytes) -> ClusterState:
        """Read the answer to `state_request`. Raises ValueError when it is not one."""
        state = msgspec.json.decode(body, type=ClusterState)
        if not state.version:
            raise ValueError("the state has no version")
        return state

    def drain_requests(self, context: Context, instances: tuple[str, ...]) -> tuple[Request, ...]:
        """Ask for workers to finish and to hand over what they hold; it does not end them.

        Asking again is harmless.
        """
        if not instances:
            return ()
        return (Request("POST", f"{self._prefix(context)}/podium/drain", {"workers": list(instances)}),)

    def leave(self, context: Context) -> tuple[str, ...]:
        """How a worker asks to be drained itself, with the token among its files, and waits until it is."""
        dashboard = self.dashboard
        at = f"@{{{dashboard.workload}.host}}:@{{{dashboard.workload}.{dashboard.port}}}"
        return (
            *("python", "-P", "-m", "podium_workspace.leave", "--instance", "@{instance}"),
            *("--scheduler", f"http://{at}{self._prefix(context)}", "--seconds", str(LEAVE)),
            *("--token", f"@{{files}}/{self.name}/token"),
        )

    def _prefix(self, context: Context) -> str:
        return "" if self.dashboard.strip else self.route(context)
