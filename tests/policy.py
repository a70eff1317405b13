"""An evaluator of NetworkPolicies, for clusters of the tests that do not enforce any.

Source: Kubernetes API reference, NetworkPolicy v1, and its page "Network Policies".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod, or an address that is none.

    Args:
        address: without a port.
        namespace: where the pod is; empty for what is no pod.
        labels: the pod's own.
        ports: names of the ports that its containers declare, all TCP.
    """

    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """What decides who may reach what.

    Args:
        namespaces: their labels by their names.
        policies: all NetworkPolicies of all namespaces.
        blocks_mean_pods: whether an ipBlock stands for pods with such an address too, which Kubernetes
            leaves to each network.
    """

    namespaces: Mapping[str, Mapping[str, str]]
    policies: Sequence[Json]
    blocks_mean_pods: bool = True

    def allows(self, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
        """Whether a connection would be let through, by both ends."""
        if source is target:
            return True  # "a Pod cannot block access to itself"
        out = self._passes("Egress", source, target, target, port, protocol)
        return out and self._passes("Ingress", target, source, target, port, protocol)

    def _passes(self, direction: str, own: End, other: End, target: End, port: int, protocol: str) -> bool:
        """Whether the policies of one end let a connection through; without any they let all."""
        if not own.namespace:
            return True
        selecting = [policy for policy in self.policies if _governs(policy, own, direction)]
        rules = [
            (policy["metadata"]["namespace"], rule)
            for policy in selecting
            for rule in policy["spec"].get(direction.lower()) or []
        ]
        peers = "from" if direction == "Ingress" else "to"
        return not selecting or any(
            self._is_peer(rule.get(peers), other, namespace)
            and _is_port(rule.get("ports"), target, port, protocol)
            for namespace, rule in rules
        )

    def _is_peer(self, peers: Sequence[Json] | None, end: End, namespace: str) -> bool:
        """Whether an end is one of those that a rule names; a rule that names none means all."""
        return not peers or any(self._matches(peer, end, namespace) for peer in peers)

    def _matches(self, peer: Json, end: End, namespace: str) -> bool:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            within = _within(end.address, block["cidr"])
            without = not any(_within(end.address, cidr) for cidr in block.get("except") or [])
            return within and without and (self.blocks_mean_pods or not end.namespace)
        if not end.namespace:
            return False
        if "namespaceSelector" in peer:
            here = _selects(peer["namespaceSelector"], self.namespaces[end.namespace])
        else:
            here = end.namespace == namespace
        return here and _selects(peer.get("podSelector", {}), end.labels)


def _governs(policy: Json, pod: End, direction: str) -> bool:
    """Whether a policy isolates a pod in a direction."""
    spec = policy["spec"]
    implied = ["Ingress", "Egress"] if "egress" in spec else ["Ingress"]
    return (
        policy["metadata"]["namespace"] == pod.namespace
        and direction in spec.get("policyTypes", implied)
        and _selects(spec.get("podSelector", {}), pod.labels)
    )


def _is_port(ports: Sequence[Json] | None, target: End, port: int, protocol: str) -> bool:
    """Whether a port of the target is one of those that a rule names; a rule that names none means all."""
    if not ports:
        return True
    for one in ports:
        wanted = one.get("port")
        if isinstance(wanted, str):
            wanted = target.ports.get(wanted, -1)
        last = one.get("endPort", wanted)
        if one.get("protocol", "TCP") == protocol and (wanted is None or wanted <= port <= last):
            return True
    return False


def _selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches all."""
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions") or []
    )


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    values = expression.get("values") or []
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]


def _within(address: str, cidr: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)
