"""The doctor on the real node, where everything works but network policies, which nobody enforces there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.backends.kubernetes.names import Release
from hub.store import crd
from tests.cluster.node import RealNode
from tests.kubernetes.identities import CLUSTER_WIDE, manifests
from tests.node.conftest import restricted_namespace


@pytest.fixture
def release(node: RealNode) -> Iterator[Release]:
    """A release with the rights of an installation, in a namespace of its own."""
    node.kubectl("apply", "--server-side", "-f", str(crd.FILE))
    with restricted_namespace(node) as name:
        release = Release(name, name)
        node.kubectl("apply", "-f", "-", given=manifests("controller", release))
        yield release
        node.kubectl("delete", CLUSTER_WIDE, f"{name}-controller", "--wait=false")


def doctor(node: RealNode, release: Release, directory: Path, image: str) -> tuple[int, dict[str, str]]:
    """What `podium doctor` ends with as the controller, and each line's word by its title."""
    config = directory / "class.py"
    resources = {role: {"cpu": 0.5, "memory": "256Mi"} for role in ("notebook", "scheduler", "worker")}
    config.write_text(
        f"c.Podium.profiles = {{'course': {{'frameworks': ['dask'], 'resources': {resources}}}}}\n"
        f"c.Podium.release = c.Podium.namespace = {release.name!r}\nc.Podium.image = {image!r}\n"
    )
    account = f"{release.namespace}/{release.name}-controller"
    kubeconfig = node.kubeconfig_of(account, directory / "controller.kubeconfig")
    done = subprocess.run(
        [sys.executable, "-m", "hub", "doctor", f"--config={config}"],
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("     ")]
    return done.returncode, {line[5:].split(": ")[0]: line[:4].strip() for line in lines}


def test_all_is_well_but_for_network_policies(node, release, tmp_path):
    code, found = doctor(node, release, tmp_path, node.image)
    assert found == {
        **{"API server": "ok", "Rights": "ok", "Workspaces": "??", "Namespace": "ok", "Nodes": "ok"},
        **{"Storage": "ok", "Pod security": "ok", "Admission": "ok", f"Image {node.image}": "ok"},
        **{"DNS": "ok", "Services": "ok", "Network policies": "FAIL"},
    }
    assert code == 1


def test_an_image_that_is_not_there(node, release, tmp_path):
    image = "localhost/podium-nothing:1"
    code, found = doctor(node, release, tmp_path, image)
    assert (found.pop(f"Image {image}"), code) == ("FAIL", 1)
    assert "Network policies" not in found
