"""What the seats of a class ask of nodes, and how many of them find room. Nothing here may do I/O.

Nodes fill up as Kubernetes' scheduler fills them by default: the emptiest first, by processors and memory.
Source: Kubernetes, "Resource Bin Packing", LeastAllocated.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hub.doctor.machines import wanted
from hub.profiles import Profile

PODS = "pods"
"""Places for pods, which nodes have so many of, as a resource."""


@dataclass(frozen=True)
class Space:
    """A node that the profile may use.

    Args:
        name: the node's.
        offers: resource to how much of it all pods together may have, in cores, bytes and pieces.
        taken: the same, of what is set aside already.
        images: references of the images that are there.
        listed: whether the node tells of all its images.
    """

    name: str
    offers: Mapping[str, float]
    taken: Mapping[str, float] = field(default_factory=dict)
    images: frozenset[str] = frozenset()
    listed: bool = True

    @property
    def free(self) -> dict[str, float]:
        """What is left."""
        return {name: max(0.0, all_ - self.taken.get(name, 0.0)) for name, all_ in self.offers.items()}


def pods(profile: Profile, unavailable: Sequence[str] = ()) -> list[dict[str, float]]:
    """What each pod of one seat sets aside when it is launched, the largest first.

    Args:
        unavailable: frameworks that cannot run here.
    """
    asked = [wanted(profile.settings, "notebook")]
    for framework, cluster in profile.clusters.items():
        if framework not in unavailable:
            workers = profile.workers if cluster.workers is None else cluster.workers
            asked.append(wanted(profile.settings, "scheduler"))
            asked.extend(wanted(profile.settings, "worker") for _ in range(workers))
    asked.sort(key=lambda one: (one["memory"], one["cpu"]), reverse=True)
    return [{**one, PODS: 1.0} for one in asked]


def together(asked: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The sum of what is asked for, by resource."""
    return {name: sum(one.get(name, 0.0) for one in asked) for name in {n for one in asked for n in one}}


def fitting(spaces: Sequence[Space], seat: Sequence[Mapping[str, float]], most: int) -> int:
    """How many seats find room for each of their pods.

    Args:
        seat: what each pod of a seat asks for.
        most: after how many not to go on.
    """
    left = {space.name: space.free for space in spaces}
    offers = {space.name: space.offers for space in spaces}

    def fullness(name: str) -> float:
        return -sum(left[name].get(one, 0.0) / (offers[name].get(one) or 1.0) for one in ("cpu", "memory"))

    heap = [(fullness(name), name) for name in left]
    heapq.heapify(heap)
    for number in range(most):
        for asked in seat:
            passed = []
            while heap and not _fits(asked, left[heap[0][1]]):
                passed.append(heapq.heappop(heap))
            if not heap:
                return number
            name = heap[0][1]
            for one, amount in asked.items():
                left[name][one] -= amount
            heapq.heapreplace(heap, (fullness(name), name))
            for each in passed:
                heapq.heappush(heap, each)
    return most


def _fits(asked: Mapping[str, float], free: Mapping[str, float]) -> bool:
    # What was added up from many small requests is not exact.
    return all(free.get(name, 0.0) + 1e-6 >= number for name, number in asked.items())
