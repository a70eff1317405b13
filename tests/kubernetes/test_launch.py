"""From a Workspace object to a workspace that is Ready, on a real API server."""

from __future__ import annotations


async def test_launch(hub):
    await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    await hub.store.delete(name)
    await hub.gone(name)
