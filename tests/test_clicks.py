"""Clicks of many people on many processes at once, whose copies of what there is are late.

Whatever happens, two people never get the same workspace, and one person never keeps two.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub import pool
from hub.edges import House
from hub.model import Workspace
from hub.profiles import Profile
from hub.rules import Rules
from hub.stock import GRACE, Stock
from hub.store.base import Event
from hub.usher import Usher
from hub.web.auth import Person
from hub.web.launching import Launcher
from hub.wire import replace
from hub.workqueue import WorkQueue
from tests.builders import HUB_KEY, NOW, been
from tests.lagging_store import LaggingStore, Server
from tests.virtual import now, simulate

PROFILE = Profile(name="workshop", title="Workshop")
MARK = pool.fingerprint(PROFILE, "image")
BODY = {"spec": {"profile": "workshop"}}


def clock() -> datetime:
    return NOW + timedelta(seconds=now())


@dataclass
class Rush:
    """A crowd, the processes that serve it, and what becomes of it.

    Args:
        members: how many are ready in the pool.
        people: how many click.
        clicks: how often each does.
        replicas: how many processes serve them.
        kills: how many of these are killed in the middle of it.
        seed: of everything that chance decides.
    """

    members: int
    people: int
    clicks: int
    replicas: int
    kills: int
    seed: int
    answers: dict[str, set[str]] = field(default_factory=dict)

    async def run(self) -> None:
        """Let it happen, and check what is left."""
        chance = random.Random(self.seed)
        self.server = Server(clock)
        for number in range(self.members):
            made = await self.server.create(pool.member(PROFILE, MARK, f"cluster-pool{number:03}", clock()))
            await self.server.update_status(replace(made, status=been("Starting", "Ready")))
        stores = [
            LaggingStore(self.server, lambda: chance.expovariate(1 / 0.02)) for _ in range(self.replicas)
        ]
        launchers = [Launcher(store, {"workshop": PROFILE}, {"workshop": MARK}, HUB_KEY) for store in stores]
        await asyncio.gather(*(store.synced() for store in stores))
        serving: list[list[asyncio.Task[None]]] = [[] for _ in launchers]
        for click in range(self.people * self.clicks):
            replica = chance.randrange(self.replicas)
            task = asyncio.create_task(
                self.click(f"person-{click % self.people}", launchers[replica], chance)
            )
            serving[replica].append(task)
        reports = asyncio.create_task(self.report(chance))
        for replica in chance.sample(range(self.replicas), self.kills):
            await asyncio.sleep(chance.uniform(0, 0.2))
            for task in serving[replica]:
                task.cancel()
        done = await asyncio.gather(*(task for tasks in serving for task in tasks), return_exceptions=True)
        failed = [one for one in done if isinstance(one, Exception)]
        assert not failed, failed
        reports.cancel()
        await asyncio.gather(reports, *(store.close() for store in stores), return_exceptions=True)
        if self.kills:
            await self.tidy()
        self.check()

    async def click(self, person: str, launcher: Launcher, chance: random.Random) -> None:
        """A click."""
        await asyncio.sleep(chance.uniform(0, 0.2))
        workspace, _ = await launcher.launch(Person(person), BODY, clock())
        self.answers.setdefault(person, set()).add(workspace.name)

    async def report(self, chance: random.Random) -> None:
        """Write reports all the while, as the controller does."""
        while True:
            await asyncio.sleep(0.01)
            workspace = chance.choice([*self.server.objects.values()] or [None])
            if workspace is not None and not workspace.deleting:
                told = replace(workspace.status, message=f"{chance.random()}")
                await self.server.update_status(replace(workspace, status=told))

    async def tidy(self) -> None:
        """Let the controller look after what those who were killed left behind."""
        usher = Usher(WorkQueue(), Rules(), clock)
        stock = Stock(self.server, House(), usher, HUB_KEY, clock)
        for _ in range(3):
            for workspace in self.server.objects.values():
                usher.hear(Event(workspace))
            await stock.part()
            await asyncio.sleep(GRACE)
        usher.close()

    def check(self) -> None:
        """Check what is left."""
        owned: dict[str, list[Workspace]] = {}
        for workspace in self.server.objects.values():
            if workspace.spec.owner and not workspace.deleting:
                owned.setdefault(workspace.spec.owner, []).append(workspace)
        assert all(len(workspaces) == 1 for workspaces in owned.values()), "nobody keeps two"
        for person, names in self.answers.items():
            assert names == {owned[person][0].name}, "every answer is what they have"
        if not self.kills:
            assert len(owned) == len(self.answers) == self.people
            left = [w for w in self.server.objects.values() if w.pooled]
            begun = [w for [w] in owned.values() if w.spec.claimed_at is None]
            assert not left or not begun, "nobody has to wait while there is something ready"


@settings(max_examples=80, deadline=None)
@given(
    members=st.integers(0, 12),
    people=st.integers(1, 8),
    clicks=st.integers(1, 5),
    replicas=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
@example(members=100, people=100, clicks=2, replicas=3, seed=1)
@example(members=3, people=1, clicks=30, replicas=4, seed=2)
def test_two_people_never_get_the_same_and_one_never_two(members, people, clicks, replicas, seed):
    simulate(Rush(members, people, clicks, replicas, 0, seed).run())


@settings(max_examples=80, deadline=None)
@given(
    members=st.integers(0, 12),
    people=st.integers(1, 8),
    clicks=st.integers(1, 5),
    replicas=st.integers(2, 4),
    kills=st.integers(1, 2),
    seed=st.integers(0, 2**32),
)
def test_nor_when_some_who_serve_them_are_killed(members, people, clicks, replicas, kills, seed):
    simulate(Rush(members, people, clicks, replicas, kills, seed).run())
