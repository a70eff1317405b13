"""`/healthz` and `/readyz` of web and controller tell the truth, whatever becomes of the API server."""

from __future__ import annotations

import contextlib
import json
import re

import pytest

from hub.parts import run_controller, run_web
from hub.web import server
from tests.kubernetes.between import Between, refusal
from tests.kubernetes.parts import running


@pytest.fixture
async def between(hub, tmp_path):
    """What stands between the parts and the API server."""
    between = Between(hub.cluster)
    between.kubeconfig = tmp_path / "between.kubeconfig"
    async with between.serve(between.kubeconfig):
        yield between


def away(request):
    """What is answered by a load balancer whose API server is gone."""
    return refusal(503, "ServiceUnavailable")


def blind(request):
    """As long as nothing may be listed but a single object, which is how the cluster is tried out."""
    listed = request.query.get("limit") == "500"
    return refusal(503, "ServiceUnavailable") if listed else None


@pytest.mark.parametrize("run", [run_web, run_controller])
async def test_a_part_is_ready_once_it_knows_what_there_is(hub, between, run):
    between.fault = blind
    async with running(run, hub, between.kubeconfig) as part:
        await hub.until("it answers", lambda: part.is_("/readyz", 503))
        assert "store" in json.loads((await part.asks("/readyz"))[1])["failing"]
        assert await part.asks("/healthz") == (200, '{"status": "ok"}'), "another start would not help"
        between.fault = lambda request: None
        await hub.until("it is ready", lambda: part.is_("/readyz", 200))


@pytest.mark.parametrize("run", [run_web, run_controller])
async def test_an_api_server_that_is_away_makes_nothing_unready(hub, between, run):
    async with running(run, hub, between.kubeconfig) as part:
        await hub.until("it is ready", lambda: part.is_("/readyz", 200))
        between.fault = away
        between.hang_up()
        await hub.until("it noticed", lambda: noticed(part))
        assert [(await part.asks(path))[0] for path in ("/readyz", "/healthz")] == [200, 200]
        if run is run_web:
            assert await part.serves("GET", "/api/workspaces") == 200
        between.fault = lambda request: None


async def noticed(part):
    """Whether it was refused several times."""
    refused = re.findall(r'kubernetes_requests_total{code="503".*} (\d+)', (await part.asks("/metrics"))[1])
    return sum(map(int, refused)) > 2


async def test_web_that_is_to_end_is_not_ready_while_it_answers_what_was_asked(hub, monkeypatch):
    monkeypatch.setattr(server, "OPEN", 6.0)  # that a busy machine ends it not before it was asked
    monkeypatch.setattr(server, "LAST", 8.0)
    async with running(run_web, hub, hub.cluster.kubeconfig) as part:
        await hub.until("it is ready", lambda: part.is_("/readyz", 200))
        part.stop.set()
        assert await part.asks("/readyz") == (503, '{"status": "failing", "failing": ["stopping"]}')
        assert (await part.asks("/healthz"))[0] == 200
        assert await part.serves("GET", "/api/profiles") == 200


async def test_of_two_controllers_both_are_ready_and_one_acts(hub):
    async with contextlib.AsyncExitStack() as stack:
        parts = [
            await stack.enter_async_context(running(run_controller, hub, hub.kubeconfig)) for _ in range(2)
        ]
        for part in parts:
            await hub.until("it is ready", lambda part=part: part.is_("/readyz", 200))

        await hub.until("one acts", lambda: one_acts(parts))
        pages = [(await part.asks("/metrics"))[1] for part in parts]
        assert sum('podium_workspaces{phase="Ready"}' in page for page in pages) == 1, "so that sums are true"


async def one_acts(parts):
    """Whether it is just one."""
    told = [re.search(r"^podium_leader (.+)$", (await part.asks("/metrics"))[1], re.M)[1] for part in parts]
    return sorted(told) == ["0.0", "1.0"]
