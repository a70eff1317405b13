"""The program: its settings, and its life from the command line to the exit code.

Nothing here may know how a hub is put together; that is `wiring.py`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from traitlets import Dict, Enum, Int, Unicode, default
from traitlets.config import Application, Config

from hub import logs, tools
from hub.configuration import (
    OIDC_VARIABLE,
    PASSWORD_VARIABLE,
    TOKEN_VARIABLE,
    Secrets,
    is_loopback,
    read_file,
    read_registries,
    secrets_given,
    sign_in_secrets,
)
from hub.errors import BadInput, ConfigurationError
from hub.ground.base import Ground
from hub.metrics import Figures, KubernetesMetrics
from hub.parts import run_archive, run_controller, run_uninstall, run_web
from hub.ports import HOST, Ports
from hub.profiles import Profile, read_profiles
from hub.rules import Rules, read_rules
from hub.settings import Quantity, mebibytes
from hub.state import State, default_directory
from hub.web.address import PublicAddress
from hub.web.auth import derive
from hub.web.oidc import OidcSettings, read_oidc
from hub.wire import convert
from hub.wiring import Addresses, Hub, Setup

PARTS = {"web": run_web, "controller": run_controller, "uninstall": run_uninstall}
NAMES = (*PARTS, "archive")
"""What runs apart from the rest, on Kubernetes."""
CHECKOUT = Path(__file__).resolve().parent.parent


class Podium(Application):
    """A notebook with Dask, IPyParallel and Spark clusters, behind a proxy, at one click.

    Without a command, podium serves on this machine until Ctrl-C. `podium web` and `podium controller` are
    its parts, for Kubernetes, where each may run several times; `podium archive` keeps the home folders of
    workspaces that ended; `podium uninstall` ends every workspace of a release and waits until all are gone.
    """

    name = "podium"
    description = __doc__ or ""

    port = Int(8000, min=1, max=65535, help="Port of the address to open in a browser.").tag(config=True)
    ip = Unicode(
        HOST,
        help="Address to listen on. Where sign_in is local it has to be a loopback address: that is for one "
        "person.",
    ).tag(config=True)
    public_url = Unicode(
        "",
        help="For `podium web`: what people open, such as https://podium.example.org. No other name is "
        "answered to, and with https cookies are sent over nothing else. Empty: any name will do.",
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
    registries = Unicode(
        "",
        help="For the controller on Kubernetes: a file with a Docker configuration, as `docker login` writes "
        "it, by which the images of all workspaces are pulled.",
    ).tag(config=True)
    sign_in = Enum(
        ("local", "guest", "class", "oidc"),
        "local",
        help="Who is who. local: the one person of this machine. guest: every browser is somebody of its "
        "own, for open demonstrations. class: whoever has the join code, by the name that they say; and "
        f"instructors by the password in {PASSWORD_VARIABLE}, or one that podium makes. oidc: whoever "
        "signs in at an OpenID Connect provider.",
    ).tag(config=True)
    oidc = Dict(
        help="Where people sign in, with sign_in = oidc: issuer and client_id; the client's secret is taken "
        f"from {OIDC_VARIABLE}. instructors and operators, lists of groups; groups_claim and name_claim, "
        "what the provider calls groups and names; scopes, what it is asked for."
    ).tag(config=True)
    proxy_api = Unicode(
        "http://127.0.0.1:8001", help="For `podium controller`: the address of the only proxy's REST API."
    ).tag(config=True)
    proxy_service = Unicode(
        "",
        help="For `podium controller`, in place of proxy_api: the headless Service whose endpoints are the "
        "REST APIs of all proxies, at its port `api`.",
    ).tag(config=True)
    proxy_address = Unicode(
        "http://127.0.0.1:8000",
        help="For `podium controller`: what people reach the proxies at, to see that a notebook answers.",
    ).tag(config=True)
    web_address = Unicode(
        "http://127.0.0.1:8081", help="For `podium controller`: where the proxy finds the web tier."
    ).tag(config=True)
    archive_address = Unicode(
        "",
        help="For `podium web` and `podium controller`: where the archive part is, which keeps the home "
        "folders of workspaces that ended. Empty: they are not kept.",
    ).tag(config=True)
    archive_directory = Unicode(
        "/archives", help="For `podium archive`: the folder in which it keeps them."
    ).tag(config=True)
    archive_limit = Unicode(
        "1Gi", help="For `podium archive`: how much of one home folder is kept; what is small goes first."
    ).tag(config=True)
    web_port = Int(
        8081, min=1, max=65535, help="For `podium web` and `podium archive`: where it listens."
    ).tag(config=True)
    metrics_port = Int(
        8082, min=1, max=65535, help="For parts: where they answer /healthz, /readyz and /metrics to anybody."
    ).tag(config=True)
    log_lines = Enum(("console", "json"), "console", help="Lines for people, or one JSON object a line.").tag(
        config=True
    )
    config_file = Unicode(
        "podium_config.py",
        help="Configuration file, of Python or of YAML; without one, that of the checkout is read.",
    ).tag(config=True)
    profiles = Dict(
        help="The menu: name to its settings. title and description; image (on Kubernetes); frameworks that "
        "may run, of dask, ipyparallel and spark; clusters that start at launch, such as "
        "{'dask': {'workers': 4}}; workers for clusters that name no number; max_workers of each cluster; "
        "resources for the roles notebook, scheduler and worker, such as "
        "{'worker': {'cpu': 1, 'memory': '1Gi', 'gpu': 0, 'requests': {'cpu': 0.2}}}, of which gpu and "
        "requests are for Kubernetes; content, git repositories such as "
        "[{'git': 'https://…', 'ref': 'main', 'path': 'tutorial'}]; wall_time, idle_time and launch_timeout "
        "in seconds, and archive_time, for which a home folder can be downloaded after the end; extendable, "
        "False where nobody but instructors may put the end off; kubernetes, of: image_pull_policy; "
        "image_pull_secrets, names of Secrets that something else puts into each namespace; "
        "node_selector; tolerations; priority_class; service_account, a name and annotations; "
        "gpu_resource, such as amd.com/gpu; home, a claim for the notebook's home folder such as "
        "{'size': '10Gi', 'storage_class': 'fast'}, which goes with the workspace; shared, volumes "
        "that all pods read, such as [{'name': 'data', 'path': '/data', 'csi': {'driver': 'nfs.csi.k8s.io', "
        "'attributes': {…}}}] or with a claim of a storage class; quota, hard limits of the namespace in "
        "place of those that follow from the rest; network, such as {'internet': False, 'allow': "
        "['10.1.2.3/32'], 'deny': []}; pod_patch, role to a patch of its pods, with named list items merged "
        "by name, such as {'worker': {'spec': {'containers': [{'name': 'main', 'tty': True}]}}}."
    ).tag(config=True)
    capacity = Dict(
        help="How much may be in use at once: workspaces, cpu in cores, memory such as '64Gi', or several of "
        "them. Beyond it people wait in line."
    ).tag(config=True)
    launches_at_once = Int(32, min=1, max=1000, help="How many workspaces may be starting together.").tag(
        config=True
    )
    pool = Dict(
        help="Workspaces that are started ahead of time: profile to size, and schedule, such as {'workshop': "
        "{'size': 0, 'timezone': 'Europe/Berlin', 'schedule': [{'start': '08:45', 'end': '09:30', 'size': "
        "100, 'days': ['mon']}]}}."
    ).tag(config=True)
    prices = Dict(
        help="What an hour costs, for estimates and reports: currency, cpu_hour, memory_gib_hour, gpu_hour."
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
            self.part = self.extra_args.pop(0) if self.extra_args[:1] in [[part] for part in NAMES] else ""
            if self.extra_args:
                raise ConfigurationError(f"There is no command {self.extra_args[0]!r}.", "See: podium --help")
            path = Path(self.config_file)
            if path == Path("podium_config.py") and not path.exists():
                path = CHECKOUT / path
            self.update_config(read_file(path))
            self.update_config(self.cli_config)
        except ConfigurationError:
            raise
        except Exception as error:
            # Whatever is wrong with a value, its author wants to hear in one line.
            raise ConfigurationError(f"The configuration cannot be used: {error}") from error
        check_names(self.config)
        if self.sign_in == "local" and not is_loopback(self.ip):
            raise ConfigurationError(
                f"Podium.ip: {self.ip} is not an address of the loopback network, 127.0.0.0/8.",
                "With sign_in = local podium serves one person, from the machine it is on.",
            )
        if self.part and self.backend != "kubernetes":
            raise ConfigurationError(
                f"podium {self.part}: parts run apart on Kubernetes only.", "Use --backend=kubernetes."
            )
        PublicAddress(self.public_url)  # which says what is wrong with it
        profiles = read_profiles(self.profiles)
        self.rules(profiles)  # which says what is wrong with it
        self.provider()
        self.archive()
        return profiles

    async def serve(self, profiles: Mapping[str, Profile]) -> None:
        """Serve until SIGINT, SIGTERM or a lost terminal, then end every process that was started."""
        level: Any = self.log_level
        logs.start(level, self.log_lines)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
            loop.add_signal_handler(signal.SIGHUP, _stop, stop)
        state, ports = State(Path(self.state) if self.state else default_directory(self.port)), Ports()
        secrets, figures = self._secrets(state), Figures()
        if self.part == "archive":  # which needs no cluster
            await run_archive(self.archive(), secrets, self._addresses(), figures, stop)
            return
        ground = await self._ground(state, ports, profiles, figures)
        rules = self.rules(profiles)
        mode: Any = self.sign_in
        provider, here = self.provider(), self._addresses()
        setup = Setup(secrets, ground, profiles, here, mode, provider, rules, self.image, figures)
        if self.part:
            await PARTS[self.part](setup, stop)
        else:
            await Hub(setup, state, ports).run(stop)

    def rules(self, profiles: Mapping[str, Profile]) -> Rules:
        """What is configured for the class as a whole. Raises ConfigurationError."""
        names = ("capacity", "launches_at_once", "pool", "prices")
        return read_rules({name: getattr(self, name) for name in names}, profiles)

    def archive(self) -> tuple[Path, int]:
        """Where the archive part keeps what, and bytes of each home. Raises ConfigurationError."""
        try:
            limit = convert(self.archive_limit, Quantity, "Podium.archive_limit")
        except BadInput as error:
            raise ConfigurationError(error.message, "Write it such as 500Mi or 1Gi.") from None
        return Path(self.archive_directory), mebibytes(limit) * 2**20

    def provider(self) -> OidcSettings | None:
        """Where people sign in, if that is elsewhere. Raises ConfigurationError."""
        if self.sign_in != "oidc":
            return None
        if not self.public_url and not is_loopback(self.ip):
            raise ConfigurationError(
                "Podium.public_url: with sign_in = oidc it has to be set.",
                "The provider leads people back there, such as to https://podium.example.org.",
            )
        return read_oidc(self.oidc)

    def _secrets(self, state: State) -> Secrets:
        """Those that were given, for parts; else those of the state directory, which is opened for it."""
        given = secrets_given() if self.part else None
        if given is None:
            state.open(alone=not self.part)
            key = state.key()
            return Secrets(key, state.token(), derive(key, "proxy"), **sign_in_secrets())
        if self.part == "web" and self.sign_in == "class" and not given.instructor:
            raise ConfigurationError(
                f"{PASSWORD_VARIABLE} is not set.", "The instructors' password goes there."
            )
        if self.part == "web" and not given.token:
            raise ConfigurationError(f"{TOKEN_VARIABLE} is not set.", "The API's bearer token goes there.")
        return given

    def _addresses(self) -> Addresses:
        return Addresses(
            ip=self.ip,
            port=self.port,
            public_url=self.public_url,
            web_port=self.web_port,
            metrics_port=self.metrics_port,
            web=self.web_address,
            proxy=self.proxy_address,
            proxy_api=self.proxy_api,
            proxy_service=self.proxy_service,
            archive=self.archive_address,
        )

    async def _ground(
        self, state: State, ports: Ports, profiles: Mapping[str, Profile], figures: Figures
    ) -> Ground:
        # The client of Kubernetes takes a second to import, which nobody waits for who stands elsewhere.
        if self.backend == "local":
            from hub.ground.local import LocalGround

            return LocalGround(state, ports)
        from hub.backends.kubernetes.names import Release
        from hub.ground.kubernetes import KubernetesGround
        from hub.kube.api import Api

        # The other parts, which read the same configuration, have neither need nor sight of it.
        wanted = self.registries and self.part in ("", "controller")
        registries = read_registries(self.registries) if wanted else ""
        release = Release(self.release, self.namespace, self.image, registries)
        api = await Api.connect()
        api.asked = KubernetesMetrics(figures).asked
        return KubernetesGround(api, release, profiles)


def check_names(config: Config) -> None:
    """Refuse settings that do not exist, which traitlets would pass over. Raises ConfigurationError."""
    for section, settings in config.items():
        if section != "Podium":
            raise ConfigurationError(f"{section}: there is no such section.", "Settings begin with c.Podium.")
        for name in settings:
            if name not in Podium.class_trait_names(config=True):
                known = ", ".join(sorted(set(Podium.class_own_traits(config=True))))
                raise ConfigurationError(f"Podium.{name}: there is no such setting.", f"There are: {known}.")


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
