"""What was seen of a workspace: facts only, no judgement; `status.py` and `scaling.py` judge.

A value of None always means "not known", never "not there". Nothing here may do I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hub.clusters.base import ClusterState
from hub.notebook import NotebookState
from hub.settings import FrameworkName


@dataclass(frozen=True)
class Instance:
    """One instance of a workload: a process tree or a pod.

    Args:
        name: unique in its workspace, such as `dask-worker-3`.
        workload: the name of the workload that it belongs to.
        running: whether its program runs now.
        ready: whether its probe succeeded since it was last started.
        terminating: whether it was asked to end.
        restarts: how often it was started again after it ended by itself.
        reason: what is wrong in one CamelCase word, such as OutOfMemory; empty when nothing is, as with an
            instance that is ready again.
        message: one sentence on what is wrong and what to do; empty when nothing is.
        log: the last lines that it wrote, when something is wrong.
    """

    name: str
    workload: str
    running: bool = True
    ready: bool = False
    terminating: bool = False
    restarts: int = 0
    reason: str = ""
    message: str = ""
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """All that is known of a workspace's reality at one moment.

    Args:
        exists: whether there is anything at all: a folder, a namespace, a process.
        ending: whether all that there is was asked to end, as the namespace that somebody deleted.
        stuck: one sentence on what keeps that from ending; empty when nothing is known to.
        instances: everything that runs or should.
        addresses: `workload.port` to `host:port`, as reachable from the hub.
        clusters: what each scheduler says; None or absent while it does not answer.
        notebook: what the notebook says of itself; None while it does not answer.
        keeping: whether its home is being kept now, which the notebook is needed for.
        reachable: whether the notebook answered through its public route.
    """

    exists: bool = False
    ending: bool = False
    stuck: str = ""
    instances: tuple[Instance, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[FrameworkName, ClusterState | None] = field(default_factory=dict)
    notebook: NotebookState | None = None
    keeping: bool = False
    reachable: bool = False

    def of(self, workload: str) -> tuple[Instance, ...]:
        """The instances of one workload."""
        return tuple(instance for instance in self.instances if instance.workload == workload)

    def ready(self, workload: str) -> bool:
        """Whether a workload of one instance is ready."""
        return any(instance.ready and not instance.terminating for instance in self.of(workload))
