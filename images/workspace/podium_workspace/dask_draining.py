"""What Dask's workers are doing, and how they are asked to finish without losing anything.

A worker that is asked to finish gives its waiting tasks and copies of its data to those that stay, and
completes what it executes; then it is drained, and whoever runs it may end it. Nothing here may end a
worker: one that ends by itself would only be started again.

The methods of `Scheduler` used here are those of the version in `requirements.lock`; `retire_workers` is its
public road, with `close_workers=False, remove=False`. That call leaves tasks that wait in the worker's own
queue where they are, and aborts when nobody can take the data, so both are looked after here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any

from distributed import Scheduler, Status
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.scheduler import TaskState, WorkerState

from podium_workspace.held import Held

ROUND = 0.2
"""Seconds between two looks at a worker that is asked to finish."""

logger = logging.getLogger("distributed.podium")


class Draining(SchedulerPlugin):
    """Tells of workers and drains them.

    Args:
        scheduler: the scheduler to which this is added as a plugin.
    """

    name = "podium"

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._asked: dict[str, asyncio.Task[None]] = {}
        self.state = Held(self._look)

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """A worker came. It has no dashboard of its own; to what it says of one, no page shall link."""
        scheduler.workers[worker].services.pop("dashboard", None)
        self.state.touch()

    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        """A worker went; one that comes later under its name was not asked to finish."""
        task = self._asked.pop(worker, None)
        if task is not None:
            task.cancel()
        self.state.touch()

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """A task went on, so that some worker may be busy or idle now."""
        self.state.touch()

    def drain(self, instances: Collection[str]) -> None:
        """Ask workers to finish, by their names; unknown ones and those already asked are left alone."""
        for worker in self._scheduler.workers.values():
            if worker.name in instances and worker.address not in self._asked:
                logger.info("Draining %s", worker.name)
                task = asyncio.create_task(self._drain(worker), name=f"drain {worker.name}")
                self._asked[worker.address] = task
        self.state.touch()

    def _look(self) -> dict[str, Any]:
        scheduler = self._scheduler
        workers = scheduler.workers.values()
        waiting = bool(scheduler.queued or scheduler.unrunnable)
        return {
            "busy": waiting or any(worker.processing for worker in workers),
            "workers": [
                {
                    "instance": str(worker.name),
                    "busy": bool(worker.processing),
                    "draining": worker.address in self._asked,
                    "drained": worker.address in self._asked and drained(worker),
                }
                for worker in workers
            ],
        }

    async def _drain(self, worker: WorkerState) -> None:
        """Go on until the worker has left, for what it executes may still bring new data."""
        while True:
            takers = {other for other in self._scheduler.running if other.address not in self._asked}
            leaving = worker.status is Status.closing_gracefully
            if leaving:
                retire = exposed(worker) and bool(takers)
            else:
                retire = may_leave(self._scheduler, worker, takers)
            if leaving or retire:
                self._hand_over(worker, takers)
            if retire:
                # Takes no new work from here on; returns when every key is elsewhere too, or cannot be.
                await self._scheduler.retire_workers([worker.address], close_workers=False, remove=False)
            self.state.touch()
            await asyncio.sleep(ROUND)

    def _hand_over(self, worker: WorkerState, takers: set[WorkerState]) -> None:
        """Offer every task of the worker to somebody else; those that it executes already stay with it.

        This is what the scheduler does when workers steal: the worker says of each task whether it gives it
        up, so none is executed twice.
        """
        stealing = self._scheduler.extensions["stealing"]
        offered = {taker: len(taker.processing) for taker in takers}
        for task in list(worker.processing):
            able = able_to_take(self._scheduler, task, takers)
            if able and task not in stealing.in_flight:
                taker = min(able, key=lambda each: offered[each] / each.nthreads)
                offered[taker] += 1
                stealing.move_task_request(task, worker, taker)


def drained(worker: WorkerState) -> bool:
    """Whether nothing is lost with the worker: it executes nothing, and others have a copy of its data."""
    return worker.status is Status.closing_gracefully and not worker.processing and not exposed(worker)


def exposed(worker: WorkerState) -> bool:
    """Whether the worker has data of which nobody who stays has a copy."""
    return any(
        all(holder is worker or holder.status is Status.closing_gracefully for holder in task.who_has or ())
        for task in worker.has_what
    )


def may_leave(scheduler: Scheduler, worker: WorkerState, takers: set[WorkerState]) -> bool:
    """Whether others can take over all that the worker has; while they cannot, it works on as before."""
    return (
        not worker.actors
        and (bool(takers) or not exposed(worker))
        and all(able_to_take(scheduler, task, takers) for task in worker.processing)
    )


def able_to_take(scheduler: Scheduler, task: TaskState, takers: set[WorkerState]) -> set[WorkerState]:
    """Those among the takers that a task may run on."""
    allowed = scheduler.valid_workers(task)
    if allowed is None:
        return takers
    return (allowed & takers) or (takers if task.loose_restrictions else set())
