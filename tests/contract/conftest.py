"""The backends under test."""

from __future__ import annotations

import pytest
import pytest_asyncio

from hub.backends import supervisor
from tests.contract.benches import LocalBench, MemoryBench


@pytest_asyncio.fixture
async def memory():
    """The backend in memory."""
    return MemoryBench()


@pytest_asyncio.fixture
async def local(tmp_path, hub_id, may_abandon, monkeypatch):
    """The local backend, with real processes."""
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    bench = LocalBench(tmp_path, hub_id)
    await bench.backend.start()
    yield bench
    await bench.close()


@pytest.fixture(params=["memory", "local"])
def bench(request):
    """One backend after the other."""
    return request.getfixturevalue(request.param)
