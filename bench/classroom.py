"""A class at nine o'clock: people click within some seconds, on a pool that is full, or empty, or too small.

Everything runs in a network of its own, as in a storm: real control plane, fake nodes whose pods answer, real
proxy, web and controller, real requests all the way to the notebook's answer. What is slow is told; what is
wrong (somebody without a workspace, somebody with two, somebody overtaken) makes the measurement fail.
Nothing here may know how the hub works inside, but for its own floor.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from bench import bare, signing
from bench.attendees import Attendee, crowd
from bench.clock import lateness
from bench.figures import Floor, against, judge, line, waits
from bench.lesson import Lesson
from bench.onlooker import Onlooker
from bench.people import browsers
from bench.requests import requests
from bench.site import PROFILE, RELEASE, Site
from bench.storm import rest, say
from bench.table import Table
from hub.backends.kubernetes.names import Release
from hub.profiles import read_profiles

AT_ONCE = 32
"""As `launches_at_once` is by default."""
SPARE = 1.1
"""Parts of the people that have room for pods: what goes and what comes overlap."""


async def floor(folder: Path, lesson: Lesson) -> Floor:
    """Measure it."""
    count = lesson.people
    say(f"{count} clicks in {lesson.seconds:g} s by a bare script …")
    profile = read_profiles({"class": PROFILE})["class"]
    bundles = [bare.bundle(number, profile, Release(RELEASE, RELEASE)) for number in range(count)]
    async with Site(folder, int(4 * count * SPARE)) as site:
        before, used = await requests(site.api), site.seconds()
        begin, waited = await bare.launch(site.api, bundles, lesson.seconds / count)
        took, seconds = time.monotonic() - begin, site.seconds()
        busy = busy_seconds(seconds, used)
        await rest(site)
        asked = sum((await requests(site.api) - before).values())
    say(f"  all Ready after {took:.1f} s")
    return Floor(waited, took, busy, shares(seconds, used), asked)


def busy_seconds(now: dict[str, float], before: dict[str, float]) -> float:
    """Seconds of processor time of all programs together."""
    return sum(value - before.get(name, 0.0) for name, value in now.items() if name not in WHOLE)


def shares(now: dict[str, float], before: dict[str, float]) -> str:
    """The same, of each program that used some, the busiest first."""
    used = {name: value - before.get(name, 0.0) for name, value in now.items() if name not in WHOLE}
    most = sorted(used, key=lambda name: -used[name])
    return ", ".join(f"{name} {used[name]:.1f}" for name in most if used[name] >= 0.1)


WHOLE = ("idle", "everything")


async def measure(folder: Path, lesson: Lesson) -> Table:
    """Let a class come, and say what it saw."""
    alone = not lesson.pool and lesson.capacity is None and not lesson.kill
    under = await floor(folder / "bare", lesson) if alone else None
    webs = 2 if lesson.kill == "web" else 1
    rooms = lesson.people + lesson.pool
    async with Site(folder / "podium", int(4 * rooms * SPARE), lesson.settings, webs) as site:
        await site.start()
        async with browsers() as session, onlooking(site, lesson) as onlooker:
            await filled(site, onlooker, lesson.pool)
            people = [Attendee(session, site.url) for _ in range(lesson.people)]
            await signing.enter(session, site, people, lesson.sign_in)
            return await _attended(site, people, onlooker, lesson, under)


def onlooking(site: Site, lesson: Lesson) -> contextlib.AbstractAsyncContextManager[Onlooker]:
    """Somebody who looks on at the API server."""
    return Onlooker(site.api, RELEASE, lesson.capacity, AT_ONCE).looking()


async def filled(site: Site, onlooker: Onlooker, pool: int) -> None:
    """Wait until the pool is full, and everything has come to rest."""
    if not pool:
        return
    say(f"a pool of {pool} …")
    began = time.monotonic()
    await site.until("the pool is full", lambda: onlooker.ready >= pool, "controller", patience=600)
    say(f"  full after {time.monotonic() - began:.1f} s")
    await rest(site)


async def _attended(
    site: Site, people: list[Attendee], onlooker: Onlooker, lesson: Lesson, under: Floor | None
) -> Table:
    table = Table(lesson.title)
    say(f"{lesson.title} …")
    before, used = await requests(site.api), site.seconds()
    killing = asyncio.create_task(kill(site, lesson))
    begin, _ = await crowd(people, lesson.seconds, "class", lesson.stay)
    await killing
    end, machine = max((person.whole for person in people), default=begin), site.seconds()
    busy = busy_seconds(machine, used)
    others = 1 - (machine["idle"] - used["idle"] + busy) / (machine["everything"] - used["everything"])
    loops = {part: lateness(site.clock(part), begin, end) for part in (*site.webs, "controller")}
    if lesson.stay is None:
        await rest(site)
    asked = sum((await requests(site.api) - before).values())
    waits(table, people)
    table.add("processor time, s", shares(machine, used))
    if under is not None:
        against(table, people, under, end - begin, busy, asked)
    if lesson.capacity is not None:
        line(table, people, onlooker)
    table.add("requests to the API server, each", asked / lesson.people)
    for part, late in loops.items():
        if late:
            table.spread(f"event loop of {part} late, s", late)
    table.add("other programs of this machine, %", 100 * max(0.0, others))
    judge(table, people, onlooker, lesson)
    for refusal in [refusal for person in people for refusal in person.refusals][:5]:
        say(f"  somebody saw: {refusal}")
    return table


async def kill(site: Site, lesson: Lesson) -> None:
    """Kill a program when half of all have clicked, and start it again, as a kubelet would."""
    if not lesson.kill:
        return
    await asyncio.sleep(lesson.seconds / 2)
    say(f"  {lesson.kill} is killed")
    site.programs[lesson.kill].stop()
    if lesson.kill == "proxy":
        site.start_proxy()
    else:
        site.start_part(lesson.kill)
