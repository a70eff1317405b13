"""Lets workspaces begin, one after the other, and tells those who wait of their place.

What it knows is a copy of the objects, and whom it let in a moment ago; a controller that starts anew finds
both again. `queue.py` decides; nothing here may judge, write objects or touch a backend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from hub import queue
from hub.model import QueuePlace, Workspace
from hub.room import Room
from hub.rules import Rules
from hub.store.base import Event
from hub.workqueue import WorkQueue

GAP = 0.05
"""Seconds between two looks at everybody: what happens close together is one."""
AGAIN = 1.0
"""Seconds until the next look while somebody waits, for times pass and places have to be told."""
LEARN = 5.0
"""Seconds after which it is found out anew how fast things go."""


class Usher:
    """Whom the controller may serve.

    Args:
        calls: the controller's queue; names that may begin, or are to be told something, are put into it.
        rules: what the operator decided.
        now: the clock.
    """

    def __init__(self, calls: WorkQueue, rules: Rules, now: Callable[[], datetime]) -> None:
        self.workspaces: dict[str, Workspace] = {}
        self.room = Room()
        self._calls, self._rules, self._now = calls, rules, now
        self._begun: dict[str, datetime] = {}
        self._waiting: set[str] = set()
        self._told: dict[str, float] = {}
        self._line = queue.line((), {}, rules.capacity, rules.launches_at_once, now())
        self._pace, self._learned = queue.Pace(), -LEARN
        self._looked = -GAP
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, workspaces: Iterable[Workspace], running: Iterable[str]) -> None:
        """Begin anew.

        Args:
            workspaces: all there are.
            running: names of which something runs; they were let in by whoever acted before.
        """
        self.close()
        now = self._now()
        self.workspaces = {workspace.name: workspace for workspace in workspaces}
        self._begun = dict.fromkeys(running, now)
        self._told.clear()
        self._waiting = {name for name, workspace in self.workspaces.items() if self._waits(workspace)}

    def close(self) -> None:
        """Drop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hear(self, event: Event) -> None:
        """Hear of a workspace."""
        name = event.workspace.name
        if event.gone:
            for known in (self.workspaces, self._begun, self._told):
                known.pop(name, None)
            self._waiting.discard(name)
        else:
            self._take(event.workspace)
        if self._waiting:
            self._look_soon()

    def enter_room(self, room: Room) -> None:
        """Hear of the room."""
        self.room = room
        if self._waiting:
            self._look_soon()

    def admits(self, workspace: Workspace) -> bool:
        """Whether a workspace may begin, or has."""
        self._take(workspace)
        if workspace.name in self._waiting:
            self._look_soon()
        return workspace.name not in self._waiting

    def news(self, workspace: Workspace) -> QueuePlace | None:
        """The place of one who waits, when they are to be told of it now."""
        name = workspace.name
        place = self._line.places.get(name)
        if place is None:
            return None
        since = self._told.setdefault(name, asyncio.get_running_loop().time())
        waited = asyncio.get_running_loop().time() - since
        return place if queue.due(place, workspace.status.queue, waited, name in self._line.paced) else None

    def told(self, name: str) -> None:
        """Note that somebody was told of their place."""
        self._told[name] = asyncio.get_running_loop().time()

    def line(self) -> queue.Line:
        """Who waits, and what there is beyond them, as of now."""
        self._look()
        return self._line

    @property
    def waiting(self) -> int:
        """How many people wait."""
        return len(self._line.places) if self._waiting else 0

    def _take(self, workspace: Workspace) -> None:
        name = workspace.name
        present = self.workspaces.get(name)
        if present is not None and _newer(present, workspace):
            workspace = present
        self.workspaces[name] = workspace
        if workspace.status.phase != "Queued" or workspace.deleting:
            self._begun.pop(name, None)
            self._told.pop(name, None)
        if self._waits(workspace):
            self._waiting.add(name)
        else:
            self._waiting.discard(name)

    def _waits(self, workspace: Workspace) -> bool:
        return queue.waits(workspace) and workspace.name not in self._begun

    def _look_soon(self) -> None:
        """Look now, or in a moment when there was a look a moment ago."""
        loop = asyncio.get_running_loop()
        after = self._looked + GAP - loop.time()
        if after <= 0:
            self._look()
        elif self._timer is None or self._timer.when() > loop.time() + after:
            self._look_after(after)

    def _look_after(self, seconds: float) -> None:
        self.close()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """Find out who may begin, and have those looked at who may, and those who are to be told."""
        self.close()
        time, now = asyncio.get_running_loop().time(), self._now()
        self._looked = time
        if self._waiting and time - self._learned >= LEARN:
            self._learned = time
            self._pace = queue.seen_pace(self.workspaces.values(), self.room.status.ended, now)
        limits = queue.capacity(self._rules, self.room.spec)
        at_once = self._rules.launches_at_once
        self._line = queue.line(self.workspaces.values(), self._begun, limits, at_once, now, self._pace)
        for name in self._line.enter:
            self._begun[name] = now
            self._waiting.discard(name)
            self._calls.add(name, behind=True)
        for name in self._line.places:
            if self.news(self.workspaces[name]) is not None:
                self._calls.add(name, behind=True)
        if self._waiting:
            self._look_after(AGAIN)


def _newer(one: Workspace, other: Workspace) -> bool:
    if one.metadata.uid != other.metadata.uid:
        return False
    return int(one.metadata.resource_version or 0) > int(other.metadata.resource_version or 0)
