"""Who may reach what: the one NetworkPolicy of a workspace. Nothing here may do I/O.

It selects every pod and governs both directions, so what it does not name is denied. Kubelet's probes need
no rule. Source: Kubernetes, "Network Policies".
"""

from __future__ import annotations

from typing import Any

from hub.backends.kubernetes.names import Manifest, Release, manifest
from hub.clusters import CLUSTERS
from hub.settings import Network, Settings

COMPONENTS = ("archive", "controller", "proxy", "web")
"""Who of the release sends requests into workspaces: to relay, to ask how they are, and to keep homes."""
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
NOT_PUBLIC = (
    *PRIVATE,
    "0.0.0.0/8",  # to Linux, this host
    "100.64.0.0/10",  # carriers' own, and many clusters' nodes and pods; Alibaba's metadata
    "127.0.0.0/8",
    "169.254.0.0/16",  # link-local: the metadata service of most clouds
    "168.63.129.16/32",  # Azure's own service to its machines, at a public address
    "192.0.0.0/24",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
)
NOT_PUBLIC_6 = ("::1/128", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8")
"""Amazon's metadata service is in fc00::/7. Sources: IANA's registries of special-purpose addresses."""
DNS_PORTS = (53, 5353)
"""A policy sees the port behind the Service, which on OpenShift is 5353."""
DNS_PEERS: tuple[dict[str, Any], ...] = (
    # Whichever pods of the cluster answer there: other workspaces refuse by their own policy.
    {"namespaceSelector": {}},
    # DNS that runs on the nodes themselves, and at last the address of NodeLocal DNSCache.
    *({"ipBlock": {"cidr": cidr}} for cidr in (*PRIVATE, "fc00::/7", "169.254.20.10/32")),
)


def network_policy(workspace: str, settings: Settings, release: Release) -> Manifest:
    """Deny by default; allow the workspace itself, its release's requests, DNS, and what the profile says.

    It names ports by their names, which only the pods that serve HTTP there declare: the notebook's, and
    the dashboards'. It is the same whichever clusters run, so adding one changes nothing here.
    """
    names = {"http"} | {CLUSTERS[name].dashboard.port for name in settings.frameworks}
    release_pods = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": release.namespace}},
        "podSelector": {
            "matchLabels": {"app.kubernetes.io/name": "podium"},
            "matchExpressions": [
                {"key": "app.kubernetes.io/component", "operator": "In", "values": list(COMPONENTS)}
            ],
        },
    }
    ingress = [
        {"from": [{"podSelector": {}}]},
        {"from": [release_pods], "ports": [{"protocol": "TCP", "port": name} for name in sorted(names)]},
    ]
    spec = {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress(settings.kubernetes.network),
    }
    return manifest("NetworkPolicy", "workspace", workspace, release, spec=spec)


def egress(network: Network) -> list[dict[str, Any]]:
    """What pods may reach: each other, DNS, and what the profile says."""
    dns = [{"protocol": protocol, "port": port} for port in DNS_PORTS for protocol in ("UDP", "TCP")]
    rules: list[dict[str, Any]] = [
        {"to": [{"podSelector": {}}]},
        {"to": list(DNS_PEERS), "ports": dns},
    ]
    if network.internet:
        own = [cidr for cidr in network.deny if ":" not in cidr]
        own_6 = [cidr for cidr in network.deny if ":" in cidr]
        everywhere = (("0.0.0.0/0", (*NOT_PUBLIC, *own)), ("::/0", (*NOT_PUBLIC_6, *own_6)))
        rules.append({"to": [{"ipBlock": {"cidr": cidr, "except": list(but)}} for cidr, but in everywhere]})
    if network.allow:
        rules.append({"to": [{"ipBlock": {"cidr": cidr}} for cidr in network.allow]})
    return rules
