"""Figures: what Prometheus reads after this and that happened, in one process and of one controller."""

from __future__ import annotations

import asyncio
import sys
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub import tools
from hub.metrics import ControllerMetrics, Figures, KubernetesMetrics, Room, WebMetrics
from hub.model import POOL, ClusterStatus, Status
from hub.wire import replace
from tests.builders import NAME, NOW, been, make_workspace
from tests.memory_store import MemoryStore
from tests.running import running_hub
from tests.simulation import in_simulation

INSTALLED = tools.workspace_python().exists() and (tools.CHECKOUT / "proxy" / "node_modules").exists()


def samples(page: str) -> dict[str, float]:
    """Every sample of a page, by what a query would call it."""
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def read(figures: Figures) -> dict[str, float]:
    """Every sample that a process tells now."""
    return samples((await figures.page()).decode())


def ours(told: dict[str, float]) -> dict[str, float]:
    """The samples that are not of the process, and no buckets."""
    return {
        name: value
        for name, value in told.items()
        if name.startswith("podium_") and "_bucket" not in name and "_created" not in name
    }


class TestTheApiServer:
    async def test_requests_are_counted_by_method_and_answer(self):
        figures = Figures()
        metrics = KubernetesMetrics(figures)
        metrics.asked("GET", "200", 0.02)
        metrics.asked("POST", "409", 0.5)
        metrics.asked("POST", "none", 30.0)
        read_ = await read(figures)
        assert read_['podium_kubernetes_requests_total{code="200",method="GET"}'] == 1
        assert read_['podium_kubernetes_requests_total{code="none",method="POST"}'] == 1
        assert read_['podium_kubernetes_request_duration_seconds_sum{method="POST"}'] == 30.5
        assert read_['podium_kubernetes_request_duration_seconds_bucket{le="0.025",method="GET"}'] == 1


class TestWeb:
    async def test_answers_are_counted(self):
        figures = Figures()
        metrics = WebMetrics(figures)
        metrics.answered("GET", 200, "HomeHandler", 0.004)
        metrics.answered("GET", 200, "EventsHandler", None)
        metrics.clicked("claimed")
        assert ours(await read(figures)) == {
            'podium_clicks_total{answer="claimed"}': 1,
            'podium_clicks_total{answer="launched"}': 0,
            'podium_clicks_total{answer="found"}': 0,
            'podium_http_requests_total{method="GET",status="200"}': 2,
            'podium_http_request_duration_seconds_count{handler="HomeHandler"}': 1,
            'podium_http_request_duration_seconds_sum{handler="HomeHandler"}': 0.004,
        }

    async def test_nobody_makes_up_a_label(self):
        figures = Figures()
        metrics = WebMetrics(figures)
        for method in ("MAKE", "UP", "x" * 1000):
            metrics.answered(method, 405, "HomeHandler", 0.1)
        assert (await read(figures))['podium_http_requests_total{method="other",status="405"}'] == 3


class Routes:
    """What a keeper of routes tells."""

    wanted = {"/": "web", "/a": "x"}
    present = {"http://10.0.0.7:8001": 2, "http://10.0.0.8:8001": 0}


class TestWhatThereIs:
    @pytest.fixture
    def figures(self):
        """Of a controller that looks after one workspace that is Ready and one that waits."""
        clusters = {"dask": ClusterStatus(workers=4, ready=3), "spark": ClusterStatus(workers=1)}
        ready = make_workspace(status=Status(phase="Ready", clusters=clusters))
        queued = make_workspace(name="cluster-def456", status=been("Queued"))
        pool = [
            make_workspace(name=f"cluster-pool0{number}", owner="", status=been(phase))
            for number, phase in enumerate(("Ready", "Starting", "Queued"))
        ]
        pool = [replace(w, metadata=replace(w.metadata, labels={POOL: "mark"})) for w in pool]
        store = MemoryStore(lambda: NOW, {each.name: each for each in (ready, queued, *pool)})
        figures = Figures()
        self.metrics = ControllerMetrics(figures)
        Room(figures, self.metrics, store, ["one name"], Routes())
        return figures

    async def test_is_told_by_the_one_that_acts(self, figures):
        with self.metrics.act():
            read_ = ours(await read(figures))
        assert read_["podium_leader"] == 1
        phases = {"Queued": 2, "Starting": 1, "Ready": 2, "Stopping": 0, "Failed": 0}
        for phase, number in phases.items():
            assert read_[f'podium_workspaces{{phase="{phase}"}}'] == number
        workers = {"dask": (4, 3), "ipyparallel": (0, 0), "spark": (1, 0)}
        for name, (desired, ready) in workers.items():
            assert read_[f'podium_workers_desired{{framework="{name}"}}'] == desired
            assert read_[f'podium_workers_ready{{framework="{name}"}}'] == ready
        assert read_["podium_queue_length"] == 1
        assert read_['podium_pool_members{state="ready"}'] == 1
        assert read_['podium_pool_members{state="starting"}'] == 2
        assert read_["podium_workqueue_depth"] == 1
        assert read_["podium_routes_desired"] == 2
        assert read_['podium_routes_present{proxy="10.0.0.7:8001"}'] == 2
        assert read_['podium_routes_present{proxy="10.0.0.8:8001"}'] == 0

    async def test_is_not_told_by_one_that_waits_so_that_sums_are_true(self, figures):
        for _ in range(2):
            read_ = ours(await read(figures))
            assert read_["podium_leader"] == 0
            assert not [
                name for name in read_ if name.startswith(("podium_work", "podium_rout", "podium_queue"))
            ]
            with self.metrics.act():
                await read(figures)


# What a controller does, in dialogues on a virtual clock.


@in_simulation()
async def test_a_launch_is_counted_once(s):
    await s.launch(dask=None)
    await s.settle()
    s.kill("notebook")
    await s.until("it is noticed", lambda: s.get().status.phase == "Starting")
    await s.settle()
    read_ = await read(s.figures)
    assert read_['podium_launches_total{outcome="ready"}'] == 1
    assert read_["podium_launch_duration_seconds_count"] == 1
    phases = [f'podium_launch_phase_duration_seconds_sum{{phase="{p}"}}' for p in ("Queued", "Starting")]
    took = (s.get().status.history[2].at - s.get().status.history[0].at).total_seconds()
    assert read_["podium_launch_duration_seconds_sum"] == pytest.approx(took)
    assert sum(read_[name] for name in phases) == pytest.approx(took)
    await s.restart()
    await s.settle()
    again = await read(s.figures)
    assert again['podium_launches_total{outcome="ready"}'] == 0, "a controller that is new counts no old ones"


@in_simulation()
async def test_launches_that_fail_or_are_stopped_are_counted(s):
    s.reachable = False
    await s.launch()
    await s.until("it waits", lambda: s.get().status.reason == "OpeningRoute")
    await s.store.delete(NAME)
    await s.settle()
    await s.launch()
    await asyncio.sleep(300)
    await s.until("it failed", lambda: s.get().status.phase == "Failed")
    await s.store.delete(NAME)
    await s.settle()
    read_ = await read(s.figures)
    outcomes = {o: read_[f'podium_launches_total{{outcome="{o}"}}'] for o in ("ready", "failed", "stopped")}
    assert outcomes == {"ready": 0, "failed": 1, "stopped": 1}
    assert read_["podium_launch_duration_seconds_count"] == 0


@in_simulation()
async def test_looks_and_retries_are_counted(s):
    await s.launch()
    await s.settle()
    before = await read(s.figures)
    assert before["podium_reconcile_retries_total"] == 0
    s.blind = {NAME}
    s.queue.add(NAME)
    await asyncio.sleep(2)
    after = await read(s.figures)
    failed = after["podium_reconcile_retries_total"]
    assert failed > 1
    looks = (
        after["podium_reconcile_duration_seconds_count"] - before["podium_reconcile_duration_seconds_count"]
    )
    assert looks >= failed
    assert after["podium_leader"] == 1


# All of a hub, as a process.


@pytest.mark.skipif(not INSTALLED, reason="the programs of workspaces are not installed")
def test_a_hub_tells_all_of_it_at_its_own_address(tmp_path):
    with running_hub(tmp_path, "c.Podium.profiles = {'class': {}}\n") as hub:

        def get(path, **headers):
            with urllib.request.urlopen(
                urllib.request.Request(hub.url + path, headers=headers), timeout=20
            ) as it:
                return it.status, it.read().decode()

        def routed():
            _, page = get("/metrics", Authorization=f"Bearer {hub.state.read_token()}")
            told = samples(page)
            present = [value for name, value in told.items() if name.startswith("podium_routes_present{")]
            return told if present == [told["podium_routes_desired"]] else None

        told = hub.wait("the proxy has every route", routed)
        assert get("/readyz") == get("/healthz") == (200, '{"status":"ok"}')
    assert told["podium_leader"] == 1
    assert told['podium_workspaces{phase="Ready"}'] == 0
    assert told['podium_http_requests_total{method="GET",status="200"}'] > 0
    assert told["process_resident_memory_bytes"] > 10 * 2**20 or sys.platform != "linux"
