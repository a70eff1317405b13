"""The program on one machine: its settings, and its life from the command line to the exit code.

Nothing here may know how a hub is put together; that is `wiring.py`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from traitlets import Dict, Enum, Int, Unicode, default
from traitlets.config import Application, Config

from hub import tools
from hub.errors import ConfigurationError
from hub.ground.base import Ground
from hub.ports import HOST, Ports
from hub.profiles import Profile, read_profiles
from hub.state import State, default_directory
from hub.wiring import Hub, Setup, run_controller, run_web

CHECKOUT = Path(__file__).resolve().parent.parent


class Podium(Application):
    """A notebook with Dask, IPyParallel and Spark clusters, behind a proxy, at one click.

    Without a command, podium serves on this machine until Ctrl-C. `podium web` and `podium controller` are
    its parts, for Kubernetes, where each may run several times.
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
    backend = Enum(
        ("local", "kubernetes"),
        "local",
        help="What runs workspaces: processes of this machine, or pods of the cluster that KUBECONFIG names.",
    ).tag(config=True)
    namespace = Unicode(
        "podium", help="On Kubernetes: the namespace of the Workspace objects and of Podium itself."
    ).tag(config=True)
    release = Unicode(
        "podium",
        help="On Kubernetes: tells the objects of this hub from those of another in the same cluster.",
    ).tag(config=True)
    image = Unicode(
        "podium-workspace", help="On Kubernetes: what runs in workspaces whose profile names no image."
    ).tag(config=True)
    sign_in = Enum(
        ("local", "guest"),
        "local",
        help="Who is who: the one person of this machine; or, for open demonstrations, every browser is "
        "somebody of its own.",
    ).tag(config=True)
    proxy_api = Unicode(
        "http://127.0.0.1:8001", help="For `podium controller`: the address of the proxy's REST API."
    ).tag(config=True)
    web_address = Unicode(
        "http://127.0.0.1:8081", help="For `podium controller`: where the proxy finds the web tier."
    ).tag(config=True)
    web_port = Int(8081, min=1, max=65535, help="For `podium web`: where it listens.").tag(config=True)
    config_file = Unicode(
        "podium_config.py", help="Configuration file; without one, that of the checkout is read."
    ).tag(config=True)
    profiles = Dict(
        help="The menu: name to its settings. title and description; image (on Kubernetes); frameworks that "
        "may run, of dask, ipyparallel and spark; clusters that start at launch, such as "
        "{'dask': {'workers': 4}}; workers for clusters that name no number; max_workers of each cluster; "
        "resources for the roles notebook, scheduler and worker, such as "
        "{'worker': {'cpu': 1, 'memory': '1Gi', 'gpu': 0, 'requests': {'cpu': 0.2}}}, of which gpu and "
        "requests are for Kubernetes; content, git repositories such as "
        "[{'git': 'https://…', 'ref': 'main', 'path': 'tutorial'}]; wall_time, idle_time and launch_timeout "
        "in seconds; kubernetes, of: image_pull_policy; image_pull_secrets, names of Secrets that something "
        "else puts into each namespace; node_selector; tolerations; priority_class; service_account, a name "
        "and annotations; gpu_resource, such as amd.com/gpu; home, a claim for the notebook's home folder "
        "such as {'size': '10Gi', 'storage_class': 'fast'}, which goes with the workspace; shared, volumes "
        "that all pods read, such as [{'name': 'data', 'path': '/data', 'csi': {'driver': 'nfs.csi.k8s.io', "
        "'attributes': {…}}}] or with a claim of a storage class; quota, hard limits of the namespace in "
        "place of those that follow from the rest; network, such as {'internet': False, 'allow': "
        "['10.1.2.3/32'], 'deny': []}; pod_patch, role to a patch of its pods, with named list items merged "
        "by name, such as {'worker': {'spec': {'containers': [{'name': 'main', 'tty': True}]}}}."
    ).tag(config=True)
    raise_config_file_errors = True
    part = ""
    """What of it runs here: `web`, `controller`, or all, which is the empty word."""

    @default("log_level")
    def _default_log_level(self) -> int:
        return logging.INFO

    aliases = {
        "port": "Podium.port",
        "ip": "Podium.ip",
        "state": "Podium.state",
        "config": "Podium.config_file",
        "backend": "Podium.backend",
        "namespace": "Podium.namespace",
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
            self.part = self.extra_args.pop(0) if self.extra_args[:1] in (["web"], ["controller"]) else ""
            if self.extra_args:
                raise ConfigurationError(f"There is no command {self.extra_args[0]!r}.", "See: podium --help")
            path = Path(self.config_file)
            if path.suffix != ".py":
                raise ConfigurationError(f"The configuration file {path} must end in .py.")
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
        if self.part and self.backend != "kubernetes":
            raise ConfigurationError(
                f"podium {self.part}: parts run apart on Kubernetes only.", "Use --backend=kubernetes."
            )
        return read_profiles(self.profiles)

    async def serve(self, profiles: Mapping[str, Profile]) -> None:
        """Serve until SIGINT, SIGTERM or a lost terminal, then end every process that was started."""
        level: Any = self.log_level
        logging.basicConfig(level=level, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
        logging.getLogger("tornado.access").setLevel(logging.WARNING)
        state = State(Path(self.state) if self.state else default_directory(self.port))
        state.open(alone=not self.part)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
            loop.add_signal_handler(signal.SIGHUP, _stop, stop)
        key, token, ports = state.key(), state.token(), Ports()
        ground = await self._ground(state, ports, profiles)
        setup = Setup(state, key, token, ground, profiles, self.sign_in == "guest")
        if self.part == "web":
            await run_web(setup, self.ip, self.web_port, self.port, stop)
        elif self.part == "controller":
            public = f"http://{self.ip}:{self.port}"
            await run_controller(setup, self.proxy_api, self.web_address, public, stop)
        else:
            await Hub(setup, self.ip, self.port, ports).run(stop)

    async def _ground(self, state: State, ports: Ports, profiles: Mapping[str, Profile]) -> Ground:
        # The client of Kubernetes takes a second to import, which nobody waits for who stands elsewhere.
        if self.backend == "local":
            from hub.ground.local import LocalGround

            return LocalGround(state, ports)
        from hub.backends.kubernetes.names import Release
        from hub.ground.kubernetes import KubernetesGround
        from hub.kube.api import Api

        release = Release(self.release, self.namespace, self.image)
        return KubernetesGround(await Api.connect(), release, profiles)


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
    """Serve. Returns the exit code: 0 after a stop, 1 when it could not start, 2 for wrong settings."""
    app: Any = Podium.instance()
    wrong = 2
    try:
        profiles = app.configure(argv)
        wrong = 1
        asyncio.run(app.serve(profiles))
    except (ConfigurationError, tools.ToolError) as error:
        hint = getattr(error, "hint", "")
        print(f"podium: {error}" + (f"\n{hint}" if hint else ""), file=sys.stderr, flush=True)
        return wrong
    return 0
