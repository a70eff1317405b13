"""News of workspaces for browsers: one watch of the store serves every event stream.

Each event carries the whole object and its resource version as the id, so a stream resumes from any
point: it says what is, not what happened. Nothing here may write objects.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from hub.model import Workspace
from hub.store.base import Event, Store


class Watcher:
    """The last state of every workspace, and a way to wait for the next.

    Args:
        store: what is watched; only while `run` runs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._followers: dict[str, set[asyncio.Queue[Event]]] = {}
        self.workspaces: dict[str, Workspace] = {}

    async def run(self) -> None:
        """Follow the store until cancelled."""
        async for event in self._store.watch():
            if event.gone:
                self.workspaces.pop(event.workspace.name, None)
            else:
                self.workspaces[event.workspace.name] = event.workspace
            for queue in self._followers.get(event.workspace.name, ()):
                if queue.full():
                    queue.get_nowait()  # a slow browser gets the newest state, not all of them
                queue.put_nowait(event)

    async def follow(self, name: str, seen: str, keep_alive: float) -> AsyncGenerator[Event | None]:
        """The state of one workspace now, unless it is the one seen last, and then every change of it.

        Args:
            name: the workspace's name.
            seen: the resource version that the browser has already; empty for none.
            keep_alive: seconds after which None is given when there is no news.
        """
        queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=1)
        self._followers.setdefault(name, set()).add(queue)
        try:
            workspace = await self._store.get(name)
            if workspace is None:
                return
            told = workspace.metadata.resource_version
            if told != seen:
                yield Event(workspace)
            while True:
                event: Event | None = None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(keep_alive):
                        event = await queue.get()
                if event is not None and not event.gone:
                    version = event.workspace.metadata.resource_version
                    if int(version) <= int(told):
                        continue  # the store told of it before the watch did
                    told = version
                yield event
                if event is not None and event.gone:
                    return
        finally:
            followers = self._followers[name]
            followers.discard(queue)
            if not followers:
                del self._followers[name]
