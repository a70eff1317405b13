"""What is deleted or changed by hand behind the controller's back is made again, or put right."""

from __future__ import annotations

import json

import pytest

from tests.cluster.access import ClusterError

AT_ONCE = 5.0
"""Seconds within which something is told once Kubernetes knows it."""


@pytest.mark.parametrize("pod", ["notebook", "dask-scheduler", "dask-worker-1"])
async def test_a_deleted_pod_is_made_again(hub, pod):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    others = {key: one.metadata.uid for key, one in hub.pods(name).items() if key != pod}
    await hub.kubectl("delete", "pod", pod, "-n", name, "--wait=false")
    await hub.until("it is made again", lambda: hub.lives(name) == 5)
    await hub.ready(name)
    assert others.items() <= {key: one.metadata.uid for key, one in hub.pods(name).items()}.items()


@pytest.mark.parametrize("pod", ["notebook", "dask-scheduler", "dask-worker-1"])
async def test_an_evicted_pod_is_made_again(hub, pod):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    said = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    await hub.status_of(name, pod, said)
    await hub.until("it is made again", lambda: hub.lives(name) == 5)
    await hub.ready(name)
    assert hub.lives(name) == 5


OBJECTS = ["resourcequota", "limitrange", "networkpolicy", "serviceaccount"]


@pytest.mark.parametrize("kind", [*OBJECTS, "service"])
async def test_an_object_that_was_deleted_by_hand_is_made_again(hub, kind):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    one = "dask-scheduler" if kind == "service" else "workspace"
    before = await hub.see(kind, one, "-n", name)
    await hub.kubectl("delete", kind, one, "-n", name)

    async def again():
        try:
            return await hub.see(kind, one, "-n", name)
        except ClusterError:
            return None

    after = await hub.until("it is there again", again)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert hub.lives(name) == 4, "no pod had to go for it"


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        ("resourcequota", {"spec": {"hard": {"pods": "1"}}}),
        ("limitrange", {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1m"}}]}}),
        ("networkpolicy", {"spec": {"egress": [{}], "ingress": [{}]}}),
        ("serviceaccount", {"automountServiceAccountToken": True}),
        ("service", {"spec": {"selector": {"podium.hub/workload": "other"}}}),
    ],
)
async def test_an_object_that_was_changed_by_hand_is_put_right(hub, kind, edit):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    one = "dask-scheduler" if kind == "service" else "workspace"

    async def content():
        found = await hub.see(kind, one, "-n", name)
        return {key: value for key, value in found.items() if key not in ("metadata", "status")}

    before = await content()
    await hub.kubectl("patch", kind, one, "-n", name, "--type=merge", f"--patch={json.dumps(edit)}")

    async def as_before():
        return await content() == before

    await hub.until("it is as it was", as_before)


async def test_a_secret_that_was_deleted_by_hand_is_made_again_with_the_next_pod(hub):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    before = await secrets(hub, name)
    await hub.kubectl("delete", "secret", *before, "-n", name)
    await hub.kubectl("delete", "pod", "notebook", "-n", name, "--wait=false")
    await hub.until("there is another notebook", lambda: hub.lives(name) == 5)
    assert await secrets(hub, name) == before


async def secrets(hub, name):
    """The names of a workspace's Secrets."""
    return [item["metadata"]["name"] for item in (await hub.see("secrets", "-n", name))["items"]]


async def test_a_namespace_that_was_deleted_by_hand_is_made_again(hub):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    await hub.kubectl("delete", "namespace", name, "--wait=false")
    workspace = await hub.phase(name, "Starting", "NamespaceDeleted", AT_ONCE)
    assert workspace.status.message == (
        "Somebody deleted the workspace's namespace; it is made again as soon as that is done."
    )
    workspace = await hub.ready(name)
    assert hub.lives(name) == 8
    assert hub.routes == {f"/{name}": workspace.status.endpoints["notebook"]}


async def test_a_namespace_that_was_deleted_by_hand_ends_its_workspace_where_the_profile_says_so(hub):
    await hub.start()
    name = await hub.launch("passing")
    await hub.ready(name)
    await hub.kubectl("delete", "namespace", name, "--wait=false")
    workspace = await hub.phase(name, "Stopping", "lost", AT_ONCE)
    assert workspace.status.message == "Somebody deleted its namespace: what is left is being removed."
    await hub.gone(name)
