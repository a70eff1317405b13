"""What all objects of a workspace have in common: where they are made, and how they are labelled.

Nothing here may do I/O.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

HASH = "podium.hub/manifest"
"""The annotation that tells an object made from another version of its manifest."""
HOME = "/home/podium"
SCRATCH = "/scratch"
FILES = "/etc/podium"

COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "ResourceQuota": "/api/v1/namespaces/{}/resourcequotas",
    "LimitRange": "/api/v1/namespaces/{}/limitranges",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "Pod": "/api/v1/namespaces/{}/pods",
}
"""Kind to the path that a POST makes an object at; below it, at its name, is the object."""


@dataclass(frozen=True)
class Release:
    """The installation that a workspace belongs to.

    Args:
        name: told apart by it are several hubs on one cluster.
        namespace: where web, controller, proxy and the Workspace objects are.
        image: what runs in workspaces whose profile names no image.
        registries: the text of a Docker configuration by which workspaces' images are pulled; empty for none.
    """

    name: str
    namespace: str
    image: str = "podium-workspace"
    registries: str = ""

    @property
    def pull_secret(self) -> str:
        """The Secret of each workspace that holds it: with other content it is another object."""
        return f"pull-{digest(self.registries)}" if self.registries else ""


@dataclass(frozen=True)
class Manifest:
    """One object as it is sent.

    Args:
        path: of the collection, to which `body` is posted.
        body: the object.
    """

    path: str
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        """Such as `Service`."""
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        """The object's name, unique in its collection."""
        return str(self.body["metadata"]["name"])


def labels(workspace: str, release: Release) -> dict[str, str]:
    """What everything of a workspace is found by. The owner is not in them: many may list namespaces."""
    return {
        "app.kubernetes.io/managed-by": "podium",
        "podium.hub/release": release.name,
        "podium.hub/workspace": workspace,
    }


def manifest(
    kind: str, name: str, workspace: str, release: Release, *, hashed: bool = True, **body: Any
) -> Manifest:
    """An object with its labels and, so that an outdated one can be told, the hash of its content.

    Args:
        kind: one of `COLLECTIONS`.
        name: the object's own.
        hashed: False for what is never changed.
        body: everything but apiVersion, kind and metadata; `labels` and `annotations` are the object's
            own besides those that all have.
    """
    path = COLLECTIONS[kind]
    metadata: dict[str, Any] = {"name": name, "labels": labels(workspace, release) | body.pop("labels", {})}
    if kind != "Namespace":
        metadata["namespace"] = workspace
    annotations = body.pop("annotations", {})
    version = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "v1"
    whole = {"apiVersion": version, "kind": kind, "metadata": metadata, **body}
    if hashed:
        annotations = annotations | {HASH: digest([whole, annotations])}
    if annotations:
        metadata["annotations"] = annotations
    return Manifest(path.format(workspace), whole)


def digest(content: object) -> str:
    """A short name for a value, the same wherever it is computed."""
    encoded = msgspec.json.encode(content, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:16]
