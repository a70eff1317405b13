"""The interface of every store of Workspace objects, and of the Room that they are in.

A store keeps objects and nothing else: it never starts, stops or judges anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from hub.errors import Conflict
from hub.model import Workspace
from hub.room import Room


@dataclass(frozen=True)
class Event:
    """Args:
    workspace: as it is now, or as it last was.
    gone: whether it is in the store no more.
    """

    workspace: Workspace
    gone: bool = False


class Store(Protocol):
    """Workspace objects, the only truth. `tests/contract/test_store.py` says what each method promises."""

    @property
    def away(self) -> str:
        """Why changes have to wait, in a sentence for people; empty while they need not."""

    async def turned(self) -> None:
        """Wait until `away` is another than now."""

    async def get(self, name: str) -> Workspace | None:
        """The object, or None when there is none."""

    async def look(self, name: str) -> Workspace | None:
        """As `get`, but certain of what others wrote a moment ago.

        Raises:
            Unavailable: when that cannot be known now.
        """

    async def list(self) -> list[Workspace]:
        """All objects, by name."""

    async def create(self, workspace: Workspace) -> Workspace:
        """Add an object; the store sets uid, generation, creation time and resource version.

        Its `status` is left out: only the controller reports, by `update_status`.

        Raises:
            Conflict: when there is one of that name.
        """

    async def before(self, workspace: Workspace) -> tuple[Workspace, ...]:
        """What the owner of an object had when they got it, by `create` or `update`; the oldest first.

        Of two objects, however close together and by whomever they were made or claimed, one is before the
        other.
        """

    async def update(self, workspace: Workspace) -> Workspace:
        """Write `spec`, labels, annotations and finalizers; `status` is left as it is.

        Removing the last finalizer of an object that is being deleted removes the object.

        Raises:
            Conflict: when the object was written since it was read (`resourceVersion`).
            NotFound: when there is none.
        """

    async def update_status(self, workspace: Workspace) -> Workspace:
        """Write `status` alone. Raises as `update` does."""

    async def delete(self, name: str, version: str = "") -> None:
        """Ask for an object to go: it is marked, and is gone once its finalizers are.

        Args:
            version: the resource version that it must still have; empty for any.

        Raises:
            Conflict: when it was written since.
            NotFound: when there is none.
        """

    def watch(self) -> AsyncIterator[Event]:
        """All objects as they are, then every change; changes close together may be told as one."""


class RoomStore(Protocol):
    """The one Room object. `tests/contract/test_room.py` says what each method promises."""

    async def get(self) -> Room:
        """The object; one with the defaults where nobody has written any."""

    async def update(self, room: Room) -> Room:
        """Write `spec`; `status` is left as it is. What is not there yet is made.

        Raises:
            Conflict: when it was written since it was read (`resourceVersion`).
        """

    async def update_status(self, room: Room) -> Room:
        """Write `status` alone. Raises as `update` does."""

    def watch(self) -> AsyncIterator[Room]:
        """The object as it is, then after every change; changes close together may be told as one."""


async def amend(store: RoomStore, change: Callable[[Room], Room]) -> Room:
    """Change the spec of the Room, however often somebody else is faster.

    Args:
        change: from the object as it is to what it should be; called again for each try.
    """
    return await _amend(store.get, store.update, change)


async def amend_status(store: RoomStore, change: Callable[[Room], Room]) -> Room:
    """As `amend`, for the status."""
    return await _amend(store.get, store.update_status, change)


async def _amend(
    get: Callable[[], Awaitable[Room]],
    write: Callable[[Room], Awaitable[Room]],
    change: Callable[[Room], Room],
) -> Room:
    while True:
        room = await get()
        changed = change(room)
        if changed == room:
            return room
        with contextlib.suppress(Conflict):
            return await write(changed)
