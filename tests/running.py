"""A real hub as a process of its own, for tests that use it as a person or kill it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import psutil

from hub.client import Client, NotRunning, Refused
from hub.processes import Found, find, sweep
from hub.state import State

T = TypeVar("T")
NOTHING: Mapping[str, str] = MappingProxyType({})
PATIENCE = 90.0
"""Seconds after which a condition that should come true is taken to never do so."""


class ReachedHub:
    """A hub at an address, wherever it runs.

    Args:
        url: its public address.
        token: gives the API token.
        log: gives what it said, for the text of a failure.
    """

    def __init__(self, url: str, token: Callable[[], str], log: Callable[[], str]) -> None:
        self.url = url
        self._token = token
        self._said = log

    @property
    def client(self) -> Client:
        """A client with its token."""
        return Client(self.url, self._token())

    def answers(self, name: str) -> bool:
        """Whether the notebook's route leads to it; it refuses who has no cookie, which is an answer too."""
        try:
            urllib.request.urlopen(f"{self.url}/{name}/api/kernels", timeout=5)
        except urllib.error.HTTPError as error:
            return error.code == 403
        except OSError:
            return False
        return False

    def launch(self, profile: str = "workshop") -> str:
        """Launch a workspace and wait until it is ready. Returns its name."""
        workspace = self.client.request("POST", "/api/workspaces", {"spec": {"profile": profile}})
        name = str(workspace["metadata"]["name"])
        self.until(name, "is ready", lambda w: w["status"]["phase"] == "Ready")
        return name

    def get(self, name: str) -> Any:
        """The workspace as the API shows it."""
        return self.client.request("GET", f"/api/workspaces/{name}")

    def patch(self, name: str, **spec: Any) -> Any:
        """Change a workspace's spec."""
        return self.client.request("PATCH", f"/api/workspaces/{name}", {"spec": spec})

    def until(self, name: str, what: str, true: Callable[[Any], bool]) -> Any:
        """Follow a workspace until something is true of it, over more than one stream if need be."""
        deadline = time.monotonic() + PATIENCE
        kind: str = ""
        last: Any = None
        while time.monotonic() < deadline and kind != "gone":
            try:
                for kind, last in self.client.follow(name):  # noqa: B007 - the last kind is looked at above
                    if true(last):
                        return last
                    if time.monotonic() > deadline:
                        break
            except (NotRunning, Refused) as error:
                if isinstance(error, Refused) and error.status < 500:
                    break
            time.sleep(0.05)  # who served the stream has ended; another will
        raise AssertionError(f"{name} never {what}: {last and last['status']}\n{self._said()[-3000:]}")

    def workers(self, name: str, framework: str, count: int) -> Any:
        """Wait until a cluster has exactly so many workers, all ready."""

        def settled(workspace: Any) -> bool:
            cluster = workspace["status"]["clusters"].get(framework, {})
            return cluster.get("ready") == count == cluster.get("workers")

        return self.until(name, f"has {count} {framework} workers", settled)

    def wait(self, what: str, get: Callable[[], T | None]) -> T:
        """Wait until something outside the API comes true; raises AssertionError when it never does."""
        deadline = time.monotonic() + PATIENCE
        while True:
            value = get()
            if value is not None:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"never: {what}\n{self._said()[-3000:]}")
            time.sleep(0.05)


class RunningHub(ReachedHub):
    """`podium` on a free port, with its state in a directory of the test.

    Args:
        directory: for state and log; both survive a kill.
        config: text of a configuration file; empty for the one of the checkout.
        env: what its environment has besides that of the tests, or in its place.
    """

    def __init__(self, directory: Path, config: str = "", env: Mapping[str, str] = NOTHING) -> None:
        self.state = State(directory / "state")
        self.log = directory / "hub.log"
        self.port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}", self.state.read_token, self.log.read_text)
        self._directory = directory
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        if config:
            (directory / "podium_config.py").write_text(config)

    @property
    def pid(self) -> int:
        """The hub's own process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start it and wait until it serves. Returns the seconds that took."""
        began = time.monotonic()
        env = {name: value for name, value in os.environ.items() if not name.startswith("PODIUM_API")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hub", f"--port={self.port}", f"--state={self.state.directory}"],
                cwd=self._directory,
                env=env | {"PYTHONPATH": str(Path(__file__).parent.parent), **self._env},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait("the hub serves", lambda: self._serves() or None)
        return time.monotonic() - began

    def _serves(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the hub ended with {self._process.returncode}:\n{self.log.read_text()}")
        try:
            self.client.request("GET", "/api/profiles")
        except Exception:
            return False
        return True

    def kill(self) -> None:
        """Kill it with SIGKILL; everything it started goes on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def interrupt(self) -> int:
        """Send what Ctrl-C sends, and wait for the end. Returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(PATIENCE)

    def end(self) -> None:
        """End it and whatever is left of it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.interrupt()
        for found in self.processes():
            asyncio.run(sweep(self.state.hub, found.mark.workspace, found.mark.instance))

    def processes(self) -> list[Found]:
        """Every process that this hub, or one before it, started and that still lives."""
        return find(self.state.hub)

    def pid_of(self, instance: str) -> int:
        """The main process of an instance. Raises StopIteration when there is none."""
        return next(f.pid for f in self.processes() if f.mark.instance == instance and f.main)


@contextmanager
def running_hub(directory: Path, config: str = "", env: Mapping[str, str] = NOTHING) -> Iterator[RunningHub]:
    """A hub that serves, and of which nothing is left afterwards."""
    hub = RunningHub(directory, config, env)
    try:
        hub.start()
        yield hub
    finally:
        hub.end()


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def memory(pids: list[int]) -> int:
    """Bytes of memory that processes have for themselves, shared pages counted in proportion."""
    return sum(psutil.Process(pid).memory_full_info().pss for pid in pids)
