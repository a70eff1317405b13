"""Which workers exist: names for new ones, and whom to ask to finish when there are too many.

Scaling down loses nothing: a worker that its scheduler knows is first drained, idle ones before busy
ones, and only one that is drained is left out. While a scheduler does not answer, nothing shrinks.
Nothing here may do I/O.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import count, islice

from hub.clusters.base import ClusterState
from hub.observed import Instance
from hub.workload import Workload


@dataclass(frozen=True)
class Assignment:
    """Args:
    instances: the instances that should exist now; all others should end.
    drain: those among them that their scheduler should be asked to drain.
    """

    instances: tuple[str, ...]
    drain: tuple[str, ...] = ()


def assign(
    workload: Workload, present: Collection[Instance], state: ClusterState | None, drains_busy: bool
) -> Assignment:
    """Choose the instances of a workload.

    Args:
        workload: with the wanted number in `replicas`.
        present: its instances, terminating ones included.
        state: what the cluster's scheduler says; None when it does not answer, an empty one when there is no
            scheduler that could hold anything.
        drains_busy: whether a busy worker may be asked to finish.
    """
    if workload.role != "worker":
        return Assignment((workload.name,))
    taken = {instance.name for instance in present}
    alive = sorted((i for i in present if not i.terminating), key=lambda i: (len(i.name), i.name))
    if state is None:
        kept = [instance.name for instance in alive]
        return Assignment((*kept, *_new(workload, taken, workload.replicas - len(kept))))
    known = {worker.instance: worker for worker in state.workers}
    # A scheduler may still know a worker that is gone; a new one of that name would be taken for it.
    taken |= known.keys()
    leaving = [i.name for i in alive if i.name in known and (known[i.name].draining or known[i.name].drained)]
    working = [instance.name for instance in alive if instance.name not in leaving]
    surplus = max(0, len(working) - workload.replicas)
    # Newest first, so that what has run longest and holds most is kept.
    unknown = [name for name in reversed(working) if name not in known]
    idle = [name for name in reversed(working) if name in known and not known[name].busy]
    busy = [name for name in reversed(working) if name in known and known[name].busy] if drains_busy else []
    gone = unknown[:surplus]
    drain = (idle + busy)[: surplus - len(gone)]
    undrained = [name for name in leaving if not known[name].drained]
    kept = [name for name in working if name not in gone] + undrained
    missing = workload.replicas - len(working)
    return Assignment((*kept, *_new(workload, taken, missing)), tuple(drain + undrained))


def _new(workload: Workload, taken: set[str], missing: int) -> list[str]:
    """Names that no instance has, not even one that is still ending."""
    names = (f"{workload.name}-{number}" for number in count(1))
    return list(islice((name for name in names if name not in taken), max(0, missing)))
