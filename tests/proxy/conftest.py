"""The real configurable-http-proxy, one for each module and one for each test that ends it."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest
import pytest_asyncio

from proxy import keeper
from tests.proxy.keeping import Recorder
from tests.proxy.real import RealProxy, real_proxy


@pytest.fixture(autouse=True)
def for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a proxy that does not answer waits for ever, however busy this machine is."""
    monkeypatch.setattr(keeper, "PATIENCE", 3600)


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


@pytest.fixture
def two_proxies(own_proxy: RealProxy) -> Iterator[tuple[RealProxy, RealProxy]]:
    """Two that a test may kill."""
    with real_proxy() as other:
        yield own_proxy, other


@pytest_asyncio.fixture
async def session():
    """For requests."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture
async def client(shared_proxy, session):
    """Speaks to the shared proxy, which is empty."""
    client = Recorder(session, shared_proxy.api)
    for path in await client.routes():
        await client.remove(path)
    client.changes.clear()
    return client
