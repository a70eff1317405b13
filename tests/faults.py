"""What goes wrong on purpose: one call of the controller to the outside, or all of them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


class Failure(OSError):
    """What goes wrong on purpose."""


@dataclass
class Faults:
    """Makes one call of the controller to the outside go wrong, or every call while `always` is set.

    Args:
        at: which call, counted from 1; 0 for none.
        late: whether it goes wrong after it had its effect.
        deadly: whether the hub hangs in it, to be killed, instead of being told of an error.
    """

    at: int = 0
    late: bool = False
    deadly: bool = False
    always: bool = False
    calls: list[str] = field(default_factory=list)
    hit: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, call: str) -> int:
        """A call begins; returns its number."""
        self.calls.append(call)
        if self.always:
            raise Failure(call)
        if not self.late:
            await self.done(len(self.calls))
        return len(self.calls)

    async def done(self, number: int) -> None:
        """A call had its effect."""
        if number == self.at and not self.hit.is_set():
            self.hit.set()
            if self.deadly:
                await asyncio.get_running_loop().create_future()
            raise Failure(self.calls[number - 1])


class Faulty:
    """Stands before a store, a backend, a proxy or a probe, and lets faults at its calls."""

    def __init__(self, inner: object, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._inner, name)
        call = f"{type(self._inner).__name__}.{name}"

        async def ask(*arguments: Any) -> Any:
            number = await self._faults.begin(call)
            result = await real(*arguments)
            await self._faults.done(number)
            return result

        async def follow() -> AsyncIterator[Any]:
            async for news in real():
                number = await self._faults.begin(call)
                yield news
                await self._faults.done(number)

        if inspect.iscoroutinefunction(real):
            return ask
        return follow if inspect.isasyncgenfunction(real) else real
