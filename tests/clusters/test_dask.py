"""What Dask's description says, without running any of it; `tests/workspace/test_dask.py` runs it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from hub.clusters.base import ClusterState, Context, NotebookPart, Request, WorkerState
from hub.clusters.dask import DASK
from hub.keys import Keys
from hub.settings import Resources, RoleResources, Settings
from hub.workload import Workload, render


def context(name: str = "cluster-abc123", **worker: object) -> Context:
    """A workspace."""
    resources = RoleResources(worker=Resources(**worker))  # type: ignore[arg-type]
    return Context(
        name=name,
        settings=Settings(resources=resources),
        keys=Keys(b"k" * 32, f"{name}/1"),
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )


def rendered(workload: Workload) -> Workload:
    """The workload with every reference in angle brackets."""
    return render(workload, lambda reference: f"<{reference}>")


def option(workload: Workload, name: str) -> str:
    """What an option of the command says."""
    return workload.command[workload.command.index(name) + 1]


def test_the_scheduler_listens_where_it_is_told_and_serves_below_the_route() -> None:
    scheduler = rendered(DASK.scheduler(context()))
    assert (scheduler.name, scheduler.role, scheduler.cluster) == ("dask-scheduler", "scheduler", "dask")
    assert option(scheduler, "--host") == "<host>"
    assert option(scheduler, "--port") == "<dask-scheduler.comm>"
    assert option(scheduler, "--dashboard-port") == "<dask-scheduler.dashboard>"
    assert option(scheduler, "--prefix") == "/cluster-abc123_dask"
    assert scheduler.ports == {"comm": 8786, "dashboard": 8787}
    assert scheduler.probe is not None
    assert scheduler.ports[scheduler.probe.port] == 8787


def test_a_worker_is_named_after_its_instance_and_keeps_to_its_resources() -> None:
    worker = rendered(DASK.worker(context(cpu=2.9, memory="3Gi"), 5))
    assert (worker.name, worker.role, worker.replicas) == ("dask-worker", "worker", 5)
    assert "tls://<dask-scheduler.host>:<dask-scheduler.comm>" in worker.command
    assert "--no-nanny" in worker.command
    assert option(worker, "--name") == "<instance>"
    assert option(worker, "--nthreads") == "2"
    assert option(worker, "--memory-limit") == "3072MiB"
    assert option(worker, "--dashboard-address") == "<host>:0"


def test_a_worker_with_less_than_a_core_still_has_a_thread() -> None:
    assert option(DASK.worker(context(cpu=0.5), 1), "--nthreads") == "1"


@pytest.mark.parametrize("side", ["SCHEDULER", "WORKER", "CLIENT"])
def test_both_ends_speak_tls_and_nothing_else(side: str) -> None:
    here = context()
    parts: dict[str, Workload | NotebookPart] = {
        "SCHEDULER": DASK.scheduler(here),
        "WORKER": DASK.worker(here, 1),
        "CLIENT": DASK.notebook(here),
    }
    part, tls = parts[side], here.keys.tls("dask", here.created)
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    assert part.env["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"
    for name, content in (
        (f"{prefix}CA_FILE", tls.authority),
        (f"{prefix}{side}__CERT", tls.certificate),
        (f"{prefix}{side}__KEY", tls.key),
    ):
        assert part.files[part.env[name].removeprefix("@{files}/")] == content


def test_no_secret_is_an_argument_or_in_the_environment() -> None:
    here = context()
    secrets = (here.keys.token("dask"), here.keys.tls("dask", here.created).key)
    for workload in (DASK.scheduler(here), DASK.worker(here, 1)):
        shown = "\n".join([*workload.command, *workload.leave, *workload.env.values()])
        assert not any(secret in shown for secret in secrets)


def test_scheduler_and_workers_have_the_token_of_the_dashboard_and_the_notebook_has_not() -> None:
    here = context()
    token = here.keys.token("dask")
    scheduler = DASK.scheduler(here)
    path = scheduler.env["PODIUM_DASK_TOKEN_FILE"].removeprefix("@{files}/")
    assert scheduler.files[path] == token
    worker = DASK.worker(here, 1)
    assert worker.files[worker.leave[worker.leave.index("--token") + 1].removeprefix("@{files}/")] == token
    assert token not in DASK.notebook(here).files.values()
    assert DASK.headers(here.keys) == {"Authorization": f"Bearer {token}"}


def test_the_notebook_finds_scheduler_and_dashboard_by_itself() -> None:
    part = DASK.notebook(context())
    assert part.env["DASK_SCHEDULER_ADDRESS"] == "tls://@{dask-scheduler.host}:@{dask-scheduler.comm}"
    assert part.env["DASK_DISTRIBUTED__DASHBOARD__LINK"] == "/cluster-abc123_dask/status"
    settings = json.loads(part.files["lab/overrides.d/dask.json"])["dask-labextension:plugin"]
    assert settings == {
        "defaultURL": "/cluster-abc123_dask",
        "browserDashboardCheck": True,
        "hideClusterManager": True,
    }


def test_what_the_notebook_gets_depends_on_nothing_that_may_change_while_it_runs() -> None:
    here = context()
    before = DASK.notebook(here)
    DASK.worker(here, 7)
    assert DASK.notebook(here) == before


def test_the_dashboard_keeps_the_prefix_of_its_route() -> None:
    assert not DASK.dashboard.strip
    assert DASK.scheduler(context()).ports[DASK.dashboard.port] == 8787
    assert DASK.dashboard.workload == DASK.scheduler(context()).name


def test_the_state_is_asked_for_with_the_version_that_is_known() -> None:
    assert DASK.state_request(context(), "a1-7") == Request(
        "GET", "/cluster-abc123_dask/podium/state?since=a1-7"
    )


def test_the_state_is_read_as_the_scheduler_writes_it() -> None:
    workers = [
        {"instance": "dask-worker-1", "busy": True, "draining": False, "drained": False},
        {"instance": "dask-worker-2", "busy": False, "draining": True, "drained": True},
    ]
    body = json.dumps({"version": "a1-8", "busy": True, "workers": workers}).encode()
    assert DASK.read_state(body) == ClusterState(
        workers=(
            WorkerState("dask-worker-1", busy=True),
            WorkerState("dask-worker-2", draining=True, drained=True),
        ),
        busy=True,
        version="a1-8",
    )


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"version": "1", "busy": 1, "workers": []}', b"[]"]
)
def test_what_is_no_state_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - only the type is promised
        DASK.read_state(body)


def test_workers_are_drained_by_name_in_one_request() -> None:
    assert DASK.drain_requests(context(), ("dask-worker-2", "dask-worker-3")) == (
        Request(
            "POST", "/cluster-abc123_dask/podium/drain", json={"workers": ["dask-worker-2", "dask-worker-3"]}
        ),
    )
    assert DASK.drain_requests(context(), ()) == ()
    assert DASK.drains_busy
