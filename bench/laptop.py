"""What one person on one machine waits for, and what it costs: `make bench`.

Prints a table and writes `artefacts/bench-laptop.json`. Times are this machine's, under whatever else it
does; compare within one run.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.attendees import Attendee, crowd
from bench.figures import waits
from bench.people import browsers
from bench.table import Table
from hub import tools
from tests.running import RunningHub, memory

OUT = Path(__file__).parent.parent / "artefacts" / "bench-laptop.json"
MIB = 2**20
CLASS = """
c = get_config()
c.Podium.sign_in = "guest"
c.Podium.pool = {{"workshop": {{"size": {pool}}}}}
c.Podium.profiles = {{"workshop": {{"title": "Workshop", "clusters": {{"dask": {{}}}}, "workers": 2}}}}
"""
CONFIG = """
c = get_config()
c.Podium.profiles = {
    "all": {"title": "All", "clusters": {%s}, "workers": 2, "max_workers": 8},
    "workshop": {"title": "Workshop", "clusters": {"dask": {}, "ipyparallel": {}}, "workers": 2},
}
"""


def main() -> None:
    """Measure, print, write."""
    frameworks = ["dask", "ipyparallel", *(["spark"] if tools.java().path else [])]
    config = CONFIG % ", ".join(f'"{name}": {{}}' for name in frameworks)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        hub = RunningHub(Path(folder), config)
        try:
            figures["cold caches dropped"] = drop_caches()
            figures["first start, s"] = hub.start()
            figures["click to usable notebook, cold, s"] = launch(hub)
            for name in ("dask", "ipyparallel"):
                hub.workers(only(hub), name, 2)
            stop(hub)
            figures["click to usable notebook, warm, s"] = statistics.median(again(hub) for _ in range(3))
            hub.interrupt()
            figures["second start, s"] = hub.start()
            name = hub.launch("all")
            for framework in frameworks:
                hub.workers(name, framework, 2)
            figures |= costs(hub, name)
            for framework in frameworks:
                figures[f"slider to ready worker, {framework}, s"] = scale(hub, name, framework, 3)
                figures[f"slider back to drained and gone, {framework}, s"] = scale(hub, name, framework, 2)
            figures["killed proxy to route back, s"] = proxy_back(hub, name)
        finally:
            hub.end()
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=2))
    for what, value in figures.items():
        print(f"{what:48} {value:10.2f}")


def drop_caches() -> float:
    """Make the next reads come from the disk, where that is allowed. Returns 1 if it was."""
    with suppress(OSError):
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return 1.0
    return 0.0


def launch(hub: RunningHub) -> float:
    """Seconds from the click until the notebook answers at its address."""
    began = time.monotonic()
    hub.launch("workshop")
    return time.monotonic() - began


def again(hub: RunningHub) -> float:
    """The same, and stop afterwards."""
    seconds = launch(hub)
    stop(hub)
    return seconds


def only(hub: RunningHub) -> str:
    """The name of the one workspace there is."""
    return str(hub.client.request("GET", "/api/workspaces")["items"][0]["metadata"]["name"])


def stop(hub: RunningHub) -> None:
    """Stop the workspace and wait until it is gone."""
    name = only(hub)
    hub.client.request("DELETE", f"/api/workspaces/{name}")
    hub.wait("it is gone", lambda: not hub.client.request("GET", "/api/workspaces")["items"] or None)


def scale(hub: RunningHub, name: str, framework: str, workers: int) -> float:
    """Seconds from the change until exactly so many workers are ready, and no more processes than that."""
    began = time.monotonic()
    hub.patch(name, clusters={framework: {"workers": workers}})
    hub.workers(name, framework, workers)

    def settled() -> bool | None:
        mains = [f for f in hub.processes() if f.main and f.mark.workload == f"{framework}-worker"]
        return len(mains) == workers or None

    hub.wait("as many processes", settled)
    return time.monotonic() - began


def costs(hub: RunningHub, name: str) -> dict[str, float]:
    """Memory in MiB, shared pages counted in proportion."""
    found = hub.processes()
    parts = {"proxy": [f.pid for f in found if f.mark.instance == "proxy"], "hub": [hub.pid]}
    for workload in sorted({f.mark.workload for f in found if f.mark.workspace == name}):
        parts[workload] = [f.pid for f in found if f.mark.workload == workload]
    figures = {f"memory of {part}, MiB": memory(pids) / MIB for part, pids in parts.items()}
    figures["memory of the idle workspace, MiB"] = (
        memory([f.pid for f in found if f.mark.workspace == name]) / MIB
    )
    return figures


def proxy_back(hub: RunningHub, name: str) -> float:
    """Seconds from the proxy's death until the notebook answers through it again."""
    before = hub.pid_of("proxy")
    os.kill(before, signal.SIGKILL)
    began = time.monotonic()
    hub.wait("the route is back", lambda: hub.answers(name) or None)
    return time.monotonic() - began


def a_few(count: int, pool: int) -> Table:
    """A class of a few people on one machine.

    Args:
        count: people, who click within ten seconds.
        pool: workspaces that are held ready.
    """
    config = CLASS.format(pool=pool)
    table = Table(f"{count} people in 10 s on one machine, pool of {pool}")
    with tempfile.TemporaryDirectory() as folder:
        hub = RunningHub(Path(folder), config)
        try:
            hub.start()
            owners = asyncio.run(_few(hub, count, pool, table))
            table.add("memory of all, MiB", memory([found.pid for found in hub.processes()]) / MIB)
        finally:
            hub.end()
    if doubles := [owner for owner, found in owners.items() if found > 1]:
        table.wrong.append(f"{len(doubles)} people have two workspaces")
    return table


async def _few(hub: RunningHub, count: int, pool: int, table: Table) -> Counter[str]:
    if pool:
        began = time.monotonic()
        await asyncio.to_thread(hub.wait, "the pool is full", lambda: _ready(hub) >= pool or None)
        table.add("seconds until the pool was full", time.monotonic() - began)
    async with browsers() as session:
        people = [Attendee(session, hub.url) for _ in range(count)]
        for person in people:
            await person.arrive()
        await crowd(people, 10.0, "workshop")
    waits(table, people)
    if without := sum(not person.opened for person in people):
        table.wrong.append(f"{without} people never came into a notebook")
    return Counter(item["spec"]["owner"] for item in _objects(hub) if item["spec"]["owner"])


def _objects(hub: RunningHub) -> list[Any]:
    """All workspaces, as the store keeps them."""
    files = sorted((hub.state.directory / "objects").glob("*.json"))
    return [json.loads(file.read_text()) for file in files]


def _ready(hub: RunningHub) -> int:
    return sum(item.get("status", {}).get("phase") == "Ready" for item in _objects(hub))


if __name__ == "__main__":
    main()
