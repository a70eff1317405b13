"""A whole site as real processes: a control plane, the programs of fake pods, the proxy, web, the controller.

Nothing here may measure anything but what a process has used.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import psutil

from bench.spread import spread
from hub import tools
from hub.configuration import PASSWORD_VARIABLE
from hub.kube.api import Api
from hub.ports import HOST, Ports
from hub.state import State
from hub.store import crd
from hub.web.auth import derive
from proxy.process import ERRORS
from tests.cluster import binaries
from tests.cluster.access import ClusterError, until
from tests.cluster.control_plane import COMPONENTS, ControlPlane
from tests.cluster.program import Program

RELEASE = "podium"
PARTS = ("web", "web_metrics", "controller_metrics")
"""Who listens somewhere besides the proxy."""
PODS_OF_A_NODE = 1000
CONFIG = """
c = get_config()
c.Podium.proxy_api = "http://127.0.0.1:{proxy_api}"
c.Podium.proxy_address = "http://127.0.0.1:{public}"
c.Podium.web_address = "http://127.0.0.1:{web}"
c.Podium.web_port = {web}
c.Podium.profiles = {{"class": {profile}}}
{more}
"""
NOTHING: Mapping[str, object] = {}
PROFILE = {"title": "Class", "frameworks": ["dask"], "clusters": {"dask": {"workers": 2}}, "max_workers": 100}
"""A notebook, a scheduler and two workers: four pods."""


class Site:
    """A cluster, and of Podium as much as was started. To be used in an `async with` statement.

    Args:
        folder: an empty folder of its own.
        pods: how many there has to be room for.
        settings: of Podium, beside those that the site needs.
        webs: how many web processes there are; more than one are reached as by a Service.
    """

    api: Api

    def __init__(
        self, folder: Path, pods: int, settings: Mapping[str, object] = NOTHING, webs: int = 1
    ) -> None:
        self.folder = folder
        self.webs = ["web", *(f"web{number}" for number in range(2, webs + 1))]
        self._settings = settings
        self._service: asyncio.Server | None = None
        self.cluster = ControlPlane(folder / "cluster", binaries.find(COMPONENTS))
        self.programs: dict[str, Program] = {}
        self._nodes = pods // PODS_OF_A_NODE + 2
        self._ports = Ports()
        self._port = {name: self._ports.take() for name in ("public", "proxy_api", "service", *PARTS)}
        self._port |= {name: self._ports.take() for web in self.webs[1:] for name in (web, f"{web}_metrics")}
        self._state = State(folder / "state")

    async def __aenter__(self) -> Site:
        try:
            self.cluster.start()
            self.cluster.add_nodes(self._nodes, cpu="10k", memory="100Ti", pods=PODS_OF_A_NODE)
            self.cluster.kubectl("create", "namespace", RELEASE)
            self.cluster.kubectl("apply", "--server-side", "-f", str(crd.FILE))
            until("Workspaces can be made", self._established)
            self.api = await Api.connect(self.cluster.kubeconfig)
            self._run("pods", {}, "tests.cluster.fake_pods", f"--kubeconfig={self.cluster.kubeconfig}")
            await self._said("pods", "Answering.")
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        await self.api.close()

    def _end(self) -> None:
        if self._service is not None:
            self._service.close()
        for program in reversed(list(self.programs.values())):
            program.stop()
        self.cluster.stop()
        self._ports.close()

    def _established(self) -> bool:
        status = self.cluster.get("crd", "workspaces.podium.hub").get("status", {})
        conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
        return conditions.get("Established") == "True"

    @property
    def url(self) -> str:
        """The address that people open."""
        return f"http://{HOST}:{self._port['public']}"

    @property
    def proxy_api(self) -> str:
        """The address of the proxy's REST API."""
        return f"http://{HOST}:{self._port['proxy_api']}"

    @property
    def proxy_token(self) -> str:
        """What that asks for."""
        return derive(self._state.key(), "proxy")

    @property
    def token(self) -> str:
        """The operator's, for the REST API."""
        return self._state.token()

    async def start(self) -> None:
        """Start Podium and wait until it serves and acts."""
        self._state.open(alone=False)
        self.cluster.kubectl("apply", "-f", str(tools.CHECKOUT / "helm" / "files" / "rights"))
        settings = {"sign_in": "guest", **self._settings}
        more = "\n".join(f"c.Podium.{name} = {value!r}" for name, value in settings.items())
        ports = self._port if len(self.webs) == 1 else self._port | {"web": self._port["service"]}
        (self.folder / "podium_config.py").write_text(CONFIG.format(profile=PROFILE, more=more, **ports))
        if len(self.webs) > 1:
            self._service = await spread(self._port["service"], [self._port[web] for web in self.webs])
        self.start_proxy()
        for web in self.webs:
            self.start_part(web)
        self.start_controller()
        for web in self.webs:
            await self._said(web, "listens")
        await self.acting()

    def start_proxy(self) -> None:
        """Start a proxy, which has no routes."""
        command = [
            *("env", f"CONFIGPROXY_AUTH_TOKEN={self.proxy_token}", *tools.configurable_http_proxy()),
            *("--ip", HOST, "--port", str(self._port["public"])),
            *("--api-ip", HOST, "--api-port", str(self._port["proxy_api"])),
            *("--error-path", str(ERRORS), "--log-level", "warn"),
        ]
        self.programs["proxy"] = Program(command, self.folder / "proxy.log")

    def start_controller(self) -> None:
        """Start a controller."""
        self.start_part("controller")

    async def acting(self) -> None:
        """Wait until the controller that was started last acts."""
        await self._said("controller", "this controller acts")

    def start_part(self, part: str) -> None:
        """Start `podium web` or `podium controller` with the rights it is given, and a clock on its loop.

        Args:
            part: `controller`, or one of `webs`.
        """
        command = part.rstrip("0123456789")
        account = f"{RELEASE}/{RELEASE}-{command}"
        kubeconfig = self.cluster.kubeconfig_of(account, self.folder / f"{part}.kubeconfig")
        options = [
            *("--backend=kubernetes", f"--port={self._port['public']}", f"--namespace={RELEASE}"),
            f"--Podium.metrics_port={self._port[f'{part}_metrics']}",
            f"--Podium.web_port={self._port.get(part, self._port['web'])}",
            *(f"--state={self._state.directory}", f"--config={self.folder / 'podium_config.py'}"),
        ]
        (self.folder / f"{part}.log").unlink(missing_ok=True)
        self._run(
            part, {"KUBECONFIG": str(kubeconfig)}, "bench.clock", str(self.clock(part)), command, *options
        )

    def clock(self, part: str) -> Path:
        """The file that a part's loop writes to."""
        return self.folder / f"{part}.clock"

    async def _said(self, name: str, what: str) -> None:
        log = self.folder / f"{name}.log"
        await self.until(f"{name} says {what}", lambda: what in log.read_text(), name)

    async def until(
        self, what: str, true: Callable[[], bool], name: str = "", patience: float = 60.0
    ) -> None:
        """Look until something is true; raises ClusterError when the program it depends on ends before."""
        end = time.monotonic() + patience
        while not true():
            if (name and not self.programs[name].running) or time.monotonic() > end:
                words = self.programs[name].last_words(30) if name else ""
                raise ClusterError(f"never: {what}\n{words}")
            await asyncio.sleep(0.02)

    def _run(self, name: str, env: Mapping[str, str], module: str, *arguments: str) -> None:
        # Compiled once, as where it is installed, and not at each start.
        own = {
            "PYTHONPATH": os.pathsep.join(str(tools.CHECKOUT / path) for path in (".", "images/workspace")),
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONUNBUFFERED": "1",
            PASSWORD_VARIABLE: "password-of-the-instructors",
        }
        variables = [f"{key}={value}" for key, value in (own | dict(env)).items()]
        command = ["env", *variables, sys.executable, "-m", module, *arguments]
        self.programs[name] = Program(command, self.folder / f"{name}.log")

    def seconds(self) -> dict[str, float]:
        """Seconds of processor time that every program has used, and this one as `people`.

        `everything` is what the machine has, and `idle` what of that nobody used.
        """
        pids = {name: program.pid for name, program in self.programs.items()} | self.cluster.pids
        used = {
            name: psutil.Process(pid).cpu_times() for name, pid in (pids | {"people": os.getpid()}).items()
        }
        whole = psutil.cpu_times()
        idle = {"idle": whole.idle + whole.iowait, "everything": sum(whole[:8])}
        return {name: times.user + times.system for name, times in used.items()} | idle
