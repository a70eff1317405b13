"""The contract of all stores, kept by custom resources in a real API server, as the hub's own identities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from hub.kube.api import Api
from hub.store.base import Store
from hub.store.kubernetes import KubernetesStore
from tests.contract.test_store import *  # noqa: F403 - these are the tests


class ServerClock:
    """The API server's clock, which nobody here can move."""

    time = datetime.now(UTC)

    def shows(self, time: Any) -> bool:
        """Whether it is about that time; servers tell it in whole seconds."""
        return abs(datetime.now(UTC) - time) < timedelta(minutes=1)


@pytest.fixture
def clock() -> ServerClock:
    return ServerClock()


@pytest_asyncio.fixture
async def store(open_store) -> Store:
    opened: Store = open_store()
    return opened


@pytest_asyncio.fixture
async def open_store(cluster, workspaces, release_namespace) -> AsyncIterator[Callable[[], Store]]:
    """Opens a store on the same objects; every further call is what a restart is to the hub."""
    api = await Api.connect(cluster.kubeconfig)
    tasks = []

    def opened() -> Store:
        store = KubernetesStore(api, release_namespace, lambda spec, made: spec)
        tasks.append(asyncio.create_task(store.run()))
        return store

    yield opened
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await api.close()
