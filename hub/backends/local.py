"""The local backend: workloads as processes of one account on one machine, with no container engine.

Processes are found by their marks (`hub/processes.py`), so a killed hub loses none; folders and ports are
in `site.py`. Nothing here may decide what should run.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hub.backends.site import Site, prune
from hub.backends.supervisor import Program, Supervisor
from hub.observed import Instance, Observed
from hub.ports import HOST, Ports
from hub.processes import Found, Mark, Process, find, sweep
from hub.settings import Settings
from hub.workload import Workload, render

log = logging.getLogger("podium.local")

NOT_PASSED_ON = (
    *("PODIUM_", "DASK_", "SPARK_", "PYSPARK_", "IPP_", "JUPYTER", "IPYTHON", "PYTHON", "CONFIGPROXY"),
    "VIRTUAL_ENV",
)
"""How variables begin that are the hub's secrets, or would change what runs in a workspace."""
YIELDS = 5
"""How nice everything but the notebook is, because a person waits for that."""


@dataclass
class Running:
    """What runs of one workspace.

    Args:
        adopted: main processes that an earlier hub started, until they are supervised.
        ending: what ends each instance that should be no more.
        removal: what takes everything away, once that is wanted.
    """

    site: Site
    supervisors: dict[str, Supervisor] = field(default_factory=dict)
    adopted: dict[str, Found] = field(default_factory=dict)
    ending: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    removal: asyncio.Task[None] | None = None

    @property
    def instances(self) -> set[str]:
        """The names of all instances that there are."""
        return self.supervisors.keys() | self.adopted.keys()


class LocalBackend:
    """Runs workloads as processes.

    Args:
        root: the hub's state directory.
        hub: marks the processes of this hub.
        path: directories to put in front of PATH: the workspace environment's programs, Java.
        env: more environment for every process, such as JAVA_HOME and PYTHONPATH.
        unavailable: frameworks that cannot run here, with the reason.
        ports: holds the ports.
    """

    def __init__(
        self,
        root: Path,
        hub: str,
        path: Sequence[Path],
        env: Mapping[str, str],
        unavailable: Mapping[str, str],
        ports: Ports,
    ) -> None:
        self.unavailable = unavailable
        self._root = root / "workspaces"
        self._kept = root / "kept"
        self._hub = hub
        self._env = {**_environment(path), **env}
        self._ports = ports
        self._running: dict[str, Running] = {}
        self._moved: asyncio.Queue[str] = asyncio.Queue()
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def start(self) -> None:
        """Find what an earlier hub left running."""
        prune(self._kept)
        for directory in self._root.iterdir():
            if directory.is_dir():
                self._of(directory.name)
        orphans: set[tuple[str, str]] = set()
        for found in await asyncio.to_thread(find, self._hub):
            if found.mark.workspace and found.main:
                self._of(found.mark.workspace).adopted.setdefault(found.mark.instance, found)
            elif found.mark.workspace:
                orphans.add((found.mark.workspace, found.mark.instance))
        for workspace, instance in orphans:
            if instance not in self._of(workspace).adopted:
                await sweep(self._hub, workspace, instance)  # what they belonged to ended while no hub ran

    async def names(self) -> set[str]:
        return set(self._running)

    async def observe(self, name: str) -> Observed:
        running = self._running.get(name)
        if running is None:
            return Observed()
        for supervisor in running.supervisors.values():
            supervisor.trim_log()
        instances = {key: supervisor.instance for key, supervisor in running.supervisors.items()}
        for key, found in running.adopted.items():
            instances.setdefault(key, Instance(name=key, workload=found.mark.workload, ready=True))
        if any(instance.workload == "notebook" and instance.ready for instance in instances.values()):
            running.site.note_ready()
        return Observed(
            exists=True,
            instances=tuple(instances[key] for key in sorted(instances)),
            addresses={port: f"{HOST}:{number}" for port, number in running.site.ports.items()},
        )

    async def apply(self, name: str, workloads: Sequence[Workload], settings: Settings | None = None) -> None:
        if not workloads:
            self._remove(name)
            return
        running = self._of(name)
        if running.removal is not None:
            return  # a new life of the same name waits until the old one is gone
        wanted = {instance: workload for workload in workloads for instance in workload.instances}
        for key in running.instances - wanted.keys():
            self._end(running, key)
        for instance, workload in wanted.items():
            if instance not in running.supervisors:
                self._begin(running, instance, workload)

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self._moved.get()

    async def close(self, end: bool) -> int:
        """Let go of everything; with `end`, end every process first. Returns how many there were."""
        ended = 0
        for running in self._running.values():
            if end:
                ended += len(running.instances)
                for key in running.instances:
                    self._end(running, key)
            else:
                for supervisor in running.supervisors.values():
                    supervisor.abandon()
        tasks = [task for running in self._running.values() for task in running.ending.values()]
        tasks += [running.removal for running in self._running.values() if running.removal]
        if not end:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=not end)
        return ended

    def _of(self, name: str) -> Running:
        if name not in self._running:
            self._running[name] = Running(Site(self._root / name, self._ports))
        return self._running[name]

    def _begin(self, running: Running, instance: str, workload: Workload) -> None:
        """Supervise an instance, which an earlier hub may have started already."""
        site = running.site
        rendered = render(workload, partial(site.lookup, workload, instance))
        site.write(rendered)
        probe = ""
        if workload.probe:
            address = f"{HOST}:{site.port(f'{workload.name}.{workload.probe.port}')}"
            probe = f"http://{address}{workload.probe.path}" if workload.probe.path else address
        own = {"HOME": str(site.home), "TMPDIR": str(site.directory / "tmp")}
        program = Program(
            mark=Mark(self._hub, site.name, workload.name, instance),
            command=rendered.command,
            env={**self._env, **own, **rendered.env},
            directory=site.home,
            log=site.log(instance),
            nice=0 if workload.role == "notebook" else YIELDS,
            probe=probe,
            grace=workload.grace,
            before=partial(site.hold, workload),
        )
        self._supervise(running, program, running.adopted.pop(instance, None))

    def _supervise(self, running: Running, program: Program, found: Found | None) -> None:
        moved = partial(self._moved.put_nowait, running.site.name)
        process = Process(found.pid) if found else None
        running.supervisors[program.mark.instance] = Supervisor(program, moved, process)

    def _end(self, running: Running, key: str) -> None:
        """End an instance in the background, once."""
        if key in running.ending:
            return
        found = running.adopted.pop(key, None)
        if found is not None:
            program = Program(found.mark, (), {}, running.site.home, running.site.log(key))
            self._supervise(running, program, found)
        ended = running.supervisors[key].end()

        async def ending() -> None:
            await ended
            del running.supervisors[key], running.ending[key]
            self._moved.put_nowait(running.site.name)

        running.ending[key] = asyncio.create_task(ending(), name=f"end {running.site.name}/{key}")

    def _remove(self, name: str) -> None:
        """End everything of a workspace and take its directory away, in the background, once."""
        running = self._running.get(name)
        if running is None or running.removal is not None:
            return
        for key in running.instances:
            self._end(running, key)

        async def removal() -> None:
            try:
                await self._take_down(running)
            except Exception:
                log.exception("%s: could not be removed; trying again at the next look", name)
            else:
                self._moved.put_nowait(name)
            finally:
                running.removal = None

        running.removal = asyncio.create_task(removal(), name=f"remove {name}")

    async def _take_down(self, running: Running) -> None:
        name = running.site.name
        await asyncio.gather(*running.ending.values())
        left = await asyncio.to_thread(find, self._hub)
        for instance in {f.mark.instance for f in left if f.mark.workspace == name}:
            await sweep(self._hub, name, instance)
        await asyncio.to_thread(running.site.remove, self._kept)
        prune(self._kept)
        del self._running[name]


def _environment(path: Sequence[Path]) -> dict[str, str]:
    """The environment that every process starts from: the hub's own without its secrets and settings."""
    base = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
    base["PATH"] = os.pathsep.join([*(str(part) for part in path), os.environ.get("PATH", os.defpath)])
    return base
