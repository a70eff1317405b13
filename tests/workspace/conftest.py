"""Real programs of a workspace, started from rendered workloads and surely ended.

`Site` is to these tests what a backend is to the hub, with nothing kept and nothing restarted; `Inside` is
a Python of the workspace to which lines are said, as a person would in a notebook.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from hub.clusters.base import Context, NotebookPart, Request
from hub.keys import Keys
from hub.ports import HOST, Ports
from hub.settings import Resources, RoleResources, Settings
from hub.tools import workspace_python
from hub.workload import Workload, render

PACKAGE = Path(__file__).parents[2] / "images" / "workspace"
sys.path.append(str(PACKAGE))  # for what can be tried without the workspace's packages
home_files = importlib.import_module("podium_workspace.home_files")
DEADLINE = 60.0
CONTEXT = Context(
    name="cluster-abc123",
    settings=Settings(resources=RoleResources(worker=Resources(cpu=1, memory="512Mi"))),
    keys=Keys(b"k" * 32, "cluster-abc123/1"),
    created=datetime(2026, 1, 1, tzinfo=UTC),
)

REPL = """
import ast, json, sys
out, sys.stdout = sys.stdout, sys.stderr
names = {"__name__": "__main__"}
for line in sys.stdin:
    code = ast.parse(json.loads(line))
    last = code.body.pop() if code.body and isinstance(code.body[-1], ast.Expr) else None
    try:
        exec(compile(code, "<said>", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "<said>", "eval"), names) if last else None
        answer = {"value": value}
    except BaseException as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), file=out, flush=True)
"""


class Inside:
    """A Python of the workspace that runs what it is told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def say(self, code: str) -> None:
        """Have code run, without waiting for it."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """The value of the last expression that was said. Raises RuntimeError with what it raised."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the Python inside has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    async def run(self, code: str) -> Any:
        """Have code run, and return the value of its last expression."""
        self.say(code)
        return await asyncio.to_thread(self.hear)


class Site:
    """A workspace's folder and what runs in it."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self._directory = directory
        self._ports = Ports()
        self._numbers: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[Any]] = {}
        self._insides = count(1)
        self._stack = ExitStack()
        for folder in (self.home, directory / "tmp"):
            folder.mkdir(mode=0o700, parents=True)

    def url(self, port: str, path: str = "") -> str:
        """The address of a port such as `notebook.http`."""
        return f"http://{HOST}:{self._port(port)}{path}"

    def start(self, workload: Workload, instance: str = "", said_to: bool = False) -> subprocess.Popen[str]:
        """Start one instance of a workload.

        Args:
            instance: its name; by default the workload's.
            said_to: whether the process is for `Inside`.
        """
        instance = instance or workload.name
        rendered = self._rendered(workload, instance)
        for path, text in rendered.files.items():
            place = self._files(workload) / path
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.write_text(text)
            place.chmod(0o600)
        log = self._stack.enter_context(self.log(instance).open("ab"))
        process = subprocess.Popen(
            rendered.command,
            env={**self._environment(), **rendered.env},
            cwd=self.home,
            stdin=subprocess.PIPE if said_to else subprocess.DEVNULL,
            stdout=subprocess.PIPE if said_to else log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        self._processes[instance] = process
        return process

    def inside(self, part: NotebookPart | None = None) -> Inside:
        """Start a Python as a kernel of the notebook would be, with what a framework puts there."""
        part = part or NotebookPart()
        name = f"inside-{next(self._insides)}"
        command = ("python", "-u", "-c", REPL)
        workload = Workload(name, "notebook", "", command, env=part.env, files=part.files)
        process = self.start(workload, said_to=True)
        assert not home_files.fill(self.home, self._files(workload) / "home")  # as the notebook does it
        return Inside(process)

    def end(self, instance: str, grace: float = 10) -> int:
        """End an instance and all its descendants; returns its exit code."""
        process = self._processes.pop(instance)
        family: list[psutil.Process] = []
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
        try:
            code = process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        # Kernels and the like have sessions of their own.
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        return code

    async def leave(self, workload: Workload, instance: str) -> tuple[int, str]:
        """Run in an instance what a backend runs before it ends it; returns exit code and output."""
        rendered = self._rendered(workload, instance)
        process = await asyncio.create_subprocess_exec(
            *rendered.leave,
            env={**self._environment(), **rendered.env},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        assert process.returncode is not None
        return process.returncode, said.decode()

    def running(self, instance: str) -> bool:
        """Whether an instance runs."""
        return self._processes[instance].poll() is None

    def pid(self, instance: str) -> int:
        """The number of an instance's main process."""
        return self._processes[instance].pid

    def close(self) -> None:
        """End everything."""
        for instance in reversed(list(self._processes)):
            self.end(instance)
        self._ports.close()
        self._stack.close()

    def log(self, instance: str) -> Path:
        """Where an instance's output is."""
        return self._directory / f"{instance}.log"

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.pathsep.join([str(workspace_python().parent), os.environ["PATH"]]),
            "PYTHONPATH": str(PACKAGE),
            "HOME": str(self.home),
            "TMPDIR": str(self._directory / "tmp"),
            "LANG": "C.UTF-8",
        }

    def _rendered(self, workload: Workload, instance: str) -> Workload:
        return render(workload, lambda reference: self._lookup(workload, instance, reference))

    def _files(self, workload: Workload) -> Path:
        return self._directory / "files" / workload.name

    def _lookup(self, workload: Workload, instance: str, reference: str) -> str:
        known = {
            "home": str(self.home),
            "scratch": str(self._directory / "tmp"),
            "files": str(self._files(workload)),
            "instance": instance,
            "host": HOST,
        }
        if reference in known:
            return known[reference]
        return HOST if reference.endswith(".host") else str(self._port(reference))

    def _port(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = self._ports.take()
        return self._numbers[name]


async def eventually(what: Callable[[], Awaitable[Any]], seconds: float = DEADLINE) -> Any:
    """Ask again and again until the answer is true, and return it; the deadline only bounds a failure."""
    end = time.monotonic() + seconds
    while True:
        answer = await what()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds:.0f} s"
        await asyncio.sleep(0.05)


async def send(base: str, request: Request, headers: Mapping[str, str]) -> bytes:
    """Send a framework's request as the hub does. Raises aiohttp.ClientResponseError when it is refused."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.request(request.method, base + request.path, json=request.json, headers=headers) as response,
    ):
        return await response.read()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace, for all tests of a file."""
    if not workspace_python().exists():
        pytest.skip("the workspace environment is not installed")
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        yield site
    finally:
        site.close()
