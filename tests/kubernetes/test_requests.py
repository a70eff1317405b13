"""What a workspace costs the API server, which others need too."""

from __future__ import annotations

from collections import Counter

from bench.requests import requests
from hub import controller

MOST = 42
"""Requests for one workspace of four pods, whoever makes them: we, Kubernetes or its kubelets."""
WORKSPACES = 10


async def at_rest(hub):
    """What was counted, once nobody asks for anything any more."""
    last = [await requests(hub.people)]

    async def same():
        last.append(await requests(hub.people))
        return last[-1] == last[-20:][0] and len(last) > 20

    await hub.until("nobody asks for anything", same)
    return last[-1]


async def none_ends(hub):
    """Whether the namespaces of other tests, which are being emptied, are gone."""
    namespaces = (await hub.see("namespaces"))["items"]
    return all(each["status"]["phase"] == "Active" for each in namespaces)


async def test_a_launch_of_four_pods(hub):
    await hub.start()
    await hub.ready(await hub.launch())
    await hub.until("what others left is gone", lambda: none_ends(hub))
    before = await at_rest(hub)
    names = [await hub.launch() for _ in range(WORKSPACES)]
    for name in names:
        await hub.ready(name)
        assert len(hub.pods(name)) == 4
    made = await at_rest(hub) - before
    each = {what: number / WORKSPACES for what, number in made.most_common()}
    print(f"{sum(each.values()):.1f} requests for a workspace: {each}")
    assert sum(each.values()) <= MOST


async def test_an_idle_workspace_costs_nothing(hub, monkeypatch):
    monkeypatch.setattr(controller, "RESYNC", 0.2)
    running = await hub.start()
    names = [await hub.launch("kept") for _ in range(3)]
    for name in names:
        await hub.ready(name)
    looks = Counter()
    reconcile = running.controller.reconcile

    async def counted(name):
        looks[name] += 1
        await reconcile(name)

    running.controller.reconcile = counted
    await hub.until("all were looked at", lambda: min(looks[name] for name in names) > 5)
    before = list(running.api.requests)
    looks.clear()
    await hub.until("all were looked at again", lambda: min(looks[name] for name in names) > 5)
    assert running.api.requests == before
