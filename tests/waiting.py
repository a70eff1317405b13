"""Waiting for conditions, never for time to pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 20.0
"""Seconds after which a condition that should come true is taken to never do so."""


async def until(what: str, get: Callable[[], Awaitable[T] | T], patience: float = PATIENCE) -> T:
    """Look until `get` gives something true, and return that; raises AssertionError when it never does."""

    async def look() -> T:
        while True:
            value = get()
            if isinstance(value, Awaitable):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.02)

    try:
        async with asyncio.timeout(patience):
            return await look()
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None
