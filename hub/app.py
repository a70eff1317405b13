"""The program on one machine: reads the configuration, wires web, controller, backend and proxy, and
stops them in order.

Nothing here may decide anything about workspaces.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import ipaddress
import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import tornado.httpserver
import tornado.netutil
import tornado.web
from traitlets import Dict, Int, Unicode, default
from traitlets.config import Application, Config

from hub import notebook, tools
from hub.backends.local import LocalBackend
from hub.clusters.base import Context
from hub.controller import Controller
from hub.errors import ConfigurationError
from hub.ports import HOST, Ports
from hub.probe import Probe
from hub.profiles import Profile, read_profiles
from hub.state import State, default_directory
from hub.store.files import FileStore
from hub.web import peers
from hub.web.auth import LocalSignIn, Person, derive
from hub.web.base import Site
from hub.web.events import Watcher
from hub.web.server import make_application
from hub.workqueue import WorkQueue
from proxy.chp import ProxyClient, RouteKeeper
from proxy.process import ProxyProcess

CHECKOUT = Path(__file__).resolve().parent.parent
MOST_BODY = 16 * 2**20
WORKSPACE_CODE = CHECKOUT / "images" / "workspace"


class Podium(Application):
    """A notebook with Dask, IPyParallel and Spark clusters, behind a proxy, at one click.

    Without a command, podium serves on this machine until Ctrl-C.
    """

    name = "podium"
    description = __doc__ or ""

    port = Int(8000, min=1, max=65535, help="Port of the address to open in a browser.").tag(config=True)
    ip = Unicode(
        HOST, help="Address to listen on. It has to be a loopback address: this mode is for one person."
    ).tag(config=True)
    state = Unicode(
        "",
        help="Directory for workspaces, keys and logs. Default: ~/.local/share/podium/<port>, so that hubs "
        "on different ports keep apart.",
    ).tag(config=True)
    config_file = Unicode(
        "podium_config.py", help="Configuration file; without one, that of the checkout is read."
    ).tag(config=True)
    profiles = Dict(
        help="The menu: name to its settings. title and description; image (on Kubernetes); frameworks that "
        "may run, of dask, ipyparallel and spark; clusters that start at launch, such as "
        "{'dask': {'workers': 4}}; workers for clusters that name no number; max_workers of each cluster; "
        "resources for the roles notebook, scheduler and worker, such as "
        "{'worker': {'cpu': 1, 'memory': '1Gi'}}; content, git repositories such as "
        "[{'git': 'https://…', 'ref': 'main', 'path': 'tutorial'}]; wall_time, idle_time and launch_timeout "
        "in seconds."
    ).tag(config=True)
    raise_config_file_errors = True

    @default("log_level")
    def _default_log_level(self) -> int:
        return logging.INFO

    aliases = {
        "port": "Podium.port",
        "ip": "Podium.ip",
        "state": "Podium.state",
        "config": "Podium.config_file",
        "log-level": "Podium.log_level",
    }
    flags = {}
    classes = []

    def configure(self, argv: list[str]) -> dict[str, Profile]:
        """Read command line and configuration file. Returns the profiles.

        Raises:
            ConfigurationError: naming the setting that is unknown or does not fit.
        """
        try:
            self.parse_command_line(argv)
            if self.extra_args:
                raise ConfigurationError(f"There is no command {self.extra_args[0]!r}.", "See: podium --help")
            path = Path(self.config_file)
            if not path.exists() and path != Path("podium_config.py"):
                raise ConfigurationError(f"There is no configuration file {path}.")
            if not path.exists():
                path = CHECKOUT / "podium_config.py"
            self.load_config_file(path.name, str(path.resolve().parent))
        except ConfigurationError:
            raise
        except Exception as error:
            # Whatever a configuration file does wrong, its author wants to hear in one line.
            raise ConfigurationError(f"The configuration cannot be used: {error}") from error
        check_names(self.config)
        if not _is_loopback(self.ip):
            raise ConfigurationError(
                f"Podium.ip: {self.ip} is not an address of the loopback network, 127.0.0.0/8.",
                "On one machine podium serves one person, from that machine alone.",
            )
        return read_profiles(self.profiles)

    async def serve(self, profiles: Mapping[str, Profile]) -> None:
        """Serve until SIGINT or SIGTERM, then end every process that was started."""
        level: Any = self.log_level
        logging.basicConfig(level=level, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
        logging.getLogger("tornado.access").setLevel(logging.WARNING)
        state = State(Path(self.state) if self.state else default_directory(self.port))
        state.open()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, stop)
        async with contextlib.AsyncExitStack() as stack:
            await self._wire(stack, state, profiles, stop)

    async def _wire(
        self,
        stack: contextlib.AsyncExitStack,
        state: State,
        profiles: Mapping[str, Profile],
        stop: asyncio.Event,
    ) -> None:
        key, ports = state.key(), Ports()
        stack.callback(ports.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        relayed = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        store = FileStore(state.directory / "objects")
        backend = make_backend(state, ports)
        await backend.start()
        sockets = tornado.netutil.bind_sockets(0, HOST)
        web_port = int(sockets[0].getsockname()[1])
        process = ProxyProcess(
            tools.configurable_http_proxy(),
            state.hub,
            self.ip,
            self.port,
            derive(key, "proxy"),
            state.directory / "proxy.log",
            {"PATH": os.environ.get("PATH", os.defpath)},
            ports,
        )
        keeper = RouteKeeper(
            ProxyClient(session, lambda: process.api, derive(key, "proxy")), f"http://{HOST}:{web_port}"
        )
        await process.start(keeper.restarted)
        sign_in = LocalSignIn(
            person=Person(getpass.getuser()),
            token=state.token(),
            code=derive(key, "sign-in")[:16],
            cookie_secret=derive(key, "cookies"),
            public_port=self.port,
            web_port=web_port,
        )
        watcher = Watcher(store)
        site = Site(
            store=store,
            watcher=watcher,
            profiles=profiles,
            unavailable=backend.unavailable,
            sign_in=sign_in,
            hub_key=key,
            session=relayed,
            own_port=own_port,
            kept=f"Its home folder is kept for a week in {state.directory / 'kept'}.",
        )
        server = tornado.httpserver.HTTPServer(make_application(site), max_body_size=MOST_BODY)
        server.add_sockets(sockets)
        queue = WorkQueue()
        probe = Probe(session, queue.add)
        reach = Reach(session, f"http://{self.ip}:{self.port}")
        controller = Controller(store, backend, keeper, probe, queue, key, reach)
        tasks = [asyncio.create_task(part.run()) for part in (watcher, controller, keeper)]
        self._welcome(sign_in.code, state)
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        print("\nStopping …", flush=True)
        for task in (stopped, *tasks):
            task.cancel()
        await asyncio.gather(stopped, *tasks, return_exceptions=True)
        queue.close()
        await probe.close()
        server.stop()
        ended = await backend.close(end=True)
        await process.end()
        await server.close_all_connections()
        remaining = len(await store.list())
        print(f"Stopped {ended + 1} processes.", flush=True)
        if remaining:
            print(f"{remaining} workspace(s) will be started again by the next `make run`.", flush=True)
        for task in done - {stopped}:
            task.result()

    def _welcome(self, code: str, state: State) -> None:
        grouped = " ".join(code[start : start + 4] for start in range(0, len(code), 4))
        print(
            f"\n  Podium is ready:  http://{self.ip}:{self.port}/\n"
            f"  Should the page ask for a code, it is  {grouped}\n"
            f"  State and logs are in {state.directory}. Ctrl-C stops everything.\n",
            flush=True,
        )


class Reach:
    """Asks whether a notebook answers at its public address.

    Args:
        session: for the request.
        address: of the proxy, as people reach it.
    """

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address

    async def __call__(self, context: Context) -> bool:
        """Whether the workspace's notebook answers there."""
        url = f"{self._address}{notebook.base(context.name)}api"
        headers = notebook.headers(context.keys)
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with self._session.get(
                url, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


def make_backend(state: State, ports: Ports) -> LocalBackend:
    """The local backend, with the programs of this machine. Raises ConfigurationError when one is missing."""
    python = tools.workspace_python()
    if not python.exists():
        raise ConfigurationError("The packages of the workspaces are not installed.", "Use `make run`.")
    java = tools.java()
    env = {"PYTHONPATH": str(WORKSPACE_CODE), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    path = [python.parent]
    if java.path is not None:
        path.append(java.path.parent)
        env["JAVA_HOME"] = str(java.path.parent.parent)
    unavailable = {} if java.path is not None else {"spark": f"Spark cannot run here. {java.reason}"}
    return LocalBackend(state.directory, state.hub, path, env, unavailable, ports)


def own_port(port: int) -> bool:
    """Whether the programs that listen on a port of this machine are all of this account."""
    table = peers.sockets()
    return table is None or peers.listeners(table, port) == {os.getuid()}


def check_names(config: Config) -> None:
    """Refuse settings that do not exist, which traitlets would pass over. Raises ConfigurationError."""
    for section, settings in config.items():
        if section != "Podium":
            raise ConfigurationError(f"{section}: there is no such section.", "Settings begin with c.Podium.")
        for name in settings:
            if name not in Podium.class_trait_names(config=True):
                known = ", ".join(sorted(set(Podium.class_own_traits(config=True))))
                raise ConfigurationError(f"Podium.{name}: there is no such setting.", f"There are: {known}.")


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False


def _stop(stop: asyncio.Event) -> None:
    if stop.is_set():
        print("Still ending processes; a moment …", flush=True)
    stop.set()


def main(argv: list[str]) -> int:
    """Serve. Returns the exit code: 0 after a stop, 1 when it could not start."""
    app: Any = Podium.instance()
    try:
        profiles = app.configure(argv)
        asyncio.run(app.serve(profiles))
    except (ConfigurationError, tools.ToolError) as error:
        hint = getattr(error, "hint", "")
        print(f"podium: {error}" + (f"\n{hint}" if hint else ""), flush=True)
        return 1
    return 0
