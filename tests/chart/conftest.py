"""Helm for all tests here, and for some a cluster on which it installs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.tools import ToolError
from tests.chart.helm import Helm, Objects
from tests.cluster import binaries
from tests.cluster.control_plane import COMPONENTS, ControlPlane

HERE = Path(__file__).parent
BIN = pytest.StashKey[Path]()
WHY_NOT = pytest.StashKey[str]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Find or build the programs before the time of any test runs, where it can be seen."""
    config = session.config
    if config.option.collectonly or not any(item.path.is_relative_to(HERE) for item in session.items):
        return
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        try:
            config.stash[BIN] = binaries.find((*COMPONENTS, "helm"))
        except ToolError as error:
            config.stash[WHY_NOT] = f"Helm cannot be built. {error}"


@pytest.fixture(scope="session")
def bin(request: pytest.FixtureRequest) -> Path:
    """The folder in which Helm and the programs of Kubernetes are."""
    stash = request.config.stash
    if WHY_NOT in stash:
        pytest.skip(stash[WHY_NOT])
    return stash[BIN]


@pytest.fixture(scope="session")
def helm(bin: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster."""
    return Helm(bin / "helm", tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def objects(helm: Helm) -> Objects:
    """What a release is made of when its operator sets nothing."""
    return helm.template()


@pytest.fixture(scope="package")
def cluster(bin: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with nodes that do not exist, whose pods are ready at once; without Workspaces."""
    with ControlPlane(tmp_path_factory.mktemp("cluster"), bin) as control_plane:
        control_plane.add_nodes(2)
        yield control_plane
