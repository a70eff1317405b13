"""Keeps one proxy equal to what is wanted, whatever happens to it.

Nothing here may know of workspaces, or of other proxies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from proxy.chp import NOT_ANSWERING, ProxyClient
from proxy.routes import SENTINEL, Changes, Table

log = logging.getLogger("podium.proxy")

CHECK_SECONDS = 0.5
"""How long a proxy may have lost its routes before that is noticed."""
LOOK_SECONDS = 60.0
"""The same for a single route that somebody else took away or added."""
RETRY_SECONDS = 0.1
AT_ONCE = 16
"""Requests under way at one proxy. More do not make it faster: it has one thread."""


class Replica:
    """One proxy of several, or the only one.

    Args:
        address: what it is called.
        client: its API.
        table: what is wanted, which changes.
    """

    def __init__(self, address: str, client: ProxyClient, table: Table) -> None:
        self._address = address
        self._client = client
        self._table = table
        self._paths: set[str] = set()
        self._known = False
        self._check_at = self._look_at = 0.0
        self._wake = asyncio.Event()
        self.present: dict[str, str] = {}
        """The routes that it has, as far as is known."""
        self.behind = False
        """Whether it is not worth waiting for: it is away, too slow, or has lost its routes."""
        self.settled = asyncio.Event()
        """Set while it has all that it was told of, and when that cannot be had for now."""

    def change(self, paths: Iterable[str]) -> None:
        """At these paths something else is wanted than before."""
        self._paths.update(paths)
        self.settled.clear()
        self._wake.set()

    def wake(self, look: bool) -> None:
        """See now what is to be done.

        Args:
            look: ask the proxy what it has.
        """
        self._known = self._known and not look
        self._wake.set()

    async def run(self) -> None:
        """Put right what is not, again and again, until cancelled."""
        self._forget()
        self.behind = fine = told = False
        try:
            while True:
                self._wake.clear()
                try:
                    await self._settle()
                except Exception as error:
                    self._known = False
                    if not fine:
                        self._give_up(error, told)
                        told = True
                        await asyncio.sleep(RETRY_SECONDS)
                    fine = False  # once: perhaps it only closed a connection that nobody used
                    continue
                if told:
                    log.info("the proxy at %s has its %d routes", self._address, len(self.present))
                fine, told = True, False
                # asyncio.wait_for may swallow a cancellation in Python 3.11, and this would go on for ever.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_SECONDS):
                        await self._wake.wait()
        finally:
            self.settled.set()

    def _give_up(self, error: Exception, told: bool) -> None:
        """Let nobody wait for it until it answers, and say once why."""
        self._forget()
        self.behind = True
        self.settled.set()
        if not told and isinstance(error, NOT_ANSWERING):
            log.info("the proxy at %s does not answer: %r", self._address, error)
        elif not told:
            log.error("the proxy at %s cannot be kept", self._address, exc_info=error)

    def _forget(self) -> None:
        self._known = False
        self.present = {}

    async def _settle(self) -> None:
        """Look, if it may have changed; then put right what is not, the sentinel after all else."""
        await self._check()
        if not self._known:
            self._known = True  # before it is asked, so that who wants another look meanwhile gets one
            self.present = await self._client.routes()
            self._paths |= self.present.keys() | self._table.wanted.keys()
            # Without a sentinel nobody is sent to it, so nobody has to wait for it.
            self.behind = self.behind or SENTINEL in self._table.wanted.keys() - self.present.keys()
        while self._paths:
            paths, self._paths = self._paths - {SENTINEL}, set()
            await self._apply(self._table.changes(self.present, paths))
        # From here on nothing may come between: what is wanted from now on is waited for, and follows.
        self.behind = False
        self.settled.set()
        await self._apply(self._table.changes(self.present, [SENTINEL]))

    async def _check(self) -> None:
        """Notice, from time to time, that it is not as it was left."""
        now = asyncio.get_running_loop().time()
        if now >= self._look_at:
            self._known, self._look_at = False, now + LOOK_SECONDS
        if self._known and now >= self._check_at:
            self._check_at = now + CHECK_SECONDS
            if not await self._client.has(SENTINEL):
                self._known = False

    async def _apply(self, changes: Changes) -> None:
        """Carry out all of it that can be, several at once; raises what the first that failed failed with."""
        adding, removing = iter(changes.add.items()), iter(changes.remove)

        async def some() -> None:
            for path, target in adding:
                await self._client.add(path, target)
                self.present[path] = target
            for path in removing:
                await self._client.remove(path)
                self.present.pop(path, None)

        count = min(AT_ONCE, len(changes.add) + len(changes.remove))
        for failure in await asyncio.gather(*(some() for _ in range(count)), return_exceptions=True):
            if failure is not None:
                raise failure
