"""What a workspace costs the API server, counted by the API server itself."""

from __future__ import annotations

import asyncio
import re

from hub import controller
from tests.kubernetes.hub_in_cluster import new_name

MOST = 42
"""Requests for a launch of four pods, from everybody in the cluster."""
TOGETHER = 5
LINE = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\d+)", re.MULTILINE)


async def counted(hub) -> int:
    """Requests so far, without watches, lists, and what goes on by itself: leases, nodes, events."""
    text = await hub.kubectl("get", "--raw", "/metrics")
    total = 0
    for match in LINE.finditer(text):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', match["labels"]))
        by_itself = labels["resource"] in ("", "leases", "nodes", "events", "tokenreviews")
        if labels["verb"] not in ("WATCH", "LIST") and not by_itself:
            total += int(match["count"])
    return total


async def test_a_launch_costs_no_more_than_it_has_to(hub):
    await hub.start()
    warm = await hub.launch()
    await hub.ready(warm)
    before = await settled(hub)
    names = [await hub.launch(name=new_name()) for _ in range(TOGETHER)]
    for name in names:
        await hub.ready(name)
    each = (await settled(hub) - before) / TOGETHER
    print(f"{each:.1f} requests for a workspace")
    assert 20 < each <= MOST


async def settled(hub) -> int:
    """The count, once it no longer moves: others have things to do afterwards, and nothing tells when."""
    count = await counted(hub)
    while True:
        await asyncio.sleep(2)
        now = await counted(hub)
        if now == count:
            return now
        count = now


async def test_one_that_nobody_uses_costs_nothing(hub, monkeypatch):
    monkeypatch.setattr(controller, "RESYNC", 0.2)
    running = await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    looks = 0
    reconcile = running.controller.reconcile

    async def look(which: str) -> None:
        nonlocal looks
        await reconcile(which)
        looks += which == name

    monkeypatch.setattr(running.controller, "reconcile", look)
    await hub.until("all is told", lambda: looks > 5)
    asked = len(running.api.requests)
    await hub.until("it was looked at often", lambda: looks > 25)
    assert running.api.requests[asked:] == []
