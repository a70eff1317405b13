"""Keeps one instance running: starts it, tells when it is ready, starts it again when it ends, ends it.

It is to a process what the kubelet is to a container. It never decides whether the instance should exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from hub.observed import Instance
from hub.processes import Mark, Process, spawn, sweep

log = logging.getLogger("podium.supervisor")

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
STEADY = 60.0
"""Seconds after which a program that runs is taken to have started well, so the next pause is short again."""
LOG_LINES, LOG_BYTES, LOG_LIMIT = 20, 8192, 10 * 2**20


@dataclass(frozen=True)
class Program:
    """What a supervisor runs.

    Args:
        mark: whose it is.
        command, env, directory, log: as for `processes.spawn`.
        nice: how much it yields to others, 0 to 19.
        probe: address that answers when the program is ready: a URL, or `host:port`; empty for none.
        grace: seconds between SIGTERM and SIGKILL.
        before: called before each start, to take hold of ports again.
    """

    mark: Mark
    command: tuple[str, ...]
    env: Mapping[str, str]
    directory: Path
    log: Path
    nice: int = 0
    probe: str = ""
    grace: float = 10.0
    before: Callable[[], None] = lambda: None


class Supervisor:
    """Keeps one program running until it is told to end it.

    Args:
        program: what to run.
        moved: called whenever what `instance` says has changed.
        process: its main process, when an earlier hub started it; it is presumed ready.
    """

    def __init__(self, program: Program, moved: Callable[[], None], process: Process | None = None) -> None:
        self._program = program
        self._moved = moved
        self._process = process
        self._ready = process is not None
        self._restarts = 0
        self._message = ""
        self._ending = False
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"supervise {program.mark.instance}")

    @property
    def instance(self) -> Instance:
        """What can be seen of the program now."""
        troubled = bool(self._message) and not self._ready
        return Instance(
            name=self._program.mark.instance,
            workload=self._program.mark.workload,
            running=self._process is not None and self._process.running,
            ready=self._ready and not self._ending,
            terminating=self._ending,
            restarts=self._restarts,
            message=self._message if troubled else "",
            log=last_lines(self._program.log) if troubled else (),
        )

    def trim_log(self) -> None:
        """Empty a log that has grown too long; a program that appends to it goes on at its start."""
        with contextlib.suppress(OSError):
            if self._program.log.stat().st_size > LOG_LIMIT:
                os.truncate(self._program.log, 0)

    def end(self) -> Awaitable[None]:
        """End the program: SIGTERM, after its grace SIGKILL, then whatever it left behind.

        It is seen as ending from this call on; what is returned waits until it has ended.
        """
        self._ending = True
        self._stop.set()
        self._moved()
        return asyncio.shield(self._task)

    def abandon(self) -> None:
        """Stop watching and leave the program running, for another hub to find."""
        self._task.cancel()
        if self._process:
            self._process.forget()

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        mark = self._program.mark
        while not self._stop.is_set():
            began = time.monotonic()
            await self._start()
            code = await self._until_ended()
            if self._stop.is_set():
                break
            # Descendants of a program that ended may hold its ports or its memory.
            await sweep(mark.hub, mark.workspace, mark.instance)
            self._restarts += 1
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY else min(2 * pause, LONGEST_PAUSE)
            if self._process is not None:
                self._message = f"The program {mark.instance} ended{_with(code)} and is being started again."
            log.warning(
                "%s/%s ended%s; starting it again in %.2g s",
                mark.workspace,
                mark.instance,
                _with(code),
                pause,
            )
            self._moved()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stop.wait()
        await self._finish()
        await sweep(mark.hub, mark.workspace, mark.instance)

    async def _start(self) -> None:
        if self._process is not None and self._process.running:
            return
        self._ready = False
        program = self._program
        program.before()
        self.trim_log()
        try:
            self._process = spawn(
                program.mark, program.command, program.env, program.directory, program.log, program.nice
            )
        except OSError as error:
            self._process = None
            self._message = f"The program {program.mark.instance} cannot be started: {error}."
        self._moved()

    async def _until_ended(self) -> int | None:
        """Wait until the program ends or has to be ended; meanwhile find out when it is ready."""
        if self._process is None:
            return None
        probing = asyncio.create_task(self._probe())
        ended = asyncio.create_task(self._process.ended())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
            return ended.result() if ended.done() else None
        finally:
            for task in (probing, ended, stop):
                task.cancel()
            self._ready = False

    async def _probe(self) -> None:
        # Another process's socket starts to listen without telling anyone, so it has to be asked for.
        pause = 0.05
        while self._program.probe and not self._ready and not await answers(self._program.probe):
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, 0.25)
        if not self._ready:
            self._ready = True
            self._moved()

    async def _finish(self) -> None:
        if self._process is None:
            return
        self._process.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._program.grace):
                await self._process.ended()
        except TimeoutError:
            log.warning(
                "%s did not end within %g s; killing it", self._program.mark.instance, self._program.grace
            )
            self._process.signal(signal.SIGKILL)
            await self._process.ended()


async def answers(address: str) -> bool:
    """Whether something answers: a URL with a status below 500, or `host:port` with a connection."""
    try:
        if address.startswith("http"):
            timeout = aiohttp.ClientTimeout(total=5)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(address, allow_redirects=False) as response,
            ):
                return response.status < 500
        host, _, port = address.rpartition(":")
        async with asyncio.timeout(5):
            _reader, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        return True
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False


def last_lines(path: Path) -> tuple[str, ...]:
    """The last lines of a log, each at most 400 characters; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ()
    lines = ["".join(c for c in line if c.isprintable())[:400] for line in text.splitlines()]
    return tuple(line for line in lines if line.strip())[-LOG_LINES:]


def _with(code: int | None) -> str:
    if code is None:
        return ""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f" with {signal.Signals(-code).name}"
    return f" with exit code {code}"
