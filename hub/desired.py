"""What should run in a workspace: a pure function of its spec. Nothing here may do I/O."""

from __future__ import annotations

from collections.abc import Container
from datetime import UTC, datetime

from hub.clusters import CLUSTERS
from hub.clusters.base import Context
from hub.keys import Keys
from hub.model import Workspace
from hub.notebook import notebook
from hub.workload import Workload

BEGINNING = datetime(2016, 7, 11, tzinfo=UTC)


def context(workspace: Workspace, hub_key: bytes) -> Context:
    """What frameworks and the notebook may know of their workspace."""
    metadata = workspace.metadata
    return Context(
        name=metadata.name,
        settings=workspace.spec.settings,
        keys=Keys(hub_key, f"{metadata.name}/{metadata.uid}"),
        created=metadata.creation_timestamp or BEGINNING,
    )


def desired(
    workspace: Workspace, hub_key: bytes, unavailable: Container[str] = (), keeping: bool = False
) -> list[Workload]:
    """What should run: the notebook, and for each cluster its scheduler and its workers.

    Args:
        workspace: its spec decides; a workspace that is being deleted or has failed wants nothing.
        hub_key: the secret that all others are derived from.
        unavailable: frameworks that cannot run on this backend.
        keeping: whether the notebook stays for a moment though its workspace ends, as its home is being kept.

    Returns:
        The workloads, with `replicas` set and `instances` still empty; the notebook first.
    """
    if (workspace.deleting and not keeping) or workspace.status.phase == "Failed":
        return []
    spec = workspace.spec
    here = context(workspace, hub_key)
    # Every framework that may be added later is set up in the notebook from the start, so that adding one
    # needs no restart of the notebook.
    parts = [CLUSTERS[name].notebook(here) for name in spec.settings.frameworks if name not in unavailable]
    workloads = [notebook(here, parts, spec.content, spec.restarted_at)]
    for name in () if workspace.deleting else sorted(spec.clusters):
        if name not in unavailable:
            framework = CLUSTERS[name]
            workloads.append(framework.scheduler(here))
            workloads.append(framework.worker(here, spec.workers_of(name)))
    return workloads
