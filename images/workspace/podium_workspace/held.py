"""A state that others ask for and that is told when it changes, so that nobody has to poll.

Nothing here may know what the state is of.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Any

HOLD = 20.0
"""Seconds that an answer is held for at most."""
PAUSE = 0.25
"""Seconds between two changes that are told, so that a storm of them is one."""


class Held:
    """A state with a version.

    Args:
        look: the state as it is now, as JSON values.
        versioned: the part of the state whose change makes a new version; by default all of it.
    """

    def __init__(
        self,
        look: Callable[[], dict[str, Any]],
        versioned: Callable[[dict[str, Any]], object] = lambda state: state,
    ) -> None:
        self._look = look
        self._versioned = versioned
        self._life = secrets.token_hex(4)
        self._number = 0
        self._last: object = None
        self._told = 0.0
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def touch(self) -> None:
        """Say that the state may be another; cheap, however often it is said."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._told + PAUSE), self._tell)

    async def answer(self, since: str) -> dict[str, Any]:
        """The state: at once when its version is not `since`, else at the next change or after `HOLD`."""
        if since == self._version():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HOLD):
                    await self._changed.wait()
        return {"version": self._version(), **self._look()}

    def _version(self) -> str:
        return f"{self._life}-{self._number}"

    def _tell(self) -> None:
        self._timer = None
        now = self._versioned(self._look())
        if now != self._last:
            self._last = now
            self._told = asyncio.get_running_loop().time()
            self._number += 1
            self._changed.set()
            self._changed = asyncio.Event()
