"""The first and the last day of a release on the real node: what is left is what was to be kept."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.release import DEFINITION, FOLLOWS
from tests.cluster.access import until
from tests.cluster.node import RealNode
from tests.node.installed import Installed, installed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
NAMES = ("-o", "name", "--all-namespaces")


@pytest.fixture
def name() -> str:
    """Of a release, and of its namespace."""
    return f"class-{uuid.uuid4().hex[:6]}"


@pytest.fixture
def release(node: RealNode, tmp_path: Path, name: str) -> Iterator[Installed]:
    """A release, which the test may uninstall."""
    with installed(node, tmp_path, name) as release:
        yield release


def left(node: RealNode, name: str) -> set[str]:
    """Whatever there is of a release and of its workspaces, such as `pod/web-1`."""
    kinds = ",".join(node.kubectl("api-resources", "--verbs=list", "-o", "name").split())
    labels = (f"app.kubernetes.io/instance={name}", f"podium.hub/release={name}")
    found = {one for label in labels for one in node.kubectl("get", kinds, "-l", label, *NAMES).split()}
    # What has no labels is in the namespaces, of which the release's own is not Helm's.
    own = node.kubectl("get", "leases,roles,rolebindings,secrets,jobs", "-n", name, "-o", "name").split()
    return {one for one in (*found, *own) if one.partition("/")[0].partition(".")[0] not in FOLLOWS}


def attempts(node: RealNode, name: str) -> int:
    """How often it was begun to end all workspaces: once more for each time that it failed."""
    job = f"involvedObject.kind=Job,involvedObject.name={name}-uninstall,reason=SuccessfulCreate"
    return sum(event["count"] for event in node.get("events", "-n", name, f"--field-selector={job}")["items"])


def exists(node: RealNode, *what: str) -> bool:
    """Whether there is an object of a kind and a name."""
    return bool(node.kubectl("get", *what, "--ignore-not-found", "-o", "name"))


def test_nothing_is_left_of_a_release_and_its_workspaces(node: RealNode, release: Installed) -> None:
    workspace = release.launch("workshop")
    assert exists(node, "namespace", workspace)
    assert len(left(node, release.name)) > 25
    began = time.monotonic()
    release.helm("uninstall", release.name, "--wait", "--timeout=3m")
    print(f"\nuninstalled, a workspace with it, in {time.monotonic() - began:.1f} s")
    assert not exists(node, "namespace", workspace), "it was ended while there was a controller to do so"
    assert not exists(node, *DEFINITION)
    assert attempts(node, release.name) == 1
    until("nothing is left", lambda: not left(node, release.name))


def test_workspaces_outlive_their_release_when_they_are_to(node: RealNode, tmp_path: Path, name: str) -> None:
    with installed(node, tmp_path, name, uninstall={"keepWorkspaces": True}) as release:
        workspace = release.launch("notebook")
        began = pod(node, workspace)
        secret = node.get("secret", name, "-n", name)["data"]
        release.helm("uninstall", name, "--wait", "--timeout=3m")
        assert pod(node, workspace) == began, "it runs on"

        release.install_again()
        assert node.get("secret", name, "-n", name)["data"] == secret
        release.until(workspace, "is ready", lambda seen: seen["status"]["phase"] == "Ready")
        release.wait("its notebook is reached again", lambda: release.answers(workspace) or None)
        assert pod(node, workspace) == began
        release.client.request("DELETE", f"/api/workspaces/{workspace}")
        until("the new release ends it", lambda: not exists(node, "namespace", workspace))


def pod(node: RealNode, workspace: str) -> str:
    """Which pod the notebook of a workspace is in, and since when its container runs."""
    found = node.get("pod", "notebook", "-n", workspace)
    (state,) = found["status"]["containerStatuses"]
    return f"{found['metadata']['uid']} {state['state']['running']['startedAt']}"
