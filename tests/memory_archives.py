"""Archives in memory, which keep homes as fast, as slowly, or as badly as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from hub.archives.base import NotKept
from hub.ending import Home, Kept


class MemoryArchives:
    """What is kept outlives every hub.

    Args:
        running: whether homes are fetched from notebooks.
    """

    def __init__(self, running: bool = True) -> None:
        self.running = running
        self.kept: dict[str, Home] = {}
        self.asked: list[tuple[str, str]] = []
        """Keys, and the notebooks that they were asked of."""
        self.open = asyncio.Event()
        """Set while homes can be kept; what is asked meanwhile waits."""
        self.open.set()
        self.trouble = ""
        """Why nothing can be kept."""
        self.pruned: list[datetime] = []

    async def keep(self, home: Home, notebook: str = "", token: str = "") -> Kept:
        self.asked.append((home.key, notebook))
        await self.open.wait()
        if self.trouble:
            raise NotKept(self.trouble)
        self.kept.setdefault(home.key, home)
        return Kept(bytes=100, until=self.kept[home.key].until)

    @asynccontextmanager
    async def read(self, key: str, owner: str) -> AsyncIterator[AsyncIterator[bytes] | None]:
        yield None

    async def prune(self, now: datetime) -> None:
        self.pruned.append(now)
