"""The Kubernetes backend: a namespace for every workspace, and its pods, with no Deployments between.

What exists is known from watches, one for each kind, so that a look costs no request; what a write was
answered is known at once. What is not known is never taken for gone. Nothing here may decide what should
run; what objects look like is in `manifests.py`, and what people are told of them in `observed.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from hub.backends.kubernetes.cluster import Cluster, Place
from hub.backends.kubernetes.manifests import namespace_objects
from hub.backends.kubernetes.names import COLLECTIONS, HASH, Manifest, Release, labels
from hub.backends.kubernetes.observed import Pod, addresses, instance, refusal
from hub.backends.kubernetes.pods import pod as pod_of
from hub.kube.api import Api, ApiError
from hub.observed import Instance, Observed
from hub.settings import Settings
from hub.workload import Workload

APPLY = "application/apply-patch+yaml"
TAKEN = (
    "There is a namespace of this name that is not Podium's, and it is left alone; "
    "stop this workspace and launch another one."
)


class KubernetesBackend:
    """Runs workloads as pods. `run` keeps what is known up to date; all else waits until there is something.

    Args:
        api: the server, as the controller.
        release: whose workspaces these are.
    """

    unavailable: Mapping[str, str] = {}

    def __init__(self, api: Api, release: Release) -> None:
        self._api = api
        self._release = release
        self._changed: dict[str, None] = {}
        self._filled = asyncio.Event()
        self._cluster = Cluster(api, release, self._moved)
        self._refused: dict[tuple[str, str], tuple[str, str]] = {}

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        await self._cluster.run()

    async def names(self) -> set[str]:
        await self._cluster.synced()
        return {name for name, place in self._cluster.places.items() if place.namespace is not None}

    async def observe(self, name: str) -> Observed:
        await self._cluster.synced()
        place = self._cluster.places.get(name)
        if place is None:
            return Observed(instances=tuple(self._not_made(name, ())))
        lost = self._cluster.lost
        instances = [instance(pod, lost, pod.metadata.uid in place.ended) for pod in place.pods.values()]
        instances += self._not_made(name, place.pods)
        return Observed(
            exists=place.namespace is not None,
            instances=tuple(sorted(instances, key=lambda one: one.name)),
            addresses=addresses(place.pods.values()),
            ending=place.namespace is not None and place.namespace.ending,
            stuck=place.namespace.stuck if place.namespace is not None else "",
        )

    async def apply(self, name: str, workloads: Sequence[Workload], settings: Settings | None = None) -> None:
        await self._cluster.synced()
        if not workloads:
            await self._remove(name)
            return
        place = self._cluster.place(name)
        if place.namespace is not None and place.namespace.ending:
            return  # a new life of the same name waits until the old one is gone
        settings = settings or Settings()
        objects = namespace_objects(name, workloads, settings, self._release)
        wanted = {instance: workload for workload in workloads for instance in workload.instances}
        for key in [key for key in self._refused if key[0] == name and key[1] not in wanted]:
            del self._refused[key]
        try:
            for manifest in objects:
                await self._ensure(place, manifest, bool(wanted.keys() - place.pods.keys()))
        except ApiError as error:
            self._refuse(name, "notebook", error)
            return
        files = next(manifest.name for manifest in objects if manifest.kind == "Secret")
        await self._pods(place, wanted, settings, files)

    async def changes(self) -> AsyncIterator[str]:
        while True:
            await self._filled.wait()
            while self._changed:
                yield self._changed.popitem()[0]
            self._filled.clear()

    def _moved(self, name: str) -> None:
        self._changed[name] = None
        self._filled.set()

    async def _remove(self, name: str) -> None:
        """Ask for the namespace to go, with all that is in it; only if it is ours, and the one we know."""
        for key in [key for key in self._refused if key[0] == name]:
            del self._refused[key]
        place = self._cluster.places.get(name)
        namespace = place.namespace if place is not None else None
        if place is None or namespace is None or namespace.ending or namespace.metadata.uid in place.ended:
            return
        await self._delete(f"/api/v1/namespaces/{name}", {"preconditions": {"uid": namespace.metadata.uid}})
        place.ended.add(namespace.metadata.uid)

    async def _ensure(self, place: Place, manifest: Manifest, making: bool) -> None:
        """Make one of the objects that a namespace has besides its pods what it should be."""
        if manifest.kind == "Secret":
            # Nobody may list Secrets: whether there is one is asked by making it, before a pod needs it.
            if making:
                await self._create(place, manifest)
            return
        present = place.objects.get((manifest.kind, manifest.name))
        if present is None:
            await self._create(place, manifest)
        elif present.manifest != _hash(manifest) or present.edits != place.repaired.get(present.uid, ()):
            await self._put_right(place, manifest)

    async def _create(self, place: Place, manifest: Manifest) -> None:
        try:
            made = await self._api.call("POST", manifest.path, manifest.body)
        except ApiError as error:
            if error.status != 409:
                raise
            if manifest.kind == "Namespace":
                await self._recognise(place, manifest)
            elif manifest.kind != "Secret":  # whose name is a hash of what is in it
                await self._put_right(place, manifest)
            return
        self._cluster.note(manifest.kind, made)

    async def _recognise(self, place: Place, manifest: Manifest) -> None:
        """Look at a namespace that was there before; one without our labels is refused, never adopted."""
        found = await self._api.call("GET", f"{manifest.path}/{manifest.name}")
        present = found["metadata"].get("labels", {})
        if not labels(place.name, self._release).items() <= present.items():
            raise ApiError(409, "NamespaceTaken", TAKEN)
        self._cluster.note("Namespace", found)

    async def _put_right(self, place: Place, manifest: Manifest) -> None:
        """Write our fields over what somebody else, or another release, wrote; theirs are left alone.

        Source: Kubernetes, "Server-Side Apply".
        """
        query = {"fieldManager": "podium", "force": "true"}
        path = f"{manifest.path}/{manifest.name}"
        made = await self._api.call("PATCH", path, manifest.body, query, APPLY)
        self._cluster.note(manifest.kind, made)
        present = place.objects.get((manifest.kind, manifest.name))
        if present is not None:
            place.repaired[present.uid] = present.edits

    async def _pods(
        self, place: Place, wanted: Mapping[str, Workload], settings: Settings, files: str
    ) -> None:
        """Make the pods that are missing, and end those that are not wanted or will never run again."""
        ends: list[Coroutine[Any, Any, None]] = []
        for pod in list(place.pods.values()):
            if pod.metadata.uid in place.ended:
                continue
            if pod.terminating:
                if pod.spec.node_name in self._cluster.lost and pod.condition("DisruptionTarget"):
                    # Kubernetes has given it up; only its machine could say that it ended.
                    ends.append(self._end(place, pod, grace=0))
            elif pod.metadata.name not in wanted or pod.over:
                ends.append(self._end(place, pod))
        await _together(ends)
        missing = [key for key in wanted if key not in place.pods]
        # Where the quota has room for some alone, the notebook is the one to have it.
        for group in (missing[:1], missing[1:]) if "notebook" in missing else (missing,):
            bodies = {
                key: pod_of(place.name, wanted[key], key, settings, self._release, files) for key in group
            }
            await _together(self._start(place, key, body) for key, body in bodies.items())

    async def _start(self, place: Place, key: str, body: dict[str, Any]) -> None:
        try:
            made = await self._api.call("POST", COLLECTIONS["Pod"].format(place.name), body)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return  # the watch will tell
            if error.status == 404 or "is being terminated" in error.message:
                return  # the namespace is going; the watch will tell
            self._refuse(place.name, key, error)
            return
        self._refused.pop((place.name, key), None)
        self._cluster.note("Pod", made)

    async def _end(self, place: Place, pod: Pod, grace: int | None = None) -> None:
        body: dict[str, object] = {"preconditions": {"uid": pod.metadata.uid}}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        await self._delete(f"/api/v1/namespaces/{place.name}/pods/{pod.metadata.name}", body)
        place.ended.add(pod.metadata.uid)

    async def _delete(self, path: str, body: dict[str, object]) -> None:
        try:
            await self._api.call("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", **body})
        except ApiError as error:
            if error.status not in (404, 409):  # gone already, or another one of that name
                raise

    def _refuse(self, name: str, key: str, error: ApiError) -> None:
        """Remember why something could not be made; it is tried again at every look."""
        if error.status >= 500 or error.status == 429 or error.reason == "Conflict":
            # Not a judgement: nothing is known, or the quota counted another one in the same moment.
            raise error
        if error.reason == "NamespaceTaken":
            self._refused[(name, key)] = (error.reason, error.message)
        else:
            self._refused[(name, key)] = refusal(key, error.status, error.message)

    def _not_made(self, name: str, present: Mapping[str, Pod] | tuple[()]) -> list[Instance]:
        """What should be there, but was refused."""
        return [
            Instance(key, _workload(key), running=False, reason=reason, message=message)
            for (place, key), (reason, message) in self._refused.items()
            if place == name and key not in present
        ]


async def _together(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all of them, whatever becomes of the others; raises what the first that failed failed with.

    A TaskGroup of Python 3.11 loses the cancellation of its own task when a part of it fails just then.
    """
    for failure in await asyncio.gather(*calls, return_exceptions=True):
        if failure is not None:
            raise failure


def _hash(manifest: Manifest) -> str:
    return str(manifest.body["metadata"]["annotations"][HASH])


def _workload(instance_name: str) -> str:
    """The workload that an instance belongs to, from its name."""
    workload, _, number = instance_name.rpartition("-")
    return workload if number.isdecimal() else instance_name
