"""The proxy as a process of this machine: found if it runs already, else started, and kept running.

It outlives the hub, so that notebooks stay reachable while the hub is away. Nothing here may know about
routes.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from hub.backends.supervisor import Program, Supervisor
from hub.errors import ConfigurationError
from hub.ports import HOST, Ports
from hub.processes import Mark, Process, find, sweep

API_PORT = "PODIUM_PROXY_API"
PUBLIC = "PODIUM_PROXY_PUBLIC"
ERRORS = Path(__file__).parent / "errors"


class ProxyProcess:
    """One configurable-http-proxy on the loopback address.

    Args:
        command: how to run it, without options.
        hub: marks the processes of this hub.
        address: the public `ip:port`.
        token: its `CONFIGPROXY_AUTH_TOKEN`.
        log: its log file.
        ports: takes the port of its REST API.
    """

    def __init__(
        self,
        command: Sequence[str],
        hub: str,
        address: str,
        token: str,
        log: Path,
        ports: Ports,
    ) -> None:
        self._command = tuple(command)
        self._mark = Mark(hub, "", "proxy", "proxy")
        self._address = address
        self._token = token
        self._log = log
        self._ports = ports
        self._api_port = 0
        self._supervisor: Supervisor | None = None

    @property
    def api(self) -> str:
        """The address of its REST API."""
        return f"http://{HOST}:{self._api_port}"

    async def start(self, restarted: Callable[[], None]) -> None:
        """Find the proxy of an earlier hub, or start one.

        Args:
            restarted: called when the proxy was started again and may be empty.

        Raises:
            ConfigurationError: when another program has the public port.
        """
        process = await self._adopt()
        if process is None:
            _check_free(self._address)
            self._api_port = self._ports.take()
        moved = asyncio.Event()

        def changed() -> None:
            moved.set()
            if self._supervisor is not None and self._supervisor.instance.ready:
                restarted()

        self._supervisor = Supervisor(self._program(), changed, process)
        while not self._supervisor.instance.ready:
            moved.clear()
            await moved.wait()
            seen = self._supervisor.instance
            if seen.restarts:
                await self.end()
                tail = "\n".join(seen.log)
                raise ConfigurationError(f"The proxy cannot be started at {self._address}.\n{tail}")

    def _program(self) -> Program:
        ip, _, port = self._address.rpartition(":")
        return Program(
            mark=self._mark,
            command=(
                *self._command,
                *("--ip", ip, "--port", port),
                *("--api-ip", HOST, "--api-port", str(self._api_port)),
                *("--error-path", str(ERRORS), "--log-level", "warn"),
            ),
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "CONFIGPROXY_AUTH_TOKEN": self._token,
                API_PORT: str(self._api_port),
                PUBLIC: self._address,
            },
            directory=self._log.parent,
            log=self._log,
            probe=self._address,
            before=lambda: self._ports.hold(self._api_port),
        )

    async def end(self) -> None:
        """End the proxy."""
        if self._supervisor is not None:
            await self._supervisor.end()

    def abandon(self) -> None:
        """Leave it running, for another hub to find."""
        if self._supervisor is not None:
            self._supervisor.abandon()

    async def _adopt(self) -> Process | None:
        """The proxy that an earlier hub started for the same address; one for another is ended."""
        for found in await asyncio.to_thread(find, self._mark.hub):
            if found.mark == self._mark and found.main:
                if found.env.get(PUBLIC) == self._address:
                    self._api_port = int(found.env[API_PORT])
                    return Process(found.pid)
                await sweep(self._mark.hub, "", self._mark.instance)
        return None


def _check_free(address: str) -> None:
    """Raises ConfigurationError when something listens at the address already."""
    ip, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, int(port)))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} cannot be used: {error.strerror}.",
                f"Stop the program that uses it, or choose another: make run PORT={int(port) + 1}",
            ) from None
