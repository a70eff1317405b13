"""A whole Podium in memory on a virtual clock: people, the controller, and a reality that can fail it.

What is real (objects, programs, routes, what schedulers know) outlives a hub; everything else is made anew
by `Simulation.start`, as when a hub is killed and started again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from hub import pool
from hub.archives.base import Archives
from hub.clusters import CLUSTERS
from hub.clusters.base import ClusterState, WorkerState
from hub.controller import Controller
from hub.edges import Edges, House
from hub.metrics import ControllerMetrics, Figures
from hub.model import Workspace
from hub.notebook import NotebookState
from hub.observed import Observed
from hub.profiles import Profile
from hub.rules import Rules
from hub.store.base import amend
from hub.web.auth import Person
from hub.web.clicks import Clicks
from hub.web.launching import Launcher
from hub.wire import replace as change
from hub.workqueue import WorkQueue
from tests.builders import HUB_KEY, NAME, NOW, SETTINGS, been, cluster_specs, make_workspace
from tests.faults import Failure, Faults, Faulty
from tests.memory_backend import MemoryBackend, Program, World
from tests.memory_edges import MemoryProbe, MemoryProxy
from tests.memory_store import MemoryRoom, MemoryStore
from tests.virtual import now, simulate

PATIENCE = 300.0
"""Virtual seconds after which a condition that should come true is taken to never do so."""
PACE = 0.5
OTHER = "cluster-zzz999"
RULES = Rules()
PROFILES = {
    name: Profile(
        name=name,
        title=name,
        clusters=cluster_specs({"dask": None}),
        workers=1,
        **{field: getattr(SETTINGS, field) for field in SETTINGS.__struct_fields__},
    )
    for name in ("workshop", "seminar")
}
ONE_CLUSTER = {"notebook", "dask-scheduler", "dask-worker-1", "dask-worker-2"}


class Simulation:
    """People and reality; the controller is between them while it is started."""

    def __init__(
        self,
        faults: Faults | None = None,
        unavailable: Mapping[str, str] | None = None,
        rules: Rules = RULES,
    ) -> None:
        self.world = World(PACE)
        self.rules = rules
        self.room = MemoryRoom()
        self.profiles = dict(PROFILES)
        self.image = "workspace:1"
        self.archives: Archives | None = None
        self.clicks = Clicks()
        self.objects: dict[str, Workspace] = {}
        self.routes: dict[str, str] = {}
        self.faults = faults or Faults()
        self.reachable = True
        self.notebook: NotebookState | None = NotebookState()
        self.busy: set[str] = set()
        self.silent = False
        self.hidden: set[str] = set()
        self.blind: set[str] = set()
        self.stuck: set[str] = set()
        """Names of workspaces of which nothing can be changed."""
        self.forgotten: list[str] = []
        self.lost: list[str] = []
        self.hubs = 0
        self.meanwhile: Callable[[], Awaitable[object]] = partial(asyncio.sleep, 0)
        """What people do while the controller, having read an object, asks whether its notebook answers."""
        self._unavailable = unavailable or {}
        self.told: dict[str, Mapping[Any, ClusterState | None]] = {}
        self._draining: set[tuple[int, int]] = set()
        self._drained: set[tuple[int, int]] = set()
        self._hub: asyncio.Task[None] | None = None

    # The hub.

    def now(self) -> datetime:
        """The time of day."""
        return NOW + timedelta(seconds=now())

    def start(self) -> None:
        """Start a hub, which knows nothing but what is real."""
        self.hubs += 1
        self.store = MemoryStore(self.now, self.objects)
        self.world.listeners.clear()
        self.queue = WorkQueue()
        self.proxy = MemoryProxy(self.routes)
        parts = (self.store, Watched(self), self.proxy, MemoryProbe(self, self.queue.add), self.room)
        store, backend, proxy, probe, room = (Faulty(part, self.faults) for part in parts)
        edges = Edges(store, backend, proxy, probe)
        self.figures = Figures()
        metrics = ControllerMetrics(self.figures)
        house = House(self.profiles, self.marks, self.rules, room, self.archives)
        self.controller = Controller(edges, self.queue, HUB_KEY, self.now, metrics=metrics, house=house)
        self._hub = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self.controller.run()
        except BaseExceptionGroup as failures:
            if failures.split(Failure)[1] is not None:
                raise
        except Failure:
            pass
        # A hub that fails as a whole is started again by whoever started it.
        if self._hub is not None:
            self.queue.close()
            await asyncio.sleep(1)
            self.start()

    async def stop(self) -> None:
        """Kill the hub."""
        hub, self._hub = self._hub, None
        assert hub is not None
        self.queue.close()
        hub.cancel()
        await asyncio.wait([hub])
        if not hub.cancelled():
            hub.result()

    async def restart(self) -> None:
        """Kill the hub and start another."""
        await self.stop()
        self.start()

    @property
    def marks(self) -> dict[str, str]:
        """Profile to the fingerprint of what is launched now."""
        return {name: pool.fingerprint(profile, self.image) for name, profile in self.profiles.items()}

    # People.

    async def click(self, person: str, profile: str = "workshop", **spec: Any) -> tuple[Workspace, bool]:
        """Click on a profile, as somebody does. Returns the workspace, and whether it is new."""
        launcher = Launcher(self.store, self.profiles, self.marks, HUB_KEY, self.clicks)
        return await launcher.launch(Person(person), {"spec": {"profile": profile, **spec}}, self.now())

    async def order(self, **spec: Any) -> None:
        """Ask for something on the room page."""
        await amend(self.room, lambda room: change(room, spec=change(room.spec, **spec)))

    def of(self, person: str) -> list[Workspace]:
        """What somebody has, as people see it."""
        return [w for w in self.objects.values() if w.spec.owner == person and not w.deleting]

    @property
    def members(self) -> list[Workspace]:
        """What is in the pool."""
        return [w for w in self.objects.values() if w.pooled and not w.deleting]

    @property
    def ready(self) -> list[str]:
        """The names of those of them that are ready."""
        return [w.name for w in self.members if w.status.phase == "Ready"]

    def waits(self, name: str) -> bool:
        """Whether a workspace waits in line."""
        return self.objects[name].status.phase == "Queued" and name not in self.world.places

    async def launch(self, name: str = NAME, **clusters: int | None) -> None:
        """Ask for a workspace."""
        asked = make_workspace(name=name, clusters=clusters, status=been("Queued"), workers=2)
        times = {"expires": self.now() + timedelta(hours=8), "touched": self.now()}
        await self.store.create(change(asked, spec=change(asked.spec, **times)))

    async def ask(
        self, name: str = NAME, clusters: Mapping[str, int | None] | None = None, **spec: Any
    ) -> None:
        """Change what is asked for."""
        present = self.objects[name]
        if clusters is not None:
            spec["clusters"] = cluster_specs(clusters)
        await self.store.update(change(present, spec=change(present.spec, **spec)))

    def get(self, name: str = NAME) -> Workspace:
        """The workspace as people see it."""
        return self.objects[name]

    async def until(self, what: str, true: Callable[[], object]) -> None:
        """Wait until something is true; a hub that hangs is killed and started again."""
        deadline = now() + PATIENCE
        while not true():
            assert now() < deadline, f"never: {what}\n{self.snapshot()}"
            assert self._hub is not None
            if self._hub.done():
                self._hub.result()
            if self.faults.deadly and self.faults.hit.is_set() and self.hubs == 1:
                await self.restart()
            await asyncio.sleep(PACE / 5)

    async def settle(self, name: str = NAME) -> None:
        """Wait until everything asked of a workspace is so, and stays so for longer than a resync."""
        await self.until(f"{name} is as asked", lambda: self.settled(name))
        before = self.snapshot()
        await asyncio.sleep(65)
        assert self.snapshot() == before
        assert self.settled(name)

    def settled(self, name: str = NAME) -> bool:
        """Whether reality and report are as asked."""
        workspace = self.objects.get(name)
        if workspace is None:
            return name not in self.world.places and f"/{name}" not in self.routes
        if workspace.deleting:
            return False
        if workspace.status.phase == "Failed":
            return name not in self.world.places and not workspace.status.endpoints
        spec = workspace.spec
        wanted = {name: spec.workers_of(name) for name in spec.clusters if name not in self._unavailable}
        running = self.running(name)
        expected = {"notebook"} | {f"{framework}-scheduler" for framework in wanted}
        workers = {f: sum(key.startswith(f"{f}-worker-") for key in running) for f in wanted}
        reported = {f: workspace.status.clusters[f].ready for f in wanted if f in workspace.status.clusters}
        return (
            workspace.status.phase == "Ready"
            and workers == reported == wanted
            and len(running) == len(expected) + sum(wanted.values())
            and expected <= running.keys()
            and set(running.values()) == {True}
            and f"/{name}" in self.routes
            and workspace.status.clusters.keys() == spec.clusters.keys()
        )

    # Reality.

    def running(self, name: str = NAME) -> dict[str, bool]:
        """Instance to whether it is ready; those that end are not."""
        place = self.world.places.get(name)
        return {key: p.ready and not p.terminating for key, p in place.programs.items()} if place else {}

    def program(self, instance: str, name: str = NAME) -> Program:
        """A program that runs."""
        return self.world.places[name].programs[instance]

    def kill(self, instance: str, name: str = NAME) -> None:
        """Kill a program."""
        killed = self.program(instance, name)
        self.world.crash(name, killed, killed.pid)

    def work(self, *instances: str) -> None:
        """Give work to these instances, and to no others."""
        self._note_drained()
        self.busy = set(instances)
        self._note_drained()
        for name in self.world.places:
            self.queue.add(name)

    def state(self, name: str, framework: str) -> ClusterState | None:
        """What a scheduler says."""
        place = self.world.places.get(name)
        scheduler = place.programs.get(f"{framework}-scheduler") if place else None
        if place is None or scheduler is None or not scheduler.ready or scheduler.terminating or self.silent:
            return None
        workers = [
            p for p in place.programs.values() if p.workload.name == f"{framework}-worker" and p.running
        ]
        states = tuple(self._worker(scheduler, program) for program in workers)
        return ClusterState(states, busy=any(state.busy for state in states))

    def _worker(self, scheduler: Program, program: Program) -> WorkerState:
        here = (scheduler.pid, program.pid)
        drained = here in self._drained
        busy = program.name in self.busy and not drained
        return WorkerState(program.name, busy=busy, draining=here in self._draining, drained=drained)

    def _note_drained(self) -> None:
        """Those that drain and have nothing to do are drained; they are given no more work."""
        programs = [p for place in self.world.places.values() for p in place.programs.values()]
        busy = {program.pid for program in programs if program.name in self.busy}
        self._drained |= {here for here in self._draining if here[1] not in busy}

    def drain(self, name: str, framework: Any, instances: list[str]) -> None:
        """A scheduler is asked to drain."""
        place = self.world.places[name]
        for instance in instances:
            program = place.programs.get(instance)
            if program and (CLUSTERS[framework].drains_busy or instance not in self.busy):
                self._draining.add((place.programs[f"{framework}-scheduler"].pid, program.pid))
        self._note_drained()

    def check_no_loss(self, name: str, wanted: set[str]) -> None:
        """Note workers that would end though, as the controller was told, they are not drained."""
        for framework, state in self.told.get(name, {}).items():
            if state is not None and f"{framework}-scheduler" in wanted:
                self.lost += [w.instance for w in state.workers if w.instance not in wanted and not w.drained]

    def snapshot(self) -> object:
        """Everything that should come out the same, however the way there was."""
        objects = {
            name: (
                w.spec,
                w.deleting,
                w.status.phase,
                w.status.clusters,
                w.status.endpoints,
                w.metadata.finalizers,
            )
            for name, w in self.objects.items()
        }
        programs = {
            name: {key: (p.running, p.ready, p.terminating) for key, p in sorted(place.programs.items())}
            for name, place in self.world.places.items()
        }
        return objects, programs, dict(self.routes)


class Watched(MemoryBackend):
    """A backend that is watched for workers lost."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation.world, simulation._unavailable)
        self._simulation = simulation

    async def observe(self, name: str) -> Observed:
        if name in self._simulation.blind:
            raise Failure(f"{name} cannot be seen")
        observed = await super().observe(name)
        shown = {port: at for port, at in observed.addresses.items() if port not in self._simulation.hidden}
        return replace(observed, addresses=shown)

    async def apply(self, name: str, workloads: Any, settings: Any = None) -> None:
        self._simulation.check_no_loss(name, {i for workload in workloads for i in workload.instances})
        if name in self._simulation.stuck:
            raise Failure(f"{name} cannot be changed")
        await super().apply(name, workloads, settings)


@contextlib.asynccontextmanager
async def simulation(**options: Any) -> AsyncIterator[Simulation]:
    """A simulation with a hub that runs."""
    simulated = Simulation(**options)
    simulated.start()
    try:
        yield simulated
    finally:
        await simulated.stop()
    assert simulated.lost == [], "no worker ended that was not drained"


def in_simulation(**options: Any) -> Callable[[Callable[[Simulation], Awaitable[None]]], Callable[[], None]]:
    """Makes a test of a dialogue."""

    def decorate(dialogue: Callable[[Simulation], Awaitable[None]]) -> Callable[[], None]:
        async def main() -> None:
            async with simulation(**options) as simulated:
                await dialogue(simulated)

        def test() -> None:
            simulate(main())

        test.__name__ = dialogue.__name__
        return test

    return decorate
