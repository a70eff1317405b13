"""The real configurable-http-proxy, one for each module and one for each test that ends it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from hub.ports import HOST, Ports
from hub.tools import configurable_http_proxy
from proxy.chp import ProxyClient

TOKEN = "secret-of-the-proxy"


@dataclass
class RealProxy:
    """A proxy on fixed ports that can be killed and started again.

    Args:
        port: the public one.
        api_port: that of its REST API.
    """

    port: int
    api_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its public address."""
        return f"http://{HOST}:{self.port}"

    @property
    def api(self) -> str:
        """The address of its REST API."""
        return f"http://{HOST}:{self.api_port}"

    def start(self) -> None:
        """Start it and wait until it takes routes."""
        self.process = subprocess.Popen(
            [
                *configurable_http_proxy(),
                *("--ip", HOST, "--port", str(self.port), "--api-ip", HOST, "--api-port", str(self.api_port)),
                *("--log-level", "error"),
            ],
            env={"PATH": os.environ["PATH"], "CONFIGPROXY_AUTH_TOKEN": TOKEN},
        )
        while self.process.poll() is None and not self._answers():
            time.sleep(0.02)
        assert self.process.poll() is None

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.api, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """Kill it; it loses every route."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def real_proxy() -> Iterator[RealProxy]:
    """A proxy that runs, and of which nothing is left."""
    ports = Ports()
    proxy = RealProxy(ports.take(), ports.take())
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.kill()
        ports.close()


@pytest.fixture(scope="module")
def shared_proxy() -> Iterator[RealProxy]:
    """One for all tests of a module."""
    with real_proxy() as proxy:
        yield proxy


@pytest.fixture
def own_proxy() -> Iterator[RealProxy]:
    """One that a test may kill."""
    with real_proxy() as proxy:
        yield proxy


class Recorder(ProxyClient):
    """A client that notes what it changed."""

    def __init__(
        self, session: aiohttp.ClientSession, address: Callable[[], str], token: str = TOKEN
    ) -> None:
        super().__init__(session, address, token)
        self.changes: list[tuple[str, str]] = []
        self.checked = asyncio.Event()

    async def has(self, path: str) -> bool:
        result = await super().has(path)
        self.checked.set()
        return result

    async def add(self, path: str, target: str) -> None:
        await super().add(path, target)
        self.changes.append(("add", path))

    async def remove(self, path: str) -> None:
        await super().remove(path)
        self.changes.append(("remove", path))


@pytest_asyncio.fixture
async def session():
    """For requests."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture
async def client(shared_proxy, session):
    """Speaks to the shared proxy, which is empty."""
    client = Recorder(session, lambda: shared_proxy.api)
    for path in await client.routes():
        await client.remove(path)
    client.changes.clear()
    return client
