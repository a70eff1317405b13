"""What the controller works with, and all that it can touch.

Nothing here may do anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hub.backends.base import Backend
from hub.probe import Probe
from hub.store.base import Store


class Routes(Protocol):
    """What the controller needs of the proxy."""

    def begin(self) -> None:
        """Nothing is known yet of what workspaces want, whatever was known before."""

    async def put(self, name: str, wanted: dict[str, str]) -> None:
        """Make the routes of one workspace what they should be."""

    def tried(self) -> None:
        """Every workspace was looked at once, be it in vain: a proxy with these routes may serve people."""

    def complete(self) -> None:
        """Every workspace has been put once: routes that nobody wants may now be removed."""


@dataclass(frozen=True)
class Edges:
    """Everything with I/O.

    Args:
        store: where objects are.
        backend: what runs them.
        proxy: makes them reachable.
        probe: asks schedulers and notebooks; made by the caller with the queue's `add` as its `moved`.
    """

    store: Store
    backend: Backend
    proxy: Routes
    probe: Probe
