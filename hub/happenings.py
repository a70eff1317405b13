"""What happened to a workspace between two reports: how its launch ended, and what to tell of it.

Reports say what is; these are the few steps between them that somebody counts, or wants to read in order.
Nothing here may do I/O or read the clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

from hub.clusters import CLUSTERS
from hub.model import ClusterStatus, Phase, Status, Workspace
from hub.settings import FRAMEWORKS
from hub.status import STEPS

Outcome = Literal["ready", "failed", "stopped"]
OUTCOMES: Mapping[Phase, Outcome] = {"Ready": "ready", "Failed": "failed", "Stopping": "stopped"}


class Reported(Protocol):
    """Who wants to hear of reports."""

    def __call__(self, before: Workspace, after: Workspace) -> None:
        """Hear of a workspace as it was, and as it is now reported; must be quick, and not fail."""


@dataclass(frozen=True)
class Launch:
    """How a launch ended.

    Args:
        outcome: what became of it.
        seconds: from the click to its end.
        phases: the seconds that each phase on the way took.
    """

    outcome: Outcome
    seconds: float
    phases: Mapping[Phase, float]


def launch(before: Status, after: Status) -> Launch | None:
    """The launch that ended between two reports, if one did; each launch ends once.

    Args:
        before: the report before.
        after: the report that follows it.
    """
    was_over = before.phase in OUTCOMES or any(entry.phase == "Ready" for entry in before.history)
    outcome = OUTCOMES.get(after.phase)
    if was_over or outcome is None:
        return None
    phases: dict[Phase, float] = {}
    for entry, following in pairwise(after.history):
        # Two controllers' clocks may differ.
        seconds = max(0.0, (following.at - entry.at).total_seconds())
        phases[entry.phase] = phases.get(entry.phase, 0.0) + seconds
    return Launch(outcome, sum(phases.values()), phases)


@dataclass(frozen=True)
class Happening:
    """Something to tell of a workspace, in the order of what is told.

    Args:
        reason: a word for it, by which it can be found.
        message: one plain sentence.
        well: whether it is as it should be.
    """

    reason: str
    message: str
    well: bool = True


def happenings(before: Status, after: Status) -> list[Happening]:
    """What to tell of what changed between two reports; nothing of the steps of a launch that goes well.

    Args:
        before: the report before.
        after: the report that follows it.
    """
    moved = (before.phase, before.reason) != (after.phase, after.reason)
    told = list(_course(before, after)) if moved else []
    if after.phase in ("Starting", "Ready"):
        new = before.phase == "Queued"
        for name in FRAMEWORKS:
            was, now = before.clusters.get(name), after.clusters.get(name)
            told += _cluster(CLUSTERS[name].title, was, now, new)
    return told


def _course(before: Status, after: Status) -> Iterator[Happening]:
    """What to tell of the way through the phases."""
    if before.phase == "Queued" and after.phase in ("Starting", "Ready"):
        parts = [
            f", {CLUSTERS[name].title} with {after.clusters[name].workers} workers"
            for name in FRAMEWORKS
            if name in after.clusters
        ]
        yield Happening("Launching", f"Starting a notebook{''.join(parts)}.")
    if after.phase == "Ready":
        ended = launch(before, after)
        when = f"answered after {ended.seconds:.0f} s" if ended else "answers again"
        yield Happening("Ready", f"The notebook {when}.")
    elif after.phase == "Failed":
        yield Happening("Failed", after.message, well=False)
    elif after.phase == "Stopping" and after.reason == "Stuck":
        yield Happening("Stuck", after.message, well=False)
    elif after.phase == "Stopping" and before.phase != "Stopping":
        by = "" if after.reason else "Somebody stopped it. "
        yield Happening("Stopping", f"{by}{after.message}")
    elif after.phase == "Starting" and after.reason not in STEPS:
        yield Happening(after.reason, after.message, well=False)


def _cluster(
    title: str, before: ClusterStatus | None, after: ClusterStatus | None, new: bool
) -> Iterator[Happening]:
    """What to tell of one cluster.

    Args:
        new: whether all of the workspace is new.
    """
    if after is None:
        if before is not None:
            yield Happening("ClusterRemoved", f"{title} is removed.")
        return
    if before is None and not new:
        yield Happening("ClusterAdded", f"{title} with {after.workers} workers is added.")
    elif before is not None and before.workers != after.workers:
        yield Happening("Scaling", f"{title}: from {before.workers} to {after.workers} workers.")
    if after.message and not (before and before.message):
        reason = "WorkersPending" if after.pending else "ClusterTrouble"
        message = f"{title}: {after.ready} of {after.workers} workers are ready. {after.message}"
        yield Happening(reason, message, well=False)
    elif after.workers and _whole(after) and (before is None or _wanted_more(before, after)):
        yield Happening("WorkersReady", f"{title}: all {after.workers} workers are ready.")


def _wanted_more(before: ClusterStatus, after: ClusterStatus) -> bool:
    return not _whole(before) or before.workers < after.workers


def _whole(cluster: ClusterStatus) -> bool:
    return not cluster.pending and not cluster.message
