"""Tells watchers of a store what changed; changes of one object close together are told as one.

Nothing here may keep objects; that is what stores are for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from hub.model import Workspace
from hub.store.base import Event


class News:
    """Everybody who watches a store."""

    def __init__(self) -> None:
        self._watchers: list[tuple[dict[str, Event], asyncio.Event]] = []

    def tell(self, event: Event) -> None:
        """Tell every watcher; the last word on an object replaces what was not heard yet."""
        for pending, filled in self._watchers:
            pending[event.workspace.name] = event
            filled.set()

    async def watch(self, present: Iterable[Workspace]) -> AsyncIterator[Event]:
        """What is there, then what is told from now on."""
        watcher = ({workspace.name: Event(workspace) for workspace in present}, asyncio.Event())
        pending, filled = watcher
        self._watchers.append(watcher)
        try:
            while True:
                while pending:
                    yield pending.pop(next(iter(pending)))
                filled.clear()
                await filled.wait()
        finally:
            # By identity: two watchers may have the same news.
            self._watchers = [other for other in self._watchers if other is not watcher]
