"""What an earlier release stored, in a real API server whose definition is then brought up to date."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from hub.kube.api import Api
from hub.model import Workspace
from hub.store import crd
from hub.store.kubernetes import KubernetesStore
from hub.wire import convert, replace
from tests.cluster.access import until
from tests.cluster.control_plane import ControlPlane
from tests.test_evolution import RELEASES


@pytest.fixture
def own_cluster(bin, tmp_path):
    """A control plane of its own, for what is defined here is not what others want."""
    with ControlPlane(tmp_path / "cluster", bin, fake=False) as cluster:
        yield cluster


def stored(release: Path) -> dict[str, Workspace]:
    """What a release stored, as the model of today reads it."""
    items = json.loads((release / "workspaces.json").read_text())["items"]
    return {item["metadata"]["name"]: convert(item, Workspace) for item in items}


def install(cluster: ControlPlane, definition: Path) -> None:
    """Apply a definition, as Helm does, and wait until it is served."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(definition))
    until("it is served", lambda: "workspaces" in cluster.kubectl("api-resources", "--api-group=podium.hub"))


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
async def test_they_are_read_changed_and_reported_on(release, own_cluster):
    install(own_cluster, release / "crd.yaml")
    text = (release / "workspaces.json").read_text()
    until("they are taken", lambda: own_cluster.kubectl("create", "-f", "-", given=text))
    for item in json.loads(text)["items"]:
        patch = json.dumps({"status": item["status"]})
        name = item["metadata"]["name"]
        own_cluster.kubectl("patch", "workspace", name, "--subresource=status", "--type=merge", f"-p={patch}")
    install(own_cluster, crd.FILE)
    api = await Api.connect(own_cluster.kubeconfig)
    store = KubernetesStore(api, "default", lambda spec, made: spec)
    running = asyncio.create_task(store.run())
    try:
        for name, before in stored(release).items():
            read = await store.get(name)
            assert (read.spec, read.status) == (before.spec, before.status)
            more = await store.update(replace(read, spec=replace(read.spec, workers=1)))
            told = replace(more.status, message="Seen by the next release.")
            assert (await store.update_status(replace(more, status=told))).status == told
            await store.delete(name)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await api.close()
