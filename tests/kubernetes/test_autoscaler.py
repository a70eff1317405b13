"""A HorizontalPodAutoscaler may own the number of workers: a real one, with a metric that the test gives."""

from __future__ import annotations

import datetime
import ssl

import pytest
import pytest_asyncio
from aiohttp import web

from tests.cluster.certificates import Authority

GROUP = "external.metrics.k8s.io"
METRIC = "tasks-waiting"


class Metrics:
    """An API server for one external metric, behind the real one.

    Source: Kubernetes, "Configure the Aggregation Layer"; k8s.io/metrics, `external_metrics/v1beta1`.
    """

    def __init__(self) -> None:
        self.value = 0
        self.app = web.Application()
        base = f"/apis/{GROUP}/v1beta1"
        self.app.router.add_get(base, self._resources)
        self.app.router.add_get(base + "/namespaces/{namespace}/" + METRIC, self._values)

    async def _resources(self, request: web.Request) -> web.Response:
        resource = {"name": METRIC, "namespaced": True, "kind": "ExternalMetricValueList", "verbs": ["get"]}
        return web.json_response(
            {
                **{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/v1beta1"},
                "resources": [{"singularName": "", **resource}],
            }
        )

    async def _values(self, request: web.Request) -> web.Response:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        value = {"metricName": METRIC, "metricLabels": {}, "timestamp": now, "value": str(self.value)}
        kind = {"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/v1beta1", "metadata": {}}
        return web.json_response({**kind, "items": [value]})


@pytest_asyncio.fixture
async def metrics(hub, tmp_path):
    """The metric, known to the cluster."""
    served = Metrics()
    certificate = Authority(tmp_path, "authority").issue("metrics", "metrics", hosts=["localhost"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    runner = web.AppRunner(served.app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    service = {"namespace": hub.namespace, "name": "metrics", "port": port}
    await hub.create(
        {
            **{"apiVersion": "v1", "kind": "Service"},
            "metadata": {"name": "metrics", "namespace": hub.namespace},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
        },
        {
            **{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"},
            "metadata": {"name": f"v1beta1.{GROUP}"},
            "spec": {
                **{"group": GROUP, "version": "v1beta1", "service": service, "insecureSkipTLSVerify": True},
                **{"groupPriorityMinimum": 100, "versionPriority": 100},
            },
        },
    )
    await hub.kubectl("wait", "--for=condition=Available", f"apiservice/v1beta1.{GROUP}", "--timeout=30s")
    yield served
    await hub.kubectl("delete", "apiservice", f"v1beta1.{GROUP}")
    await runner.cleanup()


@pytest.mark.slow
async def test_an_autoscaler_sets_the_workers_of_every_cluster_that_follows(hub, metrics):
    await hub.start()
    name = await hub.launch(workers=2, clusters={"dask": {}, "ipyparallel": {"workers": 1}})
    await hub.ready(name, workers=3)
    scale = await hub.see("workspace", name, "-n", hub.namespace, "--subresource=scale")
    assert scale["spec"]["replicas"] == scale["status"]["replicas"] == 2, "like is compared with like"
    assert scale["status"]["selector"] == f"podium.hub/workspace={name},podium.hub/role=worker"
    metrics.value = 10
    target = {"type": "AverageValue", "averageValue": "2"}
    await hub.create(
        {
            **{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"},
            "metadata": {"name": "tasks", "namespace": hub.namespace},
            "spec": {
                "scaleTargetRef": {"apiVersion": "podium.hub/v1", "kind": "Workspace", "name": name},
                **{"minReplicas": 1, "maxReplicas": 8},
                "metrics": [{"type": "External", "external": {"metric": {"name": METRIC}, "target": target}}],
            },
        }
    )
    workspace = await hub.ready(name, workers=6)
    assert {key: seen.ready for key, seen in workspace.status.clusters.items()} == {
        "dask": 5,
        "ipyparallel": 1,
    }
