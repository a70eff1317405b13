"""IPyParallel: a controller and engines that speak CURVE, with a simple view of the engines as its pages.

Both connection files are made here, ahead of every process, so that the notebook finds the cluster whether or
not it runs yet, and goes on when it is restarted. The controller runs inside
`podium_workspace.ipyparallel_scheduler`, which serves the engine view and the two routes that `state_request`
and `drain_requests` ask. Nothing here may do I/O.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from hub.clusters.base import Context, Dashboard, Framework, NotebookPart
from hub.workload import Probe, Workload

CLIENT_PORTS = ("control", "mux", "task", "iopub", "notification", "broadcast")
ENGINE_PORTS = ("control", "mux", "task", "iopub", "hb_ping", "hb_pong", "broadcast")
FIRST_PORT = 10101
CLIENT_FILE = "home/.ipython/profile_default/security/ipcontroller-client.json"
"""Where a bare `ipp.Client()` looks, once it is in the home folder."""


class IPyParallel(Framework):
    """IPyParallel as Podium sees it; the one instance is `IPYPARALLEL`."""

    def scheduler(self, context: Context) -> Workload:
        """The controller, ready once its hub answers."""
        curve = context.keys.curve("ipyparallel")
        return Workload(
            name="ipyparallel-scheduler",
            role="scheduler",
            cluster="ipyparallel",
            command=(
                *("python", "-m", "podium_workspace.ipyparallel_scheduler"),
                *("--host", "@{host}", "--port", "@{ipyparallel-scheduler.dashboard}"),
                *("--files", "@{files}/ipyparallel"),
            ),
            files={
                "ipyparallel/client.json": client_file(context),
                "ipyparallel/engine.json": engine_file(context),
                "ipyparallel/curve-public": curve.public,
                "ipyparallel/curve-secret": curve.secret,
            }
            | token_file(context),
            ports=ports(),
            resources=context.settings.resources.scheduler,
            probe=Probe("dashboard", "/health"),
        )

    def worker(self, context: Context, replicas: int) -> Workload:
        """The engines, one process of the user's code each."""
        return Workload(
            name="ipyparallel-worker",
            role="worker",
            cluster="ipyparallel",
            command=(
                *("python", "-m", "podium_workspace.ipyparallel_worker"),
                *("--instance", "@{instance}", "--host", "@{host}"),
                *("--file", "@{files}/ipyparallel/engine.json"),
            ),
            files={"ipyparallel/engine.json": engine_file(context)} | token_file(context),
            resources=context.settings.resources.worker,
            replicas=replicas,
            leave=self.leave(context),
        )

    def notebook(self, context: Context) -> NotebookPart:
        """`ipp.Client()` finds the client's connection file."""
        return NotebookPart(files={CLIENT_FILE: client_file(context)})


def ports() -> dict[str, int]:
    """The controller's ports by name: those of the connection files, and the engine view's."""
    names = ["registration"]
    names += [f"client-{name}" for name in CLIENT_PORTS]
    names += [f"engine-{name.replace('_', '-')}" for name in ENGINE_PORTS]
    return {"dashboard": FIRST_PORT - 1} | {name: FIRST_PORT + place for place, name in enumerate(names)}


def token_file(context: Context) -> dict[str, str]:
    """What the view's port asks for, where controller and engines look for it."""
    return {"ipyparallel/token": context.keys.token("ipyparallel")}


def client_file(context: Context) -> str:
    """The connection file of clients."""
    numbers: dict[str, object] = {name: port(f"client-{name}") for name in CLIENT_PORTS}
    return connection_file(context, numbers | {"task_scheme": "leastload"})


def engine_file(context: Context) -> str:
    """The connection file of engines. There is one port for broadcasts, as for a scheduler of depth 0."""
    numbers: dict[str, object] = {name: port(f"engine-{name.replace('_', '-')}") for name in ENGINE_PORTS}
    return connection_file(context, numbers | {"broadcast": [numbers["broadcast"]]})


def connection_file(context: Context, ports: Mapping[str, object]) -> str:
    """What client and engine files have in common, and the ports of one of them.

    Messages are not signed, for CURVE does that already; who has no connection file has no server key, and
    without it there is no connection at all. Source: `ipyparallel/controller/app.py`, `init_hub`.
    """
    host = "@{ipyparallel-scheduler.host}"
    content = {
        "ssh": "",
        "interface": f"tcp://{host}",
        "location": host,
        "registration": port("registration"),
        "key": "",
        "curve_serverkey": context.keys.curve("ipyparallel").public,
        "pack": "json",
        "unpack": "json",
        "signature_scheme": "hmac-sha256",
    }
    text = json.dumps(content | dict(ports), indent=2)
    # A reference to a port stands for a number, so it loses its quotes.
    return re.sub(r'"(@\{ipyparallel-scheduler\.(?!host\})[a-z-]+\})"', r"\1", text)


def port(name: str) -> str:
    """A reference to one of the controller's ports."""
    return f"@{{ipyparallel-scheduler.{name}}}"


IPYPARALLEL = IPyParallel(
    name="ipyparallel",
    title="IPyParallel",
    dashboard=Dashboard("ipyparallel-scheduler", "dashboard", "", strip=True),
    drains_busy=False,
)
