"""When a workspace ends by itself: its wall time is over, or nobody used it for its idle time.

Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from hub.model import Workspace
from hub.observed import Observed
from hub.status import busy, last_activity
from hub.wire import replace

FAILED_KEPT = timedelta(hours=1)
"""How long a failed launch stays on the page before it is taken away."""

WAIT = timedelta(seconds=30)
"""How long somebody may wait in line without being given that time back."""

ENDING = 5.0
"""Seconds between two looks at what is being ended."""


def verdict(workspace: Workspace, observed: Observed, now: datetime) -> Literal["", "time", "idle", "lost"]:
    """Why a workspace should be stopped now; empty when it should not.

    A notebook that does not answer may be busy, so it is never taken for idle.
    """
    if workspace.deleting:
        return ""
    if workspace.pooled:  # its clocks begin when somebody gets it
        return "lost" if workspace.status.phase != "Failed" and _lost(workspace, observed) else ""
    if workspace.status.phase == "Failed":
        since = workspace.status.history[-1].at if workspace.status.history else workspace.spec.touched
        return "time" if now - since >= FAILED_KEPT else ""
    if now >= workspace.spec.expires:
        return "time"
    if _lost(workspace, observed):
        return "lost"
    if observed.notebook is None or busy(observed):
        return ""
    idle = now - last_activity(workspace, observed, now)
    return "idle" if idle >= timedelta(seconds=workspace.spec.settings.idle_time) else ""


def _lost(workspace: Workspace, observed: Observed) -> bool:
    """Whether somebody else took everything away, and the profile says that it shall not come back.

    What nobody saw going, as while no controller ran, shows in that nothing is there of what was ready once.
    """
    if workspace.spec.settings.kubernetes.namespace_lost != "remove":
        return False
    was_ready = any(entry.phase == "Ready" for entry in workspace.status.history)
    return observed.ending or (was_ready and not observed.exists)


def waited(workspace: Workspace, now: datetime) -> bool:
    """Whether a workspace begins only now that was asked for a while ago."""
    queued = workspace.status.phase == "Queued" and not workspace.deleting
    return queued and now - workspace.spec.touched >= WAIT


def renewed(workspace: Workspace, now: datetime) -> Workspace:
    """One that begins only now, with all of its time before it."""
    spec = workspace.spec
    return replace(workspace, spec=replace(spec, expires=spec.expires + (now - spec.touched), touched=now))


def next_look(workspace: Workspace, now: datetime) -> float:
    """Seconds until something about the workspace may change by time alone; at least 1, at most 30."""
    if workspace.deleting or workspace.status.reason == "NamespaceDeleted":
        return ENDING  # what an end waits for is told once it has taken long
    if workspace.pooled:
        return 30.0
    times = [workspace.spec.expires]
    if workspace.status.idle_deadline:
        times.append(workspace.status.idle_deadline)
    return min(30.0, max(1.0, min((time - now).total_seconds() for time in times)))
