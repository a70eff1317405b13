"""Keeps the pools as large as they should be, and tells the room of it.

`pool.py` decides; what a step could not do, the next one does. Nothing here may touch a backend: members are
objects like all others.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from datetime import datetime

import aiohttp

from hub import admission, pool, queue
from hub.edges import House
from hub.errors import Conflict, NotFound, PodiumError
from hub.model import Workspace
from hub.pool import Setback
from hub.room import PoolStatus, Room
from hub.store.base import Store, amend_status
from hub.usher import Usher
from hub.wire import replace

log = logging.getLogger("podium.pool")

STEP = 0.5
"""Seconds between two steps."""
GRACE = 5.0
"""Seconds in which a click that was overtaken gives back what it got."""
TELL = 1.0
"""Seconds between two words to the room, which everybody who watches it hears."""


class Stock:
    """The pools.

    Args:
        store: where members are made.
        house: what is wanted, and where instructors are told.
        usher: knows all workspaces, and how many more may begin.
        hub_key: the secret that the names of people's workspaces are derived from.
        now: the clock.
    """

    def __init__(
        self, store: Store, house: House, usher: Usher, hub_key: bytes, now: Callable[[], datetime]
    ) -> None:
        self._store, self._house, self._usher = store, house, usher
        self._hub_key = hub_key
        self._now = now
        self._setbacks: dict[str, Setback] = {}
        self._twice: dict[str, float] = {}
        self._told = 0.0

    async def run(self) -> None:
        """Keep them until cancelled."""
        while True:
            try:
                await self.step()
                await self.part()
            except (Conflict, NotFound) as error:
                log.debug("somebody was faster: %s", error)
            except (PodiumError, aiohttp.ClientError, OSError, TimeoutError) as error:
                log.warning("the pools are looked after again in a moment: %r", error)
            except Exception:
                log.exception("the pools could not be looked after; trying again in a moment")
            await asyncio.sleep(STEP)

    async def follow(self) -> None:
        """Follow what instructors ask for, until cancelled."""
        if self._house.room is not None:
            async for room in self._house.room.watch():
                self._usher.enter_room(room)

    async def step(self) -> None:
        """Make and end members as is due now, and tell the room."""
        line, workspaces = self._usher.line(), list(self._usher.workspaces.values())
        members = [workspace for workspace in workspaces if workspace.pooled]
        ordered, now = self._usher.room.spec.pool, self._now()
        make: list[Workspace] = []
        remove = {name: self._usher.workspaces[name] for name in line.leave}
        told: dict[str, PoolStatus] = {}
        free, pace = line.free, line.pace - sum(m.status.phase == "Queued" for m in members)
        for name in sorted({*self._house.rules.pool, *ordered, *(m.spec.profile for m in members)}):
            profile, mark = self._house.profiles.get(name), self._house.marks.get(name, "")
            wanted = pool.size(self._house.rules.pool.get(name), ordered.get(name), now) if profile else 0
            mine = [m for m in members if m.spec.profile == name and m.name not in remove]
            one = pool.member(profile, mark, "cluster-000000", now) if profile else None
            room = _fits(free, queue.need(one.spec), pace) if one else 0
            plan = pool.plan(mine, wanted, mark, room, now, self._setbacks.get(name, Setback()))
            self._setbacks[name] = plan.setback
            remove |= {gone: self._usher.workspaces[gone] for gone in plan.remove}
            if wanted or plan.status.message:
                told[name] = plan.status
            pace -= plan.make
            for _ in range(plan.make):
                assert profile is not None
                made = pool.member(profile, mark, _name(), now)
                free -= queue.need(made.spec)
                make.append(made)
        await self._do(make, list(remove.values()))
        await self._tell(told)

    async def part(self) -> None:
        """End what somebody got beside the workspace that they had, if nobody else does."""
        twice, time = pool.twice(self._usher.workspaces.values()), asyncio.get_running_loop().time()
        self._twice = {owner: self._twice.get(owner, time) for owner in twice}
        for owner in [owner for owner, since in self._twice.items() if time - since >= GRACE]:
            ours = admission.names(self._hub_key, owner)
            for workspace in twice[owner]:
                # What somebody wrote by hand may be as many as they like.
                if workspace.name not in ours and workspace.spec.claimed_at is None:
                    continue
                if any(one in twice[owner] for one in await self._store.before(workspace)):
                    log.warning("%s: ending it, for its owner had another one before", workspace.name)
                    await self._store.delete(workspace.name, workspace.metadata.resource_version)

    async def _do(self, make: list[Workspace], remove: list[Workspace]) -> None:
        # Somebody who claimed it meanwhile changed it, and keeps it.
        ended = [self._store.delete(gone.name, gone.metadata.resource_version) for gone in remove]
        made = await asyncio.gather(*ended, *map(self._store.create, make), return_exceptions=True)
        failed = [result for result in made if isinstance(result, BaseException)]
        for error in failed:
            if not isinstance(error, Conflict | NotFound):
                raise error

    async def _tell(self, pools: dict[str, PoolStatus]) -> None:
        """Tell the room how its pools are, and how many people wait."""
        queued, time = self._usher.waiting, asyncio.get_running_loop().time()

        def tell(room: Room) -> Room:
            return replace(room, status=replace(room.status, pool=pools, queued=queued))

        told = tell(self._usher.room) == self._usher.room
        if self._house.room is not None and not told and time - self._told >= TELL:
            self._told = time
            self._usher.room = await amend_status(self._house.room, tell)


def _fits(free: queue.Need, need: queue.Need, most: int) -> int:
    """How many times there is room for something."""
    count = 0
    while count < most and free.holds(need):
        free -= need
        count += 1
    return count


def _name() -> str:
    """A name that nobody has."""
    letters = (secrets.choice(admission.LETTERS) for _ in range(8))
    return "cluster-" + "".join(letters)
