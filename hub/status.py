"""What to tell people about a workspace: a pure function of its spec, its last status and what was seen.

Every message is one plain sentence that a student understands. Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from hub.clusters import CLUSTERS
from hub.model import ClusterStatus, HistoryEntry, Phase, QueuePlace, Status, Workspace
from hub.observed import Instance, Observed
from hub.settings import FrameworkName
from hub.wire import replace

MOST_HISTORY = 32
MOST_RESTARTS = 3
MOST_LETTERS = 1000
STUCK_AFTER = timedelta(seconds=5)
"""How long an end may take before people are told what it waits for; programs that end use some of it."""
ACTIVITY_STEP = timedelta(seconds=30)
WHY_STOPPED = "podium.hub/stopped"
STOPPING = {
    "time": "Its time is up: the programs are being ended.",
    "idle": "It was not used for a while: the programs are being ended.",
    "lost": "Somebody deleted its namespace: what is left is being removed.",
}
KEEPING = "KeepingFiles"
STEPS = ("", "Preparing", "StartingNotebook", "OpeningRoute")
"""The reasons of a launch in which nothing is wrong."""


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
        replicas=_replicas(workspace, clusters, unavailable),
        selector=f"podium.hub/workspace={workspace.name},podium.hub/role=worker",
        clusters=clusters,
        endpoints=_endpoints(workspace, observed),
        usage=before.usage,
        history=_history(before.history or _click(workspace, now), phase, reason, now),
        last_activity=active,
        idle_deadline=active + timedelta(seconds=workspace.spec.settings.idle_time),
    )


def _phase(
    workspace: Workspace, observed: Observed, now: datetime
) -> tuple[Phase, str, str, tuple[str, ...]]:
    """Phase, reason, message and log lines."""
    before = workspace.status
    if workspace.deleting:
        return _stopping(workspace, observed, now)
    if before.phase == "Failed":
        return "Failed", before.reason, before.message, before.log
    notebook = _notebook(observed)
    if notebook and notebook.ready and not notebook.reason and observed.reachable and not observed.ending:
        return "Ready", "", "", ()
    was_ready = any(entry.phase == "Ready" for entry in before.history)
    failure = None if was_ready else _failure(workspace, notebook, now)
    return failure or _starting(workspace, observed, notebook, was_ready, now)


def _notebook(observed: Observed) -> Instance | None:
    """The notebook; one that is being ended counts only for as long as something is wrong with it."""
    notebooks = sorted(observed.of("notebook"), key=lambda instance: instance.terminating)
    return next((i for i in notebooks if not i.terminating or i.reason), None)


def _stopping(
    workspace: Workspace, observed: Observed, now: datetime
) -> tuple[Phase, str, str, tuple[str, ...]]:
    why = workspace.metadata.annotations.get(WHY_STOPPED, "")
    message = STOPPING.get(why, "The programs are being ended.")
    if observed.keeping:
        return "Stopping", KEEPING, "Keeping your files; then the programs are ended.", ()
    if observed.stuck and now - (workspace.metadata.deletion_timestamp or now) >= STUCK_AFTER:
        return "Stopping", "Stuck", f"{message} {observed.stuck}"[:MOST_LETTERS], ()
    return "Stopping", why, message, ()


def _starting(
    workspace: Workspace, observed: Observed, notebook: Instance | None, was_ready: bool, now: datetime
) -> tuple[Phase, str, str, tuple[str, ...]]:
    """What a workspace waits for that is not ready yet, or no longer."""
    if observed.ending:
        message = "Somebody deleted the workspace's namespace; it is made again as soon as that is done."
        last = workspace.status.history[-1:]
        since = last[0].at if last and last[0].reason == "NamespaceDeleted" else now
        late = f" {observed.stuck}" if observed.stuck and now - since >= STUCK_AFTER else ""
        return "Starting", "NamespaceDeleted", f"{message}{late}"[:MOST_LETTERS], ()
    if notebook is None:
        if was_ready:
            return "Starting", "RestartingNotebook", "The notebook is gone and is being made again.", ()
        return "Starting", "Preparing", "Making a place of its own, and its keys.", ()
    if notebook.reason:
        return "Starting", notebook.reason, notebook.message[:MOST_LETTERS], notebook.log
    if notebook.ready:
        return "Starting", "OpeningRoute", "JupyterLab is up; waiting for it to answer at its address.", ()
    if was_ready:
        message = "The notebook ended and is being started again."
        return "Starting", "RestartingNotebook", message, notebook.log
    if notebook.message:
        return "Starting", "StartingNotebook", notebook.message[:MOST_LETTERS], notebook.log
    fetching = "Fetching the course material and starting" if workspace.spec.content else "Starting"
    return "Starting", "StartingNotebook", f"{fetching} JupyterLab.", ()


def _failure(
    workspace: Workspace, notebook: Instance | None, now: datetime
) -> tuple[Phase, str, str, tuple[str, ...]] | None:
    """Why a launch is given up, if it is."""
    log = notebook.log if notebook else ()
    if notebook is not None and notebook.restarts >= MOST_RESTARTS:
        message = (
            f"JupyterLab ended {notebook.restarts} times while it was starting; its last lines are below."
        )
        if notebook.reason:
            message = f"{message} {notebook.message}"[:MOST_LETTERS]
        return "Failed", "NotebookCrashed", message, log
    patience = workspace.spec.settings.launch_timeout
    if now - _began(workspace, now) > timedelta(seconds=patience):
        before = workspace.status
        why = notebook.message if notebook else ""
        why = why or ("" if before.reason in STEPS else before.message)
        message = f"JupyterLab did not answer within {patience} seconds"
        message = f"{message}: {why}"[:MOST_LETTERS] if why else f"{message}. Try again."
        return "Failed", "LaunchTimeout", message, log
    return None


def _began(workspace: Workspace, now: datetime) -> datetime:
    """When a launch began, by the controller's clock alone: that of who made the object may be another.

    How long it waited in line, or for a controller, does not count.
    """
    return next((entry.at for entry in workspace.status.history if entry.phase != "Queued"), now)


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
    """What is wrong with a cluster's programs: one sentence for each thing, however many have it."""
    told: dict[str, str] = {}
    for instance in (*observed.of(f"{name}-scheduler"), *observed.of(f"{name}-worker")):
        sentence = _sentence(instance, title)
        if sentence:
            last = f" Its last line: {instance.log[-1]}" if instance.log else ""
            told.setdefault(instance.reason, sentence + last)
    return " ".join(told.values())[:MOST_LETTERS]


def _sentence(instance: Instance, title: str) -> str:
    if instance.reason:
        return instance.message
    if instance.restarts >= MOST_RESTARTS and not instance.ready and not instance.terminating:
        return f"The {title} program {instance.name} ended {instance.restarts} times."
    return ""


def _replicas(
    workspace: Workspace, clusters: Mapping[str, ClusterStatus], unavailable: Mapping[str, str]
) -> int:
    """What became of `spec.workers`, so that an autoscaler compares like with like; 0 if none follows."""
    following = (name for name, asked in workspace.spec.clusters.items() if asked.workers is None)
    ready = [clusters[name].ready for name in following if name in clusters and name not in unavailable]
    return min(ready, default=0)


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


def _click(workspace: Workspace, now: datetime) -> tuple[HistoryEntry, ...]:
    """How the history of a workspace begins whose first status was dropped, as Kubernetes does.

    There the time of creation is in whole seconds; when it was first asked for is told to the microsecond.
    """
    created = workspace.metadata.creation_timestamp or now
    asked = workspace.spec.touched
    exact = asked if created <= asked < created + timedelta(seconds=1) else created
    return (HistoryEntry(phase="Queued", at=min(exact, now)),)


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


def waiting(workspace: Workspace, place: QueuePlace, now: datetime) -> Status:
    """What to tell somebody who waits in line.

    Args:
        workspace: its spec, and the status it was last given.
        place: in line.
        now: the time, with a zone.
    """
    before = workspace.status
    history = _history(before.history or _click(workspace, now), "Queued", "", now)
    url = f"/{workspace.name}/"
    return replace(before, phase="Queued", message=place.message, queue=place, url=url, history=history)


def not_accepted(workspace: Workspace, why: str, now: datetime) -> Status:
    """What to tell of a hand-written object that asks for what it may not have."""
    before = workspace.status.history or _click(workspace, now)
    history = _history(before, "Failed", "NotAccepted", now)
    return Status(phase="Failed", reason="NotAccepted", message=why[:MOST_LETTERS], history=history)
