"""A Workspace is an object like any other: kubectl makes, shows, scales, explains and deletes it."""

from __future__ import annotations

import json

import pytest

from hub.store import crd
from tests.cluster.access import ClusterError
from tests.kubernetes.hub_in_cluster import new_name


def by_hand(name: str, **spec: object) -> str:
    """A hand-written object."""
    kind = {"apiVersion": "podium.hub/v1", "kind": "Workspace"}
    return json.dumps({**kind, "metadata": {"name": name}, "spec": spec})


async def apply(hub, text: str) -> str:
    return await hub.kubectl("apply", "-n", hub.namespace, "-f", "-", given=text)


def test_the_definition_in_the_repository_is_that_of_the_model():
    assert crd.FILE.read_text() == crd.text(), "run: python -m hub.store.crd"


async def test_one_that_is_written_by_hand_gets_what_its_profile_gives(hub):
    await hub.start()
    name = new_name()
    await apply(hub, by_hand(name, owner="ada", profile="workshop", workers=1))
    workspace = await hub.ready(name, workers=1)
    assert workspace.spec.settings == hub.profiles["workshop"].settings
    assert workspace.spec.expires > workspace.metadata.creation_timestamp
    columns = (await hub.kubectl("get", "workspaces", "-n", hub.namespace)).splitlines()
    assert columns[0].split() == ["NAME", "OWNER", "PROFILE", "PHASE", "WORKERS", "AGE", "URL"]
    shown = columns[1].split()
    assert [*shown[:5], shown[6]] == [name, "ada", "workshop", "Ready", "1", f"/{name}/"]
    await hub.kubectl("delete", "workspace", name, "-n", hub.namespace)
    await hub.gone(name)


async def test_one_that_names_no_profile_of_ours_is_told_so_and_makes_nothing(hub):
    await hub.start()
    name = new_name()
    await apply(hub, by_hand(name, owner="ada", profile="nowhere"))
    workspace = await hub.phase(name, "Failed", "NotAccepted")
    assert workspace.status.message == "spec.profile: there is no profile 'nowhere'. Choose another one."
    assert name not in hub.namespaces()
    await hub.kubectl("delete", "workspace", name, "-n", hub.namespace)
    await hub.gone(name)


@pytest.mark.parametrize(
    ("name", "spec", "said"),
    [
        ("my-workspace", {"profile": "workshop"}, "the name must be `cluster-` and 6 to 8"),
        ("", {}, "spec.profile: Required value"),
        ("", {"profile": "No Good"}, "spec.profile"),
        ("", {"profile": "workshop", "workers": 1001}, "spec.workers"),
        ("", {"profile": "workshop", "workers": -1}, "spec.workers"),
        ("", {"profile": "workshop", "clusters": {"hadoop": {}}}, 'unknown field "spec.clusters.hadoop"'),
        ("", {"profile": "workshop", "expires": "tomorrow"}, "spec.expires"),
        (
            "",
            {"profile": "workshop", "workers": 9, "settings": {"maxWorkers": 8}},
            "more than settings.maxWorkers",
        ),
        (
            "",
            {"profile": "workshop", "clusters": {"spark": {}}, "settings": {"frameworks": ["dask"]}},
            "clusters.spark: not in settings.frameworks",
        ),
    ],
)
async def test_what_does_not_fit_is_refused_by_the_server_which_names_the_field(hub, name, spec, said):
    with pytest.raises(ClusterError, match=said.replace(".", r"\.")):
        await apply(hub, by_hand(name or new_name(), **spec))


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"owner": "eve"}, "owner: cannot be changed"),
        ({"profile": "tight"}, "profile: cannot be changed"),
        ({"settings": {"maxWorkers": 1000}}, "settings: cannot be changed"),
        ({"clusters": {"dask": {"workers": 101}}}, "clusters.dask: .*more workers than settings.maxWorkers"),
    ],
)
async def test_what_may_not_change_stays(hub, patch, said):
    name = await hub.launch()
    before = (await hub.get(name)).spec
    text = json.dumps({"spec": patch})
    with pytest.raises(ClusterError, match=said):
        await hub.kubectl("patch", "workspace", name, "-n", hub.namespace, "--type=merge", f"--patch={text}")
    assert (await hub.get(name)).spec == before


async def test_one_that_waits_for_an_owner_can_be_claimed_once(hub):
    name = new_name()
    await apply(hub, by_hand(name, profile="workshop"))
    claim = ("patch", "workspace", name, "-n", hub.namespace, "--type=merge")
    await hub.kubectl(*claim, '--patch={"spec": {"owner": "ada"}}')
    with pytest.raises(ClusterError, match="owner: cannot be changed"):
        await hub.kubectl(*claim, '--patch={"spec": {"owner": "eve"}}')


async def test_kubectl_explains_every_field(hub):
    said = await hub.kubectl("explain", "workspace.spec", "--recursive")
    for field in ("owner", "workers", "clusters", "maxWorkers", "imagePullPolicy", "podPatch"):
        assert f"{field}\t" in said
    assert "One person's namespace" in await hub.kubectl("explain", "workspace")


async def test_a_report_is_written_at_its_own_address_alone(hub):
    name = await hub.launch()
    forged = json.dumps({"status": {"phase": "Ready"}})
    await hub.kubectl("patch", "workspace", name, "-n", hub.namespace, "--type=merge", f"--patch={forged}")
    assert (await hub.get(name)).status.phase == "Queued"
