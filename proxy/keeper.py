"""Keeps any number of proxies equal to what the workspaces want.

Nothing here may decide which routes there should be; that is `routes.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping

from proxy.chp import ProxyClient
from proxy.replica import Replica
from proxy.routes import Table

PATIENCE = 1.0
"""Seconds that a proxy may take for a new route before nobody waits for it any more."""


class RouteKeeper:
    """Proxies that come and go, each of which is put right by itself.

    Args:
        connect: makes a client from the address of a proxy's API.
        default: where everything goes that has no route: web.
    """

    def __init__(self, connect: Callable[[str], ProxyClient], default: str) -> None:
        self._connect = connect
        self._table = Table(default)
        self._replicas: dict[str, Replica] = {}
        self._moved = asyncio.Event()

    @property
    def wanted(self) -> Mapping[str, str]:
        """Every route that there should be: path to target."""
        return self._table.wanted

    @property
    def present(self) -> Mapping[str, int]:
        """How many routes each proxy has, by its address; none while it does not answer."""
        return {address: len(replica.present) for address, replica in self._replicas.items()}

    def set_replicas(self, addresses: Collection[str]) -> None:
        """Keep these proxies from now on, and no others.

        Args:
            addresses: of their APIs, such as `http://10.0.0.7:8001`.
        """
        for address in self._replicas.keys() - set(addresses):
            del self._replicas[address]
        for address in addresses:
            if address not in self._replicas:
                self._replicas[address] = Replica(address, self._connect(address), self._table)
        self._moved.set()

    def begin(self) -> None:
        """Nothing is known yet of what workspaces want; every proxy keeps what it has."""
        self._table.begin()

    async def put(self, name: str, wanted: Mapping[str, str]) -> None:
        """Make the routes of one workspace what they should be, at every proxy that answers soon.

        The others are put right when they do.
        """
        paths = self._table.put(name, wanted)
        if not paths:
            return
        for replica in self._replicas.values():
            replica.change(paths)
        waited = [replica for replica in self._replicas.values() if not replica.behind]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                for replica in waited:
                    await replica.settled.wait()
        for replica in waited:
            replica.behind = replica.behind or not replica.settled.is_set()

    def tried(self) -> None:
        """Every workspace was looked at once, be it in vain: a proxy with these routes may serve people."""
        self._table.tried()
        self._wake(look=False)

    def complete(self) -> None:
        """Every workspace has been put once: routes that nobody wants may now be removed."""
        self._table.complete()
        self._wake(look=True)

    def restarted(self) -> None:
        """A proxy was started again, so it may be empty."""
        self._wake(look=True)

    def _wake(self, look: bool) -> None:
        for replica in self._replicas.values():
            replica.wake(look)

    async def run(self) -> None:
        """Keep every proxy as it should be, until cancelled."""
        tasks: dict[Replica, asyncio.Task[None]] = {}
        try:
            while True:
                self._moved.clear()
                here = set(self._replicas.values())
                for replica in tasks.keys() - here:
                    tasks.pop(replica).cancel()
                for replica in here - tasks.keys():
                    tasks[replica] = asyncio.create_task(replica.run())
                await self._moved.wait()
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
