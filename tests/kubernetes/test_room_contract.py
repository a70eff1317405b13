"""The contract of the Room's stores, kept by a custom resource in a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hub.errors import BadInput
from hub.kube.api import Api
from hub.room import Room
from hub.store.base import amend
from hub.store.room_kubernetes import RoomResource
from hub.wire import replace
from tests.contract.test_room import *  # noqa: F403 - these are the tests


@pytest_asyncio.fixture
async def room(cluster, workspaces, release_namespace) -> AsyncIterator[RoomResource]:
    api = await Api.connect(cluster.kubeconfig)
    store = RoomResource(api, release_namespace)
    task = asyncio.create_task(store.run())
    yield store
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    cluster.kubectl("delete", "rooms", "--all", "-n", release_namespace)
    await api.close()


async def test_what_somebody_else_writes_is_heard_of(room, cluster, release_namespace) -> None:
    await amend(room, lambda found: replace(found, spec=replace(found.spec, code=1)))
    cluster.kubectl(
        "patch", "room/room", "-n", release_namespace, "--type=merge", "-p", '{"spec": {"open": false}}'
    )
    async for told in room.watch():
        if not told.spec.open:
            assert told.spec.code == 1
            break


async def test_what_the_definition_does_not_allow_is_refused(room) -> None:
    wrong = replace(Room().spec, code=-1)
    with pytest.raises(BadInput, match="code"):
        await room.update(Room(spec=wrong))
