"""A store in memory; it keeps the contract of all stores, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from hub.errors import Conflict, NotFound
from hub.model import Status, Workspace
from hub.room import Room
from hub.store.base import Event
from hub.store.news import Latest, News
from hub.store.owners import Owners
from hub.store.room_files import RoomFile
from hub.wire import replace


class MemoryStore:
    """Workspace objects in a dictionary.

    Args:
        now: the clock.
        objects: what is there already; the dictionary outlives the store, as files outlive a hub.
    """

    def __init__(self, now: Callable[[], datetime], objects: dict[str, Workspace] | None = None) -> None:
        self.objects = {} if objects is None else objects
        self._now = now
        latest = max((int(o.metadata.resource_version) for o in self.objects.values()), default=0)
        self._versions = itertools.count(max(latest, int(now().timestamp() * 1000)) + 1)
        self._owners = Owners()
        for one in self.objects.values():
            self._owners.note(one.metadata.uid, one.spec.owner, int(one.metadata.resource_version))
        self._news = News()
        self.away = ""

    async def get(self, name: str) -> Workspace | None:
        return self.objects.get(name)

    async def look(self, name: str) -> Workspace | None:
        return await self.get(name)

    async def before(self, workspace: Workspace) -> tuple[Workspace, ...]:
        return self._owners.before(workspace, self.objects.values())

    async def turned(self) -> None:
        await asyncio.Event().wait()

    async def list(self) -> list[Workspace]:
        return [self.objects[name] for name in sorted(self.objects)]

    async def create(self, workspace: Workspace) -> Workspace:
        if workspace.name in self.objects:
            raise Conflict("There is one already.")
        version = next(self._versions)
        born = {"uid": f"uid-{version}", "generation": 1, "creation_timestamp": self._now()}
        return self._write(replace(workspace, status=Status()), workspace.metadata, version, **born)

    async def update(self, workspace: Workspace) -> Workspace:
        present = self._present(workspace)
        changes = {
            name: getattr(workspace.metadata, name) for name in ("labels", "annotations", "finalizers")
        }
        changes["generation"] = present.metadata.generation + (present.spec != workspace.spec)
        return self._write(replace(present, spec=workspace.spec), present.metadata, **changes)

    async def update_status(self, workspace: Workspace) -> Workspace:
        present = self._present(workspace)
        return self._write(replace(present, status=workspace.status), present.metadata)

    async def delete(self, name: str, version: str = "") -> None:
        present = self.objects.get(name)
        if present is None:
            raise NotFound("There is none.")
        if version not in ("", present.metadata.resource_version):
            raise Conflict("It was changed by something else.")
        if not present.deleting:
            self._write(present, present.metadata, deletion_timestamp=self._now())

    async def watch(self) -> AsyncIterator[Event]:
        async for event in self._news.watch(self.objects.values()):
            yield event

    def _present(self, workspace: Workspace) -> Workspace:
        present = self.objects.get(workspace.name)
        if present is None:
            raise NotFound("There is none.")
        if present.metadata.resource_version != workspace.metadata.resource_version:
            raise Conflict("It was changed by something else.")
        return present

    def _write(
        self, workspace: Workspace, metadata: object, version: int = 0, **changes: object
    ) -> Workspace:
        changes["resource_version"] = str(version or next(self._versions))
        workspace = replace(workspace, metadata=replace(metadata, **changes))
        gone = workspace.deleting and not workspace.metadata.finalizers
        if gone:
            del self.objects[workspace.name]
        else:
            self.objects[workspace.name] = workspace
            owner, number = workspace.spec.owner, int(workspace.metadata.resource_version)
            self._owners.note(workspace.metadata.uid, owner, number)
        self._news.tell(Event(workspace, gone))
        return workspace


class MemoryRoom(RoomFile):
    """The Room in a variable: what a file does, without one."""

    def __init__(self, room: Room | None = None) -> None:
        self._room = Latest(room or Room())

    @property
    def value(self) -> Room:
        """As it is now."""
        return self._room.value

    def _keep(self, room: Room) -> None:
        pass
