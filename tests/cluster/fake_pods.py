"""Answers over HTTP for every pod of nodes that do not exist, as the programs in them would.

    GET  /<name>/api, /health, …_dask/health    a notebook, a scheduler that runs
    GET  /<name>/api/events/subscribe           a WebSocket, which says nothing
    GET  …/podium/state?since=<version>         the state, held while it is that version
    POST …/podium/drain                         {"workers": [instance, …]}

Which pods there are comes from a watch. Whom a request is for is told by the address that the connection was
made to, in a network namespace in which all addresses of pods are local; or by the header `X-Pod`, from tests
that send requests for pods here. Nothing here may write to the cluster.

    python -m tests.cluster.fake_pods --kubeconfig=FILE [--port=NUMBER …]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiohttp import web

from hub.backends.kubernetes.observed import WORKLOAD, Pod
from hub.kube.api import Api
from hub.kube.informer import Informer

PORTS = (8888, 8787, 8080, 10100)
"""Of the notebook, and of the dashboards of Dask, Spark and IPyParallel."""
HOLD = 20.0
"""Seconds that an answer is held for at most."""
PAUSE = 0.25
"""Seconds between two changes that are told, so that a storm of them is one."""


class FakePods:
    """The programs of all pods.

    Args:
        api: the server whose pods these are.
        labels: a selector of pods; by default those of all workspaces.
        pause: seconds between two changes that one program tells.
    """

    def __init__(self, api: Api, labels: str = WORKLOAD, pause: float = PAUSE) -> None:
        self.busy: set[tuple[str, str]] = set()
        """Namespace and name of those that have work; `changed` has to be called when it changes."""
        self.hold_drains = False
        """Whether workers that are asked to finish never come to an end; as `busy`."""
        self.dead: set[str] = set()
        """The uids of those whose programs are gone though the cluster does not know; as `busy`."""
        self.asked: list[tuple[str, str]] = []
        """Namespace and name of everyone who was asked to finish, in that order."""
        self.registered: set[str] = set()
        """The uids of all workers that their schedulers ever told of."""
        self._pause = pause
        self._places: dict[str, dict[str, Pod]] = {}
        self._at: dict[str, Pod] = {}
        self._programs: dict[str, _Program] = {}
        self._informer = Informer(api, "/api/v1/pods", Pod, labels, self._told)
        self._runner: web.AppRunner | None = None

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        await self._informer.run()

    async def listen(self, host: str, ports: Iterable[int]) -> list[int]:
        """Begin to answer. Returns the ports, those chosen by the system for 0 among them."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        for port in ports:
            await web.TCPSite(self._runner, host, port, backlog=1024).start()
        return [address[1] for address in self._runner.addresses]

    async def close(self) -> None:
        """Hang up, also on those who wait for an answer."""
        if self._runner is not None:
            await self._runner.cleanup()

    def changed(self) -> None:
        """Let everybody be told of what a test changed."""
        for program in self._programs.values():
            program.touch()

    def state(self, pod: Pod) -> dict[str, Any]:
        """What a notebook or a scheduler says of itself and its workers."""
        namespace = pod.metadata.namespace
        if pod.metadata.labels["podium.hub/role"] == "notebook":
            busy = (namespace, pod.metadata.name) in self.busy
            return {"busy": busy, "lastActivity": None, "warnings": []}
        asked = self._programs[pod.metadata.uid].asked
        workers = [self._worker(other, asked) for other in self._workers(pod)]
        return {"busy": any(worker["busy"] for worker in workers), "workers": workers}

    def _workers(self, scheduler: Pod) -> list[Pod]:
        """Those that have registered: whoever runs."""
        wanted = {"podium.hub/role": "worker", "podium.hub/cluster": _cluster(scheduler)}.items()
        place = self._places[scheduler.metadata.namespace]
        return [pod for pod in place.values() if wanted <= pod.metadata.labels.items() and self._runs(pod)]

    def _worker(self, pod: Pod, asked: set[str]) -> dict[str, Any]:
        self.registered.add(pod.metadata.uid)
        draining = pod.metadata.uid in asked
        busy = (pod.metadata.namespace, pod.metadata.name) in self.busy
        return {
            "instance": pod.metadata.name,
            "busy": busy,
            "draining": draining,
            "drained": draining and not busy and not self.hold_drains,
        }

    def _runs(self, pod: Pod) -> bool:
        alive = pod.metadata.uid not in self.dead
        return alive and pod.status.phase == "Running" and bool(pod.status.pod_ip)

    def _told(self, before: Pod | None, now: Pod | None) -> None:
        pod = now or before
        assert pod is not None
        place = self._places.setdefault(pod.metadata.namespace, {})
        known = self._at.get(before.status.pod_ip) if before is not None else None
        if known is not None and known.metadata.uid == pod.metadata.uid:
            del self._at[known.status.pod_ip]
        if now is None:
            place.pop(pod.metadata.name, None)
            ended = self._programs.pop(pod.metadata.uid, None)
            if ended is not None:
                ended.touch()
        else:
            place[now.metadata.name] = now
            if self._runs(now) and now.spec.containers[0].ports:
                self._at[now.status.pod_ip] = now
        scheduler = place.get(f"{_cluster(pod)}-scheduler")
        if scheduler is not None and scheduler.metadata.uid in self._programs:
            self._programs[scheduler.metadata.uid].touch()
        if not place:
            self._places.pop(pod.metadata.namespace, None)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ip, port = request.transport.get_extra_info("sockname")[:2]
        if "X-Pod" in request.headers:
            ip, _, port = request.headers["X-Pod"].rpartition(":")
        pod = self._listening(ip, int(port))
        if pod is None:
            return _hang_up(request)
        if request.path.endswith("/health") or request.path == f"/{pod.metadata.namespace}/api":
            return web.json_response({})
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return web.Response(status=401)
        if request.path.endswith("/api/events/subscribe"):
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.receive()
            return socket
        program = self._programs.setdefault(pod.metadata.uid, _Program(pod.metadata.uid, self._pause))
        if request.path.endswith("/podium/state"):
            version = await program.version(request.query.get("since", ""))
            if self._listening(ip, int(port)) is None:
                return _hang_up(request)
            return web.json_response({"version": version, **self.state(pod)})
        if request.path.endswith("/podium/drain"):
            self._drain(pod, program, (await request.json())["workers"])
            return web.json_response({})
        return web.Response(status=404)

    def _listening(self, ip: str, port: int) -> Pod | None:
        """Whose program listens there."""
        pod = self._at.get(ip)
        if pod is None or not self._runs(pod):
            return None
        return pod if port in [one.container_port for one in pod.spec.containers[0].ports] else None

    def _drain(self, scheduler: Pod, program: _Program, instances: list[str]) -> None:
        """Ask workers to finish, those that are drained in the next moment if nothing holds them."""
        for pod in self._workers(scheduler):
            if pod.metadata.name in instances and pod.metadata.uid not in program.asked:
                program.asked.add(pod.metadata.uid)
                self.asked.append((pod.metadata.namespace, pod.metadata.name))
        program.touch()


class _Program:
    """What one program knows, which is gone with its pod.

    Args:
        life: in its versions, so that another one's are different.
        pause: seconds between two changes that are told.
    """

    def __init__(self, life: str, pause: float) -> None:
        self.asked: set[str] = set()
        self._life = life
        self._pause = pause
        self._number = 0
        self._told = 0.0
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def touch(self) -> None:
        """Say that the state may be another."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._told + self._pause), self._tell)

    async def version(self, since: str) -> str:
        """The version: at once when it is not `since`, else the next one, or the same after `HOLD`."""
        if since == f"{self._life}-{self._number}":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HOLD):
                    await self._changed.wait()
        return f"{self._life}-{self._number}"

    def _tell(self) -> None:
        self._timer = None
        self._told = asyncio.get_running_loop().time()
        self._number += 1
        self._changed.set()
        self._changed = asyncio.Event()


def _hang_up(request: web.Request) -> web.Response:
    """End a connection as when nobody listens, or no longer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def _cluster(pod: Pod) -> str:
    return pod.metadata.labels.get("podium.hub/cluster", "")


async def main() -> None:
    """Answer on every address of this network namespace until killed."""
    parser = argparse.ArgumentParser(description="Answers for all pods of nodes that do not exist.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, action="append")
    given = parser.parse_args()
    pods = FakePods(await Api.connect(given.kubeconfig))
    await pods.listen(given.host, given.port or PORTS)
    print("Answering.", flush=True)
    await pods.run()


if __name__ == "__main__":
    asyncio.run(main())
