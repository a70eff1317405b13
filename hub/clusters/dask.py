"""Dask: one scheduler and workers that speak TLS, with the scheduler's dashboard as user interface.

The scheduler runs inside `podium_workspace.dask_scheduler`, which guards the dashboard's port with a token
and adds the two routes that `state_request` and `drain_requests` ask. Nothing here may do I/O.
"""

from __future__ import annotations

import msgspec

from hub.clusters.base import Context, Dashboard, Framework, NotebookPart
from hub.workload import Probe, Workload

ADDRESS = "tls://@{dask-scheduler.host}:@{dask-scheduler.comm}"
WORKER_SETTINGS = {
    # What Dask's own nanny would set: the threads are Dask's, and freed memory goes back to the system.
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # There is no dashboard for what a worker would serve.
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
    # A profile sampled every 10 ms, as is usual, is two fifths of what an idle worker costs.
    "DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL": "100ms",
}


GRACE = 3
"""Seconds. A drained worker ends at once; one whose scheduler is gone would go on looking for it."""


class Dask(Framework):
    """Dask as Podium sees it; the one instance is `DASK`."""

    def scheduler(self, context: Context) -> Workload:
        """The scheduler, ready once it takes workers."""
        prefix = self.route(context)
        return Workload(
            name="dask-scheduler",
            role="scheduler",
            cluster="dask",
            command=(
                *("python", "-P", "-m", "podium_workspace.dask_scheduler"),
                *("--host", "@{host}", "--port", "@{dask-scheduler.comm}"),
                *("--dashboard-port", "@{dask-scheduler.dashboard}", "--prefix", prefix),
            ),
            env=tls_env("SCHEDULER") | {"PODIUM_DASK_TOKEN_FILE": "@{files}/dask/token"},
            files=tls_files(context) | token_file(context),
            ports={"comm": 8786, "dashboard": 8787},
            resources=context.settings.resources.scheduler,
            probe=Probe("dashboard", f"{prefix}/health"),
        )

    def worker(self, context: Context, replicas: int) -> Workload:
        """The workers; each has as many threads as it has whole cores, and at least one."""
        resources = context.settings.resources.worker
        return Workload(
            name="dask-worker",
            role="worker",
            cluster="dask",
            command=(
                *("python", "-P", "-m", "podium_workspace.dask_worker", ADDRESS, "--no-nanny"),
                *("--name", "@{instance}", "--host", "@{host}", "--protocol", "tls"),
                *("--nthreads", str(max(1, int(resources.cpu)))),
                *("--memory-limit", f"{resources.mebibytes}MiB"),
                *("--no-dashboard", "--dashboard-address", "@{host}:0"),
            ),
            env=tls_env("WORKER") | WORKER_SETTINGS,
            files=tls_files(context) | token_file(context),
            resources=resources,
            replicas=replicas,
            grace=GRACE,
            leave=self.leave(context),
        )

    def notebook(self, context: Context) -> NotebookPart:
        """`Client()` reaches the cluster, `dashboard_link` works in a browser, the lab extension knows it.

        The extension takes an address that begins with a slash for one below the notebook's; what is at
        `podium_workspace.notebook` sends the browser on from there. Its own cluster manager, which knows
        nothing of the workspace's cluster and starts another, is hidden.
        """
        lab = {"defaultURL": self.route(context), "browserDashboardCheck": True, "hideClusterManager": True}
        return NotebookPart(
            env=tls_env("CLIENT")
            | {
                "DASK_SCHEDULER_ADDRESS": ADDRESS,
                "DASK_DISTRIBUTED__DASHBOARD__LINK": f"{self.route(context)}/status",
            },
            files=tls_files(context)
            | {"lab/overrides.d/dask.json": msgspec.json.encode({"dask-labextension:plugin": lab}).decode()},
        )


def tls_files(context: Context) -> dict[str, str]:
    """The certificates of one end of a connection; both ends have the same."""
    tls = context.keys.tls("dask", context.created)
    return {
        "dask/authority.pem": tls.authority,
        "dask/certificate.pem": tls.certificate,
        "dask/key.pem": tls.key,
    }


def token_file(context: Context) -> dict[str, str]:
    """What the dashboard's port asks for, where scheduler and workers look for it."""
    return {"dask/token": context.keys.token("dask")}


def tls_env(side: str) -> dict[str, str]:
    """Dask's settings that lead to `tls_files`, and that forbid everything but TLS.

    Args:
        side: CLIENT, SCHEDULER or WORKER.
    """
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    return {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
        f"{tls}CA_FILE": "@{files}/dask/authority.pem",
        f"{tls}{side}__CERT": "@{files}/dask/certificate.pem",
        f"{tls}{side}__KEY": "@{files}/dask/key.pem",
    }


DASK = Dask(
    name="dask",
    title="Dask",
    dashboard=Dashboard("dask-scheduler", "dashboard", "status", strip=False),
    drains_busy=True,
)
