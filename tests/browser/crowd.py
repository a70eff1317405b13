"""A room full of people who are not there: their workspaces, and a backend that only reports.

Nothing here may know how a page looks.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import hub.wire
from hub.model import ClusterStatus, HistoryEntry, QueuePlace, Status, Workspace
from tests.builders import make_workspace
from tests.web.serving import Web

FIRST = (
    *("Ada", "Bela", "Chen", "Dara", "Emil", "Fumi", "Grace", "Hugo", "Ines", "Jonas"),
    *("Kira", "Liam", "Mara", "Noor", "Otto", "Pia", "Quin", "Rosa", "Sven", "Tara"),
)
LAST = (
    *("Adler", "Brandt", "Costa", "Diaz", "Eriksen", "Fischer", "Garcia"),
    *("Haddad", "Ito", "Jensen", "Kowalski", "Lange", "Meier", "Novak"),
)
ODD = (
    "Ünal Özdemir 🎓",
    "محمد علي",
    "<b>Bob</b> & Co",
    "A name that is far too long to fit on any tile at all",
)


def person(number: int) -> str:
    """What people call somebody; some have names that are hard on a page."""
    if number % 50 == 7:
        return ODD[number // 50 % len(ODD)]
    return f"{FIRST[number % len(FIRST)]} {LAST[number // len(FIRST) % len(LAST)]}"


def cluster_name(number: int) -> str:
    """The name of somebody's workspace."""
    return f"cluster-seat{number:04d}"


class Crowd:
    """People in a room, and what is reported of them.

    Args:
        web: where their workspaces are.
        seed: of all chance here, so that two runs show the same.
    """

    def __init__(self, web: Web, seed: int = 1) -> None:
        self._web = web
        self._random = random.Random(seed)
        self.names: list[str] = []
        self.written = 0

    async def come(self, count: int) -> None:
        """Let people launch: most are at work, some wait, some are in trouble."""
        for number in range(len(self.names), len(self.names) + count):
            await self._launch(number)

    async def _launch(self, number: int) -> None:
        now = datetime.now(UTC)
        chance = self._random
        spec: dict[str, Any] = {
            "owner": f"class-{number:016x}",
            "display_name": person(number),
            "expires": now + timedelta(minutes=chance.choice([6, 50, 95, 180])),
            "touched": now,
            "clusters": {"dask": 4, "ipyparallel": 2} | ({"spark": 2} if number % 3 == 0 else {}),
            "help_wanted": now - timedelta(minutes=3, seconds=number) if number % 37 == 5 else None,
        }
        store = self._web.store
        made = await store.create(make_workspace(name=cluster_name(number), **spec))
        self.names.append(made.name)
        await store.update_status(hub.wire.replace(made, status=self._first(number, made, now)))

    def _first(self, number: int, made: Workspace, now: datetime) -> Status:
        launched = now - timedelta(minutes=20)
        if number % 29 == 3:
            return Status(
                phase="Starting",
                reason="ImageMissing",
                message="The image registry.example.org/own:2 does not exist. Tell the operator.",
                history=(HistoryEntry(phase="Starting", reason="ImageMissing", at=launched),),
            )
        if number % 67 == 11:
            return Status(
                phase="Failed",
                reason="LaunchTimeout",
                message="The notebook did not start within 5 minutes: it has too little memory.",
                log=("MemoryError", "killed"),
                history=(HistoryEntry(phase="Failed", at=launched),),
            )
        if number % 10 == 9:
            place = QueuePlace(
                position=number // 10 + 1, eta=now + timedelta(seconds=25 * (number // 10 + 1))
            )
            return Status(phase="Queued", queue=place, history=(HistoryEntry(phase="Queued", at=now),))
        return self._working(made, now)

    def _working(self, workspace: Workspace, now: datetime) -> Status:
        chance = self._random
        clusters = {}
        for framework in workspace.spec.clusters:
            wanted = workspace.spec.workers_of(framework)
            ready = chance.choice([wanted, wanted, wanted, max(0, wanted - 1)])
            clusters[framework] = ClusterStatus(
                workers=wanted,
                ready=ready,
                pending=wanted - ready,
                busy=chance.randint(0, ready),
                dashboard=f"/{workspace.name}_{framework}/",
            )
        idle = chance.choice([0, 0, 0, 60, 1500])
        return Status(
            phase="Ready",
            url=f"/{workspace.name}/",
            workers=sum(cluster.ready for cluster in clusters.values()),
            clusters=clusters,
            last_activity=now - timedelta(seconds=idle),
            idle_deadline=now + timedelta(hours=1) if idle else None,
            history=(
                HistoryEntry(phase="Starting", reason="Preparing", at=now - timedelta(minutes=20)),
                HistoryEntry(phase="Ready", at=now - timedelta(minutes=19)),
            ),
        )

    async def report(self, name: str) -> None:
        """Let the backend have news of somebody's clusters."""
        store = self._web.store
        present = await store.get(name)
        assert present is not None
        if present.status.phase == "Ready":
            status = self._working(present, datetime.now(UTC))
            await store.update_status(hub.wire.replace(present, status=status))
            self.written += 1

    async def live(self, changes_per_second: float, seconds: float) -> None:
        """Let so many workspaces change every second, one after another."""
        ended = asyncio.get_running_loop().time() + seconds
        for step in itertools.count(1):
            await self.report(self._random.choice(self.names))
            due = ended - seconds + step / changes_per_second
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            if due >= ended:
                return
