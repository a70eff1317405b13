"""Events on Workspaces: what is written, how much of it at most, and what becomes of those that cannot be."""

from __future__ import annotations

import asyncio

import pytest

from hub.kube import recorder as module
from hub.kube.recorder import BURST, EVERY, MOST_LETTERS, Recorder
from hub.model import ClusterStatus, Status
from hub.wire import replace as change
from tests.builders import NAME, NOW, make_workspace
from tests.waiting import until

PATH = "/api/v1/namespaces/podium/events"


@pytest.fixture
async def recorder(api):
    """A recorder that writes, by clocks that stand still unless a test moves them."""
    recorder = Recorder(api, "podium", lambda: NOW, lambda: recorder.seconds)
    recorder.seconds = 0.0
    task = asyncio.create_task(recorder.run())
    yield recorder
    assert not task.done(), "nothing ends it"
    task.cancel()
    await asyncio.wait([task])


def scaled(workers, uid="1"):
    """A workspace before and after somebody scaled it, which is one event."""
    made = make_workspace()
    made = change(made, metadata=change(made.metadata, uid=uid))
    before, after = (
        change(
            made, status=Status(phase="Ready", clusters={"dask": ClusterStatus(workers=number, pending=9)})
        )
        for number in (workers, workers + 1)
    )
    return before, after


async def written(server):
    """The next event, which the server takes."""
    asked = await server.asked(f"POST {PATH}")
    asked.answer({})
    return asked.body


async def test_an_event_is_about_a_workspace(recorder, server):
    recorder.reported(*scaled(2))
    assert await written(server) == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{NAME}.64bf535af1000", "namespace": "podium"},
        "involvedObject": {
            "apiVersion": "podium.hub/v1",
            "kind": "Workspace",
            "namespace": "podium",
            "name": NAME,
            "uid": "1",
            "resourceVersion": "1",
        },
        "type": "Normal",
        "reason": "Scaling",
        "message": "Dask: from 2 to 3 workers.",
        "source": {"component": "podium-controller"},
        "reportingComponent": "podium-controller",
        "firstTimestamp": "2026-03-01T12:00:00Z",
        "lastTimestamp": "2026-03-01T12:00:00Z",
        "count": 1,
    }


async def test_the_order_of_their_names_is_that_in_which_they_happened(recorder, server):
    for workers in range(12):
        recorder.reported(*scaled(workers))
    names = [(await written(server))["metadata"]["name"] for _ in range(12)]
    assert names == sorted(set(names)), "though all happened in the same moment"


async def test_what_is_wrong_is_a_warning_that_is_not_longer_than_is_allowed(recorder, server):
    before = make_workspace(status=Status(phase="Starting"))
    after = change(before, status=Status(phase="Failed", reason="LaunchTimeout", message="x" * 5000))
    recorder.reported(before, after)
    event = await written(server)
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Failed", "x" * MOST_LETTERS)


async def test_one_that_cannot_be_written_is_left_out(recorder, server):
    for workers in (1, 2, 3):
        recorder.reported(*scaled(workers))
    (await server.asked(f"POST {PATH}")).refuse(403, "Forbidden", "not for you")
    (await server.asked(f"POST {PATH}")).hang_up()
    assert (await written(server))["message"] == "Dask: from 3 to 4 workers."
    assert server.unheard == 0


async def test_of_one_workspace_only_so_many_are_told_and_of_others_all_the_same(recorder, server):
    for workers in range(2 * int(BURST)):
        recorder.reported(*scaled(workers))
    recorder.reported(*scaled(7, uid="2"))
    told = [await written(server) for _ in range(int(BURST) + 1)]
    assert told[-2]["message"] == f"Dask: from {BURST - 1:.0f} to {BURST:.0f} workers."
    assert told[-1]["involvedObject"]["uid"] == "2"
    recorder.seconds += EVERY
    for workers in (90, 91):
        recorder.reported(*scaled(workers))
    assert (await written(server))["message"] == "Dask: from 90 to 91 workers."
    recorder.reported(*scaled(8, uid="2"))
    assert (await written(server))["involvedObject"]["uid"] == "2", "the other of the two was left out"


async def test_while_the_server_is_slow_only_so_many_wait(api, server, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    recorder = Recorder(api, "podium")
    for uid in range(10):
        recorder.reported(*scaled(2, uid=str(uid)))
    task = asyncio.create_task(recorder.run())
    assert [(await written(server))["involvedObject"]["uid"] for _ in range(3)] == ["0", "1", "2"]
    recorder.reported(*scaled(2, uid="10"))
    assert (await written(server))["involvedObject"]["uid"] == "10"
    task.cancel()
    await asyncio.wait([task])


async def test_only_so_many_workspaces_are_remembered(recorder, server, monkeypatch):
    monkeypatch.setattr(module, "MOST_KNOWN", 3)
    for uid in range(10):
        recorder.reported(*scaled(2, uid=str(uid)))
        await written(server)
    await until("it forgets", lambda: len(recorder._left) == 3)
