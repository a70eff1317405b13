"""A backend in memory: programs start, become ready, crash and end as real ones do, only sooner.

`World` is what is real and outlives every backend, as processes outlive a hub that is killed. What a program
does is up to its environment's BEHAVIOUR: `crash` ends at once, over and over; `wait` is ready once its gate
is open; anything else serves.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hub.observed import Instance, Observed
from hub.settings import Settings
from hub.workload import Workload

LAST_WORDS = "cannot go on"


@dataclass
class Program:
    """One instance that runs."""

    name: str
    workload: Workload
    pid: int = 0
    running: bool = False
    ready: bool = False
    terminating: bool = False
    restarts: int = 0

    @property
    def instance(self) -> Instance:
        """As an observer sees it."""
        troubled = self.restarts > 0 and not self.ready
        return Instance(
            name=self.name,
            workload=self.workload.name,
            running=self.running,
            ready=self.ready and not self.terminating,
            terminating=self.terminating,
            restarts=self.restarts,
            message=f"The program {self.name} ended and is being started again." if troubled else "",
            log=(LAST_WORDS,) if troubled else (),
        )


@dataclass
class Place:
    """What there is of one workspace."""

    programs: dict[str, Program] = field(default_factory=dict)
    ports: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    removing: bool = False


class World:
    """All places, and how long things take in them.

    Args:
        pace: seconds that a program takes to start, and to end.
    """

    def __init__(self, pace: float = 0.01) -> None:
        self.pace = pace
        self.places: dict[str, Place] = {}
        self.started: list[tuple[str, str]] = []
        self.listeners: list[asyncio.Queue[str]] = []
        self._pids = itertools.count(1)

    def tell(self, name: str) -> None:
        """Tell every backend that something moved."""
        for listener in self.listeners:
            listener.put_nowait(name)

    def start(self, name: str, program: Program) -> None:
        """Begin a program's life."""
        program.pid = next(self._pids)
        program.running = True
        self.started.append((name, program.name))
        behaviour = program.workload.env.get("BEHAVIOUR", "serve")
        if behaviour == "crash":
            self._later(self.crash, name, program, program.pid)
        elif program.workload.probe is None:
            program.ready = True
        elif behaviour != "wait":
            self._later(self._become_ready, name, program, program.pid)
        self.tell(name)

    def open(self, name: str) -> None:
        """Let the programs that wait become ready."""
        for program in self.places[name].programs.values():
            self._become_ready(name, program, program.pid)

    def crash(self, name: str, program: Program, pid: int) -> None:
        """End a program as if by itself; it is started again."""
        if program.pid == pid and program.running and not program.terminating:
            program.running = program.ready = False
            program.restarts += 1
            self._later(self._again, name, program, pid)
            self.tell(name)

    def end(self, name: str, program: Program) -> None:
        """Ask a program to end."""
        if not program.terminating:
            program.terminating = True
            self._later(self._ended, name, program)
            self.tell(name)

    def remove(self, name: str) -> None:
        """End everything of a workspace, then forget the place."""
        place = self.places[name]
        if not place.removing:
            place.removing = True
            for program in place.programs.values():
                self.end(name, program)
            if not place.programs:
                self._later(self._forget, name)

    def _again(self, name: str, program: Program, pid: int) -> None:
        if program.pid == pid and not program.terminating:
            self.start(name, program)

    def _become_ready(self, name: str, program: Program, pid: int) -> None:
        if program.pid == pid and program.running:
            program.ready = True
            self.tell(name)

    def _ended(self, name: str, program: Program) -> None:
        place = self.places[name]
        del place.programs[program.name]
        if place.removing and not place.programs:
            self._forget(name)
        self.tell(name)

    def _forget(self, name: str) -> None:
        del self.places[name]
        self.tell(name)

    def _later(self, do: Callable[..., None], *arguments: object) -> None:
        asyncio.get_running_loop().call_later(self.pace, do, *arguments)


class MemoryBackend:
    """Runs workloads in a world of its own."""

    def __init__(self, world: World, unavailable: Mapping[str, str] | None = None) -> None:
        self.unavailable = unavailable or {}
        self._world = world
        self._moved: asyncio.Queue[str] = asyncio.Queue()
        world.listeners.append(self._moved)

    async def names(self) -> set[str]:
        return set(self._world.places)

    async def observe(self, name: str) -> Observed:
        place = self._world.places.get(name)
        if place is None:
            return Observed()
        instances = tuple(place.programs[key].instance for key in sorted(place.programs))
        return Observed(exists=True, instances=instances, addresses=dict(place.ports))

    async def apply(self, name: str, workloads: Sequence[Workload], settings: Settings | None = None) -> None:
        world = self._world
        if not workloads:
            if name in world.places:
                world.remove(name)
            return
        place = world.places.setdefault(name, Place())
        if place.removing:
            return
        wanted = {instance: workload for workload in workloads for instance in workload.instances}
        for workload in workloads:
            for port, number in workload.ports.items():
                place.ports.setdefault(f"{workload.name}.{port}", f"{workload.name}.{name}:{number}")
        for key, program in place.programs.items():
            if key not in wanted:
                world.end(name, program)
        for key, workload in wanted.items():
            if key not in place.programs:
                place.programs[key] = Program(key, workload)
                world.start(name, place.programs[key])

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self._moved.get()
