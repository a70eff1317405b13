"""From a Workspace object to a workspace that is Ready and back to nothing, on a real API server."""

from __future__ import annotations

from tests.kubernetes.hub_in_cluster import new_name

BEFORE_PODS = "resourcequota,limitrange,networkpolicy,serviceaccount,secret,service,persistentvolumeclaim"


async def test_a_workspace_is_ready_with_its_workers_and_a_route(hub):
    await hub.start()
    name = await hub.launch()
    workspace = await hub.ready(name, workers=2)
    assert set(hub.pods(name)) == {"notebook", "dask-scheduler", "dask-worker-1", "dask-worker-2"}
    assert workspace.status.endpoints.keys() == {"notebook", "dask"}
    assert hub.routes == {f"/{name}": workspace.status.endpoints["notebook"]}


async def test_the_namespace_is_complete_before_there_is_any_pod(hub):
    found = []

    async def look_at_the_first_pod(method, path, send):
        if path.endswith("/pods") and method == "POST" and not found:
            found.append(await hub.see(BEFORE_PODS, "--namespace", path.split("/")[4]))
        return await send()

    controller = await hub.start()
    controller.api.meddle = look_at_the_first_pod
    name = await hub.launch("kept")
    await hub.ready(name)
    made = {f"{item['kind']}/{item['metadata']['name']}" for item in found[0]["items"]}
    made -= {"ServiceAccount/default"}  # which Kubernetes makes
    (secret,) = (one for one in made if one.startswith("Secret/files-"))
    assert made - {secret} == {
        "ResourceQuota/workspace",
        "LimitRange/workspace",
        "NetworkPolicy/workspace",
        "ServiceAccount/workspace",
        "PersistentVolumeClaim/home",
        "Service/dask-scheduler",
    }
    kinds = [path.split("/")[-1] for method, path in controller.api.writes if method == "POST"]
    assert kinds == [
        *("namespaces", "resourcequotas", "limitranges", "networkpolicies", "serviceaccounts"),
        *("persistentvolumeclaims", "secrets", "services", "pods", "pods", "pods", "pods"),
    ]


async def test_three_clusters_in_one_workspace(hub):
    await hub.start()
    clusters = {"dask": {}, "ipyparallel": {"workers": 1}, "spark": {"workers": 3}}
    name = await hub.launch(clusters=clusters)
    workspace = await hub.ready(name, workers=6)
    assert {key: seen.ready for key, seen in workspace.status.clusters.items()} == {
        **{"dask": 2, "ipyparallel": 1, "spark": 3}
    }
    assert set(workspace.status.endpoints) == {"notebook", "dask", "ipyparallel", "spark"}
    await hub.ask(name, clusters={"spark": None, "dask": None})
    await hub.ready(name, workers=1)
    expected = {"notebook", "ipyparallel-scheduler", "ipyparallel-worker-1"}
    await hub.until("only what is asked for is left", lambda: set(hub.pods(name)) == expected)
    # Their schedulers went with them, so that nothing could be asked to drain.
    hub.lost.clear()


async def home(hub, name):
    """The name of the volume that the home folder of a workspace is on, once there is one."""
    claim = await hub.see("persistentvolumeclaim", "home", "--namespace", name)
    return claim["spec"].get("volumeName")


async def test_a_stopped_workspace_leaves_nothing(hub):
    await hub.start()
    name = await hub.launch("kept")
    await hub.ready(name)
    volume = await hub.until("its home is bound", lambda: home(hub, name))
    await hub.store.delete(name)
    await hub.phase(name, "Stopping")
    await hub.gone(name)

    async def removed():
        volumes = (await hub.see("persistentvolumes"))["items"]
        return volume not in [one["metadata"]["name"] for one in volumes]

    await hub.until("its volume is removed", removed)


async def test_a_notebook_that_is_made_again_has_its_home(hub):
    await hub.start()
    name = await hub.launch("kept")
    await hub.ready(name)
    volume = await hub.until("its home is bound", lambda: home(hub, name))
    await hub.kubectl("delete", "pod", "notebook", "--namespace", name, "--wait=false")
    await hub.until("there is another notebook", lambda: len(hub.made[name, "notebook"]) == 2)
    await hub.ready(name)
    assert await home(hub, name) == volume


async def test_a_namespace_of_somebody_else_is_refused_and_left_alone(hub):
    name = new_name()
    await hub.kubectl("create", "namespace", name)
    before = (await hub.see("namespace", name))["metadata"]
    await hub.start()
    await hub.launch(name=name)
    workspace = await hub.phase(name, "Starting", "NamespaceTaken")
    assert workspace.status.message == (
        "There is a namespace of this name that is not Podium's, and it is left alone; "
        "stop this workspace and launch another one."
    )
    await hub.store.delete(name)
    await hub.until("it is released", lambda: hub.absent(name))
    after = await hub.see("namespace", name)
    assert (after["metadata"], after["status"]["phase"]) == (before, "Active")
    found = (await hub.see(f"{BEFORE_PODS},pod", "--namespace", name))["items"]
    assert [item for item in found if "podium.hub/release" in item["metadata"].get("labels", {})] == []
    await hub.kubectl("delete", "namespace", name, "--wait=false")


async def test_a_namespace_of_another_release_is_refused_too(hub):
    name = new_name()
    labels = {"app.kubernetes.io/managed-by": "podium", "podium.hub/release": "other"}
    metadata = {"name": name, "labels": {**labels, "podium.hub/workspace": name}}
    await hub.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    await hub.start()
    await hub.launch(name=name)
    await hub.phase(name, "Starting", "NamespaceTaken")
    assert (await hub.see("namespace", name))["metadata"]["labels"]["podium.hub/release"] == "other"
    await hub.kubectl("delete", "namespace", name, "--wait=false")


async def test_a_name_is_used_again_once_the_namespace_is_gone(hub):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    first = set(hub.made[name, "notebook"])
    await hub.store.delete(name)
    await hub.gone(name)
    await hub.launch(name=name)
    await hub.ready(name)
    assert len(hub.made[name, "notebook"] - first) == 1
