"""An API server in memory, and the copies that several processes keep of it, each late in its own way.

A copy is late as that of `hub/store/kubernetes.py` is: what a process writes itself it knows at once, and
what others write when the watch tells of it, every change in its order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from hub.errors import Conflict, NotFound
from hub.model import Workspace
from hub.store.base import Event
from hub.store.owners import Owners
from tests.memory_store import MemoryStore


class Server(MemoryStore):
    """What there really is, and everything that was ever written."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.written: list[Event] = [Event(workspace) for workspace in self.objects.values()]
        self.more = asyncio.Event()

    def _write(self, *arguments: Any, **changes: Any) -> Workspace:
        workspace = super()._write(*arguments, **changes)
        self.written.append(Event(workspace, gone=workspace.name not in self.objects))
        self.more.set()
        self.more = asyncio.Event()
        return workspace


class LaggingStore:
    """The copy that one process keeps.

    Args:
        server: what there really is.
        lag: seconds until the next thing is heard of, or done; asked each time.
    """

    away = ""

    def __init__(self, server: Server, lag: Callable[[], float]) -> None:
        self._server, self._lag = server, lag
        self._objects: dict[str, Workspace] = {}
        self._owners = Owners()
        self._heard = 0
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._follow())

    async def synced(self) -> None:
        """Wait until it is no longer late."""
        while self._heard < len(self._server.written):
            await self._news.wait()

    async def close(self) -> None:
        """Hear of nothing any more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            while self._heard == len(self._server.written):
                await self._server.more.wait()
            written = len(self._server.written)
            await asyncio.sleep(self._lag())
            for event in self._server.written[self._heard : written]:
                metadata = event.workspace.metadata
                self._owners.note(metadata.uid, event.workspace.spec.owner, int(metadata.resource_version))
                self._take(event.workspace, event.gone)
            self._heard = written
            self._news.set()
            self._news = asyncio.Event()

    def _take(self, workspace: Workspace, gone: bool = False) -> None:
        present = self._objects.get(workspace.name)
        if present is not None and _version(present) > _version(workspace):
            return
        if gone:
            self._objects.pop(workspace.name, None)
        else:
            self._objects[workspace.name] = workspace

    async def turned(self) -> None:
        await asyncio.Event().wait()

    async def get(self, name: str) -> Workspace | None:
        return self._objects.get(name)

    async def look(self, name: str) -> Workspace | None:
        await self._refresh(name)
        return self._objects.get(name)

    async def list(self) -> list[Workspace]:
        return [self._objects[name] for name in sorted(self._objects)]

    async def create(self, workspace: Workspace) -> Workspace:
        return await self._do(workspace.name, self._server.create(workspace))

    async def before(self, workspace: Workspace) -> tuple[Workspace, ...]:
        while not self._owners.knows(workspace):
            await self._news.wait()
        return self._owners.before(workspace, self._objects.values())

    async def update(self, workspace: Workspace) -> Workspace:
        return await self._do(workspace.name, self._server.update(workspace))

    async def update_status(self, workspace: Workspace) -> Workspace:
        return await self._do(workspace.name, self._server.update_status(workspace))

    async def delete(self, name: str, version: str = "") -> None:
        await self._do(name, self._server.delete(name, version))
        with contextlib.suppress(NotFound):
            await self._refresh(name)

    def watch(self) -> AsyncIterator[Event]:
        raise NotImplementedError("nobody here follows a copy")

    async def _do(self, name: str, doing: Any) -> Any:
        """A request, which takes its time both ways; a process that is killed does not hear the answer."""
        try:
            await asyncio.sleep(self._lag())
        except BaseException:
            doing.close()
            raise
        try:
            answer = await doing
        except Conflict:
            await self._refresh(name)
            raise
        await asyncio.sleep(self._lag())
        if answer is not None:
            self._take(answer)
        return answer

    async def _refresh(self, name: str) -> None:
        await asyncio.sleep(self._lag())
        present = self._server.objects.get(name)
        if present is not None:
            self._take(present)


def _version(workspace: Workspace) -> int:
    return int(workspace.metadata.resource_version)
