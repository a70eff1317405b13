"""The Room as a custom resource, in the namespace of the release, with a copy that a watch keeps.

Nothing here may touch anything but the Room.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from hub.errors import BadInput, Conflict, Unavailable
from hub.kube.api import JSON_PATCH, NOT_ANSWERING, Api, ApiError
from hub.kube.informer import Informer
from hub.kube.objects import Named
from hub.room import NAME, Room, RoomMetadata, RoomSpec, RoomStatus
from hub.store.kubernetes import AWAY, GROUP, VERSION, plain
from hub.store.news import Latest
from hub.wire import convert, replace


class _Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A custom resource as the API server sends it."""

    metadata: Named
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}


class RoomResource:
    """The Room, whose copy is kept by `run`, which the caller runs; reads wait until there is a first one.

    Args:
        api: the server, as somebody who may read and write Rooms.
        namespace: where it is.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self.path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/rooms"
        self._room = Latest(Room())
        self._informer = Informer(api, self.path, _Resource, "", self._moved)

    async def run(self) -> None:
        """Keep the copy until cancelled."""
        await self._informer.run()

    async def get(self) -> Room:
        await self._informer.synced.wait()
        return self._room.value

    async def update(self, room: Room) -> Room:
        if not room.metadata.resource_version:
            return await self._make(room)
        version = room.metadata.resource_version
        operations = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
            {"op": "add", "path": "/spec", "value": plain(room.spec)},
        ]
        return await self._write("PATCH", f"{self.path}/{NAME}", operations, JSON_PATCH)

    async def update_status(self, room: Room) -> Room:
        if not room.metadata.resource_version:
            made = await self._make(room)
            room = replace(room, metadata=made.metadata)
        body = {
            **{"apiVersion": room.api_version, "kind": room.kind},
            "metadata": {"name": NAME, "resourceVersion": room.metadata.resource_version},
            **{"spec": plain(room.spec), "status": plain(room.status)},
        }
        return await self._write("PUT", f"{self.path}/{NAME}/status", body)

    async def watch(self) -> AsyncIterator[Room]:
        await self._informer.synced.wait()
        async for room in self._room.watch():
            yield room

    async def _make(self, room: Room) -> Room:
        body = {
            **{"apiVersion": room.api_version, "kind": room.kind},
            **{"metadata": {"name": NAME}, "spec": plain(room.spec)},
        }
        return await self._write("POST", self.path, body)

    async def _write(
        self, method: str, path: str, body: object, content_type: str = "application/json"
    ) -> Room:
        try:
            answer = await self._api.call(method, path, body, content_type=content_type)
        except NOT_ANSWERING as error:
            self._informer.doubt()
            raise Unavailable(*AWAY) from error
        except ApiError as error:
            if error.status in (404, 409):
                await self._refresh()
                raise Conflict("The room was changed by something else.", "Try again.") from None
            if error.status in (400, 422):
                raise BadInput(error.message) from None
            raise Unavailable(f"The cluster refused: {error.message}", "Try again in a moment.") from error
        return self._take(msgspec.convert(answer, _Resource))

    async def _refresh(self) -> None:
        """Look at what turned out to be another than we know, before the watch tells of it."""
        try:
            answer = await self._api.call("GET", f"{self.path}/{NAME}")
        except ApiError as error:
            if error.status != 404:
                raise Unavailable(f"The cluster refused: {error.message}") from error
            self._room.set(Room())
        except NOT_ANSWERING as error:
            raise Unavailable(*AWAY) from error
        else:
            self._take(msgspec.convert(answer, _Resource))

    def _moved(self, before: _Resource | None, now: _Resource | None) -> None:
        resource = now or before
        assert resource is not None
        if resource.metadata.name != NAME:
            return
        if now is not None:
            self._take(now)
        elif self._room.value.metadata.uid == resource.metadata.uid:
            self._room.set(Room())

    def _take(self, resource: _Resource) -> Room:
        room = _room(resource)
        known = self._room.value.metadata
        same = known.uid == room.metadata.uid
        if not same or int(room.metadata.resource_version) > int(known.resource_version):
            self._room.set(room)
        return room


def _room(resource: _Resource) -> Room:
    """The object as everything else knows it; what cannot be read of it is as if nobody had said it."""
    version = resource.metadata.resource_version
    metadata = RoomMetadata(uid=resource.metadata.uid, resource_version=version)
    spec, status = RoomSpec(), RoomStatus()
    with contextlib.suppress(BadInput):
        spec = convert(resource.spec, RoomSpec)
    with contextlib.suppress(BadInput):
        status = convert(resource.status, RoomStatus)
    return Room(metadata=metadata, spec=spec, status=status)
