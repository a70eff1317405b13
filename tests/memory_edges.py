"""A proxy and a probe in memory; what they speak to is the reality of a simulation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hub.clusters.base import Context, Request
from hub.observed import Observed

if TYPE_CHECKING:
    from tests.simulation import Simulation


class MemoryProxy:
    """Keeps the routes of a proxy that outlives it.

    Args:
        table: path to target.
    """

    def __init__(self, table: dict[str, str]) -> None:
        self.table = table
        self._of: dict[str, Mapping[str, str]] = {}
        self._complete = False
        self.serves = False

    def begin(self) -> None:
        self._of.clear()
        self._complete = self.serves = False

    async def put(self, name: str, wanted: Mapping[str, str]) -> None:
        self._of[name] = wanted
        self.table.update(wanted)
        self._prune()

    def tried(self) -> None:
        self.serves = True

    def complete(self) -> None:
        self._complete = True
        self._prune()

    def _prune(self) -> None:
        wanted = {path for routes in self._of.values() for path in routes}
        for path in [path for path in self.table if self._complete and path not in wanted]:
            del self.table[path]


class MemoryProbe:
    """Asks the schedulers and notebooks of a simulation.

    Args:
        reality: where they are.
        moved: called with a workspace's name when an answer changes.
    """

    def __init__(self, reality: Simulation, moved: Callable[[str], None]) -> None:
        self._reality = reality
        self._moved = moved

    def look(self, context: Context, observed: Observed, clusters: Mapping[Any, object]) -> Observed:
        states = {name: self._reality.state(context.name, name) for name in clusters}
        self._reality.told[context.name] = states
        notebook = self._reality.notebook if observed.ready("notebook") else None
        return replace(observed, clusters=states, notebook=notebook)

    async def send(self, context: Context, name: Any, address: str, request: Request) -> None:
        assert address.startswith(f"{name}-scheduler.{context.name}:")
        assert isinstance(request.json, dict)
        self._reality.drain(context.name, name, request.json["workers"])
        asyncio.get_running_loop().call_later(self._reality.world.pace, self._moved, context.name)

    async def ask_notebook(self, context: Context, address: str, request: Request) -> None:
        assert address == f"notebook.{context.name}:8888"
        assert isinstance(request.json, dict)
        assert self._reality.notebook is not None
        self._reality.notebook = replace(self._reality.notebook, restarted=request.json["at"])
        asyncio.get_running_loop().call_later(self._reality.world.pace, self._moved, context.name)

    async def reach(self, context: Context) -> bool:
        await self._reality.meanwhile()
        return self._reality.reachable and f"/{context.name}" in self._reality.routes

    def forget(self, workspace: str) -> None:
        self._reality.forgotten.append(workspace)
