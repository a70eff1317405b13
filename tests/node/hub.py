"""A hub as a process of its own, whose workspaces are pods of the real node."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.backends.kubernetes.names import Release
from hub.store import crd
from tests.cluster.node import RealNode
from tests.kubernetes.identities import CLUSTER_WIDE, let_go, manifests
from tests.running import RunningHub, running_hub

PARTS = ("controller", "web")
SETTINGS = """
c.Podium.backend = "kubernetes"
c.Podium.namespace = c.Podium.release = "{release}"
c.Podium.image = "{image}"
for profile in c.Podium.profiles.values():
    for role in ("notebook", "scheduler", "worker"):  # the node has as few cores as the machine that it is on
        asked = profile.setdefault("resources", {{}}).setdefault(role, {{}})
        asked.setdefault("requests", {{"cpu": 0.02, "memory": "64Mi"}})
"""


@contextmanager
def node_hub(node: RealNode, directory: Path, config: str) -> Iterator[RunningHub]:
    """A hub that has the rights of web and controller, and of which nothing is left afterwards.

    Args:
        config: text of a configuration file, which the settings for this cluster are added to.
    """
    name = f"podium-{uuid.uuid4().hex[:8]}"
    release = Release(name, name)
    node.kubectl("create", "namespace", name)
    node.kubectl("apply", "--server-side", "-f", str(crd.FILE))
    node.kubectl("wait", "--for=condition=Established", "crd/workspaces.podium.hub", "--timeout=30s")
    node.kubectl("apply", "-f", "-", given="---\n".join(manifests(part, release) for part in PARTS))
    both = ("--role", f"{name}-web", f"--serviceaccount={name}:{name}-controller")
    node.kubectl("create", "rolebinding", "both", "-n", name, *both)
    kubeconfig = node.kubeconfig_of(f"{name}/{name}-controller", directory / "kubeconfig")
    settings = SETTINGS.format(release=name, image=node.image)
    try:
        with running_hub(directory, config + settings, {"KUBECONFIG": str(kubeconfig)}) as hub:
            yield hub
    finally:
        let_go(node, name)
        label = f"--selector=podium.hub/release={name}"
        node.kubectl("delete", "namespace", label, "--wait=false")
        node.kubectl("delete", CLUSTER_WIDE, f"{name}-controller", "--wait=false", "--ignore-not-found")
        node.kubectl("delete", "namespace", name, "--wait=false")
