"""The web tier in a thread of its own, for tests of what blocks: the command line and generated requests."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.waiting import PATIENCE
from tests.web.serving import Web, serving

T = TypeVar("T")


@dataclass(frozen=True)
class Elsewhere:
    """A web tier that serves in another thread, for what blocks."""

    web: Web
    loop: asyncio.AbstractEventLoop

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Do something where the web tier is."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    @contextmanager
    def beside(self, coroutine: Coroutine[Any, Any, None]) -> Iterator[None]:
        """Do something there meanwhile."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            yield
        except BaseException:
            future.cancel()
            raise
        future.result(PATIENCE)


@contextmanager
def serving_elsewhere(directory: Path, **secrets: Any) -> Iterator[Elsewhere]:
    """A web tier in a thread of its own."""
    started: Future[tuple[Elsewhere, asyncio.Event]] = Future()

    async def serve() -> None:
        async with serving(directory, **secrets) as web:
            ended = asyncio.Event()
            started.set_result((Elsewhere(web, asyncio.get_running_loop()), ended))
            await ended.wait()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(asyncio.run, serve())
        running.add_done_callback(lambda done: started.done() or started.set_exception(done.exception()))
        elsewhere, ended = started.result(PATIENCE)
        try:
            yield elsewhere
        finally:
            elsewhere.loop.call_soon_threadsafe(ended.set)
            running.result(PATIENCE)
