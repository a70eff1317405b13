"""Many people at once: launches, a large cluster, restarts and memory, against the floor of a bare script.

Everything runs in a network of its own, on one machine: real control plane, fake nodes, real proxy, web and
controller. Compare within one run. Nothing here may know how the hub works inside, but for its own floor.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from bench import bare
from bench.clock import lateness
from bench.people import Person, browsers
from bench.report import Report, Storm
from bench.requests import requests
from bench.site import PROFILE, RELEASE, Site
from hub.backends.kubernetes.names import Release
from hub.profiles import read_profiles
from tests.running import memory

MIB = 2**20
FEW, MANY = 8, 100
QUIET = 3.0
"""Seconds without a request that changes anything after which a cluster has come to rest."""


def say(what: str) -> None:
    """Tell how far it is."""
    print(f"podium: {what}", file=sys.stderr, flush=True)


async def floor(folder: Path, count: int) -> Storm:
    """The bare script's launches."""
    say(f"{count} launches by a bare script …")
    profile = read_profiles({"class": PROFILE})["class"]
    bundles = [bare.bundle(number, profile, Release(RELEASE, RELEASE)) for number in range(count)]
    async with Site(folder, 4 * count) as site:
        before, used = await requests(site.api), site.seconds()
        begin, ready = await bare.launch(site.api, bundles)
        took = time.monotonic() - begin
        seconds = {name: value - used[name] for name, value in site.seconds().items()}
        await rest(site)
        asked = await requests(site.api) - before
    say(f"  all Ready after {took:.1f} s, the first after {ready[0]:.1f} s")
    return Storm("bare script", count, sorted(ready), {}, dict(asked), seconds)


async def rest(site: Site) -> None:
    """Wait until nothing is asked of the API server any more."""
    before = await requests(site.api)
    while True:
        await asyncio.sleep(QUIET)
        now = await requests(site.api)
        if sum((now - before).values()) <= QUIET * 10:
            return
        before = now


class Class:
    """People at a site."""

    def __init__(self, site: Site, session: aiohttp.ClientSession, count: int) -> None:
        self.site = site
        self.people = [Person(session, site.url) for _ in range(count)]

    async def launch(self) -> Storm:
        """Everybody clicks in the same moment."""
        count = len(self.people)
        say(f"{count} launches by people …")
        await asyncio.gather(*(person.arrive() for person in self.people))
        site, before, used = self.site, await requests(self.site.api), self.site.seconds()
        begin = time.monotonic()
        await asyncio.gather(*(person.launch("class", 2) for person in self.people))
        end = time.monotonic()
        seconds = {name: value - used[name] for name, value in site.seconds().items()}
        late = {part: lateness(site.clock(part), begin, end) for part in ("web", "controller")}
        await rest(site)
        asked = await requests(site.api) - before
        opened = sorted(person.opened - begin for person in self.people if person.opened)
        storm = Storm("Podium", count, opened, late, dict(asked), seconds)
        storm.accepted = sorted(person.accepted - person.clicked for person in self.people if person.accepted)
        storm.refusals = [refusal for person in self.people for refusal in person.refusals]
        if opened:
            say(f"  all Ready after {opened[-1]:.1f} s, the first after {opened[0]:.1f} s")
        return storm

    async def idle_minute(self) -> float:
        """Requests in a minute in which nobody does anything."""
        say("an idle minute …")
        before = await requests(self.site.api)
        await asyncio.sleep(60)
        asked = await requests(self.site.api) - before
        say(f"  {dict(asked)}")
        return float(sum(asked.values()))

    def memory(self) -> dict[str, float]:
        """MiB of each part, shared pages counted in proportion."""
        programs = self.site.programs
        return {part: memory([programs[part].pid]) / MIB for part in ("web", "controller", "proxy")}

    async def scale(self) -> float:
        """Seconds from the slider until a cluster of a few workers has many, as its page tells."""
        say(f"{FEW} to {MANY} workers …")
        person = self.people[0]
        await person.scale(FEW)
        await person.until(lambda seen: seen.workers("dask") == FEW)
        begin = time.monotonic()
        await person.scale(MANY)
        await person.until(lambda seen: seen.workers("dask") == MANY)
        return time.monotonic() - begin

    async def kill_controller(self) -> tuple[float, float]:
        """Seconds from a controller's start, after a kill, until it acts: with the lease free, and not."""
        say("a killed controller …")
        return await self._act_again(3, free=True), await self._act_again(4, free=False)

    async def _act_again(self, workers: int, free: bool) -> float:
        site, person = self.site, self.people[-1]
        site.programs["controller"].stop()
        await person.scale(workers)
        lease = f"/apis/coordination.k8s.io/v1/namespaces/{RELEASE}/leases/{RELEASE}-controller"
        if free:
            await site.api.call("DELETE", lease)
        begin = time.monotonic()
        site.start_controller()
        await bare.settled(site.api, person.name, workers)
        took = time.monotonic() - begin
        await person.until(lambda seen: seen.workers("dask") == workers)
        return took

    async def kill_proxy(self) -> float:
        """Seconds from the start of an empty proxy until it has everybody's route."""
        say("a killed proxy …")
        site, session = self.site, self.people[0].session
        site.programs["proxy"].stop()
        begin = time.monotonic()
        site.start_proxy()
        headers = {"Authorization": f"token {site.proxy_token}"}
        wanted = {f"/{person.name}" for person in self.people}
        while True:
            try:
                async with session.get(f"{site.proxy_api}/api/routes", headers=headers) as response:
                    if wanted <= {path.rstrip("/") for path in await response.json()}:
                        return time.monotonic() - begin
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)


async def whole_class(folder: Path, count: int, report: Report, launches: Storm, more: bool) -> None:
    """A class of people at a fresh site, and what is measured of it.

    Args:
        count: people.
        launches: the floor.
        more: whether everything but the launches and memory is measured too.
    """
    async with Site(folder, 4 * count + 2 * MANY) as site, browsers() as session:
        await site.start()
        people = Class(site, session, count)
        report.compare(launches, await people.launch())
        for part, size in people.memory().items():
            report.add(f"{count} running: memory of {part}, MiB", size, 200 if part == "controller" else None)
        if more:
            # The API server asks itself for this or that now and then.
            report.add(f"{count} running: API requests of all, an idle minute", await people.idle_minute(), 2)
            profile = read_profiles({"class": PROFILE})["class"]
            bundle = bare.bundle(9999, profile, Release("another", RELEASE))
            deployment = await bare.scale_deployment(site.api, bundle, FEW, MANY)
            scaled = await people.scale()
            report.add(f"{FEW} to {MANY} workers: Deployment, s", deployment)
            report.add(f"{FEW} to {MANY} workers, s", scaled)
            report.add(f"{FEW} to {MANY} workers, times the Deployment", scaled / deployment, 0.4)
            report.add(f"{count} running: emptied proxy has all routes, s", await people.kill_proxy(), 2)
            free, taken = await people.kill_controller()
            report.add(f"{count} running: killed controller acts again, s", free, 2)
            report.add(f"{count} running: the same, lease waited for, s", taken)


async def measure(folder: Path, counts: Sequence[int], more: bool) -> Report:
    """Everything, for each number of people."""
    report = Report()
    for count in counts:
        launches = await floor(folder / f"bare-{count}", count)
        await whole_class(folder / f"podium-{count}", count, report, launches, more)
    return report
