"""Answers preflight orders: makes every check, and writes each answer into the Room as soon as it is there.

Nothing here may judge anything. It runs where the controller acts, so that there is one of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from hub import cost, pool, queue
from hub.archives.base import Archives, NoArchives
from hub.errors import PodiumError
from hub.model import Workspace
from hub.preflight import address, judge
from hub.preflight.judge import TITLES, Shown
from hub.preflight.seats import pods
from hub.preflight.steps import Class, Step, Surroundings
from hub.preflight.trial import OWNER, Trier
from hub.profiles import Profile
from hub.room import Check, PoolStatus, PreflightOrder, PreflightReport, Room
from hub.rules import Rules
from hub.store.base import RoomStore, amend_status
from hub.wire import replace

log = logging.getLogger("podium.preflight")

AGAIN = 2.0
"""Seconds before another try where something did not answer."""
AWAY = (PodiumError, aiohttp.ClientError, OSError, TimeoutError)
"""What is raised where nobody has made a mistake."""
NOBODYS = "cluster-00000000-00000000"
"""The name of an archive that there is not."""
GATHER = 0.2
"""Seconds in which answers are written together."""


@dataclass(frozen=True)
class Known:
    """What is known of the hub itself.

    Args:
        room: the class as a whole.
        trier: tries launches.
        surroundings: where the hub stands.
        profiles: the menu.
        rules: what the operator decided.
        sign_in: the setting.
        archives: what keeps home folders.
        issuer: who tells who people are, where that is somebody else; else empty.
        public_url: what people open; empty where that is not configured.
        local: whether only this machine can open it.
    """

    room: RoomStore
    trier: Trier
    surroundings: Surroundings
    profiles: Mapping[str, Profile]
    rules: Rules
    sign_in: str
    archives: Archives
    issuer: str
    public_url: str
    local: bool = False


class Preflight:
    """Answers one order after the other; a new one ends the one before.

    Args:
        hub: what is looked at.
        now: the clock.
    """

    def __init__(self, hub: Known, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._hub = hub
        self._now = now

    async def run(self) -> None:
        """Answer orders until cancelled."""
        answering: asyncio.Task[None] | None = None
        heard: datetime | None = None
        try:
            async for room in self._hub.room.watch():
                order, told = room.spec.preflight, room.status.preflight
                if order is None or order.at == heard:
                    continue
                heard = order.at
                await _end(answering)
                answering = None
                if told is None or told.at != order.at or told.running:
                    answering = asyncio.create_task(self._see_to(order))
        finally:
            await _end(answering)

    async def _see_to(self, order: PreflightOrder) -> None:
        """Answer an order, from its beginning if something that everything needs was away meanwhile."""
        while True:
            try:
                return await self._answer(order)
            except AWAY as error:
                log.warning("the preflight begins anew, for something does not answer: %r", error)
            except Exception:
                log.exception("the preflight failed, and begins anew")
            await asyncio.sleep(AGAIN)

    async def _answer(self, order: PreflightOrder) -> None:
        """Make every check. Those that only look go on together; the launch comes last, and alone."""
        profile = self._hub.profiles.get(order.profile)
        if profile is None:
            there = ", ".join(self._hub.profiles)
            gone = judge.check(
                "launch", "failed", f"There is no profile {order.profile}.", f"There are: {there}."
            )
            await self._write(PreflightReport(at=order.at, running=False, checks=(gone,)))
            return
        course = await self._course(order, profile)
        steps = [*self._own(course), *self._hub.surroundings.steps(course)]
        last = Step({"launch": TITLES["launch"]}, lambda: self._try(course, answers))
        price = cost.estimate(profile, order.seats, order.hours, self._hub.rules.prices).text
        answers = _Answers(order, price, [*steps, last], self._write)
        log.info("preflight for %s seats of %s", order.seats, order.profile)
        await answers.follow(self._look(answers, steps, last))

    async def _look(self, answers: _Answers, steps: Sequence[Step], last: Step) -> None:
        await asyncio.gather(*(answers.take(step) for step in steps))
        await answers.take(last)

    async def _course(self, order: PreflightOrder, profile: Profile) -> Class:
        held = _held(await self._hub.trier.store.list(), profile)
        return Class(profile, order.seats, order.start, order.hours, min(len(held), order.seats))

    def _own(self, course: Class) -> list[Step]:
        """What is to be known of the hub's own settings."""
        hub = self._hub

        async def settings() -> list[Check]:
            room = await hub.room.get()
            provider = await address.look(hub.issuer) if hub.issuer else Shown()
            limit = queue.capacity(hub.rules, room.spec)
            name = course.profile.name
            size = pool.size(hub.rules.pool.get(name), room.spec.pool.get(name), course.start)
            status = room.status.pool.get(name, PoolStatus())
            return [
                judge.sign_in(course, hub.sign_in, room.spec.open, provider),
                judge.capacity(course, limit, pods(course.profile, tuple(hub.trier.unavailable))),
                judge.pool(course, size, status, self._now()),
                judge.length(course),
            ]

        async def shown() -> list[Check]:
            looked = hub.public_url and not hub.local
            seen = await address.look(hub.public_url) if looked else Shown()
            return [judge.address(course, hub.public_url, seen, hub.local)]

        async def kept() -> list[Check]:
            there, wrong = not isinstance(hub.archives, NoArchives), ""
            try:
                async with hub.archives.read(NOBODYS, OWNER):
                    pass
            except AWAY as error:
                wrong = str(error) or "it takes too long"
            return [judge.archive(course, there, wrong)]

        names = ("sign-in", "capacity", "pool", "length")
        return [
            Step({name: TITLES[name] for name in names}, settings),
            Step({"archive": TITLES["archive"]}, kept),
            Step({"address": TITLES["address"]}, shown),
        ]

    async def _try(self, course: Class, answers: _Answers) -> list[Check]:
        hub, profile = self._hub, course.profile
        everybody, room = await hub.trier.store.list(), await hub.room.get()
        limit = queue.capacity(hub.rules, room.spec)
        free = queue.line(everybody, {}, limit, hub.rules.launches_at_once, self._now()).free
        held = _held(everybody, profile)
        if held and not free.holds(queue.need(held[0].spec)):
            # Another launch would cost one that waits for people.
            tried = await hub.trier.visit(held[0])
        else:
            tried = await hub.trier.attempt(profile, lambda what: answers.says("launch", what))
        return [judge.launch(tried, hub.public_url)]

    async def _write(self, report: PreflightReport) -> None:
        def change(room: Room) -> Room:
            asked = room.spec.preflight
            if asked is None or asked.at != report.at:
                return room  # somebody asks for something else by now
            return replace(room, status=replace(room.status, preflight=report))

        await amend_status(self._hub.room, change)


class _Answers:
    """The answers to one order, which are written while they come.

    Args:
        order: the order.
        price: what the class will cost, for people.
        steps: all that is looked at.
        write: writes a report.
    """

    def __init__(
        self,
        order: PreflightOrder,
        price: str,
        steps: Sequence[Step],
        write: Callable[[PreflightReport], Awaitable[None]],
    ) -> None:
        titles = {name: title for step in steps for name, title in step.titles.items()}
        names = [name for name in TITLES if name in titles]
        self._checks = {name: Check(name=name, title=titles[name], state="running") for name in names}
        self._empty = PreflightReport(at=order.at, running=True, cost=price)
        self._write = write
        self._moved = asyncio.Event()

    def says(self, name: str, message: str) -> None:
        """Tell what a check waits for."""
        self._put(replace(self._checks[name], message=message))

    async def take(self, step: Step) -> None:
        """Make the checks of a step."""
        try:
            checks = await step.look()
        except AWAY as error:
            said = error.message if isinstance(error, PodiumError) else repr(error)
            checks = [judge.check(name, "warning", f"Could not be told: {said}") for name in step.titles]
        for one in checks:
            self._put(one)
        for name in step.titles.keys() - {one.name for one in checks}:
            self._put(judge.check(name, "skipped", "Nothing to look at."))

    async def follow(self, looking: Coroutine[Any, Any, None]) -> None:
        """Write what there is until everything is there."""
        task = asyncio.create_task(looking)
        task.add_done_callback(lambda done: self._moved.set())
        try:
            while not task.done():
                self._moved.clear()
                await self._write(self._report(running=True))
                await asyncio.sleep(GATHER)
                if not task.done():
                    await self._moved.wait()
            task.result()
        finally:
            await _end(task)
        await self._write(self._report(running=False))

    def _put(self, check: Check) -> None:
        if self._checks[check.name] != check:
            self._checks[check.name] = check
            self._moved.set()

    def _report(self, running: bool) -> PreflightReport:
        return replace(self._empty, running=running, checks=tuple(self._checks.values()))


def _held(workspaces: Iterable[Workspace], profile: Profile) -> list[Workspace]:
    """Those of a profile that are ready, and wait for somebody."""
    return [
        workspace
        for workspace in workspaces
        if workspace.pooled and workspace.spec.profile == profile.name
        if workspace.status.phase == "Ready" and not workspace.deleting
    ]


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
