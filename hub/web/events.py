"""News of workspaces for browsers: one watch of the store serves every event stream.

Each event carries the whole object and its resource version as the id, so a stream resumes from any
point: it says what is, not what happened. Who looks at the room gets changes by the handful, so that a storm
costs a page no more than a calm. Nothing here may write objects.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field

from hub.model import PREFLIGHT, Workspace
from hub.room import Message, Room
from hub.store.base import Event, RoomStore, Store

GATHERED = 0.25
"""Seconds for which changes of the room are gathered before they are told."""


@dataclass(frozen=True)
class Notice:
    """What everybody should know.

    Args:
        text: in sentences; empty when there is nothing to know any more.
    """

    text: str


@dataclass(frozen=True)
class Said:
    """What an instructor says to everybody; None for nothing."""

    message: Message | None


News = Event | Notice | Said | None
"""None says that the stream is still there."""


@dataclass(frozen=True)
class Roll:
    """Every workspace that somebody owns."""

    workspaces: tuple[Workspace, ...]


@dataclass(frozen=True)
class Changes:
    """Workspaces as they are now, and names of those that are no more."""

    workspaces: tuple[Workspace, ...]
    gone: tuple[str, ...]


RoomNews = Roll | Changes | Room | Notice | None
"""None says that the stream is still there."""


@dataclass
class _Onlooker:
    """Somebody who looks at the room, and what they have not heard yet."""

    pending: dict[str, Event] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def taken(self) -> Changes:
        """What was not heard yet, which then is."""
        events, self.pending = self.pending, {}
        return Changes(
            tuple(event.workspace for event in events.values() if not event.gone),
            tuple(name for name, event in events.items() if event.gone),
        )


Queue = asyncio.Queue[Event | None]
"""Of one item: the newest state, or None to look for a notice."""


def seated(workspace: Workspace) -> bool:
    """Whether it is somebody's in the room: neither one of a pool, nor one that a preflight tries."""
    return bool(workspace.spec.owner) and PREFLIGHT not in workspace.metadata.labels


class Watcher:
    """The last state of every workspace and of the room, and a way to wait for the next.

    Args:
        store, room: what is watched; only while `run` runs.
    """

    def __init__(self, store: Store, room: RoomStore) -> None:
        self._store = store
        self._room_store = room
        self._followers: dict[str, set[Queue]] = {}
        self._onlookers: list[_Onlooker] = []
        self.workspaces: dict[str, Workspace] = {}
        self.room = Room()

    async def run(self) -> None:
        """Follow the stores until cancelled."""
        tasks = [asyncio.create_task(part) for part in (self._watch(), self._watch_room(), self._notice())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        async for event in self._store.watch():
            self._tell(event)

    async def _watch_room(self) -> None:
        async for room in self._room_store.watch():
            said, self.room = self.room.spec.message, room
            if room.spec.message != said:
                self._wake()
            for onlooker in self._onlookers:
                onlooker.woken.set()

    def _tell(self, event: Event) -> None:
        if event.gone:
            self.workspaces.pop(event.workspace.name, None)
        else:
            self.workspaces[event.workspace.name] = event.workspace
        for queue in self._followers.get(event.workspace.name, ()):
            if queue.full():
                queue.get_nowait()  # a slow browser gets the newest state, not all of them
            queue.put_nowait(event)
        if seated(event.workspace) or event.gone:
            for onlooker in self._onlookers:
                onlooker.pending[event.workspace.name] = event
                onlooker.woken.set()

    async def _notice(self) -> None:
        """Wake everybody when changes have to wait, and when they need not any more."""
        while True:
            await self._store.turned()
            self._wake()

    def _wake(self) -> None:
        """Let everybody look whether there is something that all should know."""
        for queues in self._followers.values():
            for queue in queues:
                if queue.empty():
                    queue.put_nowait(None)
        for onlooker in self._onlookers:
            onlooker.woken.set()

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

    async def look_on(self, keep_alive: float) -> AsyncGenerator[RoomNews]:
        """The room now, and every change of it and of what is in it, gathered.

        Args:
            keep_alive: seconds after which None is given when there is no news.
        """
        noticed: str | None = None
        known: Room | None = None
        with self._looking_on() as onlooker:
            yield Roll(tuple(w for w in await self._store.list() if seated(w)))
            while True:
                if self._store.away != noticed:
                    noticed = self._store.away
                    yield Notice(noticed)
                if self.room is not known:
                    known = self.room
                    yield known
                if onlooker.pending:
                    yield onlooker.taken()
                    await asyncio.sleep(GATHERED)
                try:
                    async with asyncio.timeout(keep_alive):
                        await onlooker.woken.wait()
                except TimeoutError:
                    yield None
                onlooker.woken.clear()

    async def _news(self, queue: Queue, keep_alive: float) -> AsyncGenerator[News]:
        """What there is to notice, each change of that, and what comes of one's queue."""
        noticed: str | None = None  # a page that was made while changes had to wait hears that they need not
        said: Said | None = None
        while True:
            if self._store.away != noticed:
                noticed = self._store.away
                yield Notice(noticed)
            if said is None or self.room.spec.message != said.message:
                said = Said(self.room.spec.message)
                yield said
            event = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(keep_alive):
                    event = await queue.get()
                    if event is None:
                        continue  # nobody is woken unless there is something to say
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

    @contextlib.contextmanager
    def _looking_on(self) -> Iterator[_Onlooker]:
        onlooker = _Onlooker()
        self._onlookers.append(onlooker)
        try:
            yield onlooker
        finally:
            self._onlookers = [other for other in self._onlookers if other is not onlooker]
