"""What a person is told when something fails on a real node, and that it is over when the cause is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.access import ClusterError
from tests.cluster.node import RealNode
from tests.node.hub import node_hub
from tests.running import RunningHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = """
c = get_config()
DASK = {"frameworks": ["dask"], "clusters": {"dask": {}}, "workers": 1}
FAILS = "print('the disk is on fire', flush=True); raise SystemExit(3)"
c.Podium.profiles = {
    "plain": {**DASK},
    "no-image": {"image": "localhost/podium-nowhere:1", "kubernetes": {"image_pull_policy": "Never"}},
    "no-registry": {"image": "localhost/podium-nowhere:1", "kubernetes": {"image_pull_policy": "Always"}},
    "crashes": {"kubernetes": {"pod_patch": {"notebook": {"spec": {"containers": [
        {"name": "main", "args": ["python", "-c", FAILS]}]}}}}},
    "hungry": {"resources": {"notebook": {"memory": "32Mi", "requests": {"memory": "32Mi", "cpu": 0.1}}}},
    "huge": {"resources": {"notebook": {"cpu": 64, "requests": {"cpu": 64}}}},
    "narrow": {**DASK, "kubernetes": {"quota": {"pods": "2"}}},
    "greedy": {"kubernetes": {"pod_patch": {"notebook": {"spec": {"hostNetwork": True}}}}},
}
"""


@pytest.fixture(scope="module")
def hub(node: RealNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with node_hub(node, tmp_path_factory.mktemp("failures"), CONFIG) as hub:
        yield hub


@pytest.fixture(autouse=True)
def tidy(hub: RunningHub) -> Iterator[None]:
    """Every test begins with nothing."""
    yield
    for workspace in hub.client.request("GET", "/api/workspaces")["items"]:
        name = workspace["metadata"]["name"]
        hub.client.request("DELETE", f"/api/workspaces/{name}")
        hub.wait(f"{name} is gone", lambda name=name: name not in names(hub) or None)


def names(hub: RunningHub) -> list[str]:
    return [w["metadata"]["name"] for w in hub.client.request("GET", "/api/workspaces")["items"]]


def launch(hub: RunningHub, profile: str) -> str:
    made = hub.client.request("POST", "/api/workspaces", {"spec": {"profile": profile}})
    return str(made["metadata"]["name"])


@pytest.mark.parametrize(
    ("profile", "reason", "sentence"),
    [
        (
            "no-image",
            "ImageMissing",
            "There is no image localhost/podium-nowhere:1; the operator has to correct",
        ),
        (
            "no-registry",
            "ImagePullFailed",
            "The image localhost/podium-nowhere:1 could not be fetched; it is",
        ),
        ("hungry", "OutOfMemory", "JupyterLab needed more memory than it may use, and is started again."),
        ("huge", "Unschedulable", "No machine of the cluster has room for JupyterLab: 1 Insufficient cpu."),
        ("greedy", "Refused", "The cluster does not accept JupyterLab; the operator has to look: pods"),
    ],
)
def test_a_launch_says_why_it_does_not_go_on(
    hub: RunningHub, profile: str, reason: str, sentence: str
) -> None:
    told = hub.until(launch(hub, profile), f"says {reason}", lambda w: w["status"]["reason"] == reason)
    assert told["status"]["phase"] == "Starting"
    assert told["status"]["message"].startswith(sentence)


def test_a_program_that_ends_again_and_again_is_heard(hub: RunningHub) -> None:
    def heard(workspace: Any) -> bool:
        return bool(workspace["status"]["log"]) and workspace["status"]["reason"] != ""

    told = hub.until(launch(hub, "crashes"), "shows its last lines", heard)
    assert told["status"]["log"] == ["the disk is on fire"]
    assert "ended" in told["status"]["message"]


def test_a_quota_stops_workers_and_not_the_notebook(hub: RunningHub) -> None:
    name = launch(hub, "narrow")
    told = hub.until(name, "is ready", lambda w: w["status"]["phase"] == "Ready")
    told = hub.until(name, "names the quota", lambda w: "quota" in w["status"]["clusters"]["dask"]["message"])
    assert "The quota has no room for" in told["status"]["clusters"]["dask"]["message"]
    assert told["status"]["phase"] == "Ready"


def test_a_notebook_that_was_ready_and_ended_is_ready_again(hub: RunningHub, node: RealNode) -> None:
    name = launch(hub, "plain")
    hub.until(name, "is ready", lambda w: w["status"]["phase"] == "Ready")
    with contextlib.suppress(ClusterError):  # the shell ends with all the rest
        node.kubectl("exec", "-n", name, "notebook", "--", "sh", "-c", "kill -9 -1")
    hub.until(name, "says so", lambda w: w["status"]["phase"] == "Starting")
    told = hub.until(name, "is ready again", lambda w: w["status"]["phase"] == "Ready")
    assert [entry["phase"] for entry in told["status"]["history"]][-3:] == ["Ready", "Starting", "Ready"]


def test_a_node_that_is_drained_gives_its_pods_back(hub: RunningHub, node: RealNode) -> None:
    name = launch(hub, "plain")
    hub.workers(name, "dask", 1)
    hub.until(name, "is ready", lambda w: w["status"]["phase"] == "Ready")
    before = uids(node, name)
    machine = node.get("nodes")["items"][0]["metadata"]["name"]
    try:
        options = ("--force", "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=120s")
        node.kubectl("drain", machine, f"--pod-selector=podium.hub/workspace={name}", *options)
        told = hub.until(name, "waits for a machine", lambda w: w["status"]["reason"] == "Unschedulable")
        assert "node(s) were unschedulable" in told["status"]["message"]
    finally:
        node.kubectl("uncordon", machine)
    hub.until(name, "is ready again", lambda w: w["status"]["phase"] == "Ready")
    hub.workers(name, "dask", 1)
    assert uids(node, name).isdisjoint(before)


def uids(node: RealNode, name: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in node.get("pods", "-n", name)["items"]}
