"""Workers that go, and a hub that is killed: on a real node nothing is lost, and nothing runs twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.node import RealNode
from tests.node.hub import node_hub
from tests.running import RunningHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = """
c = get_config()
c.Podium.profiles = {
    "plain": {"frameworks": ["dask"], "clusters": {"dask": {}}, "workers": 2, "max_workers": 4},
}
"""
KEEP = """
from distributed import Client
client = Client()
client.wait_for_workers(2)
held = client.scatter(list(range(100)), hash=False)
client.publish_dataset(held=held)
on = {address.split("//")[1].split(":")[0] for keys in client.who_has().values() for address in keys}
print("kept on", len(on))
"""
FETCH = """
from distributed import Client
client = Client()
print("sum", sum(client.gather(client.get_dataset("held"))))
"""


@pytest.fixture(scope="module")
def hub(node: RealNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with node_hub(node, tmp_path_factory.mktemp("ends"), CONFIG) as hub:
        yield hub


def pods(node: RealNode, name: str) -> dict[str, str]:
    """Name to uid of the pods that are there to stay."""
    items = node.get("pods", "-n", name)["items"]
    return {
        pod["metadata"]["name"]: pod["metadata"]["uid"]
        for pod in items
        if "deletionTimestamp" not in pod["metadata"]
    }


def in_notebook(node: RealNode, name: str, code: str) -> str:
    """Run a program where the notebook runs, with its environment."""
    return node.kubectl("exec", "-n", name, "notebook", "--", "python", "-c", code)


def test_a_worker_that_somebody_deletes_hands_over_what_it_holds(hub: RunningHub, node: RealNode) -> None:
    name = hub.launch("plain")
    hub.workers(name, "dask", 2)
    assert "kept on 2" in in_notebook(node, name, KEEP)
    before = pods(node, name)
    node.kubectl("delete", "pod", "-n", name, "dask-worker-1")
    assert "sum 4950" in in_notebook(node, name, FETCH)
    hub.workers(name, "dask", 2)
    after = hub.wait("another worker is there", lambda: (now := pods(node, name)) and len(now) == 4 and now)
    kept = {"notebook", "dask-scheduler", "dask-worker-2"}
    assert {pod: after[pod] for pod in kept} == {pod: before[pod] for pod in kept}


def test_a_hub_that_is_killed_finds_everything_again(hub: RunningHub, node: RealNode) -> None:
    name = hub.launch("plain")
    hub.workers(name, "dask", 2)
    before = pods(node, name)
    hub.patch(name, clusters={"dask": {"workers": 4}})
    hub.kill()
    hub.start()
    hub.workers(name, "dask", 4)
    after = pods(node, name)
    assert before.items() <= after.items(), "nothing was started twice"
    assert len(after) == len(before) + 2
    hub.kill()
    hub.start()
    hub.client.request("DELETE", f"/api/workspaces/{name}")
    hub.kill()
    hub.start()
    hub.wait("the namespace is gone", lambda: name not in node.kubectl("get", "namespaces") or None)
    hub.wait("it is remembered", lambda: not hub.client.request("GET", "/api/workspaces")["items"] or None)
    report = hub.client.request("GET", "/api/room")["room"]["status"]
    assert [gone["name"] for gone in report["ended"]] == [name]
