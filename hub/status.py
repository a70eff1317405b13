"""What to tell people about a workspace: a pure function of its spec, its last status and what was seen.

Every message is one plain sentence that a student understands. Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from hub.clusters import CLUSTERS
from hub.model import (
    ClusterStatus,
    FrameworkName,
    HistoryEntry,
    Phase,
    Status,
    Workspace,
)
from hub.observed import Instance, Observed

MOST_HISTORY = 32
MOST_RESTARTS = 3
ACTIVITY_STEP = timedelta(seconds=30)
WHY_STOPPED = "podium.hub/stopped"
STOPPING = {
    "time": "Its time is up: the programs are being ended.",
    "idle": "It was not used for a while: the programs are being ended.",
}


def status(workspace: Workspace, observed: Observed, unavailable: Mapping[str, str], now: datetime) -> Status:
    """Tell what a workspace is doing.

    Args:
        workspace: its spec, and the status it was last given.
        observed: what was seen just now.
        unavailable: framework to the reason why it cannot run here.
        now: the time, with a zone.
    """
    before = workspace.status
    phase, reason, message, log = _phase(workspace, observed, now)
    if phase == "Failed":
        clusters: dict[str, ClusterStatus] = {}
    else:
        clusters = {
            name: _cluster(workspace, observed, name, unavailable.get(name, ""))
            for name in sorted(workspace.spec.clusters)
        }
    active = last_activity(workspace, observed, now)
    return Status(
        phase=phase,
        reason=reason,
        message=message,
        log=log,
        warnings=observed.notebook.warnings if observed.notebook else before.warnings,
        url=f"/{workspace.name}/",
        workers=sum(cluster.ready for cluster in clusters.values()),
        clusters=clusters,
        endpoints=_endpoints(workspace, observed),
        history=_history(before.history, phase, reason, now),
        last_activity=active,
        idle_deadline=active + timedelta(seconds=workspace.spec.settings.idle_time),
    )


def _phase(
    workspace: Workspace, observed: Observed, now: datetime
) -> tuple[Phase, str, str, tuple[str, ...]]:
    """Phase, reason, message and log lines."""
    before = workspace.status
    if workspace.deleting:
        why = workspace.metadata.annotations.get(WHY_STOPPED, "")
        return "Stopping", why, STOPPING.get(why, "The programs are being ended."), ()
    if before.phase == "Failed":
        return "Failed", before.reason, before.message, before.log
    notebook = next((i for i in observed.of("notebook") if not i.terminating), None)
    was_ready = any(entry.phase == "Ready" for entry in before.history)
    if notebook is not None and notebook.ready and observed.reachable:
        return "Ready", "", "", ()
    if not was_ready:
        failure = _failure(workspace, notebook, now)
        if failure:
            return failure
    log = notebook.log if notebook else ()
    if notebook is None:
        return "Starting", "Preparing", "Making the folder and the keys.", ()
    if notebook.ready:
        return "Starting", "OpeningRoute", "JupyterLab is up; waiting for it to answer at its address.", ()
    if was_ready:
        return "Starting", "RestartingNotebook", "The notebook ended and is being started again.", log
    if notebook.message:
        return "Starting", "StartingNotebook", notebook.message, log
    fetching = "Fetching the course material and starting" if workspace.spec.content else "Starting"
    return "Starting", "StartingNotebook", f"{fetching} JupyterLab.", ()


def _failure(
    workspace: Workspace, notebook: Instance | None, now: datetime
) -> tuple[Phase, str, str, tuple[str, ...]] | None:
    """Why a launch is given up, if it is."""
    if notebook is not None and notebook.restarts >= MOST_RESTARTS:
        message = (
            f"JupyterLab ended {notebook.restarts} times while it was starting; its last lines are below."
        )
        return "Failed", "NotebookCrashed", message, notebook.log
    created = workspace.metadata.creation_timestamp or now
    patience = workspace.spec.settings.launch_timeout
    if now - created > timedelta(seconds=patience):
        message = f"JupyterLab did not answer within {patience} seconds. Try again."
        return "Failed", "LaunchTimeout", message, notebook.log if notebook else ()
    return None


def _cluster(
    workspace: Workspace, observed: Observed, name: FrameworkName, unavailable: str
) -> ClusterStatus:
    """One cluster's numbers and, if something is wrong, one sentence on it."""
    framework = CLUSTERS[name]
    wanted = workspace.spec.workers_of(name)
    if unavailable:
        return ClusterStatus(workers=wanted, message=unavailable)
    state = observed.clusters.get(name)
    present = {i.name for i in observed.of(f"{name}-worker") if not i.terminating}
    workers = [w for w in state.workers if w.instance in present and not w.draining] if state else []
    ready = len({worker.instance for worker in workers})
    return ClusterStatus(
        workers=wanted,
        ready=ready,
        pending=max(0, wanted - ready),
        busy=len({worker.instance for worker in workers if worker.busy}),
        dashboard=f"/{workspace.name}_{name}/{framework.dashboard.landing}",
        message=_trouble(observed, name, framework.title),
    )


def _trouble(observed: Observed, name: str, title: str) -> str:
    for instance in (*observed.of(f"{name}-scheduler"), *observed.of(f"{name}-worker")):
        if instance.restarts >= MOST_RESTARTS and not instance.ready and not instance.terminating:
            last = f" Its last line: {instance.log[-1]}" if instance.log else ""
            return f"The {title} program {instance.name} ended {instance.restarts} times.{last}"[:1000]
    return ""


def _endpoints(workspace: Workspace, observed: Observed) -> dict[str, str]:
    """Where the relay finds the notebook and each dashboard."""
    wanted = {"notebook": "notebook.http"}
    for name in sorted(workspace.spec.clusters):
        dashboard = CLUSTERS[name].dashboard
        wanted[name] = f"{dashboard.workload}.{dashboard.port}"
    return {
        name: f"http://{observed.addresses[port]}"
        for name, port in wanted.items()
        if port in observed.addresses and observed.ready(port.partition(".")[0])
    }


def busy(observed: Observed) -> bool:
    """Whether anything runs: a cell in a kernel, or work on a cluster."""
    notebook = observed.notebook is not None and observed.notebook.busy
    return notebook or any(state is not None and state.busy for state in observed.clusters.values())


def last_activity(workspace: Workspace, observed: Observed, now: datetime) -> datetime:
    """When the workspace was last used; an open browser tab alone is not use.

    While work runs the answer follows `now` in steps, so that a busy workspace does not rewrite its
    status at every look.
    """
    known = [workspace.spec.touched]
    if workspace.status.last_activity:
        known.append(workspace.status.last_activity)
    if observed.notebook and observed.notebook.last_activity:
        known.append(observed.notebook.last_activity)
    latest = min(max(known), now)
    if busy(observed) and now - latest >= ACTIVITY_STEP:
        return now
    return latest


def _history(
    before: tuple[HistoryEntry, ...], phase: Phase, reason: str, now: datetime
) -> tuple[HistoryEntry, ...]:
    if before and (before[-1].phase, before[-1].reason) == (phase, reason):
        return before
    entries = (*before, HistoryEntry(phase=phase, reason=reason, at=now))
    if len(entries) <= MOST_HISTORY:
        return entries
    # The click and the first Ready are kept: they tell how long the launch took, and that it succeeded.
    older, newer = entries[: 2 - MOST_HISTORY], entries[2 - MOST_HISTORY :]
    ready = next((entry for entry in older if entry.phase == "Ready"), None)
    return (older[0], *((ready,) if ready else ()), *newer)
