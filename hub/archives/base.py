"""The interface of what keeps home folders after the end of their workspaces.

It keeps and gives back, and never decides whose or how long. Nothing here may know of HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Protocol

from hub.ending import Home, Kept


class NotKept(Exception):
    """A home folder could not be kept; the message is a sentence for its owner."""


class Archives(Protocol):
    """Keeps home folders. `tests/test_archives.py` says what each method promises.

    Args:
        running: whether a home is fetched from its notebook, which has to run until then.
    """

    running: bool

    async def keep(self, home: Home, notebook: str = "", token: str = "") -> Kept:
        """Keep a home folder; doing it again changes nothing.

        Args:
            notebook: its address, where `running`, such as `http://10.1.2.3:8888/cluster-abc123/`.
            token: what the notebook asks for.

        Raises:
            NotKept: when it cannot be done now.
        """

    def read(self, key: str, owner: str) -> AbstractAsyncContextManager[AsyncIterator[bytes] | None]:
        """The archive, a gzipped tar, piece by piece; None when this owner has none of that name."""

    async def prune(self, now: datetime) -> None:
        """Remove what was kept long enough."""


class NoArchives:
    """Keeps nothing."""

    running = False

    async def keep(self, home: Home, notebook: str = "", token: str = "") -> Kept:
        return Kept()

    @asynccontextmanager
    async def read(self, key: str, owner: str) -> AsyncIterator[AsyncIterator[bytes] | None]:
        yield None

    async def prune(self, now: datetime) -> None:
        return None
