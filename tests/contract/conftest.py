"""The backends under test."""

from __future__ import annotations

import gc

import pytest
import pytest_asyncio

from hub.backends import supervisor
from tests.contract.benches import LocalBench, MemoryBench


@pytest_asyncio.fixture
async def memory():
    """The backend in memory."""
    return MemoryBench()


@pytest_asyncio.fixture
async def local(tmp_path, hub_id, may_abandon, monkeypatch, caplog):
    """The local backend, with real processes, and without any task that fails unheard."""
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    bench = LocalBench(tmp_path, hub_id)
    await bench.backend.start()
    yield bench
    await bench.close()
    gc.collect()
    assert [record for record in caplog.get_records("call") if record.name == "asyncio"] == []


@pytest.fixture(params=["memory", "local"])
def bench(request):
    """One backend after the other."""
    return request.getfixturevalue(request.param)
