"""The one loop: looks at a workspace, computes what should be, makes it so, and reports.

It is level-triggered: what it does depends on what is, never on what happened. It alone touches the
backend and the proxy. Decisions are in the pure modules; nothing here may judge beyond calling them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp

from hub import admission, cost, culler
from hub.clusters import CLUSTERS
from hub.clusters.base import ClusterState
from hub.desired import context, desired
from hub.edges import Edges, House
from hub.ending import restart_due
from hub.endings import Endings
from hub.errors import BadInput, Conflict, NotFound, Unavailable
from hub.happenings import Reported
from hub.logs import WORKSPACE
from hub.metrics import ControllerMetrics, Figures
from hub.model import FINALIZER, Status, Workspace
from hub.notebook import restart_request
from hub.observed import Observed
from hub.scaling import Assignment, assign
from hub.settings import FRAMEWORKS, FrameworkName
from hub.status import WHY_STOPPED, not_accepted, status, waiting
from hub.stock import Stock
from hub.usher import Usher
from hub.wire import replace as change
from hub.workload import Workload
from hub.workqueue import WorkQueue
from proxy.routes import routes

log = logging.getLogger("podium.controller")

WORKERS = 8
RESYNC = 30.0
REACHED_AGAIN = 0.1
DRAIN_AGAIN = 1.0
GATHER = 0.05
"""Seconds in which changes of what runs are one: a pod that starts changes several times."""
SETTLE = 0.3
"""Seconds that news may wait for more of it: most of what happens in a launch happens at once."""
FEW, LONGEST_SETTLE = 4, 2.0
"""Up to how many workspaces with news that holds. With more of them steps of launches wait longer, and most
launches are over before: when a class clicks at once, reports of steps would take from what pods need."""
AWAY = (Unavailable, aiohttp.ClientError, ConnectionError, TimeoutError)
"""What is raised where nobody has made a mistake."""
LONGEST_LOOK = 600.0
"""Seconds after which a look is taken to never end. Each of its requests is given up much sooner, whatever is
away, so that nothing but a mistake of ours lasts as long."""


class Controller:
    """Reconciles workspaces.

    Args:
        edges: objects, what runs them, what makes them reachable, and what asks them.
        queue: names that want a look.
        hub_key: the secret that all others are derived from.
        now: the clock.
        metrics: what is counted of it.
        reported: who else wants to hear of reports.
        house: what is true of the class as a whole.
    """

    def __init__(
        self,
        edges: Edges,
        queue: WorkQueue,
        hub_key: bytes,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        metrics: ControllerMetrics | None = None,
        reported: Reported | None = None,
        house: House | None = None,
    ) -> None:
        self._store, self._backend = edges.store, edges.backend
        self._proxy, self._probe = edges.proxy, edges.probe
        self._queue = queue
        self._hub_key = hub_key
        self._house = house = house or House()
        self._now = now
        self._untried: set[str] | None = None
        self._unseen: set[str] | None = None
        self._news: dict[str, float] = {}
        self._reported: dict[str, str] = {}
        self._metrics = metrics or ControllerMetrics(Figures())
        self._hears = reported
        self._usher = Usher(queue, house.rules, now)
        self._endings = Endings(edges.store, house.room, house.archives, hub_key, queue.add, now)
        self._stock = Stock(edges.store, house, self._usher, hub_key, now)
        self._looking: dict[str, float] = {}

    def works(self) -> bool:
        """Whether no look lasts for ever."""
        now = asyncio.get_running_loop().time()
        return all(now - began < LONGEST_LOOK for began in self._looking.values())

    async def run(self) -> None:
        """Reconcile until cancelled."""
        self._proxy.begin()
        objects = {workspace.name: workspace for workspace in await self._store.list()}
        running = await self._backend.names()
        self._usher.begin(objects.values(), running)
        self._unseen = objects.keys() | running
        self._untried = set(self._unseen)
        # What somebody changed while nobody acted comes first, and what nothing was done for yet comes last.
        for name in sorted(self._unseen, key=lambda name: (_at_rest(objects.get(name)), name)):
            workspace = objects.get(name)
            self._queue.add(name, behind=workspace is not None and workspace.status.phase == "Queued")
        self._looked_at("", well=True)
        with self._metrics.act(), contextlib.closing(self._usher):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_store())
                tasks.create_task(self._follow_backend())
                tasks.create_task(self._stock.follow())
                tasks.create_task(self._stock.run())
                tasks.create_task(self._endings.run(self._backend.names))
                for _ in range(WORKERS):
                    tasks.create_task(self._work())

    def _looked_at(self, name: str, well: bool) -> None:
        """Tell the proxies when every name that there was at first had its turn, and when all went well."""
        if self._untried is not None:
            self._untried.discard(name)
            if not self._untried:
                self._untried = None
                self._proxy.tried()
        if self._unseen is not None and well:
            self._unseen.discard(name)
            if not self._unseen:
                self._unseen = None
                self._proxy.complete()

    async def _follow_store(self) -> None:
        async for event in self._store.watch():
            self._usher.hear(event)
            if self._reported.get(event.workspace.name) == event.workspace.metadata.resource_version:
                continue  # our own words
            self._queue.add(event.workspace.name, behind=event.workspace.status.phase == "Queued")

    async def _follow_backend(self) -> None:
        async for name in self._backend.changes():
            self._queue.add_after(name, GATHER)

    async def _work(self) -> None:
        while True:
            name = await self._queue.get()
            well = failed = False
            WORKSPACE.set(name)
            self._looking[name] = asyncio.get_running_loop().time()
            try:
                with self._metrics.look():
                    await self.reconcile(name)
                well = True
            except (Conflict, NotFound) as error:
                log.debug("%s: %s", name, error)  # the object moved on; its watch has the name queued again
                self._queue.add_after(name, 0.05)
            except AWAY as error:
                failed = True
                log.warning("%s: trying again, for something does not answer: %r", name, error)
            except Exception:
                failed = True
                log.exception("%s: could not be reconciled; trying again", name)
            finally:
                if failed:
                    self._metrics.failed()
                del self._looking[name]
                self._queue.done(name, failed)
            self._looked_at(name, well)

    async def reconcile(self, name: str) -> None:
        """Make one workspace what it should be, as far as that is possible now, and report.

        Doing it again changes nothing; being stopped anywhere in it loses nothing.
        """
        workspace = await self._store.get(name)
        if workspace is None:
            await self._clear(name)
            return
        if FINALIZER not in workspace.metadata.finalizers and not workspace.deleting:
            await self._adopt(workspace)
            return
        if not self._usher.admits(workspace):
            await self._hold(workspace)
            return
        if culler.waited(workspace, self._now()):
            workspace = await self._store.update(culler.renewed(workspace, self._now()))
        seen = await self._see(workspace)
        why = culler.verdict(workspace, seen, self._now())
        if why:
            await self._stop(workspace, why)
            return
        # Before anything that may fail, so that what runs is reachable though nothing can be done about it.
        await self._proxy.put(name, routes(workspace, seen))
        await self._act(workspace, seen)
        seen = await self._see(workspace)
        await self._proxy.put(name, routes(workspace, seen))
        seen = replace(seen, reachable=await self._reachable(workspace, seen))
        report = status(workspace, seen, self._backend.unavailable, self._now())
        if workspace.deleting and not seen.exists:
            await self._endings.seen_off(workspace)
            await self._release(workspace)
            self._tell(workspace, report)
            return
        wait = self._wait(workspace, report)
        if wait > 0:
            self._queue.add_after(name, wait)
        elif report != workspace.status:
            workspace = await self._report(workspace, self._counted(workspace, seen, report))
            if report.phase == "Failed":
                self._queue.add(name)  # what runs is to end now, and of our own words we are not told
        if seen.ready("notebook") and not seen.reachable:
            self._queue.add_after(name, REACHED_AGAIN)
        self._queue.add_after(name, min(RESYNC, culler.next_look(workspace, self._now())))

    async def _hold(self, workspace: Workspace) -> None:
        """Tell somebody who waits of their place in line, when it is time to."""
        place = self._usher.news(workspace)
        if place is not None:
            await self._report(workspace, waiting(workspace, place, self._now()))
            self._usher.told(workspace.name)
        self._queue.add_after(workspace.name, RESYNC)

    def _counted(self, workspace: Workspace, seen: Observed, report: Status) -> Status:
        """A report with what was used until now."""
        aside = cost.set_aside(workspace.spec.settings, seen.instances)
        return change(report, usage=cost.used(workspace.status.usage, aside, self._now()))

    async def _report(self, workspace: Workspace, report: Status) -> Workspace:
        written = await self._store.update_status(change(workspace, status=report))
        self._reported[workspace.name] = written.metadata.resource_version
        self._tell(workspace, report)
        return written

    def _tell(self, workspace: Workspace, report: Status) -> None:
        after = change(workspace, status=report)
        self._metrics.reported(workspace, after)
        if self._hears is not None:
            self._hears(workspace, after)

    def _wait(self, workspace: Workspace, report: Status) -> float:
        """Seconds after which a report is to be written, for each costs everybody who watches.

        What is all there, or over, is told at once; steps on the way once they have been news for a moment.
        """
        now = asyncio.get_running_loop().time()
        whole = all(cluster.ready == cluster.workers for cluster in report.clusters.values())
        if report == workspace.status or (whole and report.phase != "Starting"):
            self._news.pop(workspace.name, None)
            return 0.0
        settle = SETTLE
        if report.phase == "Starting":
            settle = max(SETTLE, min(LONGEST_SETTLE, SETTLE * len(self._news) / FEW))
        left = self._news.setdefault(workspace.name, now) + settle - now
        if left <= 0:
            del self._news[workspace.name]
        return left

    async def _adopt(self, workspace: Workspace) -> None:
        """Look after an object that somebody wrote by hand, or say why not."""
        if workspace.status.phase == "Failed":
            if culler.verdict(workspace, Observed(), self._now()):
                await self._store.delete(workspace.name)
            return
        try:
            await self._store.update(admission.adopt(workspace, self._house.profiles))
        except BadInput as error:
            report = not_accepted(workspace, f"{error.message} {error.hint}".strip(), self._now())
            await self._store.update_status(change(workspace, status=report))
            self._tell(workspace, report)

    async def _see(self, workspace: Workspace) -> Observed:
        observed = await self._backend.observe(workspace.name)
        observed = replace(observed, keeping=self._endings.holds(workspace, observed))
        return self._probe.look(context(workspace, self._hub_key), observed, workspace.spec.clusters)

    async def _act(self, workspace: Workspace, seen: Observed) -> None:
        """Let the backend make it so, and ask schedulers to drain whom it should lose next."""
        workloads = desired(workspace, self._hub_key, self._backend.unavailable, seen.keeping)
        chosen: list[Workload] = []
        drains: dict[FrameworkName, tuple[str, ...]] = {}
        for workload in workloads:
            assignment = self._assign(workload, seen)
            chosen.append(replace(workload, instances=assignment.instances))
            if assignment.drain:
                drains[_framework(workload)] = assignment.drain
        await self._backend.apply(workspace.name, chosen, workspace.spec.settings)
        for name, instances in drains.items():
            await self._drain(workspace, seen, name, instances)
        if seen.notebook is not None and restart_due(workspace, seen.notebook.restarted):
            await self._restart(workspace, seen)

    async def _restart(self, workspace: Workspace, seen: Observed) -> None:
        """Ask the notebook to start again; it says by itself when it has."""
        here, at = context(workspace, self._hub_key), workspace.spec.restarted_at
        if at is None or workspace.deleting:
            return
        try:
            await self._probe.ask_notebook(here, seen.addresses["notebook.http"], restart_request(here, at))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("%s: the notebook did not start again: %r", workspace.name, error)
        self._queue.add_after(workspace.name, DRAIN_AGAIN)

    def _assign(self, workload: Workload, seen: Observed) -> Assignment:
        if workload.role != "worker":
            return assign(workload, seen.of(workload.name), None, drains_busy=False)
        name = _framework(workload)
        state = seen.clusters.get(name)
        if state is None and not any(i.running for i in seen.of(f"{name}-scheduler")):
            state = ClusterState()  # no scheduler, so no worker can hold anything that is still of use
        return assign(workload, seen.of(workload.name), state, CLUSTERS[name].drains_busy)

    async def _drain(
        self, workspace: Workspace, seen: Observed, name: FrameworkName, instances: tuple[str, ...]
    ) -> None:
        here = context(workspace, self._hub_key)
        dashboard = CLUSTERS[name].dashboard
        address = seen.addresses.get(f"{dashboard.workload}.{dashboard.port}")
        self._queue.add_after(workspace.name, DRAIN_AGAIN)
        if address is None:
            return
        for request in CLUSTERS[name].drain_requests(here, instances):
            try:
                await self._probe.send(here, name, address, request)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("%s: the %s scheduler refused to drain: %r", workspace.name, name, error)

    async def _reachable(self, workspace: Workspace, seen: Observed) -> bool:
        """Whether the notebook answers at its public address.

        Asked only until it does: a proxy that is away for a moment does not make a ready notebook unready.
        """
        if workspace.deleting or not seen.ready("notebook"):
            return False
        return workspace.status.phase == "Ready" or await self._probe.reach(context(workspace, self._hub_key))

    async def _stop(self, workspace: Workspace, why: str) -> None:
        log.info("%s: stopping it: %s", workspace.name, why)
        annotations = {**workspace.metadata.annotations, WHY_STOPPED: why}
        await self._store.update(
            change(workspace, metadata=change(workspace.metadata, annotations=annotations))
        )
        await self._store.delete(workspace.name)

    async def _clear(self, name: str) -> None:
        """End what is there of a workspace that nobody wants."""
        self._news.pop(name, None)
        self._reported.pop(name, None)
        self._probe.forget(name)
        await self._proxy.put(name, {})
        await self._backend.apply(name, [])
        if (await self._backend.observe(name)).exists:
            self._queue.add_after(name, RESYNC)  # nothing else would have it looked at again

    async def _release(self, workspace: Workspace) -> None:
        """Let the object go: nothing of the workspace is left."""
        finalizers = tuple(f for f in workspace.metadata.finalizers if f != FINALIZER)
        metadata = change(workspace.metadata, finalizers=finalizers)
        await self._store.update(change(workspace, metadata=metadata))


def _framework(workload: Workload) -> FrameworkName:
    return next(name for name in FRAMEWORKS if name == workload.cluster)


def _at_rest(workspace: Workspace | None) -> bool:
    """Whether, by its last report, nothing has to be done for a workspace."""
    if workspace is None or workspace.deleting or workspace.status.phase != "Ready":
        return False
    told, spec = workspace.status.clusters, workspace.spec
    return {name: told[name].workers for name in told} == {
        name: spec.workers_of(name) for name in spec.clusters
    }
