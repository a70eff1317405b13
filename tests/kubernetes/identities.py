"""The hub's own identities, as an installation makes them, so that tests have the rights that it has.

Each test that wants them has accounts of its own, in `release_namespace`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.backends.kubernetes.names import Release
from tests.cluster.access import Cluster

RIGHTS = Path(__file__).resolve().parent.parent.parent / "helm" / "files" / "rights"
CLUSTER_WIDE = "clusterrole,clusterrolebinding"


def manifests(part: str, release: Release) -> str:
    """The rights of `controller` or `web`, as YAML, filled in as the chart does it."""
    text = RIGHTS.joinpath(f"{part}.yaml").read_text().replace("podium-", f"{release.name}-")
    return text.replace("namespace: podium\n", f"namespace: {release.namespace}\n")


def let_go(cluster: Cluster, namespace: str) -> None:
    """Let the workspaces of a namespace go, in place of a controller that is not there any more.

    As long as they stay, so do their namespace and their definition.
    """
    free = ("--type=merge", '--patch={"metadata": {"finalizers": null}}')
    for name in cluster.kubectl("get", "workspaces", "-n", namespace, "-o", "name").split():
        cluster.kubectl("patch", name, "-n", namespace, *free)


@pytest.fixture
def release(cluster: Cluster, release_namespace: str) -> Iterator[Release]:
    """A release of the name of its namespace, whose accounts and rights are installed."""
    release = Release(release_namespace, release_namespace)
    text = "---\n".join(manifests(part, release) for part in ("controller", "web"))
    cluster.kubectl("apply", "-f", "-", given=text)
    yield release
    # What is in the namespace goes with it.
    cluster.kubectl("delete", CLUSTER_WIDE, f"{release.name}-controller", "--wait=false")


@pytest.fixture
def controller_kubeconfig(cluster: Cluster, release: Release, tmp_path: Path) -> Path:
    """A kubeconfig with the rights of the controller."""
    return _of(cluster, release, "controller", tmp_path)


@pytest.fixture
def web_kubeconfig(cluster: Cluster, release: Release, tmp_path: Path) -> Path:
    """A kubeconfig with the rights of the web tier."""
    return _of(cluster, release, "web", tmp_path)


def _of(cluster: Cluster, release: Release, part: str, directory: Path) -> Path:
    account = f"{release.namespace}/{release.name}-{part}"
    return cluster.kubeconfig_of(account, directory / f"{part}.kubeconfig")
