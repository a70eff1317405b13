"""What a real API server makes of the manifests, in namespaces where it enforces the `restricted` level."""

from __future__ import annotations

import json
import os
import random
import string
from collections.abc import Iterator
from typing import Any

import pytest

from hub.backends.kubernetes.manifests import pod
from hub.model import Workspace
from hub.settings import FRAMEWORKS, PodPatch
from hub.wire import replace
from tests.builders import make_workspace
from tests.cluster.access import Cluster, ClusterError, until
from tests.namespaces import RELEASE, WORKSPACES, named, objects, pods, workloads


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """The name of a workspace that nobody has; its namespace is removed after the test."""
    name = "cluster-" + "".join(random.choices(string.ascii_lowercase, k=8))
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def priority(cluster: Cluster, name: str) -> Iterator[str]:
    """The name of a priority class, which is the whole cluster's."""
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 7}
    cluster.create({**kind, "metadata": {"name": f"podium-test-{name}"}})
    yield f"podium-test-{name}"
    cluster.kubectl("delete", "priorityclass", f"podium-test-{name}")


def called(workspace: Workspace, name: str) -> Workspace:
    """The same workspace by another name."""
    return replace(workspace, metadata=replace(workspace.metadata, name=name))


def make(cluster: Cluster, workspace: Workspace) -> None:
    """Make all but the pods, one after the other. `kubectl create` refuses fields that do not exist."""
    cluster.create(*(manifest.body for manifest in objects(workspace)))


def tried(cluster: Cluster, body: dict[str, Any]) -> dict[str, Any]:
    """What the server would make of an object, after all its checks; raises ClusterError if it refuses."""
    text = cluster.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", given=json.dumps(body))
    made: dict[str, Any] = json.loads(text)
    return made


@pytest.mark.parametrize("kind", WORKSPACES)
def test_every_manifest_is_accepted(cluster, name, priority, kind):
    workspace = called(WORKSPACES[kind], name)
    own = workspace.spec.settings.kubernetes
    if own.priority_class:
        settings = replace(workspace.spec.settings, kubernetes=replace(own, priority_class=priority))
        workspace = replace(workspace, spec=replace(workspace.spec, settings=settings))
    make(cluster, workspace)
    for body in pods(workspace):
        assert tried(cluster, body)["metadata"]["name"] == body["metadata"]["name"]


@pytest.mark.skipif("KUBECONFIG" in os.environ, reason="only nodes that do not exist run any image")
def test_a_workspace_at_its_largest_runs_within_its_quota(cluster, name):
    workspace = make_workspace(name=name, clusters=dict.fromkeys(FRAMEWORKS), workers=8)
    make(cluster, workspace)
    secret = named(objects(workspace), "Secret")["metadata"]["name"]
    settings = workspace.spec.settings
    bodies = [
        pod(name, workload, f"{workload.name}-{number}", settings, RELEASE, secret)
        for workload in workloads(workspace)
        for number in range(workload.replicas)
    ]
    assert len(bodies) == 1 + 3 + 3 * 8
    cluster.create(*bodies)

    def ready() -> bool:
        conditions = [
            {condition["type"]: condition["status"] for condition in body["status"].get("conditions", [])}
            for body in cluster.get("pods", "--namespace", name)["items"]
        ]
        return [one.get("Ready") for one in conditions] == ["True"] * len(bodies)

    until("every pod is ready", ready)
    used = cluster.get("resourcequota", "workspace", "--namespace", name)["status"]["used"]
    assert used["pods"] == str(len(bodies))
    slices = cluster.get("endpointslices", "--namespace", name)["items"]
    assert {one["metadata"]["labels"]["kubernetes.io/service-name"] for one in slices} == {
        f"{framework}-scheduler" for framework in FRAMEWORKS
    }
    assert all(len(one["endpoints"]) == 1 for one in slices)


REFUSED = [
    ({"volumes": [{"name": "home", "hostPath": {"path": "/"}, "emptyDir": None}]}, "restricted volume types"),
    ({"volumes": [{"name": "home", "nfs": {"server": "a", "path": "/"}, "emptyDir": None}]}, '"nfs"'),
    ({"hostNetwork": True}, "hostNetwork=true"),
    ({"securityContext": {"runAsNonRoot": False}}, "runAsNonRoot != true"),
    (
        {"containers": [{"name": "main", "securityContext": {"allowPrivilegeEscalation": True}}]},
        "allowPrivilegeEscalation != false",
    ),
    (
        {"containers": [{"name": "main", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]},
        "unrestricted capabilities",
    ),
]


def test_no_patch_gets_past_the_restricted_level(cluster, name):
    workspace = called(WORKSPACES["notebook"], name)
    make(cluster, workspace)
    own = workspace.spec.settings
    [workload] = workloads(workspace)
    for patch, told in [({"hostname": "x"}, ""), *REFUSED]:
        settings = replace(
            own, kubernetes=replace(own.kubernetes, pod_patch=PodPatch(notebook={"spec": patch}))
        )
        body = pod(name, workload, "notebook", settings, RELEASE, "files")
        if not told:
            assert tried(cluster, body)["spec"]["hostname"] == "x"
            continue
        with pytest.raises(ClusterError) as refused:
            tried(cluster, body)
        assert 'violates PodSecurity "restricted:latest"' in str(refused.value)
        assert told in str(refused.value)


def test_nothing_in_a_workspace_is_without_bounds(cluster, name):
    workspace = called(WORKSPACES["notebook"], name)
    make(cluster, workspace)
    [notebook] = pods(workspace)
    [container] = notebook["spec"]["containers"]
    del container["resources"]
    assert tried(cluster, notebook)["spec"]["containers"][0]["resources"]["limits"] == {
        "cpu": "500m",
        "memory": "512Mi",
    }
    container["resources"] = {"limits": {"cpu": "64", "memory": "1Gi"}}
    with pytest.raises(ClusterError, match="maximum cpu usage per Container is 1"):
        tried(cluster, notebook)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "open", "namespace": name},
        "spec": {"type": "NodePort", "ports": [{"port": 80}]},
    }
    # The quota counts once its controller has seen it.
    until(
        "the quota is counted",
        lambda: cluster.get("resourcequota", "-n", name)["items"][0]["status"].get("used"),
    )
    with pytest.raises(ClusterError, match=r"exceeded quota: workspace, requested: .*services\.nodeports=1"):
        tried(cluster, service)
