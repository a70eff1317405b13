"""Nodes that do not exist, for which kwok acts as the kubelet; the pure part: what they are.

Nothing here may start anything or talk to a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

PODS = ip_network("10.128.0.0/9")
"""Where the pods of these nodes have their addresses."""
PODS_OF_A_NODE = 4096
"""How many of them each node has."""
STAGES = Path(__file__).parent / "stages.yaml"
"""What kwok does to nodes, pods and volumes."""
MARK = "kwok.x-k8s.io/node"
"""The annotation of the nodes that kwok acts for."""
SELECTOR = f"{MARK}=fake"
STORAGE = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "podium.test/volumes",
}
"""The class of volumes that `stages.yaml` provides."""


def node(number: int, offers: Mapping[str, str]) -> dict[str, Any]:
    """A node.

    Args:
        number: tells it from others; its pods' addresses follow from it.
        offers: how much of each resource it has.
    """
    name = f"fake-{number}"
    share = str(IPv4Network((int(PODS[0]) + number * PODS_OF_A_NODE, 32 - PODS_OF_A_NODE.bit_length() + 1)))
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {MARK: "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {"podCIDR": share, "podCIDRs": [share]},
        "status": {"allocatable": {**offers}, "capacity": {**offers}},
    }


def usable(node: dict[str, Any]) -> bool:
    """Whether pods can be placed on a node."""
    ready = [c["status"] for c in node["status"].get("conditions", []) if c["type"] == "Ready"]
    return ready == ["True"] and not node["spec"].get("taints")
