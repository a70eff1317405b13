"""Tells watchers of a store what changed; changes of one object close together are told as one.

Nothing here may keep objects; that is what stores are for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Generic, TypeVar

from hub.model import Workspace
from hub.store.base import Event

T = TypeVar("T")


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


class Latest(Generic[T]):
    """One value that changes, and everybody who wants to know.

    Args:
        value: the first one.
    """

    def __init__(self, value: T) -> None:
        self.value = value
        self._turn = asyncio.Event()

    def set(self, value: T) -> None:
        """Make it another value."""
        self.value = value
        self._turn.set()
        self._turn = asyncio.Event()

    async def watch(self) -> AsyncIterator[T]:
        """The value now and after every change; of changes close together the last one."""
        while True:
            told, turn = self.value, self._turn
            yield told
            if self.value is told:
                await turn.wait()
