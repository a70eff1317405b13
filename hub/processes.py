"""Processes that can be found again: each carries its marks in its environment.

The process table is the only record of what runs. A hub that was killed reads it and goes on; nothing
else has to be kept, and no process of ours can be lost, whatever session or parent it has moved to.
Nothing here may know what the processes are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

MARKS = ("PODIUM_HUB", "PODIUM_WORKSPACE", "PODIUM_WORKLOAD", "PODIUM_INSTANCE")
# The shell writes its own number into the environment and then becomes the program, so that the main
# process of an instance can be told from its descendants, which inherit every other mark.
BECOME = 'PODIUM_PID=$$; export PODIUM_PID; exec "$@"'


@dataclass(frozen=True)
class Mark:
    """Whose a process is.

    Args:
        hub: tells the processes of one hub from those of another on the same machine.
        workspace, workload, instance: what it is there; the proxy has no workspace.
    """

    hub: str
    workspace: str
    workload: str
    instance: str

    def environment(self) -> dict[str, str]:
        """The marks as environment variables."""
        return dict(zip(MARKS, (self.hub, self.workspace, self.workload, self.instance), strict=True))


class Process:
    """The main process of an instance, whether this hub started it or an earlier one did.

    Args:
        pid: its number.
        popen: set when it is this process's child, which then has to be reaped.
    """

    def __init__(self, pid: int, popen: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._popen = popen
        self._ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._watch = asyncio.create_task(self._wait())

    async def ended(self) -> int | None:
        """Wait for the end; the exit code, negative for a signal, or None when it is not ours to know."""
        return await asyncio.shield(self._ended)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.done()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def forget(self) -> None:
        """Stop watching; the process goes on."""
        self._watch.cancel()

    async def _wait(self) -> None:
        if self._popen is not None and not hasattr(os, "pidfd_open"):
            code: int | None = await asyncio.to_thread(self._popen.wait)
        else:
            await _gone(self.pid)
            code = self._popen.wait() if self._popen else None
        self._ended.set_result(code)


async def _gone(pid: int) -> None:
    """Wait until a process has ended: told by the kernel where it can, else by psutil's wait in a thread."""
    if not hasattr(os, "pidfd_open"):
        await asyncio.to_thread(_wait_blocking, pid)
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _wait_blocking(pid: int) -> None:
    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).wait()


def spawn(
    mark: Mark, command: Iterable[str], env: Mapping[str, str], directory: Path, log: Path, nice: int = 0
) -> Process:
    """Start a marked process in a session of its own, its output appended to a log file of mode 0600.

    Args:
        env: the whole environment, to which the marks are added.
        nice: how much it yields to others, 0 to 19.

    Raises:
        OSError: when the program or the directory is not there.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    lower = ("nice", "-n", str(nice)) if nice else ()
    try:
        popen = subprocess.Popen(
            ["/bin/sh", "-c", BECOME, "podium", *lower, *command],
            env={**env, **mark.environment()},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    return Process(popen.pid, popen)


@dataclass(frozen=True)
class Found:
    """A marked process in the process table."""

    pid: int
    mark: Mark
    main: bool
    env: Mapping[str, str]


def find(hub: str) -> list[Found]:
    """Every living process that carries the marks of a hub, descendants included."""
    found = []
    me = os.getpid()
    for process in psutil.process_iter():
        if process.pid == me:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            if process.uids().real != os.getuid():
                continue
            env = process.environ()
            if env.get("PODIUM_HUB") == hub:
                mark = Mark(*(env.get(name, "") for name in MARKS))
                found.append(Found(process.pid, mark, env.get("PODIUM_PID") == str(process.pid), env))
    return found


async def sweep(hub: str, workspace: str, instance: str) -> None:
    """Kill all that is left of an instance, its descendants included, and wait until it is gone."""
    while True:
        found = await asyncio.to_thread(find, hub)
        left = [f for f in found if (f.mark.workspace, f.mark.instance) == (workspace, instance)]
        if not left:
            return
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        await asyncio.gather(*(_gone(process.pid) for process in left))
