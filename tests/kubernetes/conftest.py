"""A cluster for all tests here: one that is started for them, or the one that KUBECONFIG names.

Such a cluster may be shared and may hold other things: each test keeps to a namespace with a name of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hub.store import crd
from hub.tools import ToolError
from tests.cluster import binaries
from tests.cluster.access import Cluster, until
from tests.cluster.control_plane import COMPONENTS, ControlPlane
from tests.kubernetes.identities import controller_kubeconfig, release, web_kubeconfig

__all__ = ["controller_kubeconfig", "release", "web_kubeconfig"]
from tests.kubernetes.hub_in_cluster import HubInCluster, hub_in

HERE = Path(__file__).parent
BIN = pytest.StashKey[Path | None]()
WHY_NOT = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("cluster")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find or build the programs before the time of any test runs, where it can be seen."""
    config = session.config
    wanted = any(item.path.is_relative_to(HERE) for item in session.items)
    if not wanted or config.option.collectonly:
        return
    if os.environ.get("KUBECONFIG"):
        reporter = config.pluginmanager.getplugin("terminalreporter")
        reporter.write_line(f"Kubernetes: the cluster that KUBECONFIG={os.environ['KUBECONFIG']} names")
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        try:
            config.stash[BIN] = binaries.find(COMPONENTS)
        except ToolError as error:
            config.stash[WHY_NOT] = f"Kubernetes cannot be built. {error}"


@pytest.fixture(scope="package")
def bin(request: pytest.FixtureRequest) -> Path:
    """The folder of Kubernetes' programs, for a test that starts a control plane of its own."""
    stash = request.config.stash
    if WHY_NOT in stash:
        pytest.skip(stash[WHY_NOT])
    return stash[BIN]


@pytest.fixture(scope="package")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, as its administrator sees it: `.kubeconfig`, `.kubectl()`, `.bin`.

    With KUBECONFIG it is that cluster, with the nodes that it has. Else it is a control plane on this machine
    with three nodes that do not exist, whose pods are ready at once.
    """
    directory = tmp_path_factory.mktemp("cluster")
    if os.environ.get("KUBECONFIG"):
        yield _given(directory, request)
        return
    with ControlPlane(directory, request.getfixturevalue("bin")) as control_plane:
        control_plane.add_nodes(3)
        yield control_plane


@pytest.fixture
def release_namespace(cluster: Cluster) -> Iterator[str]:
    """The name of an empty namespace, which is removed after the test."""
    name = f"podium-test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    # It ends by itself: what the test made there may take its grace period.
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def _given(directory: Path, request: pytest.FixtureRequest) -> Cluster:
    """The cluster of KUBECONFIG, which may be several files: what is current there, in one file."""
    kubectl = shutil.which("kubectl")
    bin = Path(kubectl).parent if kubectl else request.getfixturevalue("bin")
    one = directory / "admin.kubeconfig"
    cluster = Cluster(one, bin, directory / "kubectl")
    one.touch(mode=0o600)
    one.write_text(json.dumps(cluster.config()))
    return cluster


@pytest.fixture(scope="package")
def workspaces(cluster: Cluster) -> None:
    """The custom resource of Workspaces, installed."""
    _install(cluster)


def _install(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "-f", str(crd.FILE))
    until("Workspaces can be made", lambda: _established(cluster))


def _established(cluster: Cluster) -> bool:
    """Whether the API server takes Workspaces and Rooms; at first resources have no conditions at all."""
    names = ("workspaces.podium.hub", "rooms.podium.hub")
    found = json.loads(cluster.kubectl("get", "crd", *names, "-o", "json"))["items"]
    return all(
        any(
            condition["type"] == "Established" and condition["status"] == "True"
            for condition in each.get("status", {}).get("conditions") or []
        )
        for each in found
    )


@pytest.fixture
async def hub(cluster: Cluster, workspaces: None, tmp_path: Path) -> AsyncIterator[HubInCluster]:
    """A release whose controller is not started yet, on nodes that do not exist."""
    if not isinstance(cluster, ControlPlane):
        pytest.skip("a cluster that KUBECONFIG names has machines, on which the workspaces would really run")
    async with hub_in(cluster, tmp_path) as hub:
        yield hub


@pytest.fixture(scope="package")
def impatient(bin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that soon notices that a node is lost, and looks at autoscalers every second."""
    options = {
        "kube-apiserver": ["--default-unreachable-toleration-seconds=1"],
        "kube-controller-manager": [
            "--node-monitor-grace-period=8s",
            "--horizontal-pod-autoscaler-sync-period=1s",
        ],
        "kwok": ["--node-lease-duration-seconds=4"],
    }
    with ControlPlane(tmp_path_factory.mktemp("impatient"), bin, options=options) as control_plane:
        control_plane.add_nodes(3)
        _install(control_plane)
        yield control_plane


@pytest.fixture
async def impatient_hub(impatient: ControlPlane, tmp_path: Path) -> AsyncIterator[HubInCluster]:
    """As `hub`, on the impatient control plane."""
    async with hub_in(impatient, tmp_path) as hub:
        yield hub
