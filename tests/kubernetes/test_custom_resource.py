"""The Workspace as people with kubectl know it: what it shows, takes, refuses and explains."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime, timedelta

import pytest

from hub.model import FINALIZER
from hub.store.kubernetes import GROUP, PLURAL, VERSION
from tests.cluster.access import ClusterError
from tests.kubernetes.hub_in_cluster import new_name


def written(name, **spec):
    """An object as somebody writes it by hand."""
    metadata = {"name": name}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Workspace", "metadata": metadata, "spec": spec}


async def apply(hub, manifest):
    """`kubectl apply`."""
    return await hub.kubectl("apply", "-n", hub.namespace, "-f", "-", given=json.dumps(manifest))


async def patch(hub, name, changes, *options):
    """`kubectl patch`."""
    text = f"--patch={json.dumps(changes)}"
    return await hub.kubectl("patch", "workspace", name, "-n", hub.namespace, "--type=merge", text, *options)


async def raw(hub, name):
    """The object as it is kept."""
    return await hub.see("workspace", name, "-n", hub.namespace)


# What it shows.


async def test_get_shows_what_one_wants_to_know(hub):
    await hub.start()
    name = await hub.launch(workers=3)
    await hub.ready(name, workers=3)
    table = await hub.kubectl("get", "workspaces", "-n", hub.namespace)
    head, row = table.splitlines()
    assert head.split() == ["NAME", "OWNER", "PROFILE", "PHASE", "WORKERS", "AGE", "URL"]
    cells = row.split()
    assert cells[:5] == [name, "ada", "workshop", "Ready", "3"]
    assert re.fullmatch(r"\d+s", cells[5])
    assert cells[6] == f"/{name}/"


async def test_what_is_wrong_is_in_the_wide_table(hub):
    await hub.start()
    name = await hub.launch("huge", clusters={})
    await hub.phase(name, "Starting", "Unschedulable")
    table = await hub.kubectl("get", "ws", name, "-n", hub.namespace, "-o", "wide")
    assert "No machine of the cluster has room for JupyterLab" in table


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("workspace", "One person's namespace, with a notebook and clusters that scale."),
        ("workspace.spec", "What people asked for."),
        ("workspace.spec.workers", "<integer>"),
        ("workspace.spec.clusters.dask.workers", "<integer>"),
        ("workspace.spec.settings.resources.worker.memory", "<string>"),
        ("workspace.status.phase", "ENUM:\n    Failed\n    Queued\n    Ready\n    Starting\n    Stopping"),
    ],
)
async def test_explain(hub, field, told):
    assert told in await hub.kubectl("explain", field)


# What it takes.


async def test_a_hand_written_one_with_nothing_but_a_profile(hub):
    await hub.start()
    name = new_name()
    await apply(hub, written(name, profile="workshop"))
    workspace = await hub.ready(name, workers=2)
    spec = workspace.spec
    assert spec.workers == 2
    assert list(spec.clusters) == ["dask"]
    assert spec.settings == hub.profiles["workshop"].settings
    assert spec.expires - workspace.metadata.creation_timestamp == timedelta(seconds=spec.settings.wall_time)
    kept = await raw(hub, name)
    assert kept["metadata"]["finalizers"] == [FINALIZER]
    assert datetime.fromisoformat(kept["spec"]["expires"]) == spec.expires
    await hub.kubectl("delete", "workspace", name, "-n", hub.namespace, "--wait=false")
    await hub.gone(name)


async def test_a_hand_written_one_with_choices_of_its_own(hub):
    await hub.start()
    name = new_name()
    await apply(hub, written(name, profile="workshop", workers=1, clusters={"dask": {"workers": 3}}))
    await hub.ready(name, workers=3)
    assert (await hub.get(name)).spec.workers == 1


async def test_applying_it_again_with_another_number_scales_it(hub):
    await hub.start()
    name = new_name()
    await apply(hub, written(name, profile="workshop", workers=1))
    await hub.ready(name, workers=1)
    assert "configured" in await apply(hub, written(name, profile="workshop", workers=3))
    await hub.ready(name, workers=3)
    assert "unchanged" in await apply(hub, written(name, profile="workshop", workers=3))
    assert hub.lives(name) == 5


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"profile": "nobody-has-this"}, "spec.profile: there is no profile 'nobody-has-this'."),
        ({"profile": "workshop", "workers": 500}, "spec.workers: 500 is more than 100."),
    ],
)
async def test_a_hand_written_one_that_is_not_accepted_says_why(hub, spec, told):
    await hub.start()
    name = new_name()
    await apply(hub, written(name, **spec))
    workspace = await hub.phase(name, "Failed", "NotAccepted")
    assert workspace.status.message.startswith(told)
    assert name not in hub.namespaces()
    await hub.kubectl("delete", "workspace", name, "-n", hub.namespace, "--timeout=20s")


async def test_delete_returns_when_everything_is_gone(hub):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    said = await hub.kubectl("delete", "workspace", name, "-n", hub.namespace, "--timeout=60s")
    assert "deleted" in said
    assert (await hub.see("namespaces", f"--field-selector=metadata.name={name}"))["items"] == []


# What it refuses, naming the field.


@pytest.mark.parametrize(
    "name", ["cluster-Abc123", "cluster-abc", "cluster-abc123456", "mine", "cluster-abc12_"]
)
async def test_a_bad_name(hub, name):
    with pytest.raises(ClusterError, match=r"8 lower-case letters and digits|RFC 1123"):
        await apply(hub, written(name, profile="workshop"))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, r"spec\.profile: Required value"),
        ({"profile": "Work Shop"}, r"spec\.profile"),
        ({"profile": "workshop", "workers": -1}, r"spec\.workers: Invalid value: -1"),
        ({"profile": "workshop", "workers": 1001}, r"spec\.workers: Invalid value: 1001"),
        ({"profile": "workshop", "workers": "many"}, r"spec\.workers: Invalid value: \"string\""),
        (
            {"profile": "workshop", "clusters": {"dask": {"workers": 5000}}},
            r"spec\.clusters\.dask\.workers: Invalid value: 5000",
        ),
        ({"profile": "workshop", "clusters": {"ray": {}}}, r"spec\.clusters\.ray"),
        ({"profile": "workshop", "expires": "tomorrow"}, r"spec\.expires"),
        ({"profile": "workshop", "content": [{"git": "no address"}]}, r"spec\.content\[0\]\.git"),
        (
            {"profile": "workshop", "workers": 3, "settings": {"maxWorkers": 2}},
            r"workers: more than settings\.maxWorkers",
        ),
        (
            {"profile": "workshop", "clusters": {"spark": {}}, "settings": {"frameworks": ["dask"]}},
            r"clusters\.spark: not in settings\.frameworks",
        ),
    ],
)
async def test_a_bad_spec(hub, spec, told):
    with pytest.raises(ClusterError, match=told):
        await apply(hub, written(new_name(), **spec))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"owner": "mallory"}, "owner: cannot be changed"),
        ({"profile": "huge"}, "profile: cannot be changed"),
        ({"settings": {"idleTime": 86400}}, "settings: cannot be changed"),
        ({"workers": 101}, r"workers: more than settings\.maxWorkers"),
        ({"clusters": {"dask": {"workers": 101}}}, r"clusters\.dask: not in .* or more workers than"),
    ],
)
async def test_a_bad_change(hub, changes, told):
    name = await hub.launch()
    with pytest.raises(ClusterError, match=told):
        await patch(hub, name, {"spec": changes})


async def test_the_status_is_written_apart_from_the_rest(hub):
    name = await hub.launch()
    await patch(hub, name, {"status": {"phase": "Ready"}, "spec": {"workers": 1}})
    kept = await raw(hub, name)
    assert (kept["spec"]["workers"], "phase" in kept.get("status", {})) == (1, False)
    await patch(hub, name, {"status": {"phase": "Ready"}, "spec": {"workers": 5}}, "--subresource=status")
    kept = await raw(hub, name)
    assert (kept["spec"]["workers"], kept["status"]["phase"]) == (1, "Ready")
    with pytest.raises(ClusterError, match=r"status\.phase: Unsupported value: \"Dancing\""):
        await patch(hub, name, {"status": {"phase": "Dancing"}}, "--subresource=status")


async def test_a_status_that_somebody_wrote_is_replaced(hub):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    told = {"status": {"phase": "Ready", "message": "Send money", "url": "https://evil.example/"}}
    await patch(hub, name, told, "--subresource=status")
    await hub.until("it is as it was", lambda: hub.tells(name, message="", url=f"/{name}/"))


# Very many.


async def test_a_thousand_objects_are_listed_page_by_page(hub):
    """They ask for a profile that there is not, so that nothing is started for them."""
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{hub.namespace}/{PLURAL}"
    thousand = [written(f"cluster-{number:06d}", profile="none") for number in range(1000)]
    await asyncio.gather(*(hub.people.call("POST", path, one) for one in thousand))
    controller = await hub.start()

    async def all_told():
        return sum(one.status.reason == "NotAccepted" for one in await hub.store.list()) == 1000

    await hub.until("all are told", all_told)
    listed = [one for one in controller.api.requests if one == ("GET", path)]
    assert len(listed) == 3, "two pages and a watch"
    assert len(controller.api.writes) == 1000
    assert hub.namespaces() == set()
    await hub.kubectl("delete", "workspaces", "--all", "-n", hub.namespace, "--wait=false")
