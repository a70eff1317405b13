"""The clicks that this process is busy with, so that they do not get in each other's way.

Across processes the store alone decides who was first; nothing here may be needed for that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator


class Clicks:
    """Clicks for a workspace: those of one person one after the other, those of all for different ones."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        """Names of members of the pool that are being claimed."""
        self._freed = asyncio.Event()
        self._turns: dict[str, asyncio.Lock] = {}
        self._count: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def turn(self, owner: str) -> AsyncIterator[None]:
        """While it is the turn of one of a person's clicks."""
        lock = self._turns.setdefault(owner, asyncio.Lock())
        self._count[owner] += 1
        try:
            async with lock:
                yield
        finally:
            self._count[owner] -= 1
            if not self._count[owner]:
                del self._count[owner], self._turns[owner]

    @contextlib.contextmanager
    def taking(self, name: str) -> Iterator[None]:
        """While a member of the pool is being claimed."""
        self.taken.add(name)
        try:
            yield
        finally:
            self.taken.discard(name)
            self._freed.set()
            self._freed = asyncio.Event()

    async def claim_over(self) -> None:
        """Wait until the next claim is over, in whatever way."""
        await self._freed.wait()
