"""When a workspace ends by itself: its wall time is over, or nobody used it for its idle time.

Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from hub.model import Workspace
from hub.observed import Observed
from hub.status import busy, last_activity

FAILED_KEPT = timedelta(hours=1)
"""How long a failed launch stays on the page before it is taken away."""


def verdict(workspace: Workspace, observed: Observed, now: datetime) -> Literal["", "time", "idle"]:
    """Why a workspace should be stopped now; empty when it should not.

    A notebook that does not answer may be busy, so it is never taken for idle.
    """
    if workspace.deleting:
        return ""
    if workspace.status.phase == "Failed":
        since = workspace.status.history[-1].at if workspace.status.history else workspace.spec.touched
        return "time" if now - since >= FAILED_KEPT else ""
    if now >= workspace.spec.expires:
        return "time"
    if observed.notebook is None or busy(observed):
        return ""
    idle = now - last_activity(workspace, observed, now)
    return "idle" if idle >= timedelta(seconds=workspace.spec.settings.idle_time) else ""


def next_look(workspace: Workspace, now: datetime) -> float:
    """Seconds until something about the workspace may change by time alone; at least 1, at most 30."""
    times = [workspace.spec.expires]
    if workspace.status.idle_deadline:
        times.append(workspace.status.idle_deadline)
    return min(30.0, max(1.0, min((time - now).total_seconds() for time in times)))
