"""The local backend: workloads as processes of one account on one machine, with no container engine.

Each workspace has a directory of mode 0700 with its home folder, files, logs and scratch space. Processes
are found by their marks (`hub/processes.py`), so a killed hub loses none. Nothing here may decide what
should run.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hub.backends.supervisor import Program, Supervisor
from hub.observed import Instance, Observed
from hub.ports import HOST, Ports
from hub.processes import Found, Mark, Process, find, sweep
from hub.workload import Workload, render

log = logging.getLogger("podium.local")

KEPT_SECONDS = 7 * 24 * 3600
SECRET_PREFIXES = (
    "PODIUM_",
    "DASK_",
    "SPARK_",
    "PYSPARK_",
    "IPP_",
    "JUPYTER",
    "IPYTHON",
    "PYTHON",
    "CONFIGPROXY",
)


@dataclass
class Site:
    """What is there of one workspace: its directory, its ports, and the supervisors of its instances."""

    name: str
    directory: Path
    ports: dict[str, int] = field(default_factory=dict)
    supervisors: dict[str, Supervisor] = field(default_factory=dict)
    adopted: dict[str, Found] = field(default_factory=dict)
    ending: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    removal: asyncio.Task[None] | None = None

    @property
    def home(self) -> Path:
        """The home folder of the workspace's owner."""
        return self.directory / "home"

    @property
    def opened(self) -> Path:
        """Exists once the notebook was ready; only then can the home folder hold somebody's work."""
        return self.directory / "opened"


class LocalBackend:
    """Runs workloads as processes.

    Args:
        root: directory for all workspaces; made with mode 0700.
        hub: marks the processes of this hub.
        path: directories to put in front of PATH: the workspace environment's programs, Java.
        env: more environment for every process, such as JAVA_HOME and PYTHONPATH.
        unavailable: frameworks that cannot run here, with the reason.
        ports: holds the ports; shared with the proxy's process.
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
        self._env = _environment(path, env)
        self._ports = ports
        self._sites: dict[str, Site] = {}
        self._moved: asyncio.Queue[str] = asyncio.Queue()
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def start(self) -> None:
        """Find what an earlier hub left running."""
        _prune(self._kept)
        for directory in self._root.iterdir():
            if directory.is_dir():
                self._site(directory.name)
        main: set[tuple[str, str]] = set()
        for found in await asyncio.to_thread(find, self._hub):
            workspace = found.mark.workspace
            if workspace and found.main and (workspace, found.mark.instance) not in main:
                main.add((workspace, found.mark.instance))
                self._site(workspace).adopted[found.mark.instance] = found

    async def names(self) -> set[str]:
        return set(self._sites)

    async def observe(self, name: str) -> Observed:
        site = self._sites.get(name)
        if site is None:
            return Observed()
        instances = {key: supervisor.instance for key, supervisor in site.supervisors.items()}
        for key, found in site.adopted.items():
            instances.setdefault(key, Instance(name=key, workload=found.mark.workload, ready=True))
        ready = any(instance.workload == "notebook" and instance.ready for instance in instances.values())
        if ready and not site.opened.exists():
            site.opened.touch(mode=0o600)
        return Observed(
            exists=True,
            instances=tuple(instances[key] for key in sorted(instances)),
            addresses={port: f"{HOST}:{number}" for port, number in site.ports.items()},
        )

    async def apply(self, name: str, workloads: Sequence[Workload]) -> None:
        if not workloads:
            self._remove(name)
            return
        site = self._site(name)
        if site.removal is not None:
            return  # a new life of the same name waits until the old one is gone
        wanted = {instance: workload for workload in workloads for instance in workload.instances}
        for key in (site.supervisors.keys() | site.adopted.keys()) - wanted.keys():
            self._end(site, key)
        for instance, workload in wanted.items():
            if instance not in site.supervisors:
                self._begin(site, instance, workload)

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self._moved.get()

    async def close(self, end: bool) -> int:
        """Let go of everything; with `end`, end every process first. Returns how many there were."""
        ended = 0
        for site in list(self._sites.values()):
            if end:
                ended += len(site.supervisors.keys() | site.adopted.keys())
                for key in list(site.supervisors.keys() | site.adopted.keys()):
                    self._end(site, key)
            else:
                for supervisor in site.supervisors.values():
                    supervisor.abandon()
        tasks = [task for site in self._sites.values() for task in site.ending.values()]
        tasks += [site.removal for site in self._sites.values() if site.removal]
        await asyncio.gather(*tasks)
        return ended

    def _site(self, name: str) -> Site:
        if name not in self._sites:
            site = Site(name, self._root / name)
            for directory in (
                site.directory,
                site.home,
                *(site.directory / d for d in ("files", "logs", "tmp")),
            ):
                directory.mkdir(mode=0o700, exist_ok=True)
            addresses = site.directory / "ports.json"
            if addresses.exists():
                site.ports = json.loads(addresses.read_text())
                for port in site.ports.values():
                    self._ports.hold(port)
            self._sites[name] = site
        return self._sites[name]

    def _port(self, site: Site, name: str) -> int:
        """The number of a named port, taken when it is first spoken of, kept for as long as the workspace is.

        A notebook speaks of ports of clusters that may be added later.
        """
        if name not in site.ports:
            site.ports[name] = self._ports.take()
            temporary = site.directory / "ports.new"
            temporary.write_text(json.dumps(site.ports))
            temporary.replace(site.directory / "ports.json")
        return site.ports[name]

    def _begin(self, site: Site, instance: str, workload: Workload) -> None:
        rendered = render(workload, lambda reference: self._lookup(site, workload, instance, reference))
        for path, text in rendered.files.items():
            _write(_place(site, workload.name, path), text)
        probe = ""
        if workload.probe:
            address = f"{HOST}:{self._port(site, f'{workload.name}.{workload.probe.port}')}"
            probe = f"http://{address}{workload.probe.path}" if workload.probe.path else address
        ports = [self._port(site, f"{workload.name}.{port}") for port in workload.ports]

        def hold() -> None:
            for port in ports:
                self._ports.hold(port)

        found = site.adopted.pop(instance, None)
        program = Program(
            mark=Mark(self._hub, site.name, workload.name, instance),
            command=rendered.command,
            env={**self._env, "HOME": str(site.home), "TMPDIR": str(site.directory / "tmp"), **rendered.env},
            directory=site.home,
            log=site.directory / "logs" / f"{instance}.log",
            # The person waits for the notebook, so everything else yields to it.
            nice=0 if workload.role == "notebook" else 5,
            probe=probe,
            grace=workload.grace,
            before=hold,
        )
        site.supervisors[instance] = Supervisor(
            program, lambda: self._moved.put_nowait(site.name), Process(found.pid) if found else None
        )

    def _lookup(self, site: Site, workload: Workload, instance: str, reference: str) -> str:
        """The value of a reference in a workload; see `hub/workload.py`."""
        if reference == "home":
            return str(site.home)
        if reference == "files":
            return str(site.directory / "files" / workload.name)
        if reference == "instance":
            return instance
        if reference == "host":
            return own_address(site.name, instance) if workload.role == "worker" else HOST
        if reference.endswith(".host"):
            return HOST
        return str(self._port(site, reference))

    def _end(self, site: Site, key: str) -> None:
        """End an instance in the background, once."""
        if key in site.ending:
            return
        supervisor = site.supervisors.get(key)
        found = site.adopted.get(key)
        if supervisor is None and found is not None:
            mark = found.mark
            program = Program(mark, (), {}, site.home, site.directory / "logs" / f"{key}.log")
            supervisor = Supervisor(program, lambda: self._moved.put_nowait(site.name), Process(found.pid))
            site.supervisors[key] = supervisor
            del site.adopted[key]
        assert supervisor is not None

        async def ending() -> None:
            await supervisor.end()
            site.supervisors.pop(key, None)
            site.ending.pop(key, None)
            self._moved.put_nowait(site.name)

        site.ending[key] = asyncio.create_task(ending(), name=f"end {site.name}/{key}")

    def _remove(self, name: str) -> None:
        """End everything of a workspace and take its directory away, in the background, once."""
        site = self._sites.get(name)
        if site is None or site.removal is not None:
            return
        for key in list(site.supervisors.keys() | site.adopted.keys()):
            self._end(site, key)

        async def removal() -> None:
            try:
                await self._take_down(site)
            except Exception:
                log.exception("%s: could not be removed; trying again", name)
            finally:
                site.removal = None
                self._moved.put_nowait(name)

        site.removal = asyncio.create_task(removal(), name=f"remove {name}")

    async def _take_down(self, site: Site) -> None:
        await asyncio.gather(*site.ending.values())
        left = await asyncio.to_thread(find, self._hub)
        for instance in {f.mark.instance for f in left if f.mark.workspace == site.name}:
            await sweep(self._hub, site.name, instance)
        await asyncio.to_thread(self._clear, site)
        for port in site.ports.values():
            self._ports.release(port)
        del self._sites[site.name]

    def _clear(self, site: Site) -> None:
        """Keep the home folder if somebody may have worked in it; remove the rest."""
        if site.opened.exists():
            self._kept.mkdir(mode=0o700, exist_ok=True)
            target = self._kept / f"{site.name}-{time.strftime('%Y%m%dT%H%M%S')}"
            if site.home.exists():
                site.home.rename(target)
                os.utime(target)
        shutil.rmtree(site.directory, ignore_errors=True)
        _prune(self._kept)


def own_address(workspace: str, instance: str) -> str:
    """A loopback address for one worker, so that programs can tell workers apart by their host.

    On Linux all of 127.0.0.0/8 is the machine itself; elsewhere only 127.0.0.1 is. Two workers that get the
    same address by chance do no harm: they listen on ports that the system chooses.
    """
    if sys.platform != "linux":
        return HOST
    a, b, c = hashlib.sha256(f"{workspace}/{instance}".encode()).digest()[:3]
    return f"127.{a % 200 + 20}.{b}.{c % 253 + 1}"


def _environment(path: Sequence[Path], env: Mapping[str, str]) -> dict[str, str]:
    """The environment that every process starts from: the hub's own without its secrets and settings."""
    base = {name: value for name, value in os.environ.items() if not name.startswith(SECRET_PREFIXES)}
    base.pop("VIRTUAL_ENV", None)
    base["PATH"] = os.pathsep.join([*(str(part) for part in path), os.environ.get("PATH", os.defpath)])
    return {**base, **env}


def _place(site: Site, workload: str, path: str) -> Path:
    if path.startswith("~/"):
        return site.home / path[2:]
    return site.directory / "files" / workload / path


def _write(path: Path, text: str) -> None:
    """Write a secret file whole, unless it is already there as it should be."""
    if path.exists() and path.read_text() == text:
        return
    for parent in reversed(list(_missing(path.parent))):
        parent.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def _missing(directory: Path) -> Iterator[Path]:
    while not directory.exists():
        yield directory
        directory = directory.parent


def _prune(kept: Path) -> None:
    """Remove kept home folders that are older than a week."""
    if kept.is_dir():
        for home in kept.iterdir():
            if time.time() - home.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(home, ignore_errors=True)
