"""Where the pods behind a Service are, be they ready or not.

Nothing here may write to the cluster, or speak to the pods.
Source: Kubernetes API reference, EndpointSlice v1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct

from hub.kube.api import Api
from hub.kube.informer import Informer
from hub.kube.objects import Named

PATH = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
SERVICE = "kubernetes.io/service-name"


class _Endpoint(Struct, frozen=True, kw_only=True):
    addresses: tuple[str, ...]


class _Port(Struct, frozen=True, kw_only=True):
    name: str = ""
    port: int | None = None


class EndpointSlice(Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a Service's endpoints."""

    metadata: Named
    address_type: str
    endpoints: tuple[_Endpoint, ...] | None = None
    ports: tuple[_Port, ...] | None = None


def addresses(slices: Iterable[EndpointSlice], port: str) -> frozenset[str]:
    """The address of each endpoint that has a port of this name, such as `http://10.0.0.7:8001`."""
    found = set()
    for part in slices:
        host = "[{}]" if part.address_type == "IPv6" else "{}"
        for number in [one.port for one in part.ports or () if one.name == port and one.port]:
            for endpoint in part.endpoints or ():
                # What has several addresses is the same behind each of them.
                found.add(f"http://{host.format(endpoint.addresses[0])}:{number}")
    return frozenset(found)


async def follow(
    api: Api, namespace: str, service: str, port: str, told: Callable[[Collection[str]], None]
) -> None:
    """Tell where the endpoints of a Service are whenever that changes, until cancelled.

    Args:
        port: the name of the port that is wanted.
    """

    def changed(before: EndpointSlice | None, now: EndpointSlice | None) -> None:
        told(addresses(informer.objects.values(), port))

    path = PATH.format(namespace)
    informer = Informer(api, path, EndpointSlice, f"{SERVICE}={service}", changed)
    await informer.run()
