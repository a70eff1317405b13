"""Whether the nodes of a cluster are large enough for a profile. Nothing here may do I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hub.doctor.judge import Finding
from hub.settings import Settings, Toleration, mebibytes


@dataclass(frozen=True)
class Machine:
    """A node, as far as it matters for placing pods.

    Args:
        name: the node's.
        ready: whether its kubelet says that it is.
        cordoned: whether it takes no new pods.
        labels: as node selectors see them.
        taints: key, value and effect of each.
        offers: resource, such as `cpu` in cores or `memory` in bytes, to how much of it pods may have.
    """

    name: str
    ready: bool = True
    cordoned: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[tuple[str, str, str]] = ()
    offers: Mapping[str, float] = field(default_factory=dict)


def machines(found: Sequence[Machine], settings: Settings) -> Finding:
    """Whether for each role there is a node that it fits on, were it empty.

    Args:
        found: all nodes.
        settings: of the profile.
    """
    title, able = "Nodes", usable(found, settings)
    if not able:
        return Finding(
            "bad",
            title,
            f"none of {len(found)} takes pods of this profile.",
            "Look at kubectl get nodes; then at node_selector and tolerations of the profile.",
        )
    for role in ("notebook", "scheduler", "worker"):
        asked = wanted(settings, role)
        if not any(_fits(asked, machine) for machine in able):
            text = ", ".join(amount(name, number) for name, number in asked.items())
            return Finding(
                "bad",
                title,
                f"not one of {len(able)} is large enough for a {role}, which asks for {text}.",
                f"Add larger nodes, or lower resources.{role} of the profile.",
            )
    return Finding("good", title, f"{len(able)} of {len(found)} take pods of this profile, of every role.")


def usable(found: Sequence[Machine], settings: Settings) -> list[Machine]:
    """The nodes that take pods of a profile, as far as selector, taints and their own state say.

    Args:
        found: all nodes.
        settings: of the profile.
    """
    own = settings.kubernetes
    return [
        machine
        for machine in found
        if machine.ready
        and not machine.cordoned
        and own.node_selector.items() <= machine.labels.items()
        and all(any(_tolerates(one, *taint) for one in own.tolerations) for taint in _hard(machine))
    ]


def _hard(machine: Machine) -> list[tuple[str, str, str]]:
    return [taint for taint in machine.taints if taint[2] != "PreferNoSchedule"]


def _tolerates(toleration: Toleration, key: str, value: str, effect: str) -> bool:
    """Source: Kubernetes, "Taints and Tolerations"."""
    if toleration.effect not in ("", effect) or toleration.key not in (None, key):
        return False
    return toleration.operator == "Exists" or (toleration.key is not None and toleration.value == value)


def wanted(settings: Settings, role: str) -> dict[str, float]:
    """Resource to how much of it a pod of a role asks for, in cores, bytes and pieces."""
    own = getattr(settings.resources, role)
    cpu, memory = own.requested
    gpus = {settings.kubernetes.gpu_resource: float(own.gpu)} if own.gpu else {}
    return {"cpu": cpu, "memory": float(mebibytes(memory) * 2**20), **gpus}


def _fits(asked: Mapping[str, float], machine: Machine) -> bool:
    return all(machine.offers.get(name, 0) >= number for name, number in asked.items())


def amount(name: str, number: float) -> str:
    """How much of a resource, for people; memory in GiB.

    Args:
        number: cores, bytes or pieces.
    """
    return f"{number / 2**30:g} GiB of memory" if name == "memory" else f"{number:g} {name}"
