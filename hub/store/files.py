"""Workspace objects as JSON files in one directory, for one machine and one hub process.

The files are the truth; what is in memory is a copy of them. Every write is atomic, so a hub killed at
any moment leaves either the old or the new object. Nothing here may know what a workspace runs.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from hub.errors import ConfigurationError, Conflict, NotFound
from hub.model import Status, Workspace
from hub.store.base import Event
from hub.store.news import News
from hub.store.owners import Owners
from hub.wire import replace


class FileStore:
    """A store in a directory of its own, which the caller keeps other processes out of.

    Args:
        directory: made, with mode 0700, if it is missing.
        now: the clock.

    Raises:
        ConfigurationError: when a file in it cannot be read as a Workspace. Skipping it would make its
            workspace look like one that nobody wants.
    """

    def __init__(self, directory: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._directory = directory
        self._now = now
        self._news = News()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._objects = {
            workspace.name: workspace for workspace in map(_read, sorted(directory.glob("*.json")))
        }
        versions = [int(workspace.metadata.resource_version) for workspace in self._objects.values()]
        self._owners = Owners()
        for workspace, version in zip(self._objects.values(), versions, strict=True):
            self._owners.note(workspace.metadata.uid, workspace.spec.owner, version)
        # Versions only grow, also over a restart, because browsers resume from them.
        self._version = max([*versions, int(self._now().timestamp() * 1000)])
        self.away = ""  # files are always there

    async def turned(self) -> None:
        await asyncio.Event().wait()

    async def get(self, name: str) -> Workspace | None:
        return self._objects.get(name)

    async def look(self, name: str) -> Workspace | None:
        return await self.get(name)

    async def list(self) -> list[Workspace]:
        return [self._objects[name] for name in sorted(self._objects)]

    async def create(self, workspace: Workspace) -> Workspace:
        if workspace.name in self._objects:
            raise Conflict(f"There is a workspace {workspace.name} already.")
        metadata = replace(
            workspace.metadata, uid=str(uuid.uuid4()), generation=1, creation_timestamp=self._now()
        )
        return await self._write(replace(workspace, metadata=metadata, status=Status()))

    async def before(self, workspace: Workspace) -> tuple[Workspace, ...]:
        return self._owners.before(workspace, self._objects.values())

    async def update(self, workspace: Workspace) -> Workspace:
        present = self._present(workspace)
        changed = present.spec != workspace.spec
        metadata = replace(
            present.metadata,
            labels=workspace.metadata.labels,
            annotations=workspace.metadata.annotations,
            finalizers=workspace.metadata.finalizers,
            generation=present.metadata.generation + changed,
        )
        return await self._write(replace(present, metadata=metadata, spec=workspace.spec))

    async def update_status(self, workspace: Workspace) -> Workspace:
        return await self._write(replace(self._present(workspace), status=workspace.status))

    async def delete(self, name: str, version: str = "") -> None:
        present = self._objects.get(name)
        if present is None:
            raise NotFound(f"There is no workspace {name}.")
        if version not in ("", present.metadata.resource_version):
            raise Conflict(f"The workspace {name} was changed by something else.", "Try again.")
        if not present.deleting:
            metadata = replace(present.metadata, deletion_timestamp=self._now())
            await self._write(replace(present, metadata=metadata))

    async def watch(self) -> AsyncIterator[Event]:
        async for event in self._news.watch(self._objects.values()):
            yield event

    def _present(self, workspace: Workspace) -> Workspace:
        present = self._objects.get(workspace.name)
        if present is None:
            raise NotFound(f"There is no workspace {workspace.name}.")
        if present.metadata.resource_version != workspace.metadata.resource_version:
            raise Conflict(f"The workspace {workspace.name} was changed by something else.", "Try again.")
        return present

    async def _write(self, workspace: Workspace) -> Workspace:
        self._version += 1
        metadata = replace(workspace.metadata, resource_version=str(self._version))
        workspace = replace(workspace, metadata=metadata)
        gone = workspace.deleting and not metadata.finalizers
        path = self._directory / f"{workspace.name}.json"
        if gone:
            path.unlink(missing_ok=True)
            self._objects.pop(workspace.name, None)
            self._owners.forget(metadata.uid)
        else:
            replace_file(path, msgspec.json.format(msgspec.json.encode(workspace)))
            self._objects[workspace.name] = workspace
            self._owners.note(metadata.uid, workspace.spec.owner, self._version)
        self._news.tell(Event(workspace, gone))
        return workspace


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a hub after a crash, sees all of it or what was there before."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)


def _read(path: Path) -> Workspace:
    try:
        workspace = msgspec.json.decode(path.read_bytes(), type=Workspace)
        if workspace.name != path.stem or not workspace.metadata.resource_version.isdecimal():
            raise ValueError("its name or its resourceVersion is not right")
        return workspace
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read as a Workspace: {error}",
            "Move the file away; what it described will then be ended at the next start.",
        ) from None
