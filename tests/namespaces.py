"""Workspaces on Kubernetes as tests need them: a release, profiles of each kind, and all their manifests."""

from __future__ import annotations

from typing import Any

from hub.backends.kubernetes.manifests import COLLECTIONS, Manifest, Release, namespace_objects, pod
from hub.desired import desired
from hub.model import Workspace
from hub.settings import FRAMEWORKS, Settings
from hub.wire import convert
from hub.workload import Workload
from tests.builders import HUB_KEY, make_workspace

RELEASE = Release("class", "podium", "example.org/workspace:1")

EVERYTHING: dict[str, Any] = {
    "image": "registry.example.org/course:2026",
    "frameworks": ["dask"],
    "maxWorkers": 3,
    "resources": {
        "notebook": {"cpu": 2, "memory": "4Gi", "gpu": 1, "requests": {"cpu": 0.5, "memory": "1Gi"}},
        "scheduler": {"cpu": 0.5, "memory": "512Mi", "requests": {"memory": "256Mi"}},
        "worker": {"cpu": 4, "memory": "6Gi", "gpu": 2, "requests": {"cpu": 1.25}},
    },
    "kubernetes": {
        "imagePullPolicy": "Always",
        "imagePullSecrets": ["registry", "mirror.example.org"],
        "nodeSelector": {"example.org/pool": "workshop"},
        "tolerations": [
            {"key": "workshop", "operator": "Exists"},
            {"key": "gpu", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60},
        ],
        "priorityClass": "teaching",
        "serviceAccount": {"name": "student", "annotations": {"example.org/role": "reader"}},
        "gpuResource": "amd.com/gpu",
        "home": {"size": "5Gi", "storageClass": "standard", "accessMode": "ReadWriteOncePod"},
        "shared": [
            {
                "name": "data",
                "path": "/data",
                "csi": {"driver": "nfs.csi.k8s.io", "attributes": {"server": "10.1.2.3", "share": "/course"}},
            },
            {"name": "maps", "path": "/home/podium/maps", "claim": {"size": "512Mi", "storageClass": "maps"}},
        ],
        "quota": {"pods": "20", "count/secrets": "9"},
        "network": {"internet": True, "allow": ["10.1.2.3/32"], "deny": ["203.0.113.0/24", "2001:db8::/32"]},
        "namespaceLost": "remove",
        "podPatch": {
            "notebook": {"spec": {"runtimeClassName": None, "hostname": "lab"}},
            "scheduler": {"spec": {"topologySpreadConstraints": []}},
            "worker": {
                "metadata": {"annotations": {"example.org/team": "physics"}},
                "spec": {
                    "containers": [{"name": "main", "env": [{"name": "OMP_NUM_THREADS", "value": "4"}]}],
                    "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}],
                },
            },
        },
    },
}

WORKSPACES = {
    "workshop": make_workspace(clusters=dict.fromkeys(FRAMEWORKS)),
    "notebook": make_workspace(clusters={}, settings=Settings(frameworks=())),
    "everything": make_workspace(clusters={"dask": 3}, settings=convert(EVERYTHING, Settings)),
}
"""A workspace of each kind: with every framework, with none, and with every setting there is."""


def workloads(workspace: Workspace) -> list[Workload]:
    """What should run in it."""
    return desired(workspace, HUB_KEY)


def objects(workspace: Workspace, release: Release = RELEASE) -> tuple[Manifest, ...]:
    """All that is made before its pods."""
    return namespace_objects(workspace.name, workloads(workspace), workspace.spec.settings, release)


def named(manifests: tuple[Manifest, ...], kind: str, name: str = "") -> dict[str, Any]:
    """The body of the one object of a kind, or of the one that has the name too."""
    [body] = [one.body for one in manifests if one.kind == kind and name in ("", one.name)]
    return body


def pods(workspace: Workspace, release: Release = RELEASE) -> list[dict[str, Any]]:
    """One pod of each workload."""
    secret = named(objects(workspace), "Secret")["metadata"]["name"]
    return [
        pod(
            workspace.name,
            workload,
            workload.name if workload.role != "worker" else f"{workload.name}-1",
            workspace.spec.settings,
            release,
            secret,
        )
        for workload in workloads(workspace)
    ]


def path_of(body: dict[str, Any]) -> str:
    """Where an object is posted to."""
    return COLLECTIONS[body["kind"]].format(body["metadata"].get("namespace", ""))
