"""What the controller may do in the cluster, as a table; `helm/files/rights/controller.yaml` grants it.

Nothing here may do I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

EVERYWHERE: Mapping[str, str] = {
    "namespaces": "get list watch create patch delete",
    "limitranges": "list watch create patch",
    "persistentvolumeclaims": "list watch create patch",
    "resourcequotas": "list watch create patch",
    "serviceaccounts": "list watch create patch",
    "services": "list watch create patch",
    "networkpolicies.networking.k8s.io": "list watch create patch",
    "secrets": "create",
    "pods": "list watch create delete",
    "nodes": "list watch",
    "storageclasses.storage.k8s.io": "list",
}
"""Resource to verbs, in all namespaces."""
IN_RELEASE: Mapping[str, str] = {
    "workspaces.podium.hub": "get list watch create patch delete",
    "workspaces.podium.hub/status": "update",
    "rooms.podium.hub": "get list watch create patch",
    "rooms.podium.hub/status": "update",
    "endpointslices.discovery.k8s.io": "list watch",
    "events": "create",
    "leases.coordination.k8s.io": "get create update",
}
"""The same, in the namespace of the release."""


@dataclass(frozen=True)
class Right:
    """One thing that somebody may do, or may not.

    Args:
        verb: such as `list`.
        resource: such as `networkpolicies.networking.k8s.io` or `pods/log`, as `kubectl auth can-i` takes it.
        namespace: where; empty for everywhere.
        name: of the one object that is meant; empty for all.
    """

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        """The `resourceAttributes` of an access review."""
        whole, _, subresource = self.resource.partition("/")
        resource, _, group = whole.partition(".")
        given = {
            **{"verb": self.verb, "group": group, "resource": resource, "subresource": subresource},
            **{"namespace": self.namespace, "name": self.name},
        }
        return {name: value for name, value in given.items() if value}


def controller(release: str, namespace: str) -> Iterator[Right]:
    """Every right that the controller needs.

    Args:
        release: the release's name.
        namespace: its namespace.
    """
    for resource, verbs in EVERYWHERE.items():
        for verb in verbs.split():
            yield Right(verb, resource)
    for resource, verbs in IN_RELEASE.items():
        for verb in verbs.split():
            one = resource.startswith("leases") and verb != "create"
            yield Right(verb, resource, namespace, f"{release}-controller" if one else "")
