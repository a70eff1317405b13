"""A played API server, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from hub.kube.api import Api
from tests.cluster.certificates import kubeconfig
from tests.kube.server import Server


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    """An API server whose answers the test gives."""
    server = Server()
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def api(server: Server, tmp_path: Path) -> AsyncIterator[Api]:
    """A client of it, from a kubeconfig with a token."""
    cluster = {"server": await server.start()}
    api = await Api.connect(kubeconfig(tmp_path / "kubeconfig", cluster, {"token": "let-me-in"}))
    yield api
    await api.close()
