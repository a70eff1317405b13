"""Two controllers: one acts, the other takes over when it is gone, and never both."""

from __future__ import annotations

import asyncio
import time

SOON = {"duration": 3.0, "patience": 1.5, "period": 0.2}
"""A lease, in seconds, that is soon free when its holder is gone."""
LATE = {"duration": 60.0, "patience": 30.0, "period": 0.2}
"""A lease that is free within a test only when its holder gives it back."""


def acts(controller):
    """The requests that change something of a workspace, in the order in which they were made."""
    return [request for request in controller.api.writes if "/leases" not in request[1]]


async def test_only_the_leader_acts(hub):
    leader = await hub.start(**SOON)
    name = await hub.launch()
    await hub.ready(name)
    other = await hub.start(**SOON)
    await hub.until("it asks for the lease", lambda: other.api.asked_for_lease > 3)
    await hub.ask(name, workers=4)
    await hub.ready(name, workers=4)
    another = await hub.launch()
    await hub.ready(another)
    await hub.store.delete(name)
    await hub.gone(name)
    assert acts(leader)
    assert acts(other) == []
    assert other.api.writes == []


async def test_another_takes_over_within_the_time_of_the_lease(hub):
    leader = await hub.start(**SOON)
    name = await hub.launch()
    await hub.ready(name)
    other = await hub.start(**SOON)
    await hub.until("it asks for the lease", lambda: other.api.asked_for_lease > 3)
    await hub.kill(leader)
    began = time.monotonic()
    await hub.ask(name, workers=3)
    await hub.until("it acts", lambda: acts(other))
    assert time.monotonic() - began < SOON["duration"] + 2
    await hub.ready(name, workers=3)
    assert hub.lives(name) == 5


async def test_another_takes_over_at_once_from_one_that_ends_in_order(hub):
    leader = await hub.start(**LATE)
    name = await hub.launch()
    await hub.ready(name)
    other = await hub.start(**LATE)
    await hub.until("it asks for the lease", lambda: other.api.asked_for_lease > 3)
    began = time.monotonic()
    await hub.stop(leader)
    await hub.ask(name, workers=3)
    await hub.until("it acts", lambda: acts(other))
    assert time.monotonic() - began < LATE["duration"] / 10
    await hub.ready(name, workers=3)


async def test_a_launch_goes_on_where_the_leader_was_killed(hub):
    leader = await hub.start(**SOON)
    names = [await hub.launch() for _ in range(4)]
    other = await hub.start(**SOON)
    await hub.until("it is in the middle of it", lambda: len(acts(leader)) > 12)
    await hub.kill(leader)
    for name in names:
        await hub.ready(name)
        assert hub.lives(name) == 4
    assert acts(other)


async def test_a_leader_that_is_cut_off_has_stopped_acting_before_another_begins(hub):
    leader = await hub.start(**SOON)
    name = await hub.launch()
    await hub.ready(name)
    other = await hub.start(**SOON)
    await hub.until("it asks for the lease", lambda: other.api.asked_for_lease > 3)
    attempts = []

    async def cut_off(method, path, send):
        attempts.append((time.monotonic(), method, path))
        await asyncio.sleep(0)
        raise ConnectionResetError("cut off")

    async def first_act(method, path, send):
        if method != "GET" and "/leases" not in path:
            began.append(time.monotonic())
        return await send()

    began = []
    leader.api.meddle, other.api.meddle = cut_off, first_act
    await hub.kubectl("delete", "pod", "dask-worker-1", "-n", name, "--wait=false")
    await hub.until("the other acts", lambda: began)
    await hub.ready(name)
    leader.api.meddle = None
    already = len(acts(leader))
    await hub.until("it asks again", lambda: leader.api.requests[-1:] and leader.api.asked_for_lease > 6)
    await hub.ask(name, workers=4)
    await hub.ready(name, workers=4)
    assert len(acts(leader)) == already
    late = [path for at, method, path in attempts if at > began[0] and method != "GET"]
    assert [path for path in late if "/leases" not in path] == []
