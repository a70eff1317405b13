"""What there is in the cluster of this release, place by place, kept by one watch for each kind.

Of everything but pods, nodes and namespaces the server sends metadata alone: whether an object is there,
which manifest it was made from, and who else wrote to it. Nothing here may write to the cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from hub.backends.kubernetes.names import COLLECTIONS, HASH, Release
from hub.backends.kubernetes.observed import Namespace, Node, Pod
from hub.kube.api import Api
from hub.kube.informer import Informer
from hub.kube.objects import Named

WATCHED = (
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "ServiceAccount",
    "PersistentVolumeClaim",
    "Service",
)
"""Not Secrets: whoever may watch those may read those of everybody."""


class _ManagedFields(Struct, frozen=True, kw_only=True):
    manager: str = ""
    time: str = ""
    subresource: str = ""


class _Metadata(Named, frozen=True, kw_only=True, rename="camel"):
    annotations: dict[str, str] = {}
    managed_fields: tuple[_ManagedFields, ...] = ()


class _Meta(Struct, frozen=True, kw_only=True):
    metadata: _Metadata


@dataclass(frozen=True)
class Present:
    """An object of a namespace.

    Args:
        uid: tells it from another one of the same name.
        manifest: the hash of the manifest that it was made from.
        edits: who else wrote to it, and when.
    """

    uid: str
    manifest: str
    edits: tuple[tuple[str, str], ...]


@dataclass
class Place:
    """What there is of one workspace.

    Args:
        name: the workspace's, and the namespace's.
        ended: uids of what we asked to end, until the server tells that it is gone.
        repaired: uid to the edits that were written over.
    """

    name: str
    namespace: Namespace | None = None
    pods: dict[str, Pod] = field(default_factory=dict)
    objects: dict[tuple[str, str], Present] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    repaired: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


class Cluster:
    """Everything that carries the release's label.

    Args:
        api: the server.
        release: whose objects these are.
        moved: called with the name of a workspace of which something changed that matters.
    """

    def __init__(self, api: Api, release: Release, moved: Callable[[str], None]) -> None:
        self.places: dict[str, Place] = {}
        self.lost: frozenset[str] = frozenset()
        self._moved = moved
        labels = f"podium.hub/release={release.name}"
        self._nodes = Informer(api, "/api/v1/nodes", Node, "", self._node)
        self._pods = Informer(api, "/api/v1/pods", Pod, labels, self._pod)
        self._namespaces = Informer(api, "/api/v1/namespaces", Namespace, labels, self._namespace)
        self._others = {
            kind: Informer(
                api, _everywhere(COLLECTIONS[kind]), _Meta, labels, partial(self._other, kind), True
            )
            for kind in WATCHED
        }

    @property
    def _informers(self) -> list[Informer[Any]]:
        return [self._nodes, self._namespaces, self._pods, *self._others.values()]

    async def run(self) -> None:
        """Follow the server until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers:
                tasks.create_task(informer.run())

    async def synced(self) -> None:
        """Wait until there is a first answer to everything; until then nothing is known."""
        for informer in self._informers:
            await informer.synced.wait()

    def place(self, name: str) -> Place:
        """What there is of a workspace, which may be nothing."""
        if name not in self.places:
            self.places[name] = Place(name)
        return self.places[name]

    def note(self, kind: str, answer: object) -> None:
        """Take what the server answered to a write, before the watch tells it."""
        if kind == "Pod":
            self._pods.note(msgspec.convert(answer, Pod))
        elif kind == "Namespace":
            self._namespaces.note(msgspec.convert(answer, Namespace))
        if kind in self._others:
            self._others[kind].note(msgspec.convert(answer, _Meta))

    def _pod(self, before: Pod | None, now: Pod | None) -> None:
        pod = now or before
        assert pod is not None
        place = self.place(pod.metadata.namespace)
        if now is not None:
            place.pods[now.metadata.name] = now
        else:
            place.pods.pop(pod.metadata.name, None)
            place.ended.discard(pod.metadata.uid)
            self._forget(place)
        self._moved(place.name)

    def _namespace(self, before: Namespace | None, now: Namespace | None) -> None:
        namespace = now or before
        assert namespace is not None
        place = self.place(namespace.metadata.name)
        place.namespace = now
        labels = namespace.metadata
        if now is not None:
            made_from = labels.annotations.get(HASH, "")
            place.objects["Namespace", labels.name] = Present(labels.uid, made_from, ())
        else:
            place.objects.pop(("Namespace", labels.name), None)
            place.ended.discard(labels.uid)
            self._forget(place)
        self._moved(place.name)

    def _other(self, kind: str, before: _Meta | None, now: _Meta | None) -> None:
        meta = (now or before).metadata  # type: ignore[union-attr]
        place = self.place(meta.namespace)
        key = kind, meta.name
        known = place.objects.get(key)
        if now is None:
            place.objects.pop(key, None)
            place.repaired.pop(meta.uid, None)
            self._forget(place)
        else:
            edits = tuple(sorted((m.manager, m.time) for m in meta.managed_fields if _somebody_else(m)))
            if kind == "PersistentVolumeClaim":
                edits = ()  # Kubernetes writes to it when it is bound, and nobody can change what it asks for
            place.objects[key] = Present(meta.uid, meta.annotations.get(HASH, ""), edits)
        if known is not None and known != place.objects.get(key):
            self._moved(place.name)

    def _node(self, before: Node | None, now: Node | None) -> None:
        name = (now or before).metadata.name  # type: ignore[union-attr]
        lost = self.lost - {name}
        if now is not None and now.lost:
            lost |= {name}
        if lost == self.lost:
            return
        self.lost = lost
        for place in self.places.values():
            if any(pod.spec.node_name == name for pod in place.pods.values()):
                self._moved(place.name)

    def _forget(self, place: Place) -> None:
        if place.namespace is None and not place.pods and not place.objects:
            self.places.pop(place.name, None)


def _somebody_else(fields: _ManagedFields) -> bool:
    return fields.manager != "podium" and not fields.subresource


def _everywhere(collection: str) -> str:
    """The path of all objects of a kind, in whatever namespace."""
    return collection.replace("/namespaces/{}", "")
