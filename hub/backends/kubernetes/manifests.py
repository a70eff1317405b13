"""What is in a workspace's namespace before any pod, as it is sent to the API server.

All of it follows from the workspace's name, its workloads and its profile's settings. `pods.py` has the
pods, `policy.py` the network policy. Nothing here may do I/O, read the clock or ask what exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hub.backends.kubernetes.names import COLLECTIONS, HASH, Manifest, Release, digest, labels, manifest
from hub.backends.kubernetes.pods import cores, files, key, labels_of, pod, shared_name
from hub.backends.kubernetes.policy import network_policy
from hub.settings import AccessMode, Claim, Settings, mebibytes
from hub.workload import Workload

__all__ = ["COLLECTIONS", "HASH", "Manifest", "Release", "files_secret", "labels", "namespace_objects", "pod"]

TURNOVER = 2
"""How often the workers of a cluster may exist at once: those that are ending count until they are gone, new
ones have other names and do not wait for them. Notebook and schedulers have one name and exist once."""
DEFAULT_LIMITS = (0.5, 512)
DEFAULT_REQUESTS = (0.1, 128)
"""Cores and MiB of a container that names none, which only a pod patch or an admission webhook adds."""


def namespace_objects(
    workspace: str, workloads: Sequence[Workload], settings: Settings, release: Release
) -> tuple[Manifest, ...]:
    """All objects but the pods, in the order in which they are to be made.

    Args:
        workloads: as `desired` made them; their files and ports are what matters here.
        settings: the workspace's own copy of its profile's.
    """
    account = settings.kubernetes.service_account
    schedulers = [workload for workload in workloads if workload.role == "scheduler"]
    return (
        manifest(
            "Namespace",
            workspace,
            workspace,
            release,
            labels={"pod-security.kubernetes.io/enforce": "restricted"},
        ),
        manifest("ResourceQuota", "workspace", workspace, release, spec={"hard": quota(settings)}),
        manifest("LimitRange", "workspace", workspace, release, spec={"limits": [limits(settings)]}),
        network_policy(workspace, settings, release),
        manifest(
            "ServiceAccount",
            account.name,
            workspace,
            release,
            annotations=dict(account.annotations),
            automountServiceAccountToken=False,
        ),
        *(
            manifest("PersistentVolumeClaim", name, workspace, release, spec=_claim(claim, mode))
            for name, claim, mode in _claims(settings)
        ),
        files_secret(workspace, workloads, release),
        *([_pull_secret(workspace, release)] if release.registries else []),
        *(_service(workspace, workload, release) for workload in schedulers),
    )


def files_secret(workspace: str, workloads: Sequence[Workload], release: Release) -> Manifest:
    """The files of all workloads. It is never changed: with other content it is another object."""
    texts = {key(text): text for workload in workloads for text in files(workload).values()}
    return manifest(
        "Secret",
        f"files-{digest(texts)}",
        workspace,
        release,
        hashed=False,
        type="Opaque",
        immutable=True,
        stringData=dict(sorted(texts.items())),
    )


def _pull_secret(workspace: str, release: Release) -> Manifest:
    """What images are pulled with. Source: Kubernetes, "Pull an Image from a Private Registry"."""
    return manifest(
        "Secret",
        release.pull_secret,
        workspace,
        release,
        hashed=False,
        type="kubernetes.io/dockerconfigjson",
        immutable=True,
        stringData={".dockerconfigjson": release.registries},
    )


def quota(settings: Settings) -> dict[str, str]:
    """The hard limits of a namespace: what the profile's clusters need at their largest, and no more.

    A Service that opens a port on the nodes or a load balancer is never needed, so there can be none; others
    are not counted, for each would wait until the count is written.
    """
    own, roles = settings.kubernetes, settings.resources
    clusters = len(set(settings.frameworks))
    counts = (
        (roles.notebook, 1),
        (roles.scheduler, clusters),
        (roles.worker, clusters * settings.max_workers * TURNOVER),
    )
    claims = [claim for _, claim, _ in _claims(settings)]
    hard = {
        "pods": str(sum(number for _, number in counts)),
        "requests.cpu": cores(sum(role.requested[0] * number for role, number in counts)),
        "requests.memory": _memory(sum(mebibytes(role.requested[1]) * number for role, number in counts)),
        "limits.cpu": cores(sum(role.cpu * number for role, number in counts)),
        "limits.memory": _memory(sum(role.mebibytes * number for role, number in counts)),
        f"requests.{own.gpu_resource}": str(sum(role.gpu * number for role, number in counts)),
        "persistentvolumeclaims": str(len(claims)),
        "requests.storage": _memory(sum(mebibytes(claim.size) for claim in claims)),
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    return hard | dict(own.quota)


def limits(settings: Settings) -> dict[str, Any]:
    """One LimitRange item: no container is larger than the largest role's, and none is without limits."""
    own = settings.resources
    roles = (own.notebook, own.scheduler, own.worker)
    cpu, memory = max(role.cpu for role in roles), max(role.mebibytes for role in roles)

    def at_most(wanted: tuple[float, int]) -> dict[str, str]:
        return {"cpu": cores(min(wanted[0], cpu)), "memory": _memory(min(wanted[1], memory))}

    return {
        "type": "Container",
        "max": at_most((cpu, memory)),
        "default": at_most(DEFAULT_LIMITS),
        "defaultRequest": at_most(DEFAULT_REQUESTS),
    }


def _memory(number: int) -> str:
    """MiB as a quantity, in the spelling that the API server gives back."""
    return f"{number // 1024}Gi" if number and number % 1024 == 0 else f"{number}Mi" if number else "0"


def _claims(settings: Settings) -> list[tuple[str, Claim, AccessMode]]:
    """The name of each claim, what it asks for, and how it is used unless it says so itself."""
    own = settings.kubernetes
    home: list[tuple[str, Claim, AccessMode]] = [("home", own.home, "ReadWriteOnce")] if own.home else []
    return home + [
        (shared_name(volume), volume.claim or Claim(), "ReadOnlyMany")
        for volume in own.shared
        if volume.csi is None
    ]


def _claim(claim: Claim, mode: AccessMode) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "accessModes": [claim.access_mode or mode],
        "resources": {"requests": {"storage": claim.size}},
    }
    return spec | ({"storageClassName": claim.storage_class} if claim.storage_class else {})


def _service(workspace: str, workload: Workload, release: Release) -> Manifest:
    """The address of a scheduler that stays when its pod is made again.

    It leads there before the scheduler is ready, so that workers connect the moment it listens.
    """
    spec = {
        "type": "ClusterIP",
        "selector": labels_of(workload),
        "publishNotReadyAddresses": True,
        "ports": [
            {"name": name, "protocol": "TCP", "port": number, "targetPort": number}
            for name, number in workload.ports.items()
        ],
    }
    return manifest("Service", workload.name, workspace, release, labels=labels_of(workload), spec=spec)
