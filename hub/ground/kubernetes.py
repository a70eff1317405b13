"""A Kubernetes cluster as a ground: objects as custom resources, workloads as pods.

Nothing here may decide anything.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial

from hub import admission
from hub.archives.base import NoArchives
from hub.backends.kubernetes.backend import KubernetesBackend
from hub.backends.kubernetes.names import Release
from hub.errors import ConfigurationError
from hub.kube.api import NOT_ANSWERING, Api, ApiError
from hub.kube.endpoints import follow
from hub.kube.lease import Lease
from hub.kube.recorder import Recorder
from hub.preflight.cluster import ClusterSurroundings
from hub.profiles import Profile
from hub.store.kubernetes import KubernetesStore
from hub.store.room_kubernetes import RoomResource


class KubernetesGround:
    """A cluster: objects as custom resources, workloads as pods.

    Args:
        api: the API server.
        release: whose workspaces these are.
        profiles: the menu, for objects that are written by hand.
    """

    own_port: Callable[[int], bool] | None = None
    kept = (
        "What is in its home folder goes with it, unless the profile keeps that in a claim: "
        "download first what you need."
    )

    def __init__(self, api: Api, release: Release, profiles: Mapping[str, Profile]) -> None:
        self._api = api
        # What starts again in a pod may go on at once: whoever held its lease there before has ended.
        self._identity = os.environ.get("POD_NAME") or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._release = release
        self.store = KubernetesStore(api, release.namespace, partial(admission.complete, profiles))
        self.room = RoomResource(api, release.namespace)
        self.backend = KubernetesBackend(api, release)
        self.archives = NoArchives()
        self.surroundings = ClusterSurroundings(api, release)
        self._recorder = Recorder(api, release.namespace)
        self.reported = self._recorder.reported

    async def start(self) -> None:
        """Raises ConfigurationError when the cluster does not answer, or not as it has to."""
        try:
            await self._api.call("GET", self.store.path, query={"limit": "1"})
        except ApiError as error:
            if error.status == 404:
                said = "The cluster does not know what a Workspace is."
                hint = "kubectl apply --server-side -f helm/files/crd.yaml; `podium doctor` tells more."
            else:
                said, hint = f"The cluster refuses: {error.message}", "See: podium doctor"
            raise ConfigurationError(said, hint) from None
        except NOT_ANSWERING as error:
            raise ConfigurationError(f"The cluster does not answer: {error}", "See: podium doctor") from None

    def follows(self, backend: bool = True) -> list[Callable[[], Awaitable[None]]]:
        objects: list[Callable[[], Awaitable[None]]] = [self.store.run, self.room.run]
        return [*objects, self.backend.run, self._recorder.run] if backend else objects

    async def proxies(self, service: str, told: Callable[[Collection[str]], None]) -> None:
        await follow(self._api, self._release.namespace, service, "api", told)

    async def lead(self, act: Callable[[], Awaitable[None]]) -> None:
        lease = Lease(self._api, self._release.namespace, f"{self._release.name}-controller", self._identity)
        await lease.lead(act)

    async def close(self, told: bool) -> str:
        await self._api.close()
        return "The workspaces go on in the cluster." if told else ""
