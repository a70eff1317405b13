"""Where a hub stands: on this machine alone, or in a Kubernetes cluster.

Each ground brings a store and a backend, what has to run beside them, and what to say when the hub ends.
Nothing here may know of web, the proxy or the controller.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from hub import admission, tools
from hub.backends.base import Backend
from hub.backends.kubernetes.backend import KubernetesBackend
from hub.backends.kubernetes.names import Release
from hub.backends.local import LocalBackend
from hub.errors import ConfigurationError
from hub.kube.api import Api
from hub.kube.lease import Lease
from hub.ports import Ports
from hub.profiles import Profile
from hub.state import State
from hub.store.base import Store
from hub.store.files import FileStore
from hub.store.kubernetes import KubernetesStore
from hub.web import peers

WORKSPACE_CODE = Path(__file__).resolve().parent.parent / "images" / "workspace"


class Ground(Protocol):
    """What a hub stands on.

    Args:
        kept: a sentence on what becomes of files after a stop.
        own_port: whether a port of this machine is listened on by this account alone; None where pods have
            addresses of their own.
    """

    kept: str
    own_port: Callable[[int], bool] | None

    @property
    def store(self) -> Store:
        """Where Workspace objects are."""

    @property
    def backend(self) -> Backend:
        """What runs them."""

    async def start(self) -> None:
        """Whatever comes before everything else."""

    def follows(self, backend: bool = True) -> list[Callable[[], Awaitable[None]]]:
        """What has to run, until cancelled, so that the store and the backend know what there is.

        Args:
            backend: whether the backend is used at all.
        """

    async def lead(self, act: Callable[[], Awaitable[None]]) -> None:
        """Run the controller, when it is this one's turn to act."""

    async def close(self, told: bool) -> str:
        """Let go of everything. Returns what to say of it.

        Args:
            told: whether somebody asked for the end; else what runs for people is left alone.
        """


class LocalGround:
    """This machine: objects in files, workloads as processes.

    Args:
        state: opened by the caller.
        ports: holds the workspaces' ports.
    """

    def __init__(self, state: State, ports: Ports) -> None:
        self.kept = f"Its home folder is kept for a week in {state.directory / 'kept'}."
        self.own_port: Callable[[int], bool] | None = own_port
        self.store = FileStore(state.directory / "objects")
        self.backend = make_backend(state, ports)

    async def start(self) -> None:
        await self.backend.start()

    def follows(self, backend: bool = True) -> list[Callable[[], Awaitable[None]]]:
        return []

    async def lead(self, act: Callable[[], Awaitable[None]]) -> None:
        await act()

    async def close(self, told: bool) -> str:
        ended = await self.backend.close(end=told)
        if not told:
            return ""
        said = f"Stopped {ended + 1} {'processes' if ended else 'process'}."
        remaining = len(await self.store.list())
        if remaining:
            what = "workspace" if remaining == 1 else "workspaces"
            said += f"\n{remaining} {what} will be started again by the next `make run`."
        return said


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
        self._identity = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._release = release
        self.store = KubernetesStore(api, release.namespace, partial(admission.complete, profiles))
        self.backend = KubernetesBackend(api, release)

    async def start(self) -> None:
        return

    def follows(self, backend: bool = True) -> list[Callable[[], Awaitable[None]]]:
        return [self.store.run, self.backend.run] if backend else [self.store.run]

    async def lead(self, act: Callable[[], Awaitable[None]]) -> None:
        lease = Lease(self._api, self._release.namespace, f"{self._release.name}-controller", self._identity)
        await lease.lead(act)

    async def close(self, told: bool) -> str:
        await self._api.close()
        return "The workspaces go on in the cluster." if told else ""


def make_backend(state: State, ports: Ports) -> LocalBackend:
    """The local backend, with the programs of this machine. Raises ConfigurationError when one is missing."""
    python = tools.workspace_python()
    if not python.exists():
        raise ConfigurationError("The packages of the workspaces are not installed.", "Use `make run`.")
    java = tools.java()
    env = {"PYTHONPATH": str(WORKSPACE_CODE), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    path = [python.parent]
    if java.path is not None:
        path.append(java.path.parent)
        env["JAVA_HOME"] = str(java.path.parent.parent)
    unavailable = {} if java.path is not None else {"spark": f"Spark cannot run here. {java.reason}"}
    return LocalBackend(state.directory, state.hub, path, env, unavailable, ports)


def own_port(port: int) -> bool:
    """Whether the programs that listen on a port of this machine are all of this account."""
    table = peers.sockets()
    return table is None or peers.listeners(table, port) == {os.getuid()}
