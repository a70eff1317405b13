"""This machine as a ground: objects in files, workloads as processes. Nothing here may decide anything."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from hub import tools
from hub.archives.local import LocalArchives
from hub.backends.local import LocalBackend
from hub.errors import ConfigurationError
from hub.ports import Ports
from hub.preflight.machine import MachineSurroundings
from hub.state import State
from hub.store.files import FileStore
from hub.store.room_files import RoomFile
from hub.web import peers

WORKSPACE_CODE = Path(__file__).resolve().parent.parent.parent / "images" / "workspace"


class LocalGround:
    """This machine: objects in files, workloads as processes.

    Args:
        state: opened by the caller.
        ports: holds the workspaces' ports.
    """

    proxies = None
    reported = None

    def __init__(self, state: State, ports: Ports) -> None:
        self.kept = f"Its home folder is kept in {state.directory / 'archives'}, and can be downloaded."
        self.own_port: Callable[[int], bool] | None = own_port
        self.store = FileStore(state.directory / "objects")
        self.room = RoomFile(state.directory / "room.json")
        self.backend = make_backend(state, ports)
        packer = (str(tools.workspace_python()), "-P", "-m", "podium_workspace.archive")
        self.archives = LocalArchives(state.directory, packer, {"PYTHONPATH": str(WORKSPACE_CODE)})
        self.surroundings = MachineSurroundings(state.directory, tuple(self.backend.unavailable))

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
