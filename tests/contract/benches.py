"""Backends for the contract, each with what a test needs to look behind it.

The workloads are the same for all: PROGRAM, which behaves as its environment's BEHAVIOUR says.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Protocol

from hub.backends.base import Backend
from hub.backends.local import LocalBackend
from hub.ports import Ports
from hub.processes import find
from hub.workload import Probe, Workload
from tests.memory_backend import LAST_WORDS, MemoryBackend, World

PROGRAM = f"""
import os, signal, socket, sys, time
behaviour, port, home = os.environ["BEHAVIOUR"], int(sys.argv[1]), sys.argv[2]
if behaviour == "crash":
    print("{LAST_WORDS}", flush=True)
    sys.exit(3)
if behaviour in ("stubborn", "escaping"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if behaviour == "escaping":
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        open(home + "/escaped", "w").close()
        time.sleep(600)
        os._exit(0)
    os.wait()
    while not os.path.exists(home + "/escaped"):
        time.sleep(0.01)
while behaviour == "wait" and not os.path.exists(home + "/gate"):
    time.sleep(0.01)
if port:
    server = socket.create_server(("127.0.0.1", port))
    while True:
        client, _ = server.accept()
        client.recv(4096)
        client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
        client.close()
time.sleep(600)
"""


def program(behaviour: str, port: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Command and environment of a program that behaves so."""
    return (sys.executable, "-ISc", PROGRAM, port, "@{home}"), {"BEHAVIOUR": behaviour}


def server(
    name: str = "notebook", behaviour: str = "serve", instances: tuple[str, ...] | None = None
) -> Workload:
    """A program that is ready once it answers on its port."""
    command, env = program(behaviour, f"@{{{name}.http}}")
    return Workload(
        name=name,
        role="notebook" if name == "notebook" else "scheduler",
        cluster="",
        command=command,
        env=env,
        ports={"http": 8888},
        probe=Probe("http", "/"),
        instances=(name,) if instances is None else instances,
        grace=1,
    )


def workers(*numbers: int, behaviour: str = "sleep") -> Workload:
    """Programs without a port, which are ready when they run."""
    command, env = program(behaviour, "0")
    names = tuple(f"dask-worker-{number}" for number in numbers)
    return Workload(
        name="dask-worker", role="worker", cluster="dask", command=command, env=env, instances=names, grace=1
    )


class Bench(Protocol):
    """A backend under test."""

    backend: Backend

    async def restart(self) -> None:
        """Put another backend in its place, as when a hub is killed and started again."""

    def running(self, name: str) -> dict[str, int]:
        """Instance to process number, of the main processes that really run."""

    def left(self, name: str) -> list[str]:
        """Whatever there is of a workspace, in words."""

    def kill(self, name: str, instance: str) -> None:
        """Kill an instance's program."""

    def open(self, name: str) -> None:
        """Let the programs that wait become ready."""


class MemoryBench:
    """The backend in memory."""

    def __init__(self) -> None:
        self.world = World()
        self.backend = MemoryBackend(self.world)

    async def restart(self) -> None:
        self.backend = MemoryBackend(self.world)

    def running(self, name: str) -> dict[str, int]:
        place = self.world.places.get(name)
        return {key: p.pid for key, p in place.programs.items() if p.running} if place else {}

    def left(self, name: str) -> list[str]:
        return [name] if name in self.world.places else []

    def kill(self, name: str, instance: str) -> None:
        killed = self.world.places[name].programs[instance]
        self.world.crash(name, killed, killed.pid)

    def open(self, name: str) -> None:
        self.world.open(name)


class LocalBench:
    """Real processes."""

    def __init__(self, directory: Path, hub: str) -> None:
        self.root = directory
        self.hub = hub
        self.ports = Ports()
        self.backend = self._make()

    def _make(self) -> LocalBackend:
        return LocalBackend(self.root, self.hub, [], {}, {}, self.ports)

    async def restart(self) -> None:
        await self.backend.close(end=False)
        self.ports.close()
        self.ports = Ports()
        self.backend = self._make()
        await self.backend.start()

    async def close(self) -> None:
        """End everything."""
        await self.backend.close(end=True)
        self.ports.close()

    def running(self, name: str) -> dict[str, int]:
        main = [f for f in find(self.hub) if f.mark.workspace == name and f.main]
        running = {f.mark.instance: f.pid for f in main}
        assert len(running) == len(main), f"something runs twice: {main}"
        return running

    def left(self, name: str) -> list[str]:
        processes = [str(f) for f in find(self.hub) if f.mark.workspace == name]
        directory = self.site(name)
        return processes + ([str(directory)] if directory.exists() else [])

    def kill(self, name: str, instance: str) -> None:
        os.kill(self.running(name)[instance], signal.SIGKILL)

    def open(self, name: str) -> None:
        (self.site(name) / "home" / "gate").touch()

    def site(self, name: str) -> Path:
        """The directory of a workspace."""
        return self.root / "workspaces" / name
