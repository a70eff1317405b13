"""A release on a cluster whose nodes do not exist, as its operator sees it.

Nothing here may know what is right.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chart.helm import CHART, Helm
from tests.cluster.access import Cluster

DEFINITION = ("crd", "workspaces.podium.hub")
DEFINITIONS = (*DEFINITION, "rooms.podium.hub")
FOLLOWS = ("pod", "replicaset", "controllerrevision", "endpointslice", "endpoints")
"""Kinds of objects that go by themselves, after what they belong to."""


class Release:
    """A release that is installed, or not yet.

    Args:
        helm: with the rights of the administrator.
        cluster: the cluster.
        name: of the release and of its namespace.
    """

    def __init__(self, helm: Helm, cluster: Cluster, name: str) -> None:
        self._helm = helm
        self.cluster = cluster
        self.name = name

    def helm(self, *arguments: str, values: dict[str, Any] | None = None) -> str:
        """Run Helm in the release's namespace."""
        return self._helm(*arguments, f"--namespace={self.name}", values=values)

    def install(self, values: dict[str, Any] | None = None, *arguments: str) -> str:
        """Install. Returns the notes."""
        return self.helm("install", self.name, str(CHART), *arguments, values=values or {})

    def upgrade(self, values: dict[str, Any]) -> None:
        """Change what is installed."""
        self.helm("upgrade", self.name, str(CHART), values=values)

    def uninstall(self) -> None:
        """As nothing runs here, nobody could end workspaces: without hooks."""
        self.helm("uninstall", self.name, "--no-hooks", "--wait", "--timeout=1m")

    def get(self, kind: str, part: str = "") -> Any:
        """One object of the release, by its kind and what its name has after the release's."""
        return self.cluster.get(kind, f"{self.name}-{part}" if part else self.name, "-n", self.name)

    @property
    def secret(self) -> dict[str, str]:
        """What the Secret holds."""
        data: dict[str, str] = self.get("secret")["data"]
        return data

    @property
    def config(self) -> str:
        """The configuration."""
        return str(self.get("configmap", "config")["data"]["config.yaml"])

    def templates(self) -> dict[str, str]:
        """The pods of each component: other ones when they are to be replaced."""
        components = ("web", "controller", "proxy")
        return {name: json.dumps(self.get("deployment", name)["spec"]["template"]) for name in components}

    def left(self) -> set[str]:
        """Every object of any kind that carries the release's label, such as `secret/tea`."""
        kinds = self.cluster.kubectl("api-resources", "--verbs=list", "-o", "name").split()
        label = f"--selector=app.kubernetes.io/instance={self.name}"
        found = self.cluster.kubectl("get", ",".join(kinds), label, "--all-namespaces", "-o", "name").split()
        return {name for name in found if name.partition("/")[0].partition(".")[0] not in FOLLOWS}


@contextlib.contextmanager
def new_release(cluster: Cluster, bin: Path, home: Path) -> Iterator[Release]:
    """A release that is not installed, whose namespace takes no pods but those of the level `restricted`."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    release = Release(Helm(bin / "helm", home, cluster.kubeconfig), cluster, name)
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield release
    release.helm("uninstall", name, "--no-hooks", "--ignore-not-found")
    cluster.kubectl("delete", "namespace", name, "--wait=false")
    cluster.kubectl("delete", *DEFINITIONS, "--ignore-not-found")
