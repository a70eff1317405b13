"""The Room as a JSON file, for one machine and one hub process; written as `files.py` writes.

Nothing here may know what a room's settings mean.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from hub.errors import ConfigurationError, Conflict
from hub.room import Room
from hub.store.files import replace_file
from hub.store.news import Latest
from hub.wire import replace


class RoomFile:
    """The Room in a file.

    Args:
        path: made with the first write.

    Raises:
        ConfigurationError: when the file cannot be read as a Room.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._room = Latest(_read(path))

    async def get(self) -> Room:
        return self._room.value

    async def update(self, room: Room) -> Room:
        self._check(room)
        return self._write(replace(self._room.value, spec=room.spec))

    async def update_status(self, room: Room) -> Room:
        self._check(room)
        return self._write(replace(self._room.value, status=room.status))

    async def watch(self) -> AsyncIterator[Room]:
        async for room in self._room.watch():
            yield room

    def _check(self, room: Room) -> None:
        if room.metadata.resource_version != self._room.value.metadata.resource_version:
            raise Conflict("The room was changed by something else.", "Try again.")

    def _write(self, room: Room) -> Room:
        version = int(room.metadata.resource_version or 0) + 1
        room = replace(room, metadata=replace(room.metadata, resource_version=str(version)))
        self._keep(room)
        self._room.set(room)
        return room

    def _keep(self, room: Room) -> None:
        replace_file(self._path, msgspec.json.format(msgspec.json.encode(room)))


def _read(path: Path) -> Room:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Room) if path.exists() else Room()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} cannot be read as a Room: {error}",
            "Move the file away; codes, messages and the list of ended workspaces begin anew.",
        ) from None
