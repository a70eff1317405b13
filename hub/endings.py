"""Sees workspaces off: has their homes kept before they go, and remembers them afterwards.

What is still to do shows in the objects alone, so whoever is killed in the middle of it loses nothing: the
next one does it again. What is thought of it is in `ending.py`; nothing here may end anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from hub import ending, notebook
from hub.archives.base import Archives, NoArchives, NotKept
from hub.desired import context
from hub.ending import Home, Kept
from hub.errors import Conflict, NotFound
from hub.model import Workspace
from hub.observed import Observed
from hub.room import Ended
from hub.store.base import RoomStore, Store, amend_status

log = logging.getLogger("podium.endings")

LONGEST = 300.0
"""Seconds after which an end waits no longer for its home to be kept."""
AGAIN = 2.0
GATHER = 0.1
"""Seconds in which the ends of a class are written down together."""
ROUND = 60.0
"""Seconds between two looks at what is left behind, and what was kept long enough."""
TOO_LATE = "It took longer than {:.0f} minutes to keep its files."


class Endings:
    """The ends of all workspaces.

    Args:
        store: where objects are.
        room: where they are remembered; None for nowhere.
        archives: what keeps homes.
        hub_key: the secret that all others are derived from.
        again: called with the name of a workspace whose home was dealt with.
        now: the clock.
    """

    def __init__(
        self,
        store: Store,
        room: RoomStore | None,
        archives: Archives | None,
        hub_key: bytes,
        again: Callable[[str], None],
        now: Callable[[], datetime],
    ) -> None:
        self._store, self._room = store, room
        self._archives = archives or NoArchives()
        self._hub_key = hub_key
        self._again = again
        self._now = now
        self._keeping: dict[str, asyncio.Task[None]] = {}
        self._notebooks: dict[str, str] = {}
        self._news: list[Ended] = []
        self._next: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()

    async def run(self, names: Callable[[], Awaitable[set[str]]]) -> None:
        """Clean up now and then, until cancelled; what was begun goes no further then.

        Args:
            names: gives the workspaces of which anything exists.
        """
        try:
            while True:
                await asyncio.sleep(ROUND)
                try:
                    await self._clean(names)
                except Exception:
                    log.exception("could not clean up; trying again")
        finally:
            tasks = [*self._keeping.values(), *self._writing]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._keeping.clear()
            self._news, self._next = [], None

    async def _clean(self, names: Callable[[], Awaitable[set[str]]]) -> None:
        await self._archives.prune(self._now())
        if self._room is not None:
            there = await names()
            left = there - {workspace.name for workspace in await self._store.list()}
            await amend_status(self._room, partial(ending.left_behind, names=left))

    def holds(self, workspace: Workspace, seen: Observed) -> bool:
        """Whether the notebook has to stay for now, because its home is being kept; begins with that."""
        uid = workspace.metadata.uid
        task = self._keeping.get(uid)
        if not self._archives.running or not ending.waits(workspace, seen):
            if task is not None:
                task.cancel()
            return False
        address = seen.addresses.get("notebook.http", "") if seen.ready("notebook") else ""
        self._notebooks[uid] = address
        if task is None:
            task = asyncio.create_task(self._keep(workspace), name=f"keep the home of {workspace.name}")
            self._keeping[uid] = task
            task.add_done_callback(partial(self._over, uid))
        return True

    def _over(self, uid: str, task: asyncio.Task[None]) -> None:
        self._keeping.pop(uid, None)
        self._notebooks.pop(uid, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("a home could not be kept", exc_info=task.exception())

    async def _keep(self, workspace: Workspace) -> None:
        """Have a home kept, and note on the object what became of that."""
        home, here = ending.home(workspace, self._now()), context(workspace, self._hub_key)
        said = TOO_LATE.format(LONGEST / 60)
        kept: Kept | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST):
                while kept is None:
                    address = self._notebooks[workspace.metadata.uid]
                    try:
                        kept = await self._fetch(home, address, notebook.token(here.keys))
                    except NotKept as error:
                        said = str(error)
                        log.warning("%s: its home could not be kept; trying again: %s", home.name, said)
                        await asyncio.sleep(AGAIN)
        if kept is None:
            log.error("%s: its home could not be kept: %s", home.name, said)
        await self._note(workspace, kept or Kept(message=said))
        self._again(workspace.name)

    async def _fetch(self, home: Home, address: str, token: str) -> Kept:
        if not address:
            raise NotKept("Its notebook did not answer.")
        return await self._archives.keep(home, f"http://{address}{notebook.base(home.name)}", token)

    async def _note(self, workspace: Workspace, kept: Kept) -> None:
        while True:
            present = await self._store.get(workspace.name)
            if present is None or present.metadata.uid != workspace.metadata.uid:
                return
            with contextlib.suppress(Conflict, NotFound):
                await self._store.update(ending.noted(present, kept))
                return
            await asyncio.sleep(GATHER)

    async def seen_off(self, workspace: Workspace) -> None:
        """Remember a workspace of which nothing is left, and keep its home where that is still there."""
        kept = ending.dealt_with(workspace)
        if kept is None:
            kept = await self._last_chance(workspace)
        if self._room is None:
            return
        self._news.append(ending.ended(workspace, kept, self._now()))
        if self._next is None:
            self._next = asyncio.create_task(self._write(), name="remember who is gone")
            self._writing.add(self._next)
            self._next.add_done_callback(self._writing.discard)
        await asyncio.shield(self._next)

    async def _last_chance(self, workspace: Workspace) -> Kept:
        if not ending.opened(workspace):
            return Kept()
        if self._archives.running:
            asked = workspace.spec.settings.archive_time
            return Kept(message=ending.LOST if asked else "")
        return await self._archives.keep(ending.home(workspace, self._now()))

    async def _write(self) -> None:
        """Write down together what came together."""
        await asyncio.sleep(GATHER)
        news, self._news, self._next = self._news, [], None
        assert self._room is not None
        await amend_status(self._room, partial(ending.remembered, news=news))
