"""News of workspaces for browsers: one watch of the store serves every event stream.

Each event carries the whole object and its resource version as the id, so a stream resumes from any
point: it says what is, not what happened. Nothing here may write objects.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from hub.model import Workspace
from hub.store.base import Event, Store


@dataclass(frozen=True)
class Notice:
    """What everybody should know.

    Args:
        text: in sentences; empty when there is nothing to know any more.
    """

    text: str


News = Event | Notice | None
"""None says that the stream is still there."""
Queue = asyncio.Queue[Event | None]
"""Of one item: the newest state, or None to look for a notice."""


class Watcher:
    """The last state of every workspace, and a way to wait for the next.

    Args:
        store: what is watched; only while `run` runs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._followers: dict[str, set[Queue]] = {}
        self.workspaces: dict[str, Workspace] = {}

    async def run(self) -> None:
        """Follow the store until cancelled."""
        noticing = asyncio.create_task(self._notice())
        try:
            async for event in self._store.watch():
                self._tell(event)
        finally:
            noticing.cancel()
            await asyncio.gather(noticing, return_exceptions=True)

    def _tell(self, event: Event) -> None:
        if event.gone:
            self.workspaces.pop(event.workspace.name, None)
        else:
            self.workspaces[event.workspace.name] = event.workspace
        for queue in self._followers.get(event.workspace.name, ()):
            if queue.full():
                queue.get_nowait()  # a slow browser gets the newest state, not all of them
            queue.put_nowait(event)

    async def _notice(self) -> None:
        """Wake everybody when changes have to wait, and when they need not any more."""
        while True:
            await self._store.turned()
            for queues in self._followers.values():
                for queue in queues:
                    if queue.empty():
                        queue.put_nowait(None)

    async def follow(self, name: str, seen: str, keep_alive: float) -> AsyncGenerator[News]:
        """The state of one workspace now, unless it is the one seen last, and then every change of it.

        Args:
            name: the workspace's name.
            seen: the resource version that the browser has already; empty for none.
            keep_alive: seconds after which None is given when there is no news.
        """
        with self._following(name) as queue:
            workspace = await self._store.get(name)
            if workspace is None:
                return
            told = int(workspace.metadata.resource_version)
            if seen != str(told):
                if seen.isdecimal() and int(seen) > told:
                    told = int(seen)  # another process's copy was newer; ours will be, too
                else:
                    yield Event(workspace)
            async with contextlib.aclosing(self._news(queue, keep_alive)) as all_news:
                async for news in all_news:
                    if isinstance(news, Event) and not news.gone:
                        version = int(news.workspace.metadata.resource_version)
                        if version <= told:
                            continue  # the store told of it before the watch did
                        told = version
                    yield news
                    if isinstance(news, Event) and news.gone:
                        return

    async def notices(self, keep_alive: float) -> AsyncGenerator[News]:
        """What everybody should know, now and at each change."""
        with self._following("") as queue:
            async with contextlib.aclosing(self._news(queue, keep_alive)) as all_news:
                async for news in all_news:
                    yield news

    async def _news(self, queue: Queue, keep_alive: float) -> AsyncGenerator[News]:
        """What there is to notice, each change of that, and what comes of one's queue."""
        noticed: str | None = None  # a page that was made while changes had to wait hears that they need not
        while True:
            if self._store.away != noticed:
                noticed = self._store.away
                yield Notice(noticed)
            event = None
            try:
                async with asyncio.timeout(keep_alive):
                    event = await queue.get()
                    if event is None:
                        continue
            except TimeoutError:
                pass
            yield event

    @contextlib.contextmanager
    def _following(self, name: str) -> Iterator[Queue]:
        queue: Queue = asyncio.Queue(maxsize=1)
        self._followers.setdefault(name, set()).add(queue)
        try:
            yield queue
        finally:
            followers = self._followers[name]
            followers.discard(queue)
            if not followers:
                del self._followers[name]
