"""What Spark's workers are doing, put together from what master, workers and drivers each say, and draining.

The master alone knows neither whether an application computes anything (a session that is only open holds
executors too) nor when a decommissioned worker is empty (it forgets such a worker's executors at once).
Sources: Spark's `Master.decommissionWorker`, `JsonProtocol`, and its monitoring page on the REST API.
Nothing here may serve HTTP or start processes.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from podium_workspace.held import Held

ROUND = 1.0
"""Seconds between two looks at the cluster."""
PATIENCE = 30.0
"""Seconds after which a worker that cannot be decommissioned alone is given up, its work to be done again."""
WORKER = re.compile(r"/proxy/([^/]+)/logPage")
"""Which worker an executor's logs are at."""

Get = Callable[[str], Awaitable[Any]]
"""Asks the master's pages for JSON, by path. Raises OSError when there is no such answer."""
Post = Callable[[str, Mapping[str, str]], Awaitable[None]]
"""Sends the master's pages a form, by path."""


@dataclass(frozen=True)
class Worker:
    """A worker as the master lists it.

    Args:
        id: `<instance>.<when>.<host>.<port>`.
        state: ALIVE or DECOMMISSIONED.
    """

    id: str
    host: str
    state: str

    @property
    def instance(self) -> str:
        """The name of the instance that it runs in."""
        return self.id.partition(".")[0]


@dataclass
class Seen:
    """What one look has found.

    Args:
        busy: whether any application has a job.
        active: ids of the workers on which tasks run.
        empty: ids of the decommissioned workers that have no executor left.
    """

    workers: list[Worker] = field(default_factory=list)
    busy: bool = False
    active: set[str] = field(default_factory=set)
    empty: set[str] = field(default_factory=set)


class Cluster:
    """The cluster of a master.

    Args:
        get, post: how to ask the master's pages.
        clock: seconds that only go forward.
    """

    def __init__(self, get: Get, post: Post, clock: Callable[[], float]) -> None:
        self._get = get
        self._post = post
        self._clock = clock
        self._seen: Seen | None = None
        self._asked: dict[str, float] = {}
        """Workers that share their host with some that stay, and when they were asked to go."""
        self.state = Held(self._state)

    @property
    def known(self) -> bool:
        """Whether the master has answered yet."""
        return self._seen is not None

    async def follow(self) -> None:
        """Look again and again."""
        while True:
            await self.once()
            await asyncio.sleep(ROUND)

    async def once(self) -> None:
        """Look; while the master does not answer, what was seen last stays."""
        try:
            seen = await self.look()
        except OSError:
            return
        there = {worker.id for worker in seen.workers}
        self._asked = {id: at for id, at in self._asked.items() if id in there}
        self._seen = seen
        self.state.touch()

    async def look(self) -> Seen:
        """Ask everybody. Raises OSError when the master does not answer."""
        master = await self._get("/json/")
        workers = [
            Worker(worker["id"], worker["host"], worker["state"])
            for worker in master["workers"]
            if worker["state"] in ("ALIVE", "DECOMMISSIONED")
        ]
        seen = Seen(newest(workers))
        leaving = [worker for worker in workers if worker.state == "DECOMMISSIONED"]
        await asyncio.gather(
            *(self._look_at_application(app["id"], seen) for app in master["activeapps"]),
            *(self._look_at_leaving(worker, seen) for worker in leaving),
        )
        return seen

    async def _look_at_application(self, app: str, seen: Seen) -> None:
        pages = f"/proxy/{app}/api/v1/applications/{app}"
        try:
            if not await self._get(f"{pages}/jobs?status=running"):
                return
            executors = await self._get(f"{pages}/executors")
        except OSError:
            seen.busy = True  # a driver too busy to answer is no idle one
            return
        seen.busy = True
        for executor in executors:
            where = WORKER.search(executor["executorLogs"].get("stdout", ""))
            if where and executor["activeTasks"]:
                seen.active.add(where[1])

    async def _look_at_leaving(self, worker: Worker, seen: Seen) -> None:
        try:
            page = await self._get(f"/proxy/{worker.id}/json/")
        except OSError:
            return  # not known to be empty
        if not page["executors"]:
            seen.empty.add(worker.id)

    async def drain(self, instances: Collection[str]) -> None:
        """Have workers decommissioned: they get no new tasks, finish theirs, and give their blocks to others.

        Spark decommissions whole hosts. Where workers share one, as on macOS with its one loopback address,
        those that are to go are only watched until no task runs on them; what they held is computed again.

        Raises:
            OSError: when the master does not take it.
        """
        seen = self._seen or Seen()
        alive = [worker for worker in seen.workers if worker.state == "ALIVE"]
        asked = [worker for worker in alive if worker.instance in instances]
        staying = {w.host for w in alive if w not in asked and w.id not in self._asked}
        for host in sorted({worker.host for worker in asked} - staying):
            await self._post("/workers/kill/", {"host": host})
        for worker in asked:
            if worker.host in staying:
                self._asked.setdefault(worker.id, self._clock())
        self.state.touch()

    def _state(self) -> dict[str, Any]:
        seen = self._seen or Seen()
        return {"busy": seen.busy, "workers": [self._worker(worker, seen) for worker in seen.workers]}

    def _worker(self, worker: Worker, seen: Seen) -> dict[str, Any]:
        busy = worker.id in seen.active
        drained = worker.id in seen.empty
        if worker.id in self._asked:
            drained = not busy or self._clock() - self._asked[worker.id] > PATIENCE
        return {
            "instance": worker.instance,
            "busy": busy,
            "draining": worker.state == "DECOMMISSIONED" or worker.id in self._asked,
            "drained": drained,
        }


def newest(workers: list[Worker]) -> list[Worker]:
    """One worker for each instance: the one started last, by the time in its id."""
    return list(
        {worker.instance: worker for worker in sorted(workers, key=lambda worker: worker.id)}.values()
    )


def parse(body: bytes) -> Any:
    """JSON from an answer. Raises OSError when it is something else, such as a page of an error."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise OSError(f"no JSON: {error}") from None
