"""Ready for nine? On the real node, where a launch that is tried is a real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cluster.node import RealNode
from tests.node.hub import node_hub
from tests.running import RunningHub

CONFIG = """
small = {"cpu": 0.5, "memory": "512Mi", "requests": {"cpu": 0.05, "memory": "64Mi"}}
roles = dict.fromkeys(("notebook", "scheduler", "worker"), small)
course = {"clusters": {"dask": {}}, "workers": 1, "resources": roles}
c.Podium.profiles = {
    "course": course,
    "elsewhere": {**course, "image": "localhost/podium-nothing:1"},
}
c.Podium.prices = {"currency": "EUR", "cpu_hour": 1.0}
"""


@pytest.fixture(scope="module")
def hub(node: RealNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with node_hub(node, tmp_path_factory.mktemp("preflight"), CONFIG) as hub:
        yield hub


def ask(hub: RunningHub, profile: str, seats: int) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Ask as the page does. Returns the whole answer, and its checks by name."""
    start = (datetime.now(UTC) + timedelta(hours=12)).isoformat()
    order = {"seats": seats, "profile": profile, "start": start, "hours": 2}
    asked = hub.client.request("PATCH", "/api/room", {"spec": {"preflight": order}})
    at = asked["room"]["spec"]["preflight"]["at"]

    def answered() -> dict[str, Any] | None:
        report = hub.client.request("GET", "/api/room")["room"]["status"]["preflight"]
        return report if report and report["at"] == at and not report["running"] else None

    report = hub.wait("the preflight is answered", answered)
    return report, {check["name"]: check for check in report["checks"]}


def states(found: dict[str, dict[str, Any]], *names: str) -> dict[str, str]:
    """How some checks are."""
    return {name: found[name]["state"] for name in names}


def test_all_is_well_for_one(hub):
    report, found = ask(hub, "course", 1)
    others = [check for check in report["checks"] if check["state"] not in ("ok", "skipped")]
    # Nothing keeps files where the chart did not put it.
    assert [(check["name"], check["state"]) for check in others] == [("archive", "warning")]
    assert "over HTTP and WebSocket, and its worker was ready" in found["launch"]["message"]
    assert report["cost"] == "0.30 EUR"  # three pods of a twentieth of a core, for two hours
    assert hub.client.request("GET", "/api/workspaces")["items"] == []


def test_one_node_is_too_little_for_a_crowd(hub):
    _, found = ask(hub, "course", 500)
    assert states(found, "nodes", "cpu", "room", "sign-in", "launch") == {
        **{"nodes": "ok", "cpu": "failed", "room": "failed", "sign-in": "failed", "launch": "ok"},
    }
    assert found["cpu"]["hint"].splitlines()[-1] == "$ kubectl get nodes"


def test_an_image_that_is_nowhere(hub):
    _, found = ask(hub, "elsewhere", 1)
    assert states(found, "nodes", "images", "launch") == {
        **{"nodes": "ok", "images": "failed", "launch": "failed"}
    }
    assert "localhost/podium-nothing:1" in found["launch"]["message"]
