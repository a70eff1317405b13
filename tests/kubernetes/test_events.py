"""`kubectl describe workspace` tells the story; it costs few requests, and nobody waits for it."""

from __future__ import annotations

import asyncio

import pytest

from hub.kube.api import ApiError
from tests.kubernetes.test_failures import container, launch_held, recovers, waits


async def story(hub, name):
    """What kubectl says happened to a workspace: type, reason and message."""
    events = (await hub.see("events", "-n", hub.namespace))["items"]
    mine = [event for event in events if event["involvedObject"]["name"] == name]
    mine.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
    return [(event["type"], event["reason"], event["message"]) for event in mine]


async def tells(hub, name, *reasons):
    """Wait until these happened, and nothing else; workers may be ready before their notebook."""

    async def told():
        return sorted(reason for _, reason, _ in await story(hub, name)) == sorted(reasons)

    await hub.until(f"{name}: {reasons}", told)
    return {reason: (kind, message) for kind, reason, message in await story(hub, name)}


async def test_kubectl_describes_a_life(hub):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    told = await tells(hub, name, "Launching", "Ready", "WorkersReady")
    assert told["Launching"] == ("Normal", "Starting a notebook, Dask with 2 workers.")
    assert told["Ready"][1].startswith("The notebook answered after ")
    assert told["WorkersReady"] == ("Normal", "Dask: all 2 workers are ready.")

    await hub.ask(name, clusters={"dask": {"workers": 4}})
    await hub.ready(name, workers=4)
    told = await tells(hub, name, "Launching", "Ready", "WorkersReady", "Scaling", "WorkersReady")
    assert told["Scaling"] == ("Normal", "Dask: from 2 to 4 workers.")

    described = await hub.kubectl("describe", "workspace", name, "-n", hub.namespace)
    events = described[described.index("Events:") :].splitlines()[3:]
    assert events[0].split()[:2] == ["Normal", "Launching"], "they are in the order in which they happened"
    assert [line.split()[1] for line in events[-2:]] == ["Scaling", "WorkersReady"]
    assert "podium-controller" in events[-2]
    assert events[-2].endswith("Dask: from 2 to 4 workers.")

    await hub.store.delete(name)
    await hub.gone(name)
    [stopping] = [each for each in await story(hub, name) if each[1] == "Stopping"]
    assert stopping == ("Normal", "Stopping", "Somebody stopped it. The programs are being ended.")


async def test_what_is_wrong_is_told_as_a_warning(hub):
    name = await launch_held(hub)
    await hub.status_of(name, "notebook", container(waits("ErrImagePull", "no such image")))
    workspace = await hub.until("it is told", lambda: wrong(hub, name))
    told = await hub.until("an event tells it", lambda: warned(hub, name))
    assert told == ("Warning", workspace.status.reason, workspace.status.message)
    await recovers(hub, name)


async def wrong(hub, name):
    """A workspace whose launch is in trouble."""
    workspace = await hub.get(name)
    return workspace if "image" in workspace.status.message else None


async def warned(hub, name):
    """The last event on a workspace, if it is a warning."""
    told = await story(hub, name)
    return told[-1] if told and told[-1][0] == "Warning" else None


async def refuse():
    """An API server that does not let us write events."""
    raise ApiError(403, "Forbidden", "events are not for you")


async def keep_waiting():
    """An API server that never answers."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("answer", [refuse, keep_waiting])
async def test_a_launch_does_not_wait_for_events(hub, answer):
    running = await hub.start()

    async def meddle(method, path, send):
        return await (answer() if path.endswith("/events") else send())

    running.api.meddle = meddle
    name = await hub.launch()
    await hub.ready(name)
    asked = ("POST", f"/api/v1/namespaces/{hub.namespace}/events")
    await hub.until("an event was to be written", lambda: asked in running.api.requests)
    assert await story(hub, name) == []
