"""Web and controller as they run in pods, in this process. Nothing here may decide what is right."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from hub.configuration import Secrets
from hub.ground.kubernetes import KubernetesGround
from hub.kube.api import Api
from hub.metrics import Figures, KubernetesMetrics
from hub.wiring import Addresses, Setup
from tests.builders import HUB_KEY
from tests.kubernetes.hub_in_cluster import HubInCluster
from tests.running import free_port

HOST = "127.0.0.1"
TOKEN = "token-of-the-api-0123456789"


@dataclass
class Part:
    """A part that runs.

    Args:
        addresses: where it listens.
        session: for asking it.
        stop: asks it to end.
        task: all of it.
    """

    addresses: Addresses
    session: aiohttp.ClientSession
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def asks(self, path: str) -> tuple[int, str]:
        """Status and body of what it answers to probes and to the monitoring."""
        self.check()
        async with self.session.get(f"http://{HOST}:{self.addresses.metrics_port}{path}") as answer:
            return answer.status, await answer.text()

    async def serves(self, method: str, path: str) -> int:
        """The status that web answers with."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"http://{HOST}:{self.addresses.web_port}{path}"
        async with self.session.request(method, url, headers=headers) as answer:
            return answer.status

    async def is_(self, path: str, status: int) -> bool:
        """Whether a probe is answered like this; no answer is none."""
        try:
            return (await self.asks(path))[0] == status
        except aiohttp.ClientConnectionError:
            return False

    def check(self) -> None:
        """Raises what it failed with, if it did."""
        if self.task.done() and not self.stop.is_set():
            self.task.result()


@contextlib.asynccontextmanager
async def running(
    run: Callable[[Setup, asyncio.Event], Awaitable[None]], hub: HubInCluster, kubeconfig: Path
) -> AsyncIterator[Part]:
    """A part of a hub, which is asked to end when the context does.

    Args:
        run: `run_web` or `run_controller`.
        hub: the release, whose workspaces' pods nobody may ask for anything from here.
        kubeconfig: its way to the API server.
    """
    api, figures = await Api.connect(kubeconfig), Figures()
    api.asked = KubernetesMetrics(figures).asked
    nobody = f"http://{HOST}:{free_port()}"
    ports = {"port": free_port(), "web_port": free_port(), "metrics_port": free_port()}
    here = {"web": nobody, "proxy": nobody, "proxy_api": nobody, "proxy_service": "", "public_url": ""}
    addresses = Addresses(ip=HOST, **ports, **here)
    ground = KubernetesGround(api, hub.release, hub.profiles)
    secrets = Secrets(HUB_KEY, TOKEN, "token-of-the-proxy")
    setup = Setup(secrets, ground, hub.profiles, addresses, True, figures=figures)
    stop = asyncio.Event()
    task = asyncio.ensure_future(run(setup, stop))
    try:
        async with aiohttp.ClientSession() as session:
            part = Part(addresses, session, stop, task)
            yield part
            stop.set()
            await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
