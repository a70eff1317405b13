"""The controller's queue: names, never events.

A name is in it once however often it is added, is never given to two workers at a time, and comes back
later after a failure, each time after a longer pause. Source: client-go's `util/workqueue`. Nothing here
may know what the names stand for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0


class WorkQueue:
    """Names that want a look."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._behind: OrderedDict[str, None] = OrderedDict()
        self._active: set[str] = set()
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._behind)

    def add(self, name: str, behind: bool = False) -> None:
        """Ask for a look at a name as soon as possible.

        Args:
            behind: only when nothing else waits. What is begun is finished before something new is begun, so
                that in a rush the first are served soon, and not all at the end.
        """
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if name in self._active:
            self._again.add(name)
        elif behind and name not in self._waiting:
            self._behind[name] = None
            self._filled.set()
        else:
            self._behind.pop(name, None)
            self._waiting[name] = None
            self._filled.set()

    def add_after(self, name: str, seconds: float) -> None:
        """Ask for a look later; an earlier one that is asked for takes its place."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(name)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[name] = loop.call_later(seconds, self.add, name)

    async def get(self) -> str:
        """The next name; `done` has to be called when the look is over."""
        while not len(self):
            self._filled.clear()
            await self._filled.wait()
        name, _ = (self._waiting or self._behind).popitem(last=False)
        self._active.add(name)
        return name

    def done(self, name: str, failed: bool = False) -> None:
        """Say that the look is over; a name added meanwhile, or whose look failed, comes back."""
        self._active.discard(name)
        if failed:
            count = self._failures[name] = self._failures.get(name, 0) + 1
            self.add_after(name, min(FIRST_PAUSE * 2 ** (count - 1), LONGEST_PAUSE))
        else:
            self._failures.pop(name, None)
        if name in self._again:
            self._again.discard(name)
            if not failed:
                self.add(name)

    def close(self) -> None:
        """Drop every timer."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
