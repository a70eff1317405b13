"""Who may reach what, as a table: our policy, as `tests/policy.py` evaluates it, rightly."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hub.backends.kubernetes.policy import COMPONENTS
from hub.settings import FRAMEWORKS, Settings
from hub.wire import convert
from tests.builders import make_workspace
from tests.namespaces import RELEASE, named, objects, pods
from tests.policy import Cluster, End

MINE, OTHERS = "cluster-aaaaaa", "cluster-bbbbbb"


def namespace(name: str, **labels: str) -> dict[str, dict[str, str]]:
    """A namespace, which Kubernetes labels with its name."""
    return {name: {"kubernetes.io/metadata.name": name, **labels}}


def workspace(name: str, network: dict[str, Any]) -> Any:
    settings = convert({"kubernetes": {"network": network}}, Settings)
    return make_workspace(name=name, clusters=dict.fromkeys(FRAMEWORKS), settings=settings)


def podium(component: str, namespace: str = RELEASE.namespace, name: str = "podium") -> End:
    """A pod of the release, or one that is like it."""
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component}
    return End("10.128.7.1", namespace, labels)


def ends() -> dict[str, End]:
    """Everything there is, by the name it has in the table."""
    found = {
        **{component: podium(component) for component in COMPONENTS},
        "another part of the release": podium("doctor"),
        "the release's neighbour": podium("web", name="grafana"),
        "a stranger that calls itself proxy": podium("proxy", "default"),
        "a stranger": End("10.128.8.1", "default"),
        "cluster DNS": End("10.128.9.1", "kube-system", {"k8s-app": "kube-dns"}),
        "a node": End("192.168.0.5"),
        "NodeLocal DNS": End("169.254.20.10"),
        "API server": End("192.168.0.2"),
        "API server's Service": End("10.96.0.1"),
        "metadata": End("169.254.169.254"),
        "metadata by IPv6": End("fd00:ec2::254"),
        "metadata of Alibaba": End("100.100.100.200"),
        "Azure's wire server": End("168.63.129.16"),
        "licence server": End("10.9.9.9"),
        "internet": End("93.184.216.34"),
        "internet by IPv6": End("2606:2800:220:1:248:1893:25c8:1946"),
        "a denied address": End("203.0.113.7"),
        "a denied IPv6 address": End("2001:db8::7"),
    }
    for number, (whose, name) in enumerate((("", MINE), ("their ", OTHERS))):
        for place, body in enumerate(pods(workspace(name, {}))):
            declared = body["spec"]["containers"][0].get("ports", [])
            ports = {port["name"]: port["containerPort"] for port in declared}
            address = f"10.128.{number}.{place + 1}"
            found[whose + body["metadata"]["name"]] = End(address, name, body["metadata"]["labels"], ports)
    return found


ENDS = ends()
NAMESPACES = {
    **namespace(RELEASE.namespace),
    **namespace("default"),
    **namespace("kube-system"),
    **namespace(MINE),
    **namespace(OTHERS),
}


def cluster(network: dict[str, Any], blocks_mean_pods: bool) -> Cluster:
    """Two workspaces of the same profile."""
    policies = [named(objects(workspace(name, network)), "NetworkPolicy") for name in (MINE, OTHERS)]
    return Cluster(NAMESPACES, policies, blocks_mean_pods)


# Who, whom, at which port, and whether it may.
ALWAYS = [
    # Within a workspace everything is open.
    ("notebook", "dask-scheduler", 8786, True),
    ("notebook", "spark-scheduler", 7077, True),
    ("notebook", "ipyparallel-scheduler", 10101, True),
    ("dask-worker-1", "dask-scheduler", 8786, True),
    ("dask-scheduler", "dask-worker-1", 40000, True),
    ("spark-worker-1", "notebook", 41234, True),
    # Between workspaces nothing is, not even what looks like DNS.
    ("notebook", "their dask-scheduler", 8786, False),
    ("notebook", "their dask-scheduler", 8787, False),
    ("notebook", "their notebook", 8888, False),
    ("notebook", "their notebook", 53, False),
    ("their dask-worker-1", "dask-scheduler", 8786, False),
    ("their notebook", "notebook", 8888, False),
    # The release reaches what people look at, by HTTP, and nothing else.
    ("proxy", "notebook", 8888, True),
    ("web", "notebook", 8888, True),
    ("controller", "notebook", 8888, True),
    ("proxy", "dask-scheduler", 8787, True),
    ("web", "dask-scheduler", 8787, True),
    ("web", "spark-scheduler", 8080, True),
    ("controller", "ipyparallel-scheduler", 10100, True),
    ("proxy", "notebook", 22, False),
    ("proxy", "dask-scheduler", 8786, False),
    ("controller", "spark-scheduler", 8081, False),
    ("web", "ipyparallel-scheduler", 10101, False),
    ("proxy", "dask-worker-1", 8787, False),
    ("proxy", "dask-worker-1", 40000, False),
    ("web", "spark-worker-1", 8080, False),
    # Whoever is not of it reaches nothing, whatever they call themselves.
    ("another part of the release", "notebook", 8888, False),
    ("the release's neighbour", "notebook", 8888, False),
    ("a stranger that calls itself proxy", "notebook", 8888, False),
    ("a stranger", "notebook", 8888, False),
    ("cluster DNS", "notebook", 8888, False),
    ("licence server", "notebook", 8888, False),
    ("internet", "notebook", 8888, False),
    ("internet", "dask-scheduler", 8787, False),
    ("internet by IPv6", "notebook", 8888, False),
    # What runs in a workspace reaches no part of the cluster but DNS.
    ("notebook", "cluster DNS", 53, True),
    ("notebook", "cluster DNS", 5353, True),
    ("notebook", "cluster DNS", 9153, False),
    ("notebook", "NodeLocal DNS", 53, True),
    ("notebook", "NodeLocal DNS", 80, False),
    ("notebook", "a node", 53, True),
    ("notebook", "a node", 10250, False),
    ("notebook", "API server", 6443, False),
    ("notebook", "API server's Service", 443, False),
    ("notebook", "web", 8000, False),
    ("notebook", "proxy", 8001, False),
    ("notebook", "controller", 8000, False),
    ("notebook", "a stranger", 80, False),
    # Nor any cloud's metadata, at any port.
    ("notebook", "metadata", 80, False),
    ("notebook", "metadata", 53, False),
    ("notebook", "metadata by IPv6", 80, False),
    ("notebook", "metadata of Alibaba", 80, False),
    ("dask-worker-1", "Azure's wire server", 80, False),
]
BY_PROFILE: list[tuple[dict[str, Any], list[tuple[str, str, int, bool]]]] = [
    (
        {},
        [
            ("notebook", "internet", 443, True),
            ("dask-worker-1", "internet", 22, True),
            ("notebook", "internet by IPv6", 443, True),
            ("notebook", "licence server", 443, False),
            ("notebook", "a denied address", 443, True),
        ],
    ),
    (
        {"internet": False},
        [
            ("notebook", "internet", 443, False),
            ("notebook", "internet", 53, False),
            ("notebook", "internet by IPv6", 443, False),
        ],
    ),
    (
        {"internet": False, "allow": ["10.9.9.9/32"]},
        [("notebook", "licence server", 27000, True), ("notebook", "internet", 443, False)],
    ),
    (
        {"deny": ["203.0.113.0/24", "2001:db8::/32"]},
        [
            ("notebook", "a denied address", 443, False),
            ("notebook", "a denied IPv6 address", 443, False),
            ("notebook", "internet", 443, True),
            ("notebook", "internet by IPv6", 443, True),
        ],
    ),
]


@pytest.mark.parametrize("blocks_mean_pods", [True, False])
@pytest.mark.parametrize(("network", "own"), BY_PROFILE, ids=lambda value: str(value)[:50])
def test_who_may_reach_what(network, own, blocks_mean_pods):
    here = cluster(network, blocks_mean_pods)
    table = ALWAYS + own
    found = [(who, whom, port, here.allows(ENDS[who], ENDS[whom], port)) for who, whom, port, _ in table]
    assert found == table


@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_dns_is_asked_by_either_protocol_and_udp_leads_nowhere_else(protocol):
    here = cluster({"internet": False}, True)
    assert here.allows(ENDS["notebook"], ENDS["cluster DNS"], 53, protocol)
    assert not here.allows(ENDS["proxy"], ENDS["notebook"], 8888, "UDP")
    assert not here.allows(ENDS["notebook"], ENDS["internet"], 443, protocol)


# From "Network Policies" in the documentation of Kubernetes.
DOCUMENTED = list(
    yaml.safe_load_all("""
metadata: {name: test-network-policy, namespace: default}
spec:
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
    - namespaceSelector: {matchLabels: {project: myproject}}
    - podSelector: {matchLabels: {role: frontend}}
    ports: [{protocol: TCP, port: 6379}]
  egress:
  - to: [{ipBlock: {cidr: 10.0.0.0/24}}]
    ports: [{protocol: TCP, port: 5978}]
---
metadata: {name: default-deny-ingress, namespace: denied}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
metadata: {name: allow-all-ingress, namespace: opened}
spec: {podSelector: {}, ingress: [{}], policyTypes: [Ingress]}
---
metadata: {name: default-deny-ingress, namespace: opened}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
metadata: {name: default-deny-all, namespace: shut}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
metadata: {name: multi-port-egress, namespace: ranged}
spec:
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: {cidr: 10.0.0.0/24}}]
    ports: [{protocol: TCP, port: 32000, endPort: 32768}]
---
metadata: {name: both-selectors, namespace: both}
spec:
  podSelector: {}
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {user: alice}}
      podSelector: {matchLabels: {role: client}}
---
metadata: {name: egress-namespaces, namespace: leaving}
spec:
  podSelector: {matchLabels: {app: myapp}}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector:
        matchExpressions: [{key: namespace, operator: In, values: [frontend, backend]}]
---
metadata: {name: named-port, namespace: naming}
spec:
  podSelector: {matchExpressions: [{key: role, operator: Exists}, {key: old, operator: DoesNotExist}]}
  ingress: [{ports: [{port: web}, {protocol: UDP}]}]
---
metadata: {name: implied-egress, namespace: implied}
spec: {podSelector: {matchExpressions: [{key: role, operator: NotIn, values: [open]}]}, egress: []}
""")
)
PLACES: dict[str, dict[str, str]] = {
    **namespace("default"),
    **namespace("mine", project="myproject"),
    **namespace("denied"),
    **namespace("opened"),
    **namespace("shut"),
    **namespace("ranged"),
    **namespace("both"),
    **namespace("alice", user="alice"),
    **namespace("leaving"),
    **namespace("front", namespace="frontend"),
    **namespace("naming"),
    **namespace("implied"),
}


def at(address: str) -> End:
    return End(address)


def in_(namespace: str, ports: dict[str, int] | None = None, **labels: str) -> End:
    return End("172.30.0.9", namespace, labels, ports or {})


DB = in_("default", role="db")
KNOWN: list[tuple[str, End, End, int, bool]] = [
    ("from the block", at("172.17.0.9"), DB, 6379, True),
    ("from what is taken out of it", at("172.17.1.9"), DB, 6379, False),
    ("from a namespace that is named", in_("mine"), DB, 6379, True),
    ("from a pod that is named", in_("default", role="frontend"), DB, 6379, True),
    ("from such a pod of another namespace", in_("front", role="frontend"), DB, 6379, False),
    ("from another pod", in_("default", role="other"), DB, 6379, False),
    ("at another port", at("172.17.0.9"), DB, 6380, False),
    ("out to the block", DB, at("10.0.0.7"), 5978, True),
    ("out at another port", DB, at("10.0.0.7"), 5979, False),
    ("out to elsewhere", DB, at("10.0.1.7"), 5978, False),
    ("a pod that is not selected", at("8.8.8.8"), in_("default", role="web"), 1, True),
    ("to itself", DB, DB, 1, True),
    ("default deny", in_("denied"), in_("denied"), 80, False),
    ("default deny leaves the way out", in_("denied"), at("8.8.8.8"), 80, True),
    ("policies add up", at("8.8.8.8"), in_("opened"), 80, True),
    ("denied in both directions: in", at("8.8.8.8"), in_("shut"), 80, False),
    ("denied in both directions: out", in_("shut"), at("8.8.8.8"), 80, False),
    ("the range's first", in_("ranged", role="db"), at("10.0.0.7"), 32000, True),
    ("the range's last", in_("ranged", role="db"), at("10.0.0.7"), 32768, True),
    ("past the range", in_("ranged", role="db"), at("10.0.0.7"), 32769, False),
    ("both selectors of one peer", in_("alice", role="client"), in_("both"), 80, True),
    ("only the namespace's", in_("alice"), in_("both"), 80, False),
    ("only the pod's", in_("both", role="client"), in_("both"), 80, False),
    ("namespaces by an expression", in_("leaving", app="myapp"), in_("front"), 80, True),
    ("namespaces that it leaves out", in_("leaving", app="myapp"), in_("mine"), 80, False),
    ("selectors mean no address", in_("leaving", app="myapp"), at("172.30.0.1"), 80, False),
    ("a named port", at("8.8.8.8"), in_("naming", {"web": 8080}, role="a"), 8080, True),
    ("another than the named", at("8.8.8.8"), in_("naming", {"web": 8080}, role="a"), 80, False),
    ("a name that the pod has not", at("8.8.8.8"), in_("naming", role="a"), 8080, False),
    ("not selected, for a label is there", at("8.8.8.8"), in_("naming", role="a", old="1"), 80, True),
    ("an empty list of ways out implies its type", in_("implied"), at("8.8.8.8"), 80, False),
    ("a value that an expression leaves out", in_("implied", role="open"), at("8.8.8.8"), 80, True),
]


@pytest.mark.parametrize(("case", "source", "target", "port", "may"), KNOWN, ids=[row[0] for row in KNOWN])
def test_the_evaluator_is_right_on_what_is_documented(case, source, target, port, may):
    assert Cluster(PLACES, DOCUMENTED).allows(source, target, port) is may


def test_a_protocol_alone_means_its_every_port():
    pod = in_("naming", role="a")
    assert Cluster(PLACES, DOCUMENTED).allows(at("8.8.8.8"), pod, 7, "UDP")


def test_whether_a_block_means_pods_is_the_networks_choice():
    source = End("172.17.0.9", "front")
    assert Cluster(PLACES, DOCUMENTED, blocks_mean_pods=True).allows(source, DB, 6379)
    assert not Cluster(PLACES, DOCUMENTED, blocks_mean_pods=False).allows(source, DB, 6379)
