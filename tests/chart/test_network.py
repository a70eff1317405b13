"""Who may reach whom by the chart's policies and those of workspaces, as a table; evaluated, not enforced."""

from __future__ import annotations

from typing import Any

import pytest

from hub.backends.kubernetes.names import Release
from hub.backends.kubernetes.policy import network_policy
from hub.profiles import read_profiles
from tests.chart.helm import NAMESPACE, RELEASE, Objects, of, pods
from tests.chart.test_fits import ports
from tests.policy import Cluster, End

WORKSPACE = "cluster-abc123"
NAMESPACES = {
    name: {"kubernetes.io/metadata.name": name, **more}
    for name, more in {
        NAMESPACE: {},
        "kube-system": {},
        "monitoring": {},
        "elsewhere": {},
        WORKSPACE: {"podium.hub/release": RELEASE, "podium.hub/workspace": WORKSPACE},
        "cluster-theirs": {"podium.hub/release": "another", "podium.hub/workspace": "cluster-theirs"},
    }.items()
}
BROWSER = End("203.0.113.5")
API_SERVER = End("10.0.0.2")
PUBLIC_DNS = End("203.0.113.53")


@pytest.fixture(scope="module")
def ends(objects: Objects) -> dict[str, End]:
    """Who there is."""
    ours = {
        name: End(f"10.64.0.{number}", NAMESPACE, pod["metadata"]["labels"], ports(pod))
        for number, (name, pod) in enumerate(pods(objects).items(), 2)
    }
    others = {
        "notebook": End("10.64.1.2", WORKSPACE, {"podium.hub/role": "notebook"}, {"http": 8888}),
        "their notebook": End("10.64.1.3", "cluster-theirs", {}, {"http": 8888}),
        "dns": End("10.64.2.2", "kube-system", {"k8s-app": "kube-dns"}),
        "prometheus": End("10.64.2.3", "monitoring", {}),
        "stranger": End("10.64.2.4", "elsewhere", {"app.kubernetes.io/component": "controller"}),
        "neighbour": End("10.64.2.5", NAMESPACE, {"app.kubernetes.io/name": "something"}),
        "api server": API_SERVER,
        "browser": BROWSER,
        "public dns": PUBLIC_DNS,
    }
    return {**ours, **others}


@pytest.fixture(scope="module")
def network(objects: Objects) -> Cluster:
    """With the policies of the release and of one workspace."""
    profile = read_profiles({"lab": {}})["lab"]
    workspace = network_policy(WORKSPACE, profile.settings, Release(RELEASE, NAMESPACE))
    policies: list[dict[str, Any]] = [*of(objects, "NetworkPolicy"), workspace.body]
    return Cluster(NAMESPACES, policies)


TABLE = {
    # What everybody comes through.
    ("proxy", 8000): {
        "browser",
        "stranger",
        "neighbour",
        "prometheus",
        "controller",
        "dns",
        "their notebook",
    },
    # Who may say where addresses lead.
    ("proxy", 8001): {"controller"},
    # Pages are served to those who come through the proxy.
    ("web", 8081): {"proxy"},
    # Numbers, for whoever of the cluster collects them.
    ("proxy", 8002): {"prometheus", "stranger", "neighbour", "dns", "their notebook"},
    ("web", 8082): {"prometheus", "stranger", "neighbour", "dns", "their notebook"},
    ("controller", 8082): {"prometheus", "stranger", "neighbour", "dns", "their notebook"},
    # What holds images, and what runs once, serve nothing.
    ("prepull", 80): set(),
    ("uninstall", 8082): set(),
    # Workspaces of this release.
    ("notebook", 8888): {"proxy", "web", "controller", "archive"},
    # What people made is asked for by those who know whose it is.
    ("archive", 8081): {"web", "controller"},
    ("archive", 8082): {"prometheus", "stranger", "neighbour", "dns", "their notebook"},
    # Nobody of the release goes to another's.
    ("their notebook", 8888): {"browser", "stranger", "neighbour", "prometheus", "dns"},
    # Whoever asks the API server, and those that no policy holds.
    ("api server", 6443): {
        *("web", "controller", "uninstall"),
        *("browser", "stranger", "neighbour", "prometheus", "dns", "their notebook"),
    },
}


@pytest.mark.parametrize(("target", "port"), TABLE, ids=lambda value: str(value))
def test_who_reaches(network, ends, target, port):
    reached = {
        name
        for name, end in ends.items()
        if name not in (target, "public dns", "api server") and network.allows(end, ends[target], port)
    }
    assert reached == TABLE[target, port]


def test_names_are_found_by_all_that_look_for_any(network, ends):
    asking = {name for name in pods_of(ends) if network.allows(ends[name], ends["dns"], 53, "UDP")}
    assert asking == {"web", "controller", "proxy", "archive", "uninstall"}


def test_nobody_of_the_release_reaches_the_world(network, ends):
    for name in pods_of(ends):
        for port, protocol in ((80, "TCP"), (22, "TCP"), (53, "UDP")):
            assert not network.allows(ends[name], PUBLIC_DNS, port, protocol), name


def test_ports_of_the_api_server_are_the_only_ones_that_lead_out(network, ends):
    """Its address is not known when a chart is written."""
    out = {name for name in pods_of(ends) if network.allows(ends[name], PUBLIC_DNS, 443)}
    assert out == {"web", "controller", "uninstall"}


def pods_of(ends: dict[str, End]) -> list[str]:
    """The names of the release's own pods."""
    return [name for name, end in ends.items() if end.labels.get("app.kubernetes.io/instance") == RELEASE]


def test_metrics_are_for_those_who_are_named(helm, ends):
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    objects = helm.template({"networkPolicy": {"metricsFrom": [monitoring]}})
    network = Cluster(NAMESPACES, of(objects, "NetworkPolicy"))
    for target, port in (("web", 8082), ("controller", 8082), ("proxy", 8002)):
        asking = {
            name for name, end in ends.items() if name != target and network.allows(end, ends[target], port)
        }
        assert asking == {"prometheus"}


def test_there_are_none_when_none_are_wanted(helm):
    assert of(helm.template({"networkPolicy": {"enabled": False}}), "NetworkPolicy") == []
