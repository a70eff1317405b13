"""The parts of a hub as processes of their own, for Kubernetes: web, controller, archive, and its end.

Nothing here may decide anything about workspaces.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path

import tornado.httpserver
import tornado.netutil

from hub.archives.service import Shelf, make_application
from hub.configuration import Secrets
from hub.errors import ConfigurationError
from hub.ground.base import Ground
from hub.health import Health, answering
from hub.metrics import Figures
from hub.probe import Probe
from hub.uninstall import clear
from hub.web.auth import derive, same
from hub.web.events import Watcher
from hub.web.server import Server
from hub.wiring import Addresses, Setup, keep_routes, make_controller, make_preflight, run_together, sessions
from hub.workqueue import WorkQueue

log = logging.getLogger("podium")

START_AGAIN = 1.0


async def run_web(setup: Setup, stop: asyncio.Event) -> None:
    """Pages, API and relay, behind proxies that somebody else runs."""
    ground, here = setup.ground, setup.addresses
    health = Health(stop, {"store": ground.store.list})
    async with answering(health, setup.figures, here.ip, here.metrics_port), sessions() as (_, relayed):
        if not await _started(ground, stop):
            return
        watcher = Watcher(ground.store, ground.room)
        sockets = tornado.netutil.bind_sockets(here.web_port, here.ip)
        server = Server(setup.site(watcher, relayed, here.port, here.web_port, health), sockets)
        log.info("the web tier listens on %s:%s", here.ip, here.web_port)

        async def serve() -> None:
            await stop.wait()
            await server.end()

        try:
            following = [part() for part in ground.follows(backend=False)]
            await run_together(asyncio.Event(), *following, watcher.run(), health.run(), serve())
        finally:
            await server.close()
            await ground.close(told=False)


async def run_controller(setup: Setup, stop: asyncio.Event) -> None:
    """What makes workspaces; of several controllers, one acts."""
    ground, here, queue = setup.ground, setup.addresses, WorkQueue()
    health = Health(stop, {"store": ground.store.list, "cluster": ground.backend.names})
    async with answering(health, setup.figures, here.ip, here.metrics_port), sessions() as (session, relayed):
        if not await _started(ground, stop):
            return
        keeper = keep_routes(setup, session, here.web)
        follows = ground.follows()
        if here.proxy_service and ground.proxies:
            follows.append(partial(ground.proxies, here.proxy_service, keeper.set_replicas))
        else:
            keeper.set_replicas([here.proxy_api])
        probe = Probe(session, queue.add, here.proxy)
        controller = make_controller(setup, keeper, probe, queue, relayed)
        preflight = make_preflight(setup, session, here.public_url, here.proxy)
        health.works = controller.works

        async def act() -> None:
            log.info("this controller acts")
            await run_together(stop, controller.run(), keeper.run(), preflight.run())

        try:
            following = [part() for part in follows]
            await run_together(stop, *following, ground.lead(act), health.run())
        finally:
            queue.close()
            await probe.close()
            await ground.close(told=False)


async def run_archive(
    kept: tuple[Path, int], secrets: Secrets, here: Addresses, figures: Figures, stop: asyncio.Event
) -> None:
    """What keeps the home folders of workspaces that ended.

    Args:
        kept: the folder, and how many bytes of a home.
    """
    token = f"Bearer {derive(secrets.key, 'archives')}"
    health = Health(stop)
    async with answering(health, figures, here.ip, here.metrics_port), sessions() as (_, relayed):
        shelf = Shelf(kept[0], relayed, kept[1])
        shelf.open()
        server = tornado.httpserver.HTTPServer(make_application(shelf, lambda given: same(given, token)))
        server.add_sockets(tornado.netutil.bind_sockets(here.web_port, here.ip))
        log.info("the archive part listens on %s:%s", here.ip, here.web_port)
        try:
            await run_together(stop, shelf.run(), health.run())
        finally:
            server.stop()
            await server.close_all_connections()


async def run_uninstall(setup: Setup, stop: asyncio.Event) -> None:
    """End every workspace, and wait until the controller has seen all of them gone."""
    ground = setup.ground
    await ground.start()
    try:
        await run_together(stop, *(part() for part in ground.follows(backend=False)), clear(ground.store))
    finally:
        await ground.close(told=False)


async def _started(ground: Ground, stop: asyncio.Event) -> bool:
    """Wait for the cluster, which a part may be there before: for its definition, its rights, or all of it.

    Returns:
        Whether it is there; False when the part was told to stop meanwhile.
    """
    told = await run_together(stop, _until_it_starts(ground))
    if told:
        await ground.close(told=False)
    return not told


async def _until_it_starts(ground: Ground) -> None:
    said = ""
    while True:
        try:
            return await ground.start()
        except ConfigurationError as error:
            if error.message != said:
                log.warning("%s %s", error.message, error.hint)
            said = error.message
            await asyncio.sleep(START_AGAIN)
